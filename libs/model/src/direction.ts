// SPDX-License-Identifier: Apache-2.0

/** Which way a flow goes, seen from the endpoint whose policy decides. */
export type Direction = 'ingress' | 'egress';

/** Both directions, in the order in which they are reported. */
export const directions: readonly Direction[] = ['ingress', 'egress'];
