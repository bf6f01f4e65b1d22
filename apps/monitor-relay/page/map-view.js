// SPDX-License-Identifier: Apache-2.0
import { drawing, element, setText } from './dom.js';
import { formatMs, formatNumber } from './format.js';
import { layOut } from './map-layout.js';

const sizes = { nodeWidth: 172, nodeHeight: 46, gapX: 96, gapY: 22 };
const nodesShownMax = 80;
const edgesShownMax = 300;

/** What is said of an edge in a word or two. */
export function edgeText({ calls, connections, refusals, p50 }) {
  const parts = [];
  if (calls > 0) parts.push(`${formatNumber(calls)}/s`);
  else if (connections > 0) parts.push(`${formatNumber(connections)} conn/s`);
  if (p50 !== undefined) parts.push(formatMs(p50));
  if (refusals > 0) parts.push(`✕ ${formatNumber(refusals)}/s`);
  return parts.join(' · ');
}

/** A line from one node to another through the lanes that it has in the columns between, and where its label stands. */
function curve(from, to, { lanes = [], nodeWidth }) {
  const half = sizes.nodeHeight / 2;
  const [x1, y1, x2, y2] = [from.x + nodeWidth, from.y + half, to.x, to.y + half];
  if (from === to) {
    const [x, y] = [from.x + nodeWidth / 2, from.y];
    return { path: `M${x - 24},${y} C${x - 30},${y - 30} ${x + 30},${y - 30} ${x + 24},${y}`, x, y: y - 22 };
  }
  if (x2 <= x1) {
    // Backwards, or within a column: around the outside.
    const drop = Math.max(from.y, to.y) + sizes.nodeHeight + 16;
    const middle = (x1 + x2) / 2;
    const path = `M${x1},${y1} C${x1 + 50},${y1} ${x1 + 50},${drop} ${middle},${drop} S${x2 - 50},${y2} ${x2},${y2}`;
    return { path, x: middle, y: drop };
  }
  const stops = [
    ...lanes.flatMap(({ x, y }) => [
      { x, y },
      { x: x + nodeWidth, y },
    ]),
    { x: x2, y: y2 },
  ];
  let [path, last] = [`M${x1},${y1}`, { x: x1, y: y1 }];
  for (const stop of stops) {
    const bend = (stop.x - last.x) / 2;
    path += ` C${last.x + bend},${last.y} ${stop.x - bend},${stop.y} ${stop.x},${stop.y}`;
    last = stop;
  }
  const [lane] = lanes;
  if (lane !== undefined) return { path, x: lane.x + nodeWidth / 2, y: lane.y };
  return { path, x: (x1 + x2) / 2, y: (y1 + y2) / 2 };
}

const widthOf = ({ calls, connections, refusals }) =>
  Math.min(6, 1.5 + Math.log2(1 + calls + connections + refusals) * 0.7).toFixed(1);

function markers() {
  const arrow = (state) =>
    drawing(
      'marker',
      {
        id: `arrow-${state}`,
        viewBox: '0 0 8 8',
        refX: 7,
        refY: 4,
        markerWidth: 7,
        markerHeight: 7,
        orient: 'auto',
        markerUnits: 'userSpaceOnUse',
      },
      drawing('path', { d: 'M0,0 L8,4 L0,8 z', class: `arrow ${state}` }),
    );
  return drawing('defs', {}, ...['allowed', 'denied', 'mixed'].map(arrow));
}

/** Activates what has the focus, as a button does. */
const onKey = (action) => (event) => {
  if (event.key !== 'Enter' && event.key !== ' ') return;
  event.preventDefault();
  action();
};

function createEdgeView(select) {
  const hit = drawing('path', { class: 'hit' });
  const line = drawing('path', { class: 'line' });
  const label = drawing('text', { class: 'label', 'text-anchor': 'middle', dy: '-5' });
  const root = drawing(
    'g',
    { tabindex: 0, role: 'button', on: { click: select, keydown: onKey(select) } },
    hit,
    line,
    label,
  );
  return {
    root,
    place({ path, x, y }) {
      for (const each of [hit, line]) each.setAttribute('d', path);
      label.setAttribute('x', x);
      label.setAttribute('y', y);
    },
    update(edge, { names, isSelected }) {
      root.setAttribute('class', `edge ${edge.state}${edge.isQuiet ? ' quiet' : ''}${isSelected ? ' selected' : ''}`);
      line.setAttribute('stroke-width', widthOf(edge));
      line.setAttribute('marker-end', `url(#arrow-${edge.state})`);
      const text = edgeText(edge);
      setText(label, text);
      root.setAttribute(
        'aria-label',
        `${names.from} to ${names.to}: ${edge.state === 'mixed' ? 'allowed and denied' : edge.state} ${text}`,
      );
    },
  };
}

