// SPDX-License-Identifier: Apache-2.0

/** Why the verifier refused a program, in a few lines out of many. */
export interface VerifierVerdict {
  readonly program: string;
  /** What the verifier says after the last instruction that it looked at. */
  readonly reason: string;
  /** The line of the source that it belongs to, if the object has line information. */
  readonly source: string | undefined;
}

const reasonLinesMax = 6;
const instruction = /^\d+: \(/;
const statistics = /^(processed \d+ insns|verification time|stack depth|peak_states)/;
// Registers and stack slots, which the verifier prints where paths of the program meet.
const state = /^(\d+: )?(R\d+(_\w+)?=|fp-?\d+\S*=|frame\d+:|last_idx|regs=|parent |from \d+ to)/;

/** Finds the verdict in what libbpf printed; `undefined` if that has no verifier log. */
export function findVerdict(log: string): VerifierVerdict | undefined {
  const match = /prog '([^']+)': -- BEGIN PROG LOAD LOG --\n([^]*?)\n?-- END PROG LOAD LOG --/.exec(log);
  const [, program, text] = match ?? [];
  if (program === undefined || text === undefined) return undefined;
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !statistics.test(line));
  const last = lines.findLastIndex((line) => instruction.test(line));
  const after = lines.slice(last + 1).filter((line) => !state.test(line) && !line.startsWith(';'));
  // A refusal before the first instruction, or in the middle of a state: the end of the log is all there is.
  const reason = (after.length > 0 ? after : lines.slice(-2)).slice(-reasonLinesMax).join('; ');
  const source = lines.slice(0, last + 1).findLast((line) => line.startsWith('; '));
  return { program, reason, source: source?.slice(2).trim() };
}

/** The first thing that libbpf complained about, without its prefix. */
export function firstComplaint(log: string): string | undefined {
  const line = log.split('\n').find((candidate) => candidate.startsWith('libbpf: '));
  return line?.slice('libbpf: '.length);
}
