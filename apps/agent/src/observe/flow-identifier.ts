// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';

/**
 * Identifiers of flows in the form of a UUID: the first part is of this start of the agent, the last is the flow's number, so
 * that it need not be kept with the flow.
 */
export function createFlowIdentifiers(): (number: number) => string {
  const prefix = randomUUID().slice(0, -12);
  return (number) => prefix + number.toString(16).padStart(12, '0');
}
