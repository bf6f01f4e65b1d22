// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { checkedFlag } from '@weir/service';
import { Option } from 'commander';
import { type ChainedPlugin, chainedPlugins, type CniInstallOptions } from './cni-install.ts';

/** What the flags of {@link cniInstallFlags} say. */
export interface CniInstallFlags {
  readonly cniBinDir?: string;
  readonly cniConfDir?: string;
  readonly cniChain: readonly ChainedPlugin[];
  readonly cniTemporary: boolean;
}

const invalid = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

const isChained = (name: string): name is ChainedPlugin => (chainedPlugins as readonly string[]).includes(name);

function readChain(text: string): readonly ChainedPlugin[] {
  return text.split(',').map((name) => {
    if (isChained(name)) return name;
    throw invalid(`"${name}" cannot be chained, expected ${chainedPlugins.join(' or ')}`);
  });
}

/** `--cni-…`: how the node's container runtime comes to use this agent. */
export const cniInstallFlags = (): readonly Option[] => [
  new Option('--cni-bin-dir <directory>', 'where the container runtime looks for plugins: ours is put there'),
  new Option(
    '--cni-conf-dir <directory>',
    'where it looks for its network: once pods can start, 05-weir.conflist is written there',
  ),
  new Option('--cni-chain <plugins>', 'what runs after ours, with commas: portmap, bandwidth')
    .default([], 'none')
    .argParser(checkedFlag(readChain)),
  new Option('--cni-temporary', 'take both files away when this agent stops').default(false),
];

/** What is to be installed; undefined: nothing. */
export function cniInstallFromFlags(flags: CniInstallFlags): CniInstallOptions | undefined {
  const { cniBinDir: binDir, cniConfDir: confDir, cniChain: chain, cniTemporary: isTemporary } = flags;
  if (binDir !== undefined && confDir !== undefined) return { binDir, confDir, chain, isTemporary };
  if (binDir === undefined && confDir === undefined && chain.length === 0 && !isTemporary) return undefined;
  throw invalid('--cni-bin-dir and --cni-conf-dir are given together, and other flags of --cni-… only with them');
}
