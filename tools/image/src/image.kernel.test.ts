// SPDX-License-Identifier: Apache-2.0
// The image holds all that its programs need: they run with nothing else to see.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { writeImageArchive } from './image-archive.ts';

const programs = ['agent', 'identity-allocator', 'operator', 'l7-proxy', 'monitor-relay', 'weir'];

describe('the image', () => {
  let directory: string;
  let root: string;
  let digest: string;
  const unpack = (archive: string, into: string): void => {
    mkdirSync(into, { recursive: true });
    execFileSync('tar', ['-C', into, '-xf', archive]);
  };
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'weir-image-test-'));
    digest = writeImageArchive(join(directory, 'image.tar'), 'docker.io/weir/weir:test');
    unpack(join(directory, 'image.tar'), join(directory, 'image'));
    root = join(directory, 'root');
    unpack(join(directory, 'image/layer.tar'), root);
  });
  afterAll(() => rmSync(directory, { recursive: true }));
  const run = (...args: string[]) =>
    spawnSync('/usr/sbin/chroot', [root, '/opt/weir/node', ...args], { encoding: 'utf8', env: {} });

  it('says what it is, with the digest of its layer', () => {
    const read = (name: string): unknown => JSON.parse(readFileSync(join(directory, 'image', name), 'utf8'));
    expect(read('manifest.json')).toEqual([
      { Config: 'config.json', RepoTags: ['docker.io/weir/weir:test'], Layers: ['layer.tar'] },
    ]);
    expect(read('config.json')).toMatchObject({ os: 'linux', rootfs: { diff_ids: [digest] } });
    const sum = execFileSync('sha256sum', [join(directory, 'image/layer.tar')], { encoding: 'utf8' });
    expect(`sha256:${sum.split(' ')[0]}`).toBe(digest);
  });

  it.each(programs)('runs %s', (program) => {
    const { status, stdout, stderr } = run(`/opt/weir/${program}.mjs`, '--version');
    expect([status, stdout.trim(), stderr]).toEqual([0, '0.1.0', '']);
  });

  it('loads the addon, and has the plugin and the programs of BPF', () => {
    const script = "require('/opt/weir/bpf-loader.node'); console.log('loaded')";
    expect(run('-e', script).stdout.trim()).toBe('loaded');
    expect(readdirSync(join(root, 'opt/weir/bpf'))).toContain('weir.bpf.o');
    const plugin = spawnSync('/usr/sbin/chroot', [root, '/opt/weir/weir-cni'], {
      ...{ encoding: 'utf8', env: { CNI_COMMAND: 'VERSION' }, input: '{"cniVersion":"1.0.0"}' },
    });
    expect(JSON.parse(plugin.stdout)).toMatchObject({ supportedVersions: expect.arrayContaining(['1.0.0']) });
  });

  it('has no shell and nothing of development', () => {
    expect(readdirSync(join(root, 'opt/weir')).filter((name) => /lab|demo|netbench|\.map$/.test(name))).toEqual([]);
    expect(spawnSync('/usr/sbin/chroot', [root, '/bin/sh', '-c', 'true']).status).not.toBe(0);
  });
});
