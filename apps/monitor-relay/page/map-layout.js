// SPDX-License-Identifier: Apache-2.0
// Places services from left to right, as calls go: who is called stands to the right of who calls. A line that passes a column
// has a place of its own in it, so that it goes between services and not behind them.
const sweeps = 6;
const laneHeight = 20;
const shrunk = { nodeWidth: 124, gapX: 82 };

/** Which edges lead forward when all are followed from the nodes in their order: what would close a circle is left out. */
function forwardEdges(nodes, edges) {
  const out = new Map(nodes.map(({ key }) => [key, []]));
  for (const edge of edges) if (edge.from !== edge.to) out.get(edge.from)?.push(edge);
  const isDone = new Map();
  const forward = [];
  // A stack of our own: a chain of services may be longer than the engine's.
  for (const { key } of nodes) {
    if (isDone.has(key)) continue;
    const stack = [{ key, next: 0 }];
    isDone.set(key, false);
    while (stack.length > 0) {
      const top = stack.at(-1);
      const edge = out.get(top.key)[top.next++];
      if (edge === undefined) {
        isDone.set(stack.pop().key, true);
      } else if (!isDone.has(edge.to)) {
        forward.push(edge);
        isDone.set(edge.to, false);
        stack.push({ key: edge.to, next: 0 });
      } else if (isDone.get(edge.to)) forward.push(edge);
    }
  }
  return forward;
}

/** The longest way to a node is its column. */
function columnsOf(nodes, forward) {
  const column = new Map(nodes.map(({ key }) => [key, 0]));
  for (let round = 0; round < nodes.length; round++) {
    let isStable = true;
    for (const { from, to } of forward) {
      if (column.get(to) > column.get(from)) continue;
      column.set(to, column.get(from) + 1);
      isStable = false;
    }
    if (isStable) break;
  }
  return column;
}

/** What stands in each column, services and lanes, and the short pieces between neighbouring columns. */
function fillColumns({ nodes, forward }) {
  const column = columnsOf(nodes, forward);
  const columns = Array.from({ length: 1 + Math.max(-1, ...column.values()) }, () => []);
  for (const { key } of nodes) columns[column.get(key)].push({ key, isLane: false });
  const pieces = [];
  const lanes = new Map();
  for (const { key, from, to } of forward) {
    let last = from;
    const own = [];
    for (let at = column.get(from) + 1; at < column.get(to); at++) {
      const lane = `${key}\n${at}`;
      columns[at].push({ key: lane, isLane: true });
      pieces.push([last, lane]);
      own.push(lane);
      last = lane;
    }
    pieces.push([last, to]);
    lanes.set(key, own);
  }
  return { columns, pieces, lanes };
}

/** Puts what stands in each column near to what it is joined with, so that fewer lines cross. */
function orderColumns(columns, pieces) {
  const neighbours = new Map();
  const join = (a, b) => neighbours.set(a, [...(neighbours.get(a) ?? []), b]);
  for (const [from, to] of pieces) {
    join(from, to);
    join(to, from);
  }
  const place = new Map();
  const note = (column) => column.forEach(({ key }, at) => place.set(key, (at + 0.5) / column.length));
  columns.forEach(note);
  const middle = (key) => {
    const all = neighbours.get(key) ?? [];
    return all.length === 0 ? place.get(key) : all.reduce((sum, each) => sum + place.get(each), 0) / all.length;
  };
  for (let sweep = 0; sweep < sweeps; sweep++) {
    for (const column of sweep % 2 === 0 ? columns : columns.toReversed()) {
      const wanted = new Map(column.map(({ key }) => [key, middle(key)]));
      column.sort((a, b) => wanted.get(a.key) - wanted.get(b.key));
      note(column);
    }
  }
}

/** Sizes that fit into the width, if they can without names becoming unreadable. */
function fitWidth(count, { width, nodeWidth, gapX }) {
  const needed = (sizes) => count * (sizes.nodeWidth + sizes.gapX);
  const [wide, narrow] = [{ nodeWidth, gapX }, shrunk];
  if (needed(wide) <= width) return wide;
  const share = (width - needed(narrow)) / Math.max(1, needed(wide) - needed(narrow));
  const mix = (key) => Math.floor(narrow[key] + Math.max(0, share) * (wide[key] - narrow[key]));
  return { nodeWidth: mix('nodeWidth'), gapX: mix('gapX') };
}

/**
 * Gives each node a place (`places`), and each edge that passes columns the points where it does (`lanes`). Sizes are in pixels;
 * `width` and `height` are what there is room for, the result may need more.
 */
export function layOut({ nodes, edges }, { width, height, nodeHeight, gapY, ...wanted }) {
  const { columns, pieces, lanes } = fillColumns({ nodes, forward: forwardEdges(nodes, edges) });
  orderColumns(columns, pieces);
  const { nodeWidth, gapX } = fitWidth(columns.length, { width, ...wanted });
  const heightOf = ({ isLane }) => (isLane ? laneHeight : nodeHeight + gapY);
  const heights = columns.map((column) => column.reduce((sum, each) => sum + heightOf(each), 0));
  const all = {
    width: Math.max(width, columns.length * (nodeWidth + gapX)),
    height: Math.max(height, gapY + Math.max(0, ...heights)),
  };
  const stepX = all.width / Math.max(1, columns.length);
  const places = new Map();
  for (const [index, column] of columns.entries()) {
    const spare = (all.height - heights[index]) / (column.length + 1);
    let y = spare;
    for (const each of column) {
      const tall = heightOf(each);
      places.set(each.key, { x: stepX * (index + 0.5) - nodeWidth / 2, y: y + (each.isLane ? tall / 2 : gapY / 2) });
      y += tall + spare;
    }
  }
  const points = new Map([...lanes].map(([key, own]) => [key, own.map((lane) => places.get(lane))]));
  return { places, lanes: points, nodeWidth, ...all };
}
