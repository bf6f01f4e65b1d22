// SPDX-License-Identifier: Apache-2.0
import { EtcdKeyValueDefinition, EtcdWatchDefinition, type etcdserverpb } from '@weir/proto';
import { createRpcClient, type RpcClient, type RpcClientOptions } from '@weir/rpc';
import { createEndpointRotation } from './endpoint-rotation.ts';
import type { KeyValueStore } from './key-value-store.ts';

export interface EtcdOptions extends Pick<RpcClientOptions, 'deadlineMs'> {
  /** `host:port` of one or more members of the cluster. */
  readonly endpoints: readonly string[];
}

type RequestOp = etcdserverpb.RequestOp.$Properties;
type WatchRequest = etcdserverpb.WatchRequest.$Properties;

interface Member {
  readonly keyValue: RpcClient<typeof EtcdKeyValueDefinition>;
  readonly watch: RpcClient<typeof EtcdWatchDefinition>;
}

const deadlineMsDefault = 1_500;
// etcd takes requests of 1.5 MiB and transactions of 128 operations by default.
const valueBytesMax = 128 * 1024;
const operationsMax = 64;
const messageBytesMax = 32 * 1024 * 1024;
const keysPerPage = 5_000;

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (value: Uint8Array | null | undefined): string => Buffer.from(value ?? []).toString();

/** Makes the client of an etcd cluster, version 3.4 or newer; it connects at the first call. */
export function createEtcdKeyValueStore({ endpoints, deadlineMs = deadlineMsDefault }: EtcdOptions): KeyValueStore {
  const members = endpoints.map((address): Member => {
    const options = { address, deadlineMs, messageBytesMax };
    return {
      keyValue: createRpcClient(EtcdKeyValueDefinition, options),
      watch: createRpcClient(EtcdWatchDefinition, options),
    };
  });
  const { call } = createEndpointRotation(members);
  const transact = (success: RequestOp[], compare: etcdserverpb.Compare.$Properties[] = []) =>
    call(({ keyValue }) => keyValue.txn({ compare, success }));

  return {
    valueBytesMax,
    async get(key) {
      const { kvs } = await call(({ keyValue }) => keyValue.range({ key: bytes(key) }));
      const [found] = kvs;
      return found && { value: text(found.value), version: String(found.modRevision) };
    },
    async getMany(keys) {
      const { responses } = await transact(keys.map((key) => ({ requestRange: { key: bytes(key) } })));
      return responses.map(({ responseRange }) => {
        const [found] = responseRange?.kvs ?? [];
        return found && text(found.value);
      });
    },
    async put({ key, value }) {
      await call(({ keyValue }) => keyValue.put({ key: bytes(key), value: bytes(value) }));
    },
    async swap({ key, version, value, others }) {
      const writes = [{ key, value }, ...others].map((entry) => ({
        requestPut: { key: bytes(entry.key), value: bytes(entry.value) },
      }));
      // EQUAL is 0, and a key that does not exist has revision 0.
      const compare = { result: 0, target: targetMod, key: bytes(key), modRevision: Number(version ?? 0) };
      const { succeeded, header } = await transact(writes, [compare]);
      return succeeded ? String(header?.revision) : undefined;
    },
    async keys(prefix) {
      const found: string[] = [];
      for (let from = prefix, more = true; more;) {
        const request = { key: bytes(from), rangeEnd: bytes(endOf(prefix)), keysOnly: true, limit: keysPerPage };
        const page = await call(({ keyValue }) => keyValue.range(request));
        found.push(...page.kvs.map(({ key }) => text(key)));
        ({ more } = page);
        from = `${found.at(-1) ?? ''}\0`;
      }
      return found;
    },
    async delete(keys) {
      for (let from = 0; from < keys.length; from += operationsMax) {
        const portion = keys.slice(from, from + operationsMax);
        await transact(portion.map((key) => ({ requestDeleteRange: { key: bytes(key) } })));
      }
    },
    changed: (known, { waitMs, signal }) =>
      call(({ watch }) => awaitEvent(watch, known, AbortSignal.any([signal, AbortSignal.timeout(waitMs)]))),
    close() {
      for (const { keyValue, watch } of members) {
        keyValue.close();
        watch.close();
      }
    },
  };
}

const targetMod = 2;

/** The first key after all that begin with `prefix`. */
const endOf = (prefix: string): string =>
  prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);

/** Resolves with the first event after the version, or when the signal aborts. */
async function awaitEvent(
  watch: Member['watch'],
  known: { readonly key: string; readonly version: string },
  signal: AbortSignal,
): Promise<void> {
  // The stream of requests stays open: where it ends, etcd ends the watch.
  async function* requests(): AsyncGenerator<WatchRequest> {
    yield { createRequest: { key: bytes(known.key), startRevision: Number(known.version) + 1 } };
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
  try {
    // Cancelled: what came after the version is gone from etcd's history. There is something to read, then.
    for await (const { events, canceled } of watch.watch(requests(), { signal })) {
      if (events.length > 0 || canceled) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
