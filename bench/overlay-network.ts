// SPDX-License-Identifier: Apache-2.0
// The path between pods of two nodes through the overlay, with policy on, against the kernel's own VXLAN between two
// routers. All ends are on one machine: round trips run on one CPU, streams on two.
import { type BenchPart, type BenchSettings, createPlainOverlay, type Figure, interleaved } from './lib/index.ts';
import { withLab } from './lib/bench-lab.ts';
import { measurePath, pathPolicy, type PathEnds, type PathTest } from './lib/measure-path.ts';

const target = { kind: 'ratio', value: 0.95 } as const;

interface Case extends PathTest {
  readonly name: string;
  readonly peer?: string;
}

const cases: readonly Case[] = [
  { name: 'TCP_RR', test: 'tcp_rr', family: 'ipv4', peer: '0.73' },
  { name: 'TCP_CRR', test: 'tcp_crr', family: 'ipv4', peer: '0.63' },
  { name: '1 stream', test: 'tcp_stream', family: 'ipv4', connections: 1, peer: '0.74' },
  { name: '4 streams', test: 'tcp_stream', family: 'ipv4', connections: 4, peer: '0.88' },
  { name: 'TCP_RR, IPv6', test: 'tcp_rr', family: 'ipv6' },
  { name: 'TCP_CRR, IPv6', test: 'tcp_crr', family: 'ipv6' },
];

async function measureCase(
  paths: { readonly plain: PathEnds; readonly weir: PathEnds },
  { name, peer, ...test }: Case,
  settings: BenchSettings,
): Promise<Figure[]> {
  const { durationMs } = settings;
  const { plain, weir } = await interleaved({
    ...settings,
    variants: {
      plain: () => measurePath({ ends: paths.plain, durationMs }, test),
      weir: () => measurePath({ ends: paths.weir, durationMs }, test),
    },
  });
  const figure: Figure = {
    ...{
      name: `${name}, policy on`,
      unit: test.test === 'tcp_stream' ? 'Gbit/s' : '1/s',
      better: 'higher',
      ours: weir,
    },
    ...{ baseline: { name: 'kernel VXLAN', values: plain }, target },
    ...(peer === undefined ? {} : { peer }),
  };
  return [figure];
}

export const part: BenchPart = {
  name: 'overlay-network',
  run: (settings) =>
    withLab(
      'benchoverlay',
      async (lab) => {
        const plain = await createPlainOverlay();
        try {
          const client = await lab.addPod({ name: 'client', node: 'node1', labels: { app: 'bench-client' } });
          const server = await lab.addPod({ name: 'server', node: 'node2', labels: { app: 'bench-server' } });
          await lab.applyPolicy([{ name: 'bench.yaml', content: new TextEncoder().encode(pathPolicy) }]);
          const paths = { plain, weir: { client, server } };
          for (const spec of cases) await settings.step(spec.name, () => measureCase(paths, spec, settings));
        } finally {
          await plain.remove();
        }
      },
      { nodeCount: 2, routing: 'overlay' },
    ),
};
