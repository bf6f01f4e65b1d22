// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import { Agent as HttpAgent } from 'node:http';
import { WeirError } from '@weir/errors';
import Consul from 'consul';
import { createEndpointRotation } from './endpoint-rotation.ts';
import type { KeyValueStore } from './key-value-store.ts';

export interface ConsulOptions {
  /** `host:port` of the HTTP API of one or more servers or agents. */
  readonly endpoints: readonly string[];
  /** The ACL token. */
  readonly token?: string;
  /** How long one call may take; 1,500 by default. */
  readonly deadlineMs?: number;
}

interface ConsulItem {
  readonly Key: string;
  readonly ModifyIndex: number;
  readonly Value: string | null;
}

type Operation = { readonly KV: Readonly<Record<string, string | number>> };

const deadlineMsDefault = 1_500;
// Consul takes values and transactions of 512 KiB, which carry values in base64, and 64 operations each.
const valueBytesMax = 128 * 1024;
const operationsMax = 64;

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Makes the client of a Consul cluster, version 1.8 or newer; it connects at the first call. */
export function createConsulKeyValueStore(options: ConsulOptions): KeyValueStore {
  const agent = new HttpAgent({ keepAlive: true });
  const { deadlineMs = deadlineMsDefault } = options;
  const { transact, getItem, getKeys } = createCalls({ ...options, deadlineMs, agent });
  /** A transaction fails where one key is not there: then one by one. */
  const readPortion = async (keys: readonly string[]): Promise<(string | undefined)[]> => {
    const found = await transact(keys.map((key) => ({ KV: { Verb: 'get', Key: key } })));
    if (found !== undefined) return found.map(({ Value }) => Buffer.from(Value ?? '', 'base64').toString());
    const values: (string | undefined)[] = [];
    for (const key of keys) values.push((await getItem(key, { consistent: true }))?.Value ?? undefined);
    return values;
  };

  return {
    valueBytesMax,
    async get(key) {
      const found = await getItem(key, { consistent: true });
      return found && { value: found.Value ?? '', version: String(found.ModifyIndex) };
    },
    async getMany(keys) {
      const values: (string | undefined)[] = [];
      for (const portion of portions(keys)) values.push(...(await readPortion(portion)));
      return values;
    },
    async put({ key, value }) {
      await transact([{ KV: { Verb: 'set', Key: key, Value: base64(value) } }]);
    },
    async swap({ key, version, value, others }) {
      const results = await transact([
        { KV: { Verb: 'cas', Key: key, Value: base64(value), Index: Number(version ?? 0) } },
        ...others.map((entry) => ({ KV: { Verb: 'set', Key: entry.key, Value: base64(entry.value) } })),
      ]);
      const written = results?.find((item) => item.Key === key);
      return written && String(written.ModifyIndex);
    },
    keys: getKeys,
    async delete(keys) {
      for (const portion of portions(keys)) {
        await transact(portion.map((key) => ({ KV: { Verb: 'delete', Key: key } })));
      }
    },
    async changed({ key, version }, { waitMs, signal }) {
      if (signal.aborted) return;
      const ctx = new EventEmitter();
      const cancel = (): void => void ctx.emit('cancel');
      signal.addEventListener('abort', cancel, { once: true });
      try {
        // Consul waits up to a sixteenth longer than it is asked to.
        await getItem(key, { index: version, wait: `${waitMs}ms`, timeout: waitMs * 2 + deadlineMs, ctx });
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    },
    close: () => agent.destroy(),
  };
}

function* portions<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += operationsMax) yield items.slice(from, from + operationsMax);
}

interface Calls {
  /** All of them or, where a check fails, none: undefined. */
  transact(operations: readonly Operation[]): Promise<readonly ConsulItem[] | undefined>;
  getItem(key: string, more: Readonly<Record<string, unknown>>): Promise<ConsulItem | undefined>;
  getKeys(prefix: string): Promise<string[]>;
}

const statusOf = (error: unknown): unknown => (error as { statusCode?: unknown }).statusCode;

function createCalls(options: ConsulOptions & { readonly deadlineMs: number; readonly agent: HttpAgent }): Calls {
  const { endpoints, agent, deadlineMs: timeout, token } = options;
  const common = { timeout, ...(token !== undefined && { token }) };
  const { call } = createEndpointRotation(endpoints.map((endpoint) => connect(endpoint, agent)));
  return {
    transact: (operations) =>
      call(async (consul) => {
        try {
          const { Results = [] } = await consul.transaction.create([...operations] as never, { ...common } as never);
          return Results.map(({ KV }) => KV as ConsulItem);
        } catch (error) {
          // A conflict is an answer, not a failure.
          if (statusOf(error) === 409) return undefined;
          throw failureOf(error);
        }
      }),
    getItem: (key, more) =>
      call(async (consul) => {
        const found = await consul.kv.get({ key, ...common, ...more }).catch((error: unknown) => {
          throw failureOf(error);
        });
        return found ?? undefined;
      }),
    getKeys: (prefix) =>
      call((consul) =>
        consul.kv.keys({ key: prefix, ...common }).catch((error: unknown) => {
          if (statusOf(error) === 404) return [];
          throw failureOf(error);
        }),
      ),
  };
}

function connect(endpoint: string, agent: HttpAgent): Consul {
  const { hostname, port } = new URL(`http://${endpoint}`);
  return new Consul({ host: hostname, port: Number(port || 8500), agent });
}

function failureOf(error: unknown): WeirError {
  const { message } = error as { message?: string };
  const code = statusOf(error) === 403 ? 'PERMISSION_DENIED' : 'UNAVAILABLE';
  return new WeirError(code, `Consul answers: ${message ?? 'nothing'}`, { cause: error });
}
