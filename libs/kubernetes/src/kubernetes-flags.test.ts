// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { Command } from 'commander';
import { kubernetesAccessFromFlags, kubernetesFlags, openKubernetesAccess, type KubernetesFlags } from './index.ts';

function parse(...args: string[]): ReturnType<typeof kubernetesAccessFromFlags> {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const flag of kubernetesFlags()) command.addOption(flag);
  command.parse(args, { from: 'user' });
  return kubernetesAccessFromFlags(command.opts<KubernetesFlags>());
}

describe('kubernetesFlags', () => {
  it.each([
    [[], undefined],
    [['--k8s-api', 'in-cluster'], { kubeconfig: undefined, server: undefined }],
    [['--k8s-api', 'https://10.0.0.1:6443'], { kubeconfig: undefined, server: 'https://10.0.0.1:6443' }],
    [['--kubeconfig', '/etc/k'], { kubeconfig: '/etc/k', server: undefined }],
    [
      ['--kubeconfig', '/etc/k', '--k8s-api', 'https://[fd00::1]:6443'],
      { kubeconfig: '/etc/k', server: 'https://[fd00::1]:6443' },
    ],
  ])('reads %j', (args, expected) => {
    expect(parse(...args)).toEqual(expected);
  });

  it.each(['10.0.0.1:6443', 'http://10.0.0.1', 'https://user:secret@10.0.0.1', ''])('refuses "%s"', (text) => {
    expect(() => parse('--k8s-api', text)).toThrow('is neither "in-cluster" nor an address like https://10.0.0.1:6443');
  });
});

describe('openKubernetesAccess', () => {
  it('says what is missing', async () => {
    const at = (kubeconfig: string | undefined) => openKubernetesAccess({ kubeconfig, server: undefined });
    await expect(at('/nonexistent')).rejects.toThrow(/^The kubeconfig "\/nonexistent" cannot be read: .*ENOENT/);
    await expect(at(undefined)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });
});
