// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { PolicyProblem } from '@weir/policy';

/** Thrown when policy documents are refused, with a line for each problem; nothing has changed then, on any node. */
export class PolicyRefusedError extends WeirError {
  readonly problems: readonly PolicyProblem[];

  constructor(message: string, problems: readonly PolicyProblem[]) {
    super('INVALID_ARGUMENT', message, { details: { problems } });
    this.problems = problems;
  }
}
