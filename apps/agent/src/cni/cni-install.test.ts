// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createLogger } from '@weir/telemetry';
import { createCniInstall, type CniInstall, type CniInstallOptions } from './cni-install.ts';

const logger = createLogger({ service: 'test', level: 'silent' });
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weir-cni-install-'));
  copyFileSync('/bin/sleep', join(root, 'weir-cni'));
});
afterEach(() => rmSync(root, { recursive: true }));

const bin = (name = ''): string => join(root, 'opt/bin', name);
const conf = (name = ''): string => join(root, 'etc/net.d', name);
const install = (options: Partial<CniInstallOptions> = {}, source = join(root, 'weir-cni')): CniInstall =>
  createCniInstall(
    { binDir: bin(), confDir: conf(), chain: [], isTemporary: false, ...options },
    { source, socket: '/run/weir/cni.sock', logger },
  );
const configuration = (): unknown => JSON.parse(readFileSync(conf('05-weir.conflist'), 'utf8'));

describe('createCniInstall()', () => {
  it('puts the plugin where the runtime finds it, and nothing else beside it', async () => {
    await install().writePlugin();
    expect(readdirSync(bin())).toEqual(['weir-cni']);
    expect(statSync(bin('weir-cni')).mode & 0o777).toBe(0o755);
    expect(readFileSync(bin('weir-cni')).equals(readFileSync('/bin/sleep'))).toBe(true);
  });

  it('replaces a plugin that is running at that moment', async () => {
    await install().writePlugin();
    const running = spawn(bin('weir-cni'), ['60'], { stdio: 'ignore' });
    await new Promise((resolve) => running.once('spawn', resolve));
    writeFileSync(join(root, 'weir-cni'), 'the next one');
    await install().writePlugin();
    expect(readFileSync(bin('weir-cni'), 'utf8')).toBe('the next one');
    running.kill();
  });

  it('writes a configuration of all versions, with the plugins to chain that are there', async () => {
    await install().writePlugin();
    writeFileSync(bin('portmap'), '');
    await install({ chain: ['portmap', 'bandwidth'] }).writeConfiguration();
    expect(configuration()).toEqual({
      ...{ cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.0.0', '1.1.0'], name: 'weir' },
      plugins: [
        { type: 'weir-cni', socket: '/run/weir/cni.sock' },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
    expect(readdirSync(conf())).toEqual(['05-weir.conflist']);
    expect(statSync(conf('05-weir.conflist')).mode & 0o777).toBe(0o644);
  });

  it('leaves a configuration alone that says the same already', async () => {
    const made = install();
    await made.writePlugin();
    await made.writeConfiguration();
    const { ino } = statSync(conf('05-weir.conflist'));
    await made.writeConfiguration();
    expect(statSync(conf('05-weir.conflist')).ino).toBe(ino);
    writeFileSync(conf('05-weir.conflist'), '{}');
    await made.writeConfiguration();
    expect(configuration()).toMatchObject({ name: 'weir' });
  });

  it('takes away what is temporary when it stops, and nothing of others; else nothing', async () => {
    for (const isTemporary of [false, true]) {
      const made = install({ isTemporary });
      await made.writePlugin();
      await made.writeConfiguration();
      writeFileSync(bin('other'), '');
      writeFileSync(conf('10-other.conflist'), '');
      await made.stop();
      const ours = isTemporary ? [] : ['05-weir.conflist'];
      expect(readdirSync(conf()).toSorted()).toEqual([...ours, '10-other.conflist']);
      expect(readdirSync(bin()).toSorted()).toEqual(['other', ...(isTemporary ? [] : ['weir-cni'])]);
    }
  });

  it('says which file it could not write', async () => {
    await expect(install({}, join(root, 'nothing')).writePlugin()).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining(`cannot be copied to "${bin()}"`),
    });
    await install().writePlugin();
    writeFileSync(join(root, 'file'), '');
    await expect(install({ confDir: join(root, 'file/net.d') }).writeConfiguration()).rejects.toMatchObject({
      message: expect.stringContaining('file/net.d/05-weir.conflist" cannot be written'),
    });
  });
});
