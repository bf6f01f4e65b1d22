// SPDX-License-Identifier: Apache-2.0
import { policyLimits } from './limits.ts';

/** One thing that is wrong with a policy file: where it is, what was found and what was expected. */
export interface PolicyProblem {
  /** The file as its reader named it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units. */
  readonly column: number;
  /** `spec.ingress[0].toPorts[1].ports[0].port`; empty for the document itself. */
  readonly path: string;
  /** What was found, as it stands in the file and shortened; empty when something is missing. */
  readonly value: string;
  /** What is wrong and what was expected. */
  readonly message: string;
}

/** Collects the problems of one import, up to a limit. */
export interface ProblemList {
  add(problem: PolicyProblem): void;
  /** How many were added, reported or not. */
  readonly count: number;
  /** In order of file as given, then line and column; the last one tells how many were left out. */
  list(): PolicyProblem[];
}

const shownCharactersMax = 400;

/** What users wrote may be long and may hold control characters; on a terminal it must be neither. */
function showable(text: string): string {
  const short = text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax - 1)}…` : text;
  return short.replaceAll(/\p{Cc}/gu, (character) =>
    character === '\n' ? '\\n' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Makes an empty list. */
export function createProblemList(): ProblemList {
  const problems: PolicyProblem[] = [];
  const fileOrder = new Map<string, number>();
  let count = 0;
  const compare = (a: PolicyProblem, b: PolicyProblem): number =>
    (fileOrder.get(a.file) ?? 0) - (fileOrder.get(b.file) ?? 0) || a.line - b.line || a.column - b.column;
  return {
    add(problem) {
      count++;
      if (!fileOrder.has(problem.file)) fileOrder.set(problem.file, fileOrder.size);
      if (problems.length >= policyLimits.problemsPerImportMax) return;
      const { path, value, message } = problem;
      problems.push({ ...problem, path: showable(path), value: showable(value), message: showable(message) });
    },
    get count() {
      return count;
    },
    list() {
      const sorted = problems.toSorted(compare);
      const last = sorted.at(-1);
      const leftOut = count - problems.length;
      return last === undefined || leftOut === 0
        ? sorted
        : [...sorted, { ...last, path: '', value: '', message: `${leftOut} more problems are not listed` }];
    },
  };
}

/** Writes a problem on one line: `FILE:LINE:COLUMN: PATH: MESSAGE`. */
export function formatProblem(problem: PolicyProblem): string {
  const where = `${problem.file}:${problem.line}:${problem.column}`;
  return problem.path === '' ? `${where}: ${problem.message}` : `${where}: ${problem.path}: ${problem.message}`;
}
