// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentClient, Lab } from '@weir/lab';

type MonitorStream = ReturnType<AgentClient['monitor']>;
/** An event as `weir monitor` has it. */
export type SeenEvent = MonitorStream extends AsyncIterable<infer Event> ? Event : never;

/** What to look for in an event; what is not named may be anything. Pods and hosts go by their names. */
export interface EventPattern {
  readonly type?: 'drop' | 'policy-verdict' | 'trace' | 'l7';
  readonly verdict?: string;
  readonly from?: string;
  readonly to?: string;
  readonly port?: number;
  readonly sourcePort?: number;
  readonly address?: string;
  readonly protocol?: string;
  readonly reason?: string;
  /** All of them, separated by spaces. */
  readonly policies?: string;
}

/** Everything the datapath and the proxy of a node report. */
export interface EventLog {
  /** This moment, in ns since 1970: events behind it have happened since, whenever they were read. */
  mark(): number;
  /** The first event behind a mark that fits; waits for it, and fails naming what has come instead. */
  find(since: number, pattern: EventPattern): Promise<SeenEvent>;
  /** Events behind a mark that fit, of those that have come. */
  all(since: number, pattern: EventPattern): readonly SeenEvent[];
  stop(): void;
}

const patienceMs = 15_000;
// The agent tells wall-clock time from CLOCK_MONOTONIC to the millisecond.
const clockToleranceNs = 2e6;

// Hosts have several addresses, and go by their reserved identities.
const hosts: Readonly<Record<number, string>> = { 1: '@node1', 2: '@world' };

/** A prefix that a policy names is a part of the world. */
function hostName({ identity, labels }: NonNullable<SeenEvent['source']>): string | undefined {
  return hosts[identity ?? 0] ?? (labels?.includes('reserved:world') ? hosts[2] : undefined);
}

const name = (peer: SeenEvent['source']): string => peer?.pod || (peer && hostName(peer)) || peer?.address || '';

const fits = (event: SeenEvent, pattern: EventPattern): boolean =>
  [
    [pattern.type, event.type],
    [pattern.verdict, event.verdict],
    [pattern.from, name(event.source)],
    [pattern.to, name(event.destination)],
    [pattern.port, event.destination?.port],
    [pattern.sourcePort, event.source?.port],
    [pattern.address, event.destination?.address],
    [pattern.protocol, event.protocol],
    [pattern.reason, event.reason],
    [pattern.policies, event.policies.join(' ')],
  ].every(([wanted, found]) => wanted === undefined || wanted === found);

const line = (event: SeenEvent): string =>
  [
    `${event.type} ${event.verdict} ${event.reason}`,
    `${name(event.source)}:${event.source?.port} → ${name(event.destination)}:${event.destination?.port}`,
    `${event.protocol} ${event.tcpFlags ?? ''} ${event.direction} ${event.policies.join(' ')}`,
  ].join(', ');

/** Starts to log the events of a node; resolves when none is missed any more. */
export async function logEvents(lab: Lab, node = 'node1'): Promise<EventLog> {
  const agent = lab.agent(node);
  const stopping = new AbortController();
  const events: SeenEvent[] = [];
  const reading = (async () => {
    for await (const event of agent.monitor({ types: [], relatedTo: [] }, { signal: stopping.signal })) {
      events.push(event);
    }
  })().catch(() => undefined);
  // A packet to an address that no pod has is dropped: seeing that means to see everything behind it.
  const nobody = `10.244.${node.replace('node', '')}.254`;
  for (let attempt = 0; !events.some(({ destination }) => destination?.address === nobody); attempt++) {
    if (attempt === 50) throw new Error('the monitor shows nothing');
    await lab.exec(`@${node}`, ['ping', '-c', '1', '-W', '0.1', nobody]);
  }
  const behind = (since: number): SeenEvent[] => events.filter(({ timeNs }) => timeNs >= since - clockToleranceNs);
  return {
    mark: () => Date.now() * 1e6,
    all: (since, pattern) => behind(since).filter((event) => fits(event, pattern)),
    async find(since, pattern) {
      const endMs = performance.now() + patienceMs;
      for (;;) {
        const found = behind(since).find((event) => fits(event, pattern));
        if (found !== undefined) return found;
        if (performance.now() > endMs) {
          const seen = behind(since).map(line).join('\n');
          throw new Error(`No event fits ${JSON.stringify(pattern)}. There were:\n${seen}`);
        }
        await sleep(10);
      }
    },
    stop() {
      stopping.abort();
      void reading.then(() => agent.close());
    },
  };
}
