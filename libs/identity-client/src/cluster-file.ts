// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { ClusterPod, NamedPort } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { ClusterNode, ClusterView } from './cluster-view.ts';

/** What is known of the cluster, on disk: a node that restarts while the allocator is away still finds the others. */
export interface ClusterFile {
  /** Fills the view. A file that cannot be read is put aside with a warning: it is only a copy. */
  load(view: ClusterView): Promise<void>;
  /** Has the view written soon; calls in between are one write. */
  save(): void;
  flush(): Promise<void>;
}

/** Address, identity, and the pod's names where it has any. */
type Row = readonly [address: string, identity: number, namespace?: string, pod?: string];

interface Content {
  readonly format: number;
  readonly epoch: string;
  readonly revision: number;
  readonly nodes: readonly ClusterNode[];
  readonly endpoints: readonly Row[];
}

const format = 2;
// It had no names: what it holds is right, and has to be read again.
const formatWithoutNames = 1;
const saveDelayMs = 1_000;

const isText = (value: unknown): value is string => typeof value === 'string';
const isNamedPorts = (value: unknown): boolean =>
  value === undefined ||
  (Array.isArray(value) &&
    value.every(
      ([identity, ports]: readonly [unknown, readonly NamedPort[]]) =>
        Number.isInteger(identity) && ports.every(({ name, port }) => isText(name) && Number.isInteger(port)),
    ));
const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

function parse(text: string): Content {
  const content = JSON.parse(text) as Partial<Content>;
  const { nodes, endpoints } = content;
  const isWhole =
    (content.format === format || content.format === formatWithoutNames) &&
    isText(content.epoch) &&
    Number.isSafeInteger(content.revision) &&
    Array.isArray(nodes) &&
    nodes.every((node) => isText(node.name) && isTexts(node.addresses) && isTexts(node.podRanges)) &&
    nodes.every((node) => isNamedPorts(node.namedPorts) && isTexts(Object.values(node.labels ?? {}))) &&
    Array.isArray(endpoints) &&
    endpoints.every(([address, identity, ...names]) => isText(address) && Number.isInteger(identity) && isTexts(names));
  if (!isWhole) throw new WeirError('CORRUPT_STATE', `The file is not what is known of a cluster in format ${format}`);
  return content as Content;
}

const toRow = ([address, { identity, namespace, pod }]: readonly [string, ClusterPod]): Row =>
  namespace === '' && pod === '' ? [address, identity] : [address, identity, namespace, pod];
const fromRow = ([address, identity, namespace = '', pod = '']: Row): readonly [string, ClusterPod] => [
  address,
  { identity, namespace, pod },
];

/** Makes the file's keeper; nothing is read or written yet. */
export function createClusterFile(options: {
  readonly path: string;
  readonly view: () => ClusterView;
  readonly clock: Clock;
  readonly log: Logger;
}): ClusterFile {
  const { path, clock, log } = options;
  let cancelTimer: CancelTimer | undefined;
  let writing: Promise<void> = Promise.resolve();

  const writeNow = async (): Promise<void> => {
    const { cursor, nodes, endpoints } = options.view();
    const content: Content = { format, ...cursor, nodes: [...nodes.values()], endpoints: [...endpoints].map(toRow) };
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, `${JSON.stringify(content)}\n`, { mode: 0o640 });
    await rename(`${path}.new`, path);
  };
  const write = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    writing = writing
      .then(writeNow)
      .catch((error: unknown) => log.warn({ path, error }, 'Cannot save what is known of the cluster'));
    return writing;
  };
  return {
    async load(view) {
      try {
        const { epoch, nodes, endpoints, ...content } = parse(await readFile(path, 'utf8'));
        const revision = content.format === format ? content.revision : 0;
        view.fill({ epoch, revision }, { nodes, endpoints: endpoints.map(fromRow) });
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ENOENT') return;
        log.warn({ path, error }, 'Cannot read what is known of the cluster, the file is put aside');
        await rename(path, `${path}.damaged`).catch(() => undefined);
      }
    },
    save() {
      cancelTimer ??= clock.schedule(saveDelayMs, () => void write());
    },
    flush: () => (cancelTimer === undefined ? writing : write()),
  };
}
