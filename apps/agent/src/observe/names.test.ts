// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createNames, type Names } from './names.ts';

const address = '10.2.0.7';
const key = { endpointId: 0, identity: 300, address };
const labels = ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=shop'];

let names: Names;
beforeEach(() => {
  names = createNames();
  names.apply({ kind: 'identity', atMs: 0, identity: 300, labels });
});

describe('the end of a flow on another node', () => {
  it('has the namespace of its labels where nobody has told its name', () => {
    expect(names.end(key, 100)).toEqual({ identity: 300, namespace: 'shop', clusterName: 'default', labels });
  });

  it('has the name that its node has told, one and the same object for all its flows', () => {
    names.apply({ kind: 'remote-pods', atMs: 50, pods: [{ address, namespace: 'shop', pod: 'web-1' }] });
    const end = names.end(key, 100);
    expect(end).toEqual({ identity: 300, namespace: 'shop', podName: 'web-1', clusterName: 'default', labels });
    expect(names.end(key, 200)).toBe(end);
  });

  it('keeps the name that it had at the time of the flow', () => {
    names.apply({ kind: 'remote-pods', atMs: 50, pods: [{ address, namespace: 'shop', pod: 'web-1' }] });
    names.apply({ kind: 'remote-pods-gone', atMs: 150, addresses: [address] });
    names.apply({ kind: 'remote-pods', atMs: 200, pods: [{ address, namespace: 'shop', pod: 'web-2' }] });
    expect([names.end(key, 100).podName, names.end(key, 300).podName]).toEqual(['web-1', 'web-2']);
  });

  it('is that of this node where the address is one of its own', () => {
    const device = { hostInterface: 'weir1', hostIfindex: 9 };
    const endpoint = { id: 1, namespace: 'shop', pod: 'here', ipv4: address, ipv6: 'fd00::7', ...device };
    names.apply({ kind: 'endpoint', atMs: 0, endpoint });
    names.apply({ kind: 'remote-pods', atMs: 50, pods: [{ address, namespace: 'shop', pod: 'there' }] });
    expect(names.end(key, 100)).toMatchObject({ ID: 1, podName: 'here' });
  });
});
