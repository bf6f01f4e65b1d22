// SPDX-License-Identifier: Apache-2.0
import { attachTc, type BpfProgram, type Link, openPinnedLink, unpin } from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';
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
  /** Takes a program off. What is not there is not an error. */
  detach(name: string): void;
  /** Detaches all of a prefix but those named. */
  retain(prefix: string, names: ReadonlySet<string>): void;
}

const openLink = (path: string): Link | undefined => {
  try {
    return openPinnedLink(path);
  } catch (error) {
    if (error instanceof WeirError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
};

/** `programs` are the ones that every attachment is to run. */
export function createAttachments(options: {
  readonly pins: Pins;
  readonly programs: Readonly<Record<Hook, BpfProgram>>;
}): Attachments {
  const { pins, programs } = options;

  const detach = (name: string): void => {
    const link = openLink(pins.link(name));
    if (link === undefined) return;
    try {
      // The interface may be gone, and the link with it.
      if (link.info().ifindex !== 0) link.detach();
    } finally {
      link.close();
      unpin(pins.link(name));
    }
  };

  const isUpdated = ({ name, hook, ifindex }: Attachment): boolean => {
    const link = openLink(pins.link(name));
    if (link === undefined) return false;
    try {
      const info = link.info();
      if (info.ifindex !== ifindex) return false;
      if (info.programId !== programs[hook].info().id) link.update(programs[hook]);
      return true;
    } finally {
      link.close();
    }
  };

  return {
    attach(attachment) {
      const { name, hook, ifindex } = attachment;
      if (isUpdated(attachment)) return;
      detach(name);
      const link = attachTc(programs[hook], { ifindex, direction: hook === 'outwards' ? 'egress' : 'ingress' });
      try {
        link.pin(pins.link(name), { replace: true });
      } finally {
        link.close();
      }
    },
    detach,
    retain(prefix, names) {
      for (const name of pins.linkNames()) if (name.startsWith(prefix) && !names.has(name)) detach(name);
    },
  };
}
