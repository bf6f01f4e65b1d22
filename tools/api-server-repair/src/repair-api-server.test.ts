// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { findGoFunctions } from './go-functions.ts';
import { repairApiServer } from './repair-api-server.ts';

const assets = process.env.WEIR_TEST_ASSETS ?? fileURLToPath(new URL('../../../../shared/assets/', import.meta.url));
const hasAssets = existsSync(join(assets, 'kube-apiserver.xz'));
const title = `with kube-apiserver${hasAssets ? '' : ' (skipped: there is no shared/assets beside the repository)'}`;

describe('repairApiServer()', () => {
  it('leaves alone what is no program of this sort', () => {
    const directory = mkdtempSync(join(tmpdir(), 'weir-repair-'));
    writeFileSync(join(directory, 'kube-apiserver'), readFileSync('/bin/true'));
    expect(repairApiServer(directory)).toBe(join(directory, 'kube-apiserver'));
    rmSync(directory, { recursive: true });
  });

  (hasAssets ? it : it.skip)(`changes one function, and nothing else, ${title}`, () => {
    const directory = join(tmpdir(), 'weir-test-assets');
    execFileSync('bash', [join(assets, 'unpack.sh'), directory, 'kube-apiserver']);
    const path = repairApiServer(directory);
    const [before, after] = [readFileSync(join(directory, 'kube-apiserver')), readFileSync(path)];
    const name = 'k8s.io/kubernetes/vendor/github.com/json-iterator/go.(*frozenConfig).Marshal';
    const { offset } = findGoFunctions(before, [name])![name];
    expect(after.length).toBe(before.length);
    expect(after.subarray(0, offset).equals(before.subarray(0, offset))).toBe(true);
    expect(after.subarray(offset, offset + 11).equals(before.subarray(offset, offset + 11))).toBe(false);
    expect(after.subarray(offset + 11).equals(before.subarray(offset + 11))).toBe(true);
    expect(execFileSync(path, ['--version'], { encoding: 'utf8' })).toContain('Kubernetes v1.20');
  });
});
