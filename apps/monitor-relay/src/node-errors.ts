// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { status as Status } from '@grpc/grpc-js';
import { statusFromError } from '@weir/rpc';

/** What went wrong at nodes, in one report for all nodes at which the same did. */
export interface NodeErrors {
  add(node: string, message: string): void;
  /** Reports what waits, at once. */
  flush(): void;
  /** Forgets what waits. */
  close(): void;
}

export interface NodeErrorsOptions {
  /** An error is reported when no other node has had the same for so long. */
  readonly quietMs: number;
  /** The longest time for which the first one waits. */
  readonly windowMs: number;
  readonly clock: Pick<Clock, 'schedule' | 'monotonicMs'>;
  readonly report: (nodes: readonly string[], message: string) => void;
}

interface Waiting {
  readonly nodes: Set<string>;
  readonly sinceMs: number;
  cancel: CancelTimer;
}

/**
 * Where a network falls to pieces, many nodes fail in one moment and for one reason: who reads is told of that once, with
 * all their names in the order in which they failed.
 */
export function createNodeErrors({ quietMs, windowMs, clock, report }: NodeErrorsOptions): NodeErrors {
  const waiting = new Map<string, Waiting>();
  const tell = (message: string): void => {
    const its = waiting.get(message);
    waiting.delete(message);
    its?.cancel();
    if (its !== undefined) report([...its.nodes], message);
  };
  return {
    add(node, message) {
      const nowMs = clock.monotonicMs();
      const its = waiting.get(message) ?? { nodes: new Set<string>(), sinceMs: nowMs, cancel: () => undefined };
      waiting.set(message, its);
      its.nodes.add(node);
      its.cancel();
      its.cancel = clock.schedule(Math.min(quietMs, its.sinceMs + windowMs - nowMs), () => tell(message));
    },
    flush: () => [...waiting.keys()].forEach(tell),
    close() {
      waiting.forEach(({ cancel }) => cancel());
      waiting.clear();
    },
  };
}

/** `DEADLINE_EXCEEDED` as Go programs spell it. */
const goName = (code: Status): string =>
  (Status[code] ?? String(code))
    .toLowerCase()
    .replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());

const causeText = ({ cause, message }: WeirError): string => {
  const details = (cause as { readonly details?: unknown } | undefined)?.details;
  return typeof details === 'string' && details !== '' ? details : message;
};

/** An error of a node in the words of Hubble's relay, without what is that node's own, so that equal ones are equal. */
export function nodeErrorText(thrown: unknown, address: string): string {
  const error = WeirError.from(thrown);
  const own = address.replace(/^unix:(\/\/)?/, '');
  const text = own === '' ? causeText(error) : causeText(error).replaceAll(own, 'the node');
  const { code } = statusFromError(error);
  return code === Status.UNKNOWN ? text : `rpc error: code = ${goName(code)} desc = ${text}`;
}
