// SPDX-License-Identifier: Apache-2.0
import { podLabels } from '@weir/model';
import type { LabelledIdentity } from '@weir/policy';

const namespaces = 20;
const apps = 50;

/** A small generator with a fixed seed (mulberry32): the same world every time. */
export function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** The namespace of an identity: applications of a namespace follow one another. */
const namespaceOf = (index: number): string => `ns${Math.floor(index / apps) % namespaces}`;

/** An identity of a world of 20 namespaces with 50 applications each, in as many versions as there are identities for. */
export function makeIdentity(index: number): LabelledIdentity {
  const labels = {
    app: `app${index % apps}`,
    tier: `tier${index % 4}`,
    version: `v${Math.floor(index / (apps * namespaces))}`,
    team: `team${index % 7}`,
    'app.kubernetes.io/name': `app${index % apps}`,
  };
  const pod = { namespace: namespaceOf(index), labels, serviceAccount: 'default' };
  return { id: 256 + index, labels: podLabels(pod).labels };
}

/**
 * A policy for an application of a namespace. Most name two applications of their namespace; one in ten the whole
 * namespace, one in twenty the cluster; one in five looks at HTTP. `prefix` keeps namespaces of policies apart from those
 * of identities.
 */
export function makePolicy(index: number, random: (below: number) => number, prefix = 'ns'): object {
  const peers = (): object => {
    const kind = random(20);
    if (kind === 0) return { fromEntities: ['cluster'] };
    if (kind <= 2) return { fromEndpoints: [{}] };
    return { fromEndpoints: [0, 1].map(() => ({ matchLabels: { app: `app${random(apps)}` } })) };
  };
  const http = random(5) === 0 ? { rules: { http: [{ method: 'GET', path: `/v${index % 9}/.*` }] } } : {};
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { name: `rule${index}`, namespace: `${prefix}${index % namespaces}` },
    spec: {
      endpointSelector: { matchLabels: { app: `app${random(apps)}` } },
      ingress: [
        { ...peers(), toPorts: [{ ports: [{ port: String(8000 + random(20)), protocol: 'TCP' }], ...http }] },
        { ...peers(), toPorts: [{ ports: [{ port: String(9000 + random(20)), protocol: 'UDP' }] }] },
      ],
    },
  };
}
