// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseLabelSet } from '@weir/model';
import { createIdentityPorts, type IdentityPorts } from './identity-ports.ts';

const labels = parseLabelSet(['k8s:app=web']);
const http = (port: number) => ({ name: 'http', protocol: 6, port });
const create = (): IdentityPorts => createIdentityPorts((identity) => (identity < 400 ? labels : undefined));

describe('createIdentityPorts()', () => {
  it('knows what all pods of an identity call their ports, each port once', () => {
    const ports = create();
    expect(ports.set('endpoint 1', new Map([[300, [http(80)]]]))).toEqual([300]);
    expect(ports.set('endpoint 2', new Map([[300, [http(80), http(8080)]]]))).toEqual([300]);
    expect(ports.set('node b', new Map([[300, [http(80)]]]))).toEqual([]);
    expect(ports.describe({ id: 300, labels })).toEqual({ id: 300, labels, namedPorts: [http(80), http(8080)] });
    expect(ports.describe({ id: 301, labels })).toEqual({ id: 301, labels });
  });

  it('says whose ports are others when somebody says something else, and nothing when it is the same', () => {
    const ports = create();
    ports.set('endpoint 1', new Map([[300, [http(80)]]]));
    expect(ports.set('endpoint 1', new Map([[300, [http(80)]]]))).toEqual([]);
    expect(ports.set('endpoint 1', new Map([[301, [http(80)]]])).toSorted()).toEqual([300, 301]);
    expect(ports.delete('endpoint 1')).toEqual([301]);
    expect(ports.delete('endpoint 1')).toEqual([]);
    expect(ports.describe({ id: 301, labels })).toEqual({ id: 301, labels });
  });

  it('leaves those out whose labels nobody knows yet', () => {
    const ports = create();
    const changed = ports.set('node b', new Map([[300, [http(80)]], [400, [http(80)]]])); // prettier-ignore
    expect(ports.known(changed)).toEqual([{ id: 300, labels, namedPorts: [http(80)] }]);
  });
});
