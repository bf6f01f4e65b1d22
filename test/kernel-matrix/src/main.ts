// SPDX-License-Identifier: Apache-2.0
// kernel-matrix [VERSION…]: runs the packet tests on other kernels in QEMU. A kernel that cannot be had is skipped.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WeirError } from '@weir/errors';
import { packDirectory, withModules } from './archive.ts';
import { run } from './command.ts';
import { collectGuestFiles } from './guest-files.ts';
import { runGuest, type GuestReport } from './guest-run.ts';
import { getKernelImage, type KernelImage } from './kernel-image.ts';
import { kernels, type MatrixKernel } from './kernels.ts';

const source = fileURLToPath(new URL('../../../', import.meta.url));
// Not beside this file: Jest would take what is in the guest for a second copy of the tree.
const build = join(source, 'node_modules/.cache/kernel-matrix');
const timeoutMs = 30 * 60_000;
const consoleLinesShown = 40;
const needed = ['apt-get', 'busybox', 'cpio', 'dpkg-deb', 'ip', 'qemu-system-x86_64', 'xz'];

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const detail = (line: string): void => say(`    ${line}`);

/** Why nothing can be run here. */
async function whyNot(): Promise<string | undefined> {
  if (process.arch !== 'x64') return `the guests are x86-64, this machine is ${process.arch}`;
  for (const program of needed) {
    const isThere = await run('which', [program]).then(
      () => true,
      () => false,
    );
    if (!isThere) return `"${program}" is not installed`;
  }
  return undefined;
}

function print(report: GuestReport): void {
  switch (report.kind) {
    case 'programs':
      detail(`loaded in ${report.loadMs} ms of emulation`);
      for (const { name, verifiedInstructions, jitedBytes } of report.programs) {
        detail(`${name}: ${verifiedInstructions || '?'} instructions verified, ${jitedBytes} bytes of machine code`);
      }
      return;
    case 'tests':
      detail(`${report.passed} tests passed, ${report.failed} failed`);
      for (const failure of report.failures) detail(`  ✗ ${failure}`);
      return;
    case 'error':
      detail(`✗ ${report.message}`);
  }
}

const isGood = (report: GuestReport): boolean => report.kind === 'tests' && report.failed === 0 && report.passed > 0;

/** Rejects when the kernel cannot be had, which is no failure of ours. */
async function image(kernel: MatrixKernel): Promise<KernelImage | undefined> {
  try {
    return await getKernelImage(kernel, join(build, kernel.version));
  } catch (error) {
    detail(`Skipped: ${WeirError.from(error).message}`);
    return undefined;
  }
}

async function runOne(kernel: MatrixKernel, base: string): Promise<boolean> {
  say(`==> Linux ${kernel.version}`);
  const found = await image(kernel);
  if (found === undefined) return true;
  detail(found.release);
  const archive = join(build, `${kernel.version}.cpio`);
  await withModules(base, found.modules, archive);
  const console: string[] = [];
  const reports = await runGuest({
    ...{ kernel: found.path, archive, timeoutMs, onReport: print },
    say: (line) => void console.push(line),
  });
  if (reports.length === 0) {
    detail('✗ The guest ended without a report. The end of what is on its console:');
    for (const line of console.slice(-consoleLinesShown)) detail(`  ${line}`);
  }
  return reports.some(isGood) && !reports.some(({ kind }) => kind === 'error');
}

const wanted = process.argv.slice(2);
const unknown = wanted.find((version) => !kernels.some((kernel) => kernel.version === version));
if (unknown !== undefined) {
  process.stderr.write(`"${unknown}" is not one of ${kernels.map(({ version }) => version).join(', ')}\n`);
  process.exit(2);
}
const reason = await whyNot();
if (reason === undefined) {
  say('==> Collecting what is in the guest');
  await mkdir(build, { recursive: true });
  await collectGuestFiles({ source, root: join(build, 'root') });
  const base = join(build, 'root.cpio');
  await packDirectory(join(build, 'root'), base);
  let areGood = true;
  for (const kernel of kernels) {
    if (wanted.length === 0 || wanted.includes(kernel.version)) areGood = (await runOne(kernel, base)) && areGood;
  }
  process.exitCode = areGood ? 0 : 1;
} else {
  say(`Skipped: ${reason}`);
}
