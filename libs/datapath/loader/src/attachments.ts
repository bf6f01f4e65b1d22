// SPDX-License-Identifier: Apache-2.0
import {
  attachTc,
  attachTcxAsync,
  type BpfProgram,
  hasFeature,
  type Link,
  openPinnedLink,
  unpin,
} from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';
import { createDelayedTasks } from './delayed-tasks.ts';
import type { Pins } from './pins.ts';
import type { Hook } from './programs.ts';

/** One program at one interface. `name` tells it from the others and is its pin's. */
export interface Attachment {
  readonly name: string;
  readonly hook: Hook;
  readonly ifindex: number;
}

/** Programs at interfaces, pinned so that they stay when the agent dies. */
export interface Attachments {
  /** Attaches, or makes sure of it: a pinned link gets the newest program without a packet in between. */
  attach(attachment: Attachment): void;
  /**
   * As {@link attach}, for a device that somebody waits for. A tcx link waits for a grace period of the kernel's, some ten
   * milliseconds in which nobody else can configure a device either: the program starts as a filter of clsact, and the link
   * takes over when the rush is past. While both are there the link's verdict is final, so that each packet is judged once.
   */
  attachQuickly(attachment: Attachment): void;
  /** Takes a program off. What is not there is not an error. */
  detach(name: string): void;
  /** Detaches all of a prefix but those named. */
  retain(prefix: string, names: ReadonlySet<string>): void;
  /** Waits for what is under way. Filters that were not replaced yet stay; whoever comes next replaces them. */
  close(): Promise<void>;
}

/** What `createAttachments` works with. */
export interface AttachmentsOptions {
  readonly pins: Pins;
  /** The ones that every attachment is to run. */
  readonly programs: Readonly<Record<Hook, BpfProgram>>;
  /** How long after it was attached quickly a device gets its link. Default: 2000. */
  readonly settleDelayMs?: number | undefined;
}

const filterSuffix = '-filter';
const filterOf = (name: string): string => `${name}${filterSuffix}`;
const nameOf = (pin: string): string => (pin.endsWith(filterSuffix) ? pin.slice(0, -filterSuffix.length) : pin);

const openLink = (path: string): Link | undefined => {
  try {
    return openPinnedLink(path);
  } catch (error) {
    if (error instanceof WeirError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
};

const placeOf = ({ hook, ifindex }: Attachment) =>
  ({ ifindex, direction: hook === 'outwards' ? 'egress' : 'ingress' }) as const;

/** See {@link Attachments}. */
export function createAttachments({ pins, programs, settleDelayMs = 2000 }: AttachmentsOptions): Attachments {
  const detachPin = (pin: string): void => {
    using link = openLink(pins.link(pin));
    if (link === undefined) return;
    try {
      // The interface may be gone, and the link with it.
      if (link.info().ifindex !== 0) link.detach();
    } finally {
      unpin(pins.link(pin));
    }
  };

  /** Whether the link at a pin is at that device; then it runs the newest program. */
  const isUpdated = (pin: string, { hook, ifindex }: Attachment): boolean => {
    using link = openLink(pins.link(pin));
    const info = link?.info();
    if (link === undefined || info?.ifindex !== ifindex) return false;
    if (info.programId !== programs[hook].info().id) link.update(programs[hook]);
    return true;
  };

  const settle = async (attachment: Attachment, isWanted: () => boolean): Promise<void> => {
    using link = await attachTcxAsync(programs[attachment.hook], placeOf(attachment));
    if (!isWanted()) return;
    link.pin(pins.link(attachment.name), { replace: true });
    detachPin(filterOf(attachment.name));
  };
  const settling = createDelayedTasks({ delayMs: settleDelayMs, run: settle });

  const detach = (name: string): void => {
    settling.forget(name);
    detachPin(name);
    detachPin(filterOf(name));
  };
  const attach = (attachment: Attachment): void => {
    if (isUpdated(attachment.name, attachment)) return;
    detach(attachment.name);
    using link = attachTc(programs[attachment.hook], placeOf(attachment));
    link.pin(pins.link(attachment.name), { replace: true });
  };

  return {
    attach,
    attachQuickly(attachment) {
      const { name, hook } = attachment;
      if (!hasFeature('tcx')) return attach(attachment);
      if (isUpdated(name, attachment)) return;
      if (!isUpdated(filterOf(name), attachment)) {
        detach(name);
        using filter = attachTc(programs[hook], { ...placeOf(attachment), mechanism: 'filter' });
        filter.pin(pins.link(filterOf(name)), { replace: true });
      }
      settling.add(name, attachment);
    },
    detach,
    retain(prefix, names) {
      const present = new Set(pins.linkNames().filter((each) => each.startsWith(prefix)));
      for (const pin of present) {
        const name = nameOf(pin);
        if (!names.has(name)) detach(name);
        // Of an agent that died between the link and the end of the filter. Where there is no link yet, it is all there is.
        else if (pin !== name && present.has(name)) detachPin(pin);
      }
    },
    close: settling.close,
  };
}
