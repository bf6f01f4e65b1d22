// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { relayServerName } from '@weir/observer';
import { ObserverDefinition } from '@weir/proto';
import { createRpcClient, openTlsIdentity, parseRpcAddress, type RpcClient, type RpcClientOptions } from '@weir/rpc';
import { checkedFlag } from '@weir/service';
import { type Command, Option } from 'commander';

/** Calls to whoever serves flows: an agent, or monitor-relay. */
export type ObserverClient = RpcClient<typeof ObserverDefinition>;

const serverDefault = 'unix:///run/weir/hubble.sock';

const tlsScheme = 'tls://';

/** `unix:///path`, `unix:/path`, `host:port` or `tls://host:port`, in the form that our client takes. */
export function serverAddress(text: string): string {
  const address = text.replace(/^unix:\/\/\//, 'unix:/').replace(tlsScheme, '');
  parseRpcAddress(address);
  return address;
}

interface ServerFlags {
  readonly server: string;
  readonly tls?: boolean;
  readonly tlsCaCertFiles?: string;
  readonly tlsClientCertFile?: string;
  readonly tlsClientKeyFile?: string;
  readonly tlsServerName: string;
}

/** The flags that say whom to ask, and how. */
export const serverOptions = (): readonly Option[] => [
  new Option('--server <address>', 'agent or relay: unix:///path, host:port or tls://host:port')
    .env('HUBBLE_SERVER')
    .default(serverDefault)
    .argParser(checkedFlag((text) => (serverAddress(text), text))),
  new Option('--tls', 'TLS over TCP, with a certificate of our own'),
  new Option('--tls-ca-cert-files <file>', 'authority that the server’s certificate is of'),
  new Option('--tls-client-cert-file <file>', 'certificate to show'),
  new Option('--tls-client-key-file <file>', 'key of that'),
  new Option('--tls-server-name <name>', 'what the server’s certificate is for; NODE.node.weir for an agent').default(
    relayServerName,
  ),
];

/** What to show and to expect over TLS; undefined: clear text. */
function openTls(flags: ServerFlags): NonNullable<RpcClientOptions['tls']> | undefined {
  const { tlsCaCertFiles: ca, tlsClientCertFile: certificate, tlsClientKeyFile: key, tlsServerName } = flags;
  if (flags.tls !== true && !flags.server.startsWith(tlsScheme)) return undefined;
  const missing = Object.entries({
    ...{ '--tls-ca-cert-files': ca, '--tls-client-cert-file': certificate, '--tls-client-key-file': key },
  }).flatMap(([flag, value]) => (value === undefined ? [flag] : []));
  if (ca === undefined || certificate === undefined || key === undefined) {
    throw new WeirError('INVALID_ARGUMENT', `TLS needs ${missing.join(' and ')}`);
  }
  return { identity: openTlsIdentity({ ca, certificate, key }), serverName: tlsServerName };
}

/** Runs a task with the server that a command is about, and closes the connection. Ends with SIGINT and SIGTERM. */
export async function withObserver(
  command: Command,
  task: (client: ObserverClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const flags = command.optsWithGlobals<ServerFlags>();
  const tls = openTls(flags);
  const address = serverAddress(flags.server);
  const client = createRpcClient(ObserverDefinition, { address, deadlineMs: 12_000, ...(tls && { tls }) });
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
    tls?.identity.close();
  }
}
