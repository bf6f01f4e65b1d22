// SPDX-License-Identifier: Apache-2.0
/** The fields of `struct __sk_buff` that a test run takes and gives back; the kernel refuses all others. */
export interface SkbContext {
  readonly mark: number;
  readonly priority: number;
  readonly ingressIfindex: number;
  /** The interface the packet is on, in the network namespace of the run; 0 is the loopback interface. */
  readonly ifindex: number;
  /** Five words that programs of one packet hand to each other. */
  readonly cb: readonly number[];
  readonly timestampNs: bigint;
  /** Length of the packet before segmentation. */
  readonly wireLength: number;
  readonly gsoSegments: number;
  readonly gsoSize: number;
}

// `struct __sk_buff` of the kernel's user-space API, which never changes but at its end.
const contextBytes = 192;
const offsets = {
  mark: 8,
  priority: 32,
  ingressIfindex: 36,
  ifindex: 40,
  cb: 48,
  timestampNs: 152,
  wireLength: 160,
  gsoSegments: 164,
  gsoSize: 176,
} as const;
const cbWords = 5;
const words = ['mark', 'priority', 'ingressIfindex', 'ifindex', 'wireLength', 'gsoSegments', 'gsoSize'] as const;

/** The context of a test run of a `sched_cls` program; what is not given is 0. */
export function encodeSkbContext(fields: Partial<SkbContext>): Uint8Array {
  const bytes = new Uint8Array(contextBytes);
  const view = new DataView(bytes.buffer);
  for (const field of words) view.setUint32(offsets[field], fields[field] ?? 0, true);
  fields.cb?.slice(0, cbWords).forEach((word, index) => {
    view.setUint32(offsets.cb + index * 4, word, true);
  });
  view.setBigUint64(offsets.timestampNs, fields.timestampNs ?? 0n, true);
  return bytes;
}

/** What a program left in the context. */
export function decodeSkbContext(bytes: Uint8Array): SkbContext {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (offset: number): number => view.getUint32(offset, true);
  return {
    mark: word(offsets.mark),
    priority: word(offsets.priority),
    ingressIfindex: word(offsets.ingressIfindex),
    ifindex: word(offsets.ifindex),
    cb: Array.from({ length: cbWords }, (_, index) => word(offsets.cb + index * 4)),
    timestampNs: view.getBigUint64(offsets.timestampNs, true),
    wireLength: word(offsets.wireLength),
    gsoSegments: word(offsets.gsoSegments),
    gsoSize: word(offsets.gsoSize),
  };
}
