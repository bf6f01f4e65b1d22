// SPDX-License-Identifier: Apache-2.0
import { formatPorts } from '@weir/policy';
import type { weir } from '@weir/proto';
import { onStdout } from '@weir/terminal';

type Response = weir.agent.v1.ITracePolicyResponse;
type Side = weir.agent.v1.ITraceSide;
type Origin = weir.agent.v1.ITraceOrigin;
type End = weir.agent.v1.ITraceEnd;

/** What was asked, for the lines that repeat it. */
export interface TraceQuestion {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly port: number;
  readonly request?: { readonly method: string; readonly path: string };
}

const verdictTexts: Readonly<Record<string, string>> = {
  allowed: onStdout.green('ALLOWED'),
  depends: onStdout.yellow('DEPENDS ON THE REQUEST'),
  dropped: onStdout.red('DROPPED'),
  refused: onStdout.red('REFUSED BY THE PROXY'),
};

const sideTexts: Readonly<Record<string, string>> = {
  allow: 'allowed by',
  deny: 'denied by',
  redirect: 'handed to the proxy by',
  'no-match': 'dropped: no rule allows it',
  'not-enforced': 'let through: no policy is enforced in this direction',
  'not-managed': 'let through: nothing here has a policy for it',
};

const missTexts: Readonly<Record<string, string>> = {
  subject: 'is for other endpoints',
  peer: 'is about other peers',
  required: 'is held back by what another rule requires',
  protocol: 'is about another protocol',
  port: 'is about another port',
  request: 'lets other requests pass',
};

const nameOf = (policy: string | null | undefined): string =>
  (policy ?? '').split('/').slice(1).filter(Boolean).join('/');

function originText({ policy, rule, path, file, line }: Origin): string {
  const where = file ? ` (${file}:${line})` : '';
  return `${nameOf(policy)}, rule ${rule}, ${path}${where}`;
}

function endText(name: string, text: string, { labels, identity, narrower }: End): string[] {
  const who = identity ? `identity ${identity}` : 'no identity yet';
  const lines = [`${name} ${text}  ${onStdout.dim(who)}`, `      ${onStdout.dim((labels ?? []).join(', '))}`];
  if (!narrower?.length) return lines;
  return [...lines, `      addresses in ${narrower.join(', ')} are judged by themselves`];
}

function sideLines(title: string, side: Side): string[] {
  const verdict = side.verdict ?? '';
  const lines = [`${title}: ${sideTexts[verdict] ?? verdict}`];
  const decidedBy = side.decidedBy ?? [];
  for (const origin of decidedBy) lines.push(`  ${originText(origin)}`);
  if (decidedBy.length === 0 && ['allow', 'deny', 'redirect'].includes(verdict)) {
    lines.push(verdict === 'allow' ? '  Weir itself: the local host, or all else where only denials are enforced' : '');
  }
  if (side.request === 'passes') lines.push('  and the request passes');
  if (side.request === 'refused') lines.push('  and the request is refused: no HTTP rule lets it pass');
  const isRefused = verdict === 'no-match' || side.request === 'refused';
  if (!isRefused) return lines;
  const deniers = (side.defaultDenyBy ?? []).map(nameOf);
  if (deniers.length > 0) lines.push(`  in default deny because of ${deniers.join(', ')}`);
  else if (verdict === 'no-match') lines.push('  in default deny because policy is always enforced');
  const nearest = side.nearest ?? [];
  if (nearest.length > 0) lines.push('  the rules that come nearest:');
  for (const { origin, misses } of nearest) {
    lines.push(`  - ${originText(origin ?? {})}`);
    for (const { kind, wanted, found } of misses ?? []) {
      lines.push(`      ${missTexts[kind ?? ''] ?? kind}: wants ${wanted}, finds ${found}`);
    }
  }
  return lines;
}

/** An answer as people read it. */
export function traceText(response: Response, question: TraceQuestion): string {
  const { protocol, port, request } = question;
  const ports = formatPorts({ protocol, port });
  const flow = request === undefined ? ports : `${ports}, ${request.method} ${request.path}`;
  return [
    `${verdictTexts[response.verdict ?? ''] ?? response.verdict}  ${flow}`,
    ...endText('From:', question.source, response.source ?? {}),
    ...endText('To:  ', question.destination, response.destination ?? {}),
    '',
    ...sideLines('Egress policy of the source', response.egress ?? {}),
    ...sideLines('Ingress policy of the destination', response.ingress ?? {}),
    '',
  ].join('\n');
}
