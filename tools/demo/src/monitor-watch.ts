// SPDX-License-Identifier: Apache-2.0
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/** What the walkthrough reads of an event of `weir monitor -o json`. */
export interface MonitorEvent {
  readonly type: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly protocol?: string;
  readonly tcpFlags?: string;
  readonly source?: MonitorPeer;
  readonly destination?: MonitorPeer;
  readonly policies?: readonly string[];
  readonly http: { readonly method?: string; readonly path?: string; readonly status?: number } | null;
}

export interface MonitorPeer {
  readonly namespace?: string;
  readonly pod?: string;
  readonly address?: string;
  readonly port?: number;
}

/** The events of some monitors since they were started. */
export interface MonitorWatch {
  /** The first event that fits, also one that comes within the time limit; undefined when there is none. */
  find(fits: (event: MonitorEvent) => boolean, timeoutMs: number): Promise<MonitorEvent | undefined>;
  stop(): void;
}

const eventsMax = 10_000;

/** Starts monitors, each a command that prints one JSON object a line, and keeps their first 10,000 events. */
export function watchMonitor(commands: readonly (readonly [string, ...string[]])[]): MonitorWatch {
  const events: MonitorEvent[] = [];
  const monitors = commands.map(([file, ...args]): ChildProcess => {
    const monitor = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: monitor.stdout }).on('line', (line) => {
      if (events.length < eventsMax) events.push(JSON.parse(line) as MonitorEvent);
    });
    // What a monitor that does not start cannot tell will be missed.
    return monitor.on('error', () => undefined);
  });
  return {
    async find(fits, timeoutMs) {
      const endMs = performance.now() + timeoutMs;
      for (;;) {
        const event = events.find(fits);
        if (event !== undefined || performance.now() > endMs) return event;
        await sleep(20);
      }
    },
    stop() {
      for (const monitor of monitors) monitor.kill();
    },
  };
}

const peerText = ({ namespace, pod, address = '', port }: MonitorPeer): string =>
  `${namespace}/${pod} (${address.includes(':') ? `[${address}]` : address}:${port})`;

/** An event on one line, for people. */
export function describeEvent(event: MonitorEvent): string {
  const { type, verdict, reason, http, protocol, tcpFlags, source = {}, destination = {}, policies = [] } = event;
  const what = http === null ? `${protocol} ${tcpFlags}` : `${http.method} ${http.path} → ${http.status}`;
  const why = [reason, `policy ${policies.join(', ')}`].filter(Boolean).join(', ');
  return `${type} ${verdict}: ${peerText(source)} → ${peerText(destination)} ${what}: ${why}`;
}
