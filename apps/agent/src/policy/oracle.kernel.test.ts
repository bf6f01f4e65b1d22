// SPDX-License-Identifier: Apache-2.0
// Policies from text to packet: random documents are read and resolved by the engine, their entries are loaded into the
// real maps, and packets run through the real programs. What becomes of them is held to a second reading of the language.
// A failing run prints its seed.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  conversation,
  createPacketNode,
  echo,
  families,
  type Family,
  host,
  office,
  type PacketNode,
  type Party,
  pods,
  type PolicyRules,
  protocol,
  remotePod,
  type Rule,
  sctp,
  tcp,
  type Transport,
  udp,
  world,
} from '@weir/datapath-testing';
import { cidrIdentityLabels, type LabelSet, parseCidr, parseLabelSet } from '@weir/model';
import {
  allFeatures,
  createPolicyEngine,
  formatProblem,
  parsePolicyFiles,
  type Policy,
  type PolicyEngine,
  type PolicyEntry,
} from '@weir/policy';
import {
  arbitraryDocuments,
  arbitraryPod,
  type ArbitraryPod,
  createReplay,
  evaluateNaively,
  type NaiveEnd,
  type NaiveOutcome,
  withoutDefaultAllow,
  type WrittenDocument,
} from '@weir/policy-testing';
import fc from 'fast-check';

const replay = createReplay();

/** The addresses of random policies as those of the scene: the office is in one of their prefixes, the world in none. */
function inScene(documents: readonly WrittenDocument[]): WrittenDocument[] {
  const text = JSON.stringify(documents)
    .replaceAll('"0.0.0.0/0"', '"198.0.0.0/7"')
    .replaceAll('10.1.2.', '198.51.100.')
    .replaceAll('10.1.', '198.51.')
    .replaceAll('10.0.0.0', '198.0.0.0')
    .replaceAll('"::/0"', '"3000::/4"')
    .replaceAll('2001:db8', '3001:db8')
    .replaceAll('192.0.2.', '198.18.0.');
  return JSON.parse(text) as WrittenDocument[];
}

interface Known {
  readonly labels: LabelSet;
  readonly end: NaiveEnd;
}

const reserved = (name: string, address?: string): Known => ({
  labels: parseLabelSet([`reserved:${name}`]),
  end: { labels: [`reserved:${name}=`], ...(address !== undefined && { address }) },
});

const hostLabels = ['reserved:host', 'node:role=web', 'k8s:kubernetes.io/hostname=n1'];

/** Who the parties of the scene are: pods by random labels, the others by what they are. */
function knownParties(made: readonly ArbitraryPod[]): Map<Party, Known> {
  const pod = ({ labels, namedPorts }: ArbitraryPod): Known => ({
    ...{ labels: parseLabelSet(labels), end: { labels, namedPorts } },
  });
  const known = new Map<Party, Known>([
    [host, { labels: parseLabelSet(hostLabels), end: { labels: hostLabels } }],
    [world, reserved('world', world.ipv4)],
    [office, { ...reserved('world', office.ipv4), labels: cidrIdentityLabels(parseCidr('198.51.100.0/24')) }],
  ]);
  for (const [index, party] of [...pods, remotePod].entries()) {
    // Each has a label of its own: here they are different identities.
    const { labels = [], namedPorts = [] } = made[index] ?? {};
    known.set(party, pod({ labels: [...labels, `k8s:party=${index}`], namedPorts }));
  }
  return known;
}

function read(documents: readonly WrittenDocument[]): readonly Policy[] {
  const files = documents.map((document, index) => ({ name: `${index}.json`, content: JSON.stringify(document) }));
  const { policies, problems } = parsePolicyFiles(files, { supports: allFeatures });
  expect(problems.map(formatProblem)).toEqual([]);
  return policies;
}

const verdicts = { allow: 'allow', deny: 'refuse', redirect: 'redirect' } as const;

function ruleOf({ peerIdentity, protocol: number, port, portPrefixLength = 16, verdict }: PolicyEntry): Rule {
  return {
    ...(peerIdentity !== 0 && { peer: { identity: peerIdentity } }),
    ...(number !== 0 && { protocol: number }),
    ...((port !== 0 || (portPrefixLength !== 0 && portPrefixLength !== 16)) && { port }),
    ...(portPrefixLength !== 0 && portPrefixLength !== 16 && { portPrefixLength }),
    verdict: verdicts[verdict],
    ruleSet: 1,
  };
}

function rulesOf(engine: PolicyEngine, { identity }: Party): PolicyRules {
  const resolved = engine.resolve(identity)!;
  const section = (direction: 'ingress' | 'egress'): readonly Rule[] =>
    resolved.entries.filter((entry) => entry.direction === direction).map(ruleOf);
  return {
    ...(resolved.ingressEnforced && { ingress: section('ingress') }),
    ...(resolved.egressEnforced && { egress: section('egress') }),
  };
}

const transports: readonly Transport[] = [
  ...[80, 443, 8080, 9000].map((port) => tcp(40_000, port)),
  ...[53, 80].map((port) => udp(40_000, port)),
  ...[sctp(40_000, 80), echo(7), protocol(47)],
];

