// SPDX-License-Identifier: Apache-2.0
// Runs inside the guest: loads the programs, then runs the packet tests, and says what came of it in lines of JSON that
// ../guest-run.ts reads.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { hasHelper, loadObject, openObject, type BpfObject } from '@weir/bpf-loader-node';
import { configConstants } from '@weir/datapath-layout';
import { createPacketNode } from '@weir/datapath-testing';

const report = (content: object): void => void process.stdout.write(`weir-matrix: ${JSON.stringify(content)}\n`);

/** The programs at sockets, with the settings that the kernel allows. */
function loadSocketPrograms(): BpfObject {
  const has = (helper: string): number => (hasHelper({ programType: 'cgroup_sock_addr', helper }) ? 1 : 0);
  const settings = { coarseClock: has('bpf_ktime_get_coarse_ns'), socketErrors: has('bpf_set_retval') };
  const spec = openObject({ path: 'dist/bpf/weir_sock.bpf.o' });
  return loadObject(spec, { variables: Object.fromEntries(configConstants(settings)) });
}

function loadPrograms(): boolean {
  const start = performance.now();
  try {
    const node = createPacketNode();
    const sockets = loadSocketPrograms();
    const loadMs = Math.round(performance.now() - start);
    const programs = [...node.object.programs, ...sockets.programs].map(([name, program]) => {
      const { verifiedInstructions, jitedBytes } = program.info();
      return { name, verifiedInstructions, jitedBytes };
    });
    sockets.close();
    node.close();
    report({ kind: 'programs', loadMs, programs });
    return true;
  } catch (error) {
    report({ kind: 'error', message: (error as Error).message });
    return false;
  }
}

interface JestResult {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

function runTests(): void {
  const output = '/tmp/result.json';
  // What thousands of packets prove is no question of the kernel, and takes minutes in emulation.
  const tests = ['libs/datapath/(testing|loader)/src/', '--testPathIgnorePatterns=pressure|property'];
  const settings = ['--watchman=false', '--runInBand', '--testTimeout=600000', '--json', `--outputFile=${output}`];
  spawnSync(process.execPath, ['node_modules/jest/bin/jest.js', ...tests, ...settings], {
    env: {
      ...process.env,
      WEIR_TESTS: 'kernel',
      NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning',
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const result = JSON.parse(readFileSync(output, 'utf8')) as JestResult;
  const failures = result.testResults.flatMap(({ name, message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName);
    // A suite that could not run has no assertions to name.
    return failed.length === 0 && message !== '' && assertionResults.length === 0 ? [`${name}: ${message}`] : failed;
  });
  report({ kind: 'tests', passed: result.numPassedTests, failed: failures.length, failures });
}

if (loadPrograms()) runTests();
