// SPDX-License-Identifier: Apache-2.0

/**
 * Where an endpoint is in its life:
 * - `waiting-for-identity`: its labels are known, its number is not; nothing of it is enforced yet
 * - `waiting-to-regenerate`: something that its policy depends on has changed
 * - `regenerating`: its policy is being written to the kernel; the previous one is in force meanwhile
 * - `restoring`: found on disk by a restarted agent; the kernel enforces what the agent before wrote
 * - `ready`: the kernel enforces the newest policy
 * - `disconnecting`: being removed; its address is not free yet
 * - `disconnected`: gone; kept only until its removal has been reported
 * - `invalid`: cannot be enforced (its files or devices are broken); the endpoint's reason says why
 */
export type EndpointState =
  | 'waiting-for-identity'
  | 'waiting-to-regenerate'
  | 'regenerating'
  | 'restoring'
  | 'ready'
  | 'disconnecting'
  | 'disconnected'
  | 'invalid';

const successors: Readonly<Record<EndpointState, readonly EndpointState[]>> = {
  'waiting-for-identity': ['waiting-to-regenerate', 'disconnecting', 'invalid'],
  'waiting-to-regenerate': ['waiting-for-identity', 'regenerating', 'disconnecting', 'invalid'],
  regenerating: ['ready', 'waiting-for-identity', 'waiting-to-regenerate', 'disconnecting', 'invalid'],
  restoring: ['waiting-for-identity', 'waiting-to-regenerate', 'regenerating', 'ready', 'disconnecting', 'invalid'],
  ready: ['waiting-for-identity', 'waiting-to-regenerate', 'disconnecting', 'invalid'],
  disconnecting: ['disconnected'],
  disconnected: [],
  invalid: ['disconnecting'],
};

/** All states, in the order of an endpoint's life. */
export const endpointStates: readonly EndpointState[] = [
  'waiting-for-identity',
  'waiting-to-regenerate',
  'regenerating',
  'restoring',
  'ready',
  'disconnecting',
  'disconnected',
  'invalid',
];

/** Whether an endpoint may go from one state to another; staying where it is is always allowed. */
export function canFollow(transition: { readonly from: EndpointState; readonly to: EndpointState }): boolean {
  return transition.from === transition.to || successors[transition.from].includes(transition.to);
}
