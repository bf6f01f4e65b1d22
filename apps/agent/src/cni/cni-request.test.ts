// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { cniVersionOf, cniVersions, parseCniRequest } from './cni-request.ts';

const config = { cniVersion: '1.1.0', name: 'weir', type: 'weir-cni' };
const add = {
  ...{ command: 'ADD', containerId: 'c1', netns: '/run/netns/a', ifName: 'eth0' },
  ...{ args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=kube;K8S_POD_NAME=web', path: '/opt/cni/bin', config },
};

const withPorts = (ports: unknown): object => ({ ...add, config: { ...config, args: { cni: { ports } } } });

describe('parseCniRequest()', () => {
  it.each(cniVersions)('reads what a plugin of version %s sends', (cniVersion) => {
    const labels = [{ key: 'app', value: 'web' }, { key: 'empty' }];
    const ports = [
      { name: 'HTTP', containerPort: 80 },
      { containerPort: 81 },
      { name: 'dns', containerPort: 53, protocol: 'UDP' },
    ];
    const request = { ...add, config: { ...config, cniVersion, args: { cni: { labels, ports } } } };
    expect(parseCniRequest(request)).toEqual({
      ...{ command: 'ADD', cniVersion, network: 'weir', containerId: 'c1', ifName: 'eth0', netns: '/run/netns/a' },
      ...{ namespace: 'kube', pod: 'web', labels: { app: 'web', empty: '' }, prevResult: undefined },
      namedPorts: [
        { name: 'http', protocol: 6, port: 80 },
        { name: 'dns', protocol: 17, port: 53 },
      ],
      validAttachments: [],
    });
  });

  it('names a pod after its container where nobody says another name', () => {
    for (const args of [undefined, '', 'K8S_POD_NAME=;K8S_POD_NAMESPACE=']) {
      expect(parseCniRequest({ ...add, args })).toMatchObject({ namespace: 'default', pod: 'c1' });
    }
  });

  it('lets DEL do without a namespace', () => {
    expect(parseCniRequest({ ...add, command: 'DEL', netns: undefined })).toMatchObject({ netns: '' });
  });

  it('asks STATUS for nothing but a configuration', () => {
    expect(parseCniRequest({ command: 'STATUS', config })).toMatchObject({ command: 'STATUS', containerId: '' });
  });

  it('reads the attachments that are still wanted', () => {
    const list = [{ containerID: 'a', ifname: 'eth0' }];
    expect(
      parseCniRequest({ command: 'GC', config: { ...config, 'cni.dev/valid-attachments': list } }).validAttachments,
    ).toEqual([{ containerId: 'a', ifName: 'eth0' }]);
  });

  it.each<[unknown, string]>([
    ['text', 'request: "text" is not an object'],
    [[], 'request: [] is not an object'],
    [{ ...add, command: 'EAT' }, 'command: "EAT" is not a CNI command'],
    [{ ...add, config: undefined }, 'config: nothing is not a network configuration'],
    [
      { ...add, config: { ...config, cniVersion: '2.0.0' } },
      'config.cniVersion: "2.0.0" is not one of 0.3.1, 0.4.0, 1.0.0, 1.1.0',
    ],
    [{ ...add, containerId: '../x' }, 'containerId: "../x" is not a container id'],
    [{ ...add, containerId: 'x'.repeat(254) }, 'is not a container id'],
    [{ ...add, ifName: 'a'.repeat(16) }, 'is not the name of an interface (1–15 characters)'],
    [{ ...add, ifName: 'a/b' }, 'ifName: "a/b" is not the name of an interface'],
    [{ ...add, netns: 'relative' }, 'netns: "relative" is not the absolute path of a network namespace'],
    [{ ...add, args: 'novalue' }, 'args: "novalue" is not of the form KEY=VALUE'],
    [{ ...add, args: 7 }, 'args: 7 is not text of the form KEY=VALUE;…'],
    [withPorts('http'), 'config.args.cni.ports: "http" is not a list of at most 64'],
    [withPorts([7]), 'config.args.cni.ports[0]: 7 is not a {name, containerPort, protocol}'],
    [withPorts([{ name: '80', containerPort: 80 }]), 'config.args.cni.ports[0].name: "80" is not the name of a port'],
    [withPorts([{ name: 'a', containerPort: 0 }]), 'config.args.cni.ports[0].containerPort: 0 is not a port (1–65535)'],
    [withPorts([{ name: 'a', containerPort: 1, protocol: 'ICMP' }]), '[0].protocol: "ICMP" is not TCP, UDP or SCTP'],
    [
      { ...add, config: { ...config, args: { cni: { labels: 'app' } } } },
      'config.args.cni.labels: "app" is not a list of at most 128 {key, value}',
    ],
    [
      { ...add, config: { ...config, args: { cni: { labels: [{ key: 'a' }, {}] } } } },
      'config.args.cni.labels[1]: {} is not a {key, value}',
    ],
    [
      { ...add, config: { ...config, args: { cni: { labels: [{ key: 'a', value: 1 }] } } } },
      'config.args.cni.labels[0].value: 1 is not text',
    ],
    [{ command: 'GC', config }, 'config["cni.dev/valid-attachments"]: nothing is not a list'],
    [
      { command: 'GC', config: { ...config, 'cni.dev/valid-attachments': [{ containerID: 'a' }] } },
      'config["cni.dev/valid-attachments"][0]: {"containerID":"a"} is not a {containerID, ifname}',
    ],
  ])('refuses %j', (body, message) => {
    expect(() => parseCniRequest(body)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(message) }),
    );
  });
});

describe('cniVersionOf()', () => {
  it('finds the version also where the rest is broken', () => {
    expect(cniVersionOf({ config: { cniVersion: '1.0.0', x: 1 } })).toBe('1.0.0');
    expect([undefined, 'x', {}, { config: [] }].map(cniVersionOf)).toEqual(['0.3.1', '0.3.1', '0.3.1', '0.3.1']);
  });
});
