// SPDX-License-Identifier: Apache-2.0
// Three nodes that reach each other's pods by routes of the kernel; who sent a packet is known by its address.
import { testThreeNodes } from './testing/three-nodes.ts';

testThreeNodes('direct', { routing: 'direct' });