function createNodeView(select) {
  const name = element('span', { class: 'name' });
  const about = element('span', { class: 'about' });
  const root = element('button', { type: 'button', class: 'node', on: { click: select } }, name, about);
  return {
    root,
    place({ x, y }, width) {
      root.style.width = `${width}px`;
      root.style.transform = `translate(${x}px, ${y}px)`;
    },
    update(node, { isSelected, isDenied }) {
      setText(name, node.name);
      const pods = node.pods.size === 0 ? '' : `${node.pods.size} pod${node.pods.size === 1 ? '' : 's'}`;
      setText(about, [node.namespace, pods].filter(Boolean).join(' · ') || 'outside');
      root.title = `${node.namespace === '' ? '' : `${node.namespace}/`}${node.name}`;
      root.classList.toggle('selected', isSelected);
      root.classList.toggle('refused', isDenied);
      root.classList.toggle('outside', node.namespace === '');
      root.setAttribute('aria-pressed', String(isSelected));
    },
  };
}

/** Those that are shown: where there are too many, those that have talked last. */
function choose({ nodes, edges }) {
  const newest = edges.toSorted((a, b) => b.lastMs - a.lastMs).slice(0, edgesShownMax);
  const chosen = new Set();
  for (const { from, to } of newest) {
    if (chosen.size < nodesShownMax - 1) [from, to].forEach((key) => chosen.add(key));
  }
  return {
    nodes: nodes.filter(({ key }) => chosen.has(key)),
    edges: edges.filter((edge) => newest.includes(edge) && chosen.has(edge.from) && chosen.has(edge.to)),
    left: nodes.length - chosen.size,
  };
}

/** Makes the views that are missing, and takes away those of what is not there any more. */
function keepViews(views, { keys, make, parent }) {
  const wanted = new Set(keys);
  for (const [key, view] of views) {
    if (wanted.has(key)) continue;
    view.root.remove();
    views.delete(key);
  }
  for (const key of keys) {
    if (views.has(key)) continue;
    const view = make(key);
    views.set(key, view);
    parent.append(view.root);
  }
}

/**
 * Draws services and who talks to whom. Nodes and lines are made once and moved; places are computed only when there are
 * others. `onSelect` gets `{ node }`, `{ edge }` or undefined.
 */
export function createMapView(root, { onSelect }) {
  const lines = drawing('g');
  const picture = drawing(
    'svg',
    { class: 'edges', 'aria-label': 'Who talks to whom', role: 'group' },
    markers(),
    lines,
  );
  const boxes = element('div', { class: 'nodes-layer' });
  const stage = element('div', { class: 'stage' }, picture, boxes);
  root.append(stage);
  const nodeViews = new Map();
  const edgeViews = new Map();
  let shape = '';

  const arrange = (shown) => {
    const room = { width: root.clientWidth, height: root.clientHeight };
    const next = [
      room.width,
      room.height,
      ...shown.nodes.map(({ key }) => key),
      ...shown.edges.map(({ key }) => key),
    ].join('\n');
    if (next === shape) return;
    shape = next;
    keepViews(nodeViews, {
      keys: shown.nodes.map(({ key }) => key),
      make: (key) => createNodeView(() => onSelect({ node: key })),
      parent: boxes,
    });
    keepViews(edgeViews, {
      keys: shown.edges.map(({ key }) => key),
      make: (key) => createEdgeView(() => onSelect({ edge: key })),
      parent: lines,
    });
    const { places, lanes, nodeWidth, width, height } = layOut(shown, { ...room, ...sizes });
    stage.style.width = `${width}px`;
    stage.style.height = `${height}px`;
    picture.setAttribute('viewBox', `0 0 ${width} ${height}`);
    for (const { key } of shown.nodes) nodeViews.get(key).place(places.get(key), nodeWidth);
    for (const { key, from, to } of shown.edges)
      edgeViews.get(key).place(curve(places.get(from), places.get(to), { lanes: lanes.get(key), nodeWidth }));
  };

  return {
    /** Draws what is known; the result says how many services are left out. */
    draw(snapshot, selection) {
      const shown = choose(snapshot);
      arrange(shown);
      const nameOf = new Map(shown.nodes.map(({ key, name }) => [key, name]));
      const refused = new Set(
        shown.edges.filter(({ state, isQuiet }) => state !== 'allowed' && !isQuiet).map(({ to }) => to),
      );
      for (const node of shown.nodes) {
        nodeViews
          .get(node.key)
          .update(node, { isSelected: selection?.node === node.key, isDenied: refused.has(node.key) });
      }
      for (const edge of shown.edges) {
        const names = { from: nameOf.get(edge.from), to: nameOf.get(edge.to) };
        edgeViews.get(edge.key).update(edge, { names, isSelected: selection?.edge === edge.key });
      }
      return { left: shown.left };
    },
  };
}
