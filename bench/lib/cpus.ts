// SPDX-License-Identifier: Apache-2.0
import { availableParallelism } from 'node:os';

/** Where the two ends of a path run that are to work at the same time; one CPU, where there is no other. */
export const firstCpu = 0;
/** See {@link firstCpu}. */
export const secondCpu = Math.min(1, availableParallelism() - 1);
