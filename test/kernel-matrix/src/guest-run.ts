// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** What a guest reports, one line of JSON each; see guest/report.ts. */
export type GuestReport =
  | { readonly kind: 'programs'; readonly loadMs: number; readonly programs: readonly GuestProgram[] }
  | { readonly kind: 'tests'; readonly passed: number; readonly failed: number; readonly failures: readonly string[] }
  | { readonly kind: 'error'; readonly message: string };

/** A program as the guest's kernel has it. */
export interface GuestProgram {
  readonly name: string;
  /** Instructions that the verifier went through; 0 where the kernel does not tell. */
  readonly verifiedInstructions: number;
  readonly jitedBytes: number;
}

/** Marks the lines that are reports among what else is said on the console. */
const reportMark = 'weir-matrix: ';
const memoryMib = 3072;

/** Boots a kernel and gives its reports once it has powered off, or what it has reported until the time is up. */
export async function runGuest(options: {
  readonly kernel: string;
  readonly archive: string;
  readonly timeoutMs: number;
  readonly say: (line: string) => void;
  /** Is told of each report when it comes. */
  readonly onReport: (report: GuestReport) => void;
}): Promise<readonly GuestReport[]> {
  const { kernel, archive, timeoutMs, say } = options;
  const machine = ['-machine', 'pc', '-cpu', 'max', '-m', String(memoryMib), '-no-reboot'];
  const devices = ['-display', 'none', '-monitor', 'none', '-nic', 'none', '-serial', 'stdio'];
  const boot = ['-kernel', kernel, '-initrd', archive, '-append', 'console=ttyS0 quiet oops=panic panic=-1'];
  const guest = spawn('qemu-system-x86_64', [...machine, ...devices, ...boot], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const timer = setTimeout(() => guest.kill('SIGKILL'), timeoutMs);
  const reports: GuestReport[] = [];
  const report = (said: GuestReport): void => {
    reports.push(said);
    options.onReport(said);
  };
  try {
    const exited = once(guest, 'exit');
    for await (const line of createInterface({ input: guest.stdout })) {
      const at = line.indexOf(reportMark);
      if (at === -1) say(line);
      else report(JSON.parse(line.slice(at + reportMark.length)) as GuestReport);
    }
    const [, signal] = (await exited) as [number | null, string | null];
    if (signal !== null) report({ kind: 'error', message: `The guest did not finish within ${timeoutMs / 1000} s` });
    return reports;
  } finally {
    clearTimeout(timer);
  }
}
