// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { isProtectedLabel, reservedIdentities, type LabelSource } from '@weir/model';
import type { weir } from '@weir/proto';
import { onStdout, printable } from '@weir/terminal';

type MonitorEvent = weir.agent.v1.MonitorEvent;
type Peer = weir.agent.v1.IMonitorPeer;

const verdictColours: Readonly<Record<string, (text: string) => string>> = {
  dropped: onStdout.red,
  denied: onStdout.red,
  error: onStdout.red,
  redirected: onStdout.yellow,
  audited: onStdout.yellow,
  forwarded: onStdout.green,
};

/** The labels by which people tell pods apart, without those of the platform: the namespace is part of the name. */
function labelsText({ labels }: Peer): string {
  const words = (labels ?? []).flatMap((text) => {
    const [, source = '', rest = '', key = ''] = /^([^:]*):(([^=]*).*)$/s.exec(text) ?? [];
    return isProtectedLabel({ source: source as LabelSource, key }) ? [] : [printable(rest)];
  });
  return words.join(',');
}

/** Who an end is, as people know it: a pod, a reserved identity, or else the address. */
function peerText(peer: Peer | null | undefined): string {
  const { address = '', port, identity = 0, namespace, pod } = peer ?? {};
  const host = address?.includes(':') ? `[${address}]` : address;
  const where = port ? `${host}:${port}` : host;
  const [reserved] = reservedIdentities.get(identity ?? 0)?.labels ?? [];
  const who = reserved?.key ?? [`identity ${identity}`, labelsText(peer ?? {})].filter(Boolean).join(' ');
  if (!pod) return `${where} (${who})`;
  return `${onStdout.bold(printable(`${namespace}/${pod}`))} (${where}, ${who})`;
}

function timeText(timeNs: number): string {
  const date = new Date(timeNs / 1e6);
  const pad = (value: number, length = 2): string => String(value).padStart(length, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part)).join(':');
  return `${time}.${pad(date.getMilliseconds(), 3)}`;
}

const latencyText = (latencyNs: number): string => `${(latencyNs / 1e6).toFixed(2)} ms`;

function whatText(event: MonitorEvent): string {
  const { http, protocol, tcpFlags, tracePoint, reason, direction } = event;
  if (http) {
    // What a client sends is not ours, and must not steer the terminal.
    const call = printable(`${http.method} ${http.host}${http.path}`);
    const status = http.status ? ` → ${http.status} in ${latencyText(http.latencyNs ?? 0)}` : '';
    const headers = (http.headerDifferences ?? []).map((text) => `, ${printable(text)}`).join('');
    return `${printable(http.protocol ?? '')} ${call}${status}${reason ? `: ${reason}` : ''}${headers}`;
  }
  const packet = tcpFlags ? `${protocol} ${tcpFlags}` : protocol;
  if (event.type === 'drop') return `${packet} ${onStdout.red(reason)} (${direction})`;
  const audit = event.verdict === 'audited' ? `, would be dropped: ${reason} (${direction})` : '';
  return `${packet}${event.isReply ? ', reply' : ''} ${tracePoint}${audit}`;
}

/** One line for people: when, verdict, who to whom, what, and the policies that decided. */
export function monitorLine(event: MonitorEvent): string {
  if (event.type === 'lost') {
    return onStdout.yellow(`${timeText(event.timeNs)} ${event.lost} events were lost (${event.lostSource})`);
  }
  const colour = verdictColours[event.verdict] ?? String;
  const policies = event.policies.length === 0 ? '' : ` ${onStdout.dim(`policy ${event.policies.join(', ')}`)}`;
  const kind = event.type === 'policy-verdict' ? 'verdict' : event.type;
  return [
    timeText(event.timeNs),
    colour(event.verdict.toUpperCase().padEnd(10)),
    kind.padEnd(7),
    `${peerText(event.source)} → ${peerText(event.destination)}`,
    `${whatText(event)}${policies}`,
  ].join(' ');
}

/** Checks a value of `--type`. */
export function parseMonitorType(text: string, previous: readonly string[] | undefined): readonly string[] {
  const types = ['drop', 'policy-verdict', 'trace', 'l7'];
  if (types.includes(text)) return [...(previous ?? []), text];
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not one of ${types.join(', ')}`);
}
