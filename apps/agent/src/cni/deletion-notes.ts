// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@weir/telemetry';
import { parseCniRequest } from './cni-request.ts';
import type { CniHandler } from './cni-server.ts';

/**
 * Works off the deletions that the plugin noted down while no agent was there. A note that cannot be read is left for
 * people to look at; one that fails is tried again at the next start.
 */
export async function workOffDeletionNotes(options: {
  readonly directory: string;
  readonly handler: CniHandler;
  readonly logger: Logger;
}): Promise<void> {
  const { directory, handler, logger } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.json')) continue;
    const path = join(directory, name);
    try {
      const request = parseCniRequest(JSON.parse(await readFile(path, 'utf8')));
      if (request.command === 'DEL') await handler(request);
      await rm(path, { force: true });
      logger.info({ containerId: request.containerId }, 'Deletion of while the agent was away is done');
    } catch (error) {
      logger.error({ path, error }, 'Deletion note cannot be worked off');
    }
  }
}