function flowOf(over: Transport, family: Family): { readonly protocol: number; readonly port: number } {
  if (over.kind === 'echo') return family === 'ipv4' ? { protocol: 1, port: 8 } : { protocol: 58, port: 128 };
  if (over.kind === 'protocol') return { protocol: over.number, port: 0 };
  return { protocol: { tcp: 6, udp: 17, sctp: 132 }[over.kind], port: over.to };
}

interface Case {
  readonly documents: readonly WrittenDocument[];
  readonly known: ReadonlyMap<Party, Known>;
}

interface PacketFlow {
  readonly family: Family;
  readonly from: Party;
  readonly to: Party;
  readonly over: Transport;
}

/** What the policies of both ends say of a flow, by the second reading. */
function expected({ documents, known }: Case, { family, from, to, over }: PacketFlow): NaiveOutcome[] {
  const setting = { services: [], mode: 'default', allowLocalHost: false } as const;
  const sides = [
    { direction: 'egress' as const, subject: from, peer: to },
    { direction: 'ingress' as const, subject: to, peer: from },
  ];
  return sides
    .filter(({ subject }) => subject.place !== 'network')
    .map(({ direction, subject, peer }) => {
      const ends = { subject: known.get(subject)!.end, peer: known.get(peer)!.end };
      return evaluateNaively(documents, { ...ends, ...flowOf(over, family), direction }, setting);
    });
}

/** Nobody listens for the proxy here, so that what would be looked at is dropped for that reason. */
function wordFor(outcomes: readonly NaiveOutcome[], { to }: PacketFlow): RegExp {
  if (outcomes.some(({ verdict }) => verdict === 'dropped')) return /^dropped: policyDen(y|ied) /;
  if (outcomes.some(({ verdict }) => verdict === 'http')) return /^dropped: proxyNotListening /;
  return to.place === 'pod' ? new RegExp(`^to ${to.name}$`) : /^to stack$/;
}

const everybody: readonly Party[] = [...pods, host, remotePod, office, world];
const arbitraryFlow = fc
  .record({
    family: fc.constantFrom(...families),
    from: fc.nat(everybody.length - 1),
    to: fc.nat(everybody.length - 1),
    over: fc.nat(transports.length - 1),
  })
  .map(({ family, from, to, over }): PacketFlow => ({
    ...{ family, from: everybody[from]!, to: everybody[to]!, over: transports[over]! },
  }))
  .filter(({ from, to }) => from !== to && [from, to].some(({ place }) => place !== 'network'))
  // The office has one prefix here; its other address is somebody else's.
  .map((flow) => (flow.from === office || flow.to === office ? { ...flow, family: 'ipv4' as const } : flow));

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('Packet tests are skipped: they need root\n');

(isRoot ? describe : describe.skip)(`policies in the kernel (${replay.title})`, () => {
  let node: PacketNode;
  beforeAll(() => {
    node = createPacketNode({ config: { eventsPerInterval: 0 } });
  });
  afterAll(() => node.close());
  const seen = { allowed: 0, dropped: 0, http: 0, packets: 0 };

  function enforce({ documents, known }: Case): void {
    const engine = createPolicyEngine({ clusterPeer: { clusterName: 'default' } });
    const described = ({ labels, end: { namedPorts = [] } }: Known) => ({ labels, namedPorts });
    const identities = [...known].map(([{ identity }, party]) => ({ id: identity, ...described(party) }));
    engine.apply({
      upsertPolicies: read(documents),
      upsertIdentities: identities.filter(({ id }) => id > 255),
      upsertSubjects: [...pods, host].map((subject) => ({ id: subject.identity, ...described(known.get(subject)!) })),
    });
    for (const pod of pods) node.setPolicy(pod, rulesOf(engine, pod));
    node.setHostPolicy(rulesOf(engine, host));
  }

  function check(made: Case, flow: PacketFlow): void {
    const outcomes = expected(made, flow);
    node.forgetFlows();
    const isOutwards = flow.from === host && flow.to.place === 'network';
    const { verdict } = node.send(flow.from, conversation(flow).ask('SYN'), isOutwards ? { outwards: 'own' } : {});
    seen.packets++;
    for (const outcome of outcomes) seen[outcome.verdict]++;
    const wanted = wordFor(outcomes, flow);
    if (!wanted.test(verdict)) {
      const { from, to } = flow;
      const said = JSON.stringify({ ...flow, from: made.known.get(from)?.end, to: made.known.get(to)?.end });
      throw new Error(`"${verdict}" instead of ${String(wanted)} for ${said}`);
    }
  }

  it('do to packets what the reference says, from the text on', () => {
    const property = fc.property(
      arbitraryDocuments,
      fc.array(arbitraryPod, { minLength: pods.length + 1, maxLength: pods.length + 1 }),
      fc.array(arbitraryFlow, { minLength: 40, maxLength: 40 }),
      (documents, made, flows) => {
        const known = knownParties(made);
        const one: Case = { documents: inScene(withoutDefaultAllow(documents)), known };
        enforce(one);
        for (const flow of flows) check(one, flow);
      },
    );
    fc.assert(property, replay.runs(100));
    expect(seen.packets).toBeGreaterThanOrEqual(2_000);
    expect(Math.min(seen.allowed, seen.dropped, seen.http)).toBeGreaterThan(5);
  }, 120_000);
});
