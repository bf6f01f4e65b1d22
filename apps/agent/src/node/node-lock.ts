// SPDX-License-Identifier: Apache-2.0
import { createServer } from 'node:net';
import { WeirError } from '@weir/errors';
import { claimUnixSocket } from '@weir/rpc';

/** The right to be the agent of a node. The kernel takes it back when the process ends, however it ends. */
export interface NodeLock {
  release(): Promise<void>;
}

/**
 * Makes sure that this is the only agent with a run directory, before anything of the node is touched: two of them would
 * take each other's endpoints for leftovers. FAILED_PRECONDITION when there is another one.
 */
export async function lockNode(runDir: string): Promise<NodeLock> {
  const path = `${runDir}/agent.lock`;
  const server = createServer((connection) => connection.destroy()).unref();
  try {
    const claim = await claimUnixSocket({ path, mode: 0o600 });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(claim.bindPath, resolve);
    });
    await claim.publish();
    return {
      async release() {
        await claim.remove();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  } catch (cause) {
    server.close();
    const { code, message } = WeirError.from(cause);
    if (code !== 'FAILED_PRECONDITION') throw cause;
    throw new WeirError(
      'FAILED_PRECONDITION',
      `Another agent runs with the run directory "${runDir}"; stop it, or give this one another --run-dir: ${message}`,
      { cause, details: { path } },
    );
  }
}
