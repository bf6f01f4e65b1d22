// SPDX-License-Identifier: Apache-2.0
import type { Argv, Lab } from '@weir/lab';

/**
 * Gives the host outside the cluster further addresses, which are its own when this resolves: nobody looks for duplicates
 * of them. It never chooses one as the source of what it sends.
 */
export async function giveWorld(lab: Lab, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const more = address.includes(':') ? [`${address}/128`, 'nodad'] : [`${address}/32`];
    const command: Argv = ['ip', 'address', 'add', ...more, 'dev', 'eth0', 'preferred_lft', '0'];
    const { status, stderr } = await lab.exec('@world', command);
    if (status !== 0) throw new Error(`the world cannot have ${address}: ${stderr}`);
  }
}
