// SPDX-License-Identifier: Apache-2.0
// The page: what comes in is counted at once and drawn when the browser draws, however much it is.
import { createDetailView } from './detail-view.js';
import { byId } from './dom.js';
import { createFilterBar } from './filter-bar.js';
import { createFlowClient } from './flow-client.js';
import { createFlowStore } from './flow-store.js';
import { createMapView } from './map-view.js';
import { createServiceMap } from './service-map.js';
import { createStatusBar } from './status-bar.js';
import { createTableView } from './table-view.js';
import { setUpTheme } from './theme.js';
import { createTokenDialog } from './token-dialog.js';

const rowsMax = 5_000;
const mapIntervalMs = 500;
// After that, what comes is what happens now, whatever a node's clock says.
const historyMs = 3_000;

const store = createFlowStore({ rowsMax });
const services = createServiceMap({ nodesMax: 500, edgesMax: 2_000 });
const status = createStatusBar();
const tokens = createTokenDialog({ onToken: () => ask() });
const client = createFlowClient({ onLine, onState, token: tokens.get });
const filters = createFilterBar({ onFilter: () => ask() });
const map = createMapView(byId('map'), { onSelect: select });
const table = createTableView(byId('table'), { onOpen: (row) => detail.showFlow(row) });
const detail = createDetailView(byId('detail'), { onClose, onFilter: (text) => filters.set(text) });

let selection;
let isPaused = false;
let isFrameAsked = false;
let mapDrawnMs = -Infinity;
let sinceMs = 0;
let relayAheadMs = 0;
let state = { kind: 'connecting' };

const keyOf = ({ namespace, service }) => `${namespace}\n${service}`;
const isOfSelection = ({ source, destination }) => {
  if (selection === undefined) return true;
  const [from, to] = [keyOf(source), keyOf(destination)];
  if (selection.node !== undefined) return from === selection.node || to === selection.node;
  return `${from}\n\n${to}` === selection.edge || `${to}\n\n${from}` === selection.edge;
};

function ask() {
  const wanted = filters.read();
  if (wanted === undefined) return;
  store.clear();
  services.clear();
  client.ask(wanted);
  requestDraw();
}

function onState(next) {
  state = next;
  if (next.kind === 'token') tokens.ask(next.message);
  filters.say(next.kind === 'refused' ? next.message : '');
  // After a break the same flows come again.
  if (next.kind === 'live') {
    sinceMs = performance.now();
    store.clear();
    services.clear();
  }
  status.showState(next);
  requestDraw();
}

function onLine({ nowMs, rows = [], lost, nodes, isTold }) {
  relayAheadMs = nowMs - Date.now();
  const isHistory = performance.now() - sinceMs < historyMs;
  for (const row of rows) {
    store.add(row);
    services.add(row, isHistory ? Math.min(row.timeMs, nowMs) : nowMs);
    status.count(row, isHistory ? Math.min(row.timeMs, nowMs) : nowMs);
  }
  if (lost !== undefined) status.lose(lost);
  if (nodes !== undefined) status.showNodes({ nodes, isTold });
  requestDraw();
}

function requestDraw() {
  if (isFrameAsked) return;
  isFrameAsked = true;
  requestAnimationFrame(draw);
}

const emptyText = () => {
  if (state.kind !== 'live') return '';
  if (status.nodeCount === 0) return 'The relay does not know any node yet.';
  if (store.kept > 0) return 'None of these flows is of what is selected.';
  return filters.isEmpty ? 'Nothing has been seen yet. Flows appear as soon as pods talk.' : 'No flow fits the filter.';
};

function draw() {
  isFrameAsked = false;
  const { shown } = store;
  if (!isPaused) table.draw([...shown]);
  byId('flows-note').textContent =
    `${shown.length.toLocaleString('en')} shown${store.kept > shown.length ? ` of ${store.kept.toLocaleString('en')}` : ''}`;
  byId('flows-empty').textContent = shown.length === 0 ? emptyText() : '';
  if (performance.now() - mapDrawnMs >= mapIntervalMs) drawMap({ isFresh: false });
}

function drawMap({ isFresh }) {
  mapDrawnMs = performance.now();
  const nowMs = Date.now() + relayAheadMs;
  const snapshot = services.snapshot(nowMs);
  const { left } = map.draw(snapshot, selection);
  byId('map-note').textContent = left > 0 ? `${left} more are not drawn: filter for them` : '';
  byId('map-empty').textContent = snapshot.nodes.length === 0 ? emptyText() : '';
  status.showFigures(nowMs);
  if (selection !== undefined && detail.isShown) detail.showSelection(selection, { ...snapshot, isFresh });
}

function select(next) {
  const isSame = next !== undefined && next.node === selection?.node && next.edge === selection?.edge;
  selection = isSame ? undefined : next;
  store.select(isOfSelection);
  const button = byId('unselect');
  button.hidden = selection === undefined;
  button.textContent = 'Show all';
  if (selection === undefined) {
    if (detail.isShown) detail.close();
  } else {
    const snapshot = services.snapshot(Date.now() + relayAheadMs);
    detail.showSelection(selection, { ...snapshot, isFresh: true });
  }
  drawMap({ isFresh: false });
  requestDraw();
}

function onClose() {
  if (selection === undefined) table.focus();
  else select(undefined);
}

function setPaused(next) {
  isPaused = next;
  const button = byId('pause');
  button.setAttribute('aria-pressed', String(isPaused));
  button.textContent = isPaused ? 'Go on' : 'Pause';
  requestDraw();
}

byId('unselect').addEventListener('click', () => select(undefined));
byId('pause').addEventListener('click', () => setPaused(!isPaused));
byId('clear').addEventListener('click', () => {
  store.clear();
  services.clear();
  requestDraw();
});
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  if (event.key === '/') byId('filter').focus();
  else if (event.key === 'p') setPaused(!isPaused);
  else return;
  event.preventDefault();
});

setUpTheme(byId('theme'));
// Rates sink when nothing comes.
setInterval(requestDraw, mapIntervalMs);
new ResizeObserver(() => drawMap({ isFresh: false })).observe(byId('map'));
ask();
