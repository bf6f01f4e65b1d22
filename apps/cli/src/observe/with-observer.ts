// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { ObserverDefinition } from '@weir/proto';
import { createRpcClient, parseRpcAddress, type RpcClient } from '@weir/rpc';
import { checkedFlag } from '@weir/service';
import { type Command, Option } from 'commander';

/** Calls to whoever serves flows: an agent, or monitor-relay. */
export type ObserverClient = RpcClient<typeof ObserverDefinition>;

const serverDefault = 'unix:///run/weir/hubble.sock';

/** `unix:///path`, `unix:/path` or `host:port`, in the form that our client takes. */
export function serverAddress(text: string): string {
  if (text.startsWith('tls://'))
    throw new WeirError('INVALID_ARGUMENT', `"${text}" asks for TLS, which is not supported yet`);
  const address = text.replace(/^unix:\/\/\//, 'unix:/');
  parseRpcAddress(address);
  return address;
}

/** The flag that says whom to ask. */
export const serverOption = (): Option =>
  new Option('--server <address>', 'agent or relay: unix:///path or host:port')
    .env('HUBBLE_SERVER')
    .default(serverDefault)
    .argParser(checkedFlag((text) => (serverAddress(text), text)));

/** Runs a task with the server that a command is about, and closes the connection. Ends with SIGINT and SIGTERM. */
export async function withObserver(
  command: Command,
  task: (client: ObserverClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { server } = command.optsWithGlobals<{ server: string }>();
  const client = createRpcClient(ObserverDefinition, { address: serverAddress(server), deadlineMs: 12_000 });
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    await task(client, stopping.signal);
  } catch (error) {
    if (!stopping.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    client.close();
  }
}
