// SPDX-License-Identifier: Apache-2.0
import { weir } from '@weir/proto';
import type { AccessLog } from '../access-log/access-log.ts';

const { ProxyMessage } = weir.proxy.v1;

/** Who we are, as the agent is told. */
export interface Hello {
  readonly node: string;
  readonly port: number;
  readonly pid: number;
}

/** Everything that one session has to send, encoded: the greeting, acknowledgements as they arise, and the access log. */
export interface Outbox extends AsyncIterable<Buffer> {
  /** Everything up to `version` is in force. Takes the place of an acknowledgement that is not sent yet. */
  acknowledge(version: number): void;
  /** Takes nothing more from the access log: what it holds is for the next session. */
  close(): void;
}

const encode = (message: weir.proxy.v1.ProxyMessage.$Properties): Buffer =>
  Buffer.from(ProxyMessage.encode(message).finish());

/** Begins a session. The access log's messages are taken only as fast as the stream takes them. */
export function createOutbox({ hello, accessLog }: { hello: Hello; accessLog: AccessLog }): Outbox {
  let ack: number | undefined;
  let closed = false;
  let wake: (() => void) | undefined;
  accessLog.onBatch(() => wake?.());

  async function* messages(): AsyncGenerator<Buffer> {
    yield encode({ hello });
    while (!closed) {
      if (ack !== undefined) {
        const version = ack;
        ack = undefined;
        yield encode({ ack: { version } });
      }
      const batch = accessLog.take();
      if (batch !== undefined) yield batch;
      else if (ack === undefined) await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  return {
    acknowledge(version) {
      ack = version;
      wake?.();
    },
    close() {
      closed = true;
      wake?.();
    },
    [Symbol.asyncIterator]: messages,
  };
}
