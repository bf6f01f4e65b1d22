// SPDX-License-Identifier: Apache-2.0
import { element } from './dom.js';
import { edgeText } from './map-view.js';
import { endName, formatMs, formatNumber, formatTime, policyName, whatOf } from './format.js';
import { verdictWords } from './table-view.js';

const facts = (entries) =>
  element(
    'dl',
    { class: 'facts' },
    ...entries
      .filter(([, value]) => value !== undefined && value !== '')
      .flatMap(([name, value]) => [
        element('dt', { text: name }),
        element('dd', typeof value === 'string' ? { text: value } : {}, ...(typeof value === 'string' ? [] : [value])),
      ]),
  );

const chips = (texts) =>
  element('ul', { class: 'chips' }, ...texts.map((text) => element('li', { text, title: text })));

const badge = (verdict, text = verdictWords[verdict] ?? verdict) =>
  element('span', { class: 'badge', 'data-verdict': verdict, text });

function policyList(policies) {
  if (policies.length === 0) return 'none: no policy is named';
  return element(
    'ul',
    { class: 'policies' },
    ...policies.map((policy) =>
      element(
        'li',
        {},
        badge(policy.isDenial ? 'dropped' : 'forwarded', policy.isDenial ? 'denies' : 'allows'),
        element('span', { text: policyName(policy) }),
        element('small', { text: policy.revision > 0 ? `${policy.kind}, revision ${policy.revision}` : policy.kind }),
      ),
    ),
  );
}

const endFacts = (title, end) => [
  element('h3', { text: title }),
  facts([
    ['Name', endName(end)],
    ['Address', end.port > 0 ? `${end.address} port ${end.port}` : end.address],
    ['Identity', String(end.identity)],
    ['Labels', end.labels.length === 0 ? undefined : chips(end.labels)],
  ]),
];

function flowDetail(row) {
  const { call } = row;
  return [
    element('h2', { text: call === null ? 'Flow' : 'Call' }),
    element('p', { class: 'lead' }, badge(row.verdict), element('span', { text: whatOf(row) })),
    facts([
      ['Policy', policyList(row.policies)],
      ['Reason', row.reason],
      ['Seen', `${formatTime(row.timeMs)} on ${row.node}`],
      ['Kind', row.type],
      ['Direction', row.direction.replace('traffic_direction_unknown', '')],
      ['URL', call?.url],
      ['Took', call !== null && call.ms > 0 ? formatMs(call.ms) : ''],
    ]),
    ...endFacts('From', row.source),
    ...endFacts('To', row.destination),
  ];
}

function nodeDetail(node, { edges, onFilter }) {
  const isOf = (side) => edges.filter((edge) => edge[side] === node.key);
  const list = (title, all, other) =>
    all.length === 0
      ? []
      : [
          element('h3', { text: title }),
          element(
            'ul',
            { class: 'peers' },
            ...all.map((edge) =>
              element(
                'li',
                {},
                badge(stateVerdict[edge.state], edge.state === 'mixed' ? 'both' : edge.state),
                element('span', { text: edge[other].split('\n')[1] }),
                element('small', { text: edgeText(edge) }),
              ),
            ),
          ),
        ];
  const [pod] = node.pods;
  const app = node.labels.find((label) => label.startsWith('k8s:app='));
  const filter =
    app !== undefined
      ? `label:${app.slice('k8s:'.length)}`
      : pod !== undefined
        ? `pod:${node.namespace}/${pod}`
        : undefined;
  return [
    element('h2', { text: node.name }),
    facts([
      ['Namespace', node.namespace],
      ['Pods', node.pods.size === 0 ? '' : chips([...node.pods])],
      ['Addresses', node.addresses.size === 0 ? '' : chips([...node.addresses])],
      ['Identities', [...node.identities].join(', ')],
      ['Labels', node.labels.length === 0 ? '' : chips(node.labels)],
    ]),
    ...(filter === undefined
      ? []
      : [element('button', { type: 'button', text: `Filter: ${filter}`, on: { click: () => onFilter(filter) } })]),
    ...list('Calls', isOf('from'), 'to'),
    ...list('Is called by', isOf('to'), 'from'),
  ];
}

const stateVerdict = { allowed: 'forwarded', denied: 'dropped', mixed: 'audit' };

function edgeDetail(edge) {
  const [from, to] = [edge.from, edge.to].map((key) => key.split('\n')[1]);
  const rate = (value) => (value > 0 ? `${formatNumber(value)} per second` : '');
  return [
    element('h2', { text: `${from} → ${to}` }),
    element(
      'p',
      { class: 'lead' },
      badge(stateVerdict[edge.state], edge.state === 'mixed' ? 'allowed and denied' : edge.state),
    ),
    facts([
      ['Policies', policyList(edge.policies)],
      ['Reasons', edge.reasons.length === 0 ? '' : chips(edge.reasons)],
      ['Ports', edge.ports.join(', ')],
      ['New connections', rate(edge.connections)],
      ['Calls', rate(edge.calls)],
      ['Denied', rate(edge.refusals)],
      ['Latency', edge.p50 === undefined ? '' : `${formatMs(edge.p50)} in the middle, ${formatMs(edge.p95)} for 95 %`],
      ['Seen', `${formatNumber(edge.allowed)} allowed, ${formatNumber(edge.denied)} denied`],
    ]),
  ];
}

/** Shows one thing closely: a flow, a service or who talks to whom. `onClose` is called when people have seen enough. */
export function createDetailView(root, { onClose, onFilter }) {
  const close = () => {
    root.hidden = true;
    root.replaceChildren();
    onClose();
  };
  const show = (parts, { isFresh }) => {
    // Whoever is using a button of it keeps that.
    if (!isFresh && root.contains(document.activeElement) && document.activeElement !== root) return;
    const button = element('button', {
      type: 'button',
      class: 'close quiet',
      'aria-label': 'Close',
      text: '✕',
      on: { click: close },
    });
    root.replaceChildren(button, ...parts);
    root.hidden = false;
    if (isFresh) root.focus();
  };
  root.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
  });
  return {
    showFlow: (row) => show(flowDetail(row), { isFresh: true }),
    /** Shows what is selected in the map; the same again brings its figures up to date. */
    showSelection({ node, edge }, { nodes, edges, isFresh }) {
      const parts = node === undefined ? undefined : nodes.find(({ key }) => key === node);
      const found = edge === undefined ? undefined : edges.find(({ key }) => key === edge);
      if (parts !== undefined) show(nodeDetail(parts, { edges, onFilter }), { isFresh });
      else if (found !== undefined) show(edgeDetail(found), { isFresh });
    },
    get isShown() {
      return !root.hidden;
    },
    close,
  };
}
