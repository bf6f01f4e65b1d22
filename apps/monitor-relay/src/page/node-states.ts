// SPDX-License-Identifier: Apache-2.0
import { relay } from '@weir/proto';
import type { NodePool } from '../node-pool.ts';

/** A node, and what a stream of flows knows of it. */
export interface NodeState {
  readonly name: string;
  /** `silent`: it has not said anything yet, and nothing is known against it. */
  readonly state: 'connected' | 'silent' | 'unavailable' | 'error';
  readonly message: string;
}

const { NodeState: Change } = relay;
const stateOf: Readonly<Record<number, NodeState['state']>> = {
  [Change.NODE_CONNECTED]: 'connected',
  [Change.NODE_UNAVAILABLE]: 'unavailable',
  [Change.NODE_GONE]: 'unavailable',
  [Change.NODE_ERROR]: 'error',
};

/** Keeps what one stream knows of nodes. A node that gives flows is connected, whatever was said of it before. */
export function createNodeStates(pool: Pick<NodePool, 'list' | 'isListening'>) {
  const known = new Map<string, Omit<NodeState, 'name'>>();
  let told = '';
  return {
    gave(name: string): void {
      if (known.get(name)?.state !== 'connected') known.set(name, { state: 'connected', message: '' });
    },
    say({ stateChange, nodeNames, message }: relay.NodeStatusEvent.$Properties): void {
      const state = stateOf[stateChange ?? 0];
      if (state === undefined) return;
      for (const name of nodeNames ?? []) known.set(name, { state, message: message ?? '' });
    },
    /** What has changed since the last call: all nodes, and whether anybody tells of them; undefined: nothing. */
    news(): { readonly nodes: readonly NodeState[]; readonly isTold: boolean } | undefined {
      const listed = pool.list();
      const names = new Set(listed.map(({ name }) => name));
      for (const name of known.keys()) if (!names.has(name)) known.delete(name);
      const nodes = listed.map(({ name, client }): NodeState => {
        if (client === undefined) return { name, state: 'unavailable', message: 'no address, or no TLS in common' };
        return { name, ...(known.get(name) ?? { state: 'silent', message: '' }) };
      });
      const all = { nodes, isTold: pool.isListening };
      const text = JSON.stringify(all);
      if (text === told) return undefined;
      told = text;
      return all;
    },
  };
}
