// SPDX-License-Identifier: Apache-2.0
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';

/** Where a container runtime looks for plugins and for what to run. */
export interface CniInstallOptions {
  /** Of plugins, usually `/opt/cni/bin`. */
  readonly binDir: string;
  /** Of network configurations, usually `/etc/cni/net.d`; the runtime takes the first by name. */
  readonly confDir: string;
  /** Plugins that run after ours, where they are in `binDir`. */
  readonly chain: readonly ChainedPlugin[];
  /** Whether it is taken off when the agent stops. */
  readonly isTemporary: boolean;
}

/** What may be chained: ports of the host that lead to a pod, and limits of its bandwidth. */
export const chainedPlugins = ['portmap', 'bandwidth'] as const;
/** One of {@link chainedPlugins}. */
export type ChainedPlugin = (typeof chainedPlugins)[number];

/** Makes the node's container runtime use this agent. */
export interface CniInstall {
  /** Puts the plugin where the runtime finds it. The one of before is replaced as a whole, also while it runs. */
  writePlugin(): Promise<void>;
  /** Tells the runtime that there is a network: from now on it starts pods. */
  writeConfiguration(): Promise<void>;
  /** Takes away what is temporary; nothing otherwise: while no agent is there, the plugin says "try again later". */
  stop(): Promise<void>;
}

const plugin = 'weir-cni';
// Before those of others, which stay where they are.
const configuration = '05-weir.conflist';
const capabilities: Readonly<Record<ChainedPlugin, string>> = { portmap: 'portMappings', bandwidth: 'bandwidth' };
// Runtimes that know the list take the newest of these that they have, and ask STATUS with it; others take the one version.
const versions = { one: '1.0.0', all: ['0.4.0', '1.0.0', '1.1.0'] } as const;

export interface CniInstallDeps {
  /** The plugin's file. */
  readonly source: string;
  /** Of the agent. */
  readonly socket: string;
  readonly logger: Logger;
}

/** Makes the installer; nothing is written yet. */
export function createCniInstall(options: CniInstallOptions, { source, socket, logger }: CniInstallDeps): CniInstall {
  const { binDir, confDir, chain, isTemporary } = options;
  const target = join(confDir, configuration);

  const presentOf = async (wanted: readonly ChainedPlugin[]): Promise<ChainedPlugin[]> => {
    const there = new Set(await readdir(binDir));
    const missing = wanted.filter((name) => !there.has(name));
    if (missing.length > 0) {
      logger.warn(
        { path: binDir, reason: missing.join(', ') },
        'Chained plugins are not there: pods start without them',
      );
    }
    return wanted.filter((name) => there.has(name));
  };
  return {
    async writePlugin() {
      try {
        await mkdir(binDir, { recursive: true });
        // A dot file: a runtime never runs it. A file that runs cannot be written to, but another one can take its name.
        const aside = join(binDir, `.${plugin}.new`);
        await copyFile(source, aside);
        await chmod(aside, 0o755);
        await rename(aside, join(binDir, plugin));
      } catch (cause) {
        throw failure(`The plugin "${source}" cannot be copied to "${binDir}"`, cause);
      }
    },
    async writeConfiguration() {
      try {
        const chained = (await presentOf(chain)).map((type) => ({
          type,
          capabilities: { [capabilities[type]]: true },
        }));
        const text = `${JSON.stringify(
          {
            ...{ cniVersion: versions.one, cniVersions: versions.all, name: 'weir' },
            plugins: [{ type: plugin, socket }, ...chained],
          },
          undefined,
          2,
        )}\n`;
        await writeIfDifferent(target, text);
      } catch (cause) {
        throw failure(`The network configuration "${target}" cannot be written`, cause);
      }
      logger.info({ path: target }, 'The container runtime has a network');
    },
    async stop() {
      if (!isTemporary) return;
      await rm(target, { force: true });
      await rm(join(binDir, plugin), { force: true });
      logger.info({ path: target }, 'The container runtime has no network any more');
    },
  };
}

/** Runtimes watch the directory and load a file that is moved in as a whole; one that stays as it is they need not load. */
async function writeIfDifferent(path: string, text: string): Promise<void> {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return;
  await mkdir(dirname(path), { recursive: true });
  const aside = join(dirname(path), `.${configuration}.new`);
  await writeFile(aside, text, { mode: 0o644 });
  await rename(aside, path);
}

function failure(what: string, cause: unknown): WeirError {
  return new WeirError('FAILED_PRECONDITION', `${what}: ${(cause as Error).message}`, { cause });
}
