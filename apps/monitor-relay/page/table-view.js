// SPDX-License-Identifier: Apache-2.0
import { element, setText } from './dom.js';
import { endName, formatTime, policyName, whatOf } from './format.js';

const rowHeight = 30;
const spareRows = 6;
const pageKeys = { PageDown: 1, PageUp: -1 };

const portOf = ({ destination, source, isReply, protocol }) => {
  const { port } = isReply ? source : destination;
  return port === 0 ? protocol : `${protocol} ${port}`;
};

/** Verdicts in words that people have for them. */
export const verdictWords = {
  ...{ forwarded: 'allowed', redirected: 'to proxy', dropped: 'denied', error: 'error', audit: 'audited' },
  ...{ traced: 'traced', translated: 'translated' },
};

const columns = [
  { name: 'Time', class: 'time', text: ({ timeMs }) => formatTime(timeMs) },
  { name: 'From', class: 'end', text: ({ isReply, source, destination }) => endName(isReply ? destination : source) },
  { name: '', class: 'way', text: ({ isReply }) => (isReply ? '←' : '→') },
  { name: 'To', class: 'end', text: ({ isReply, source, destination }) => endName(isReply ? source : destination) },
  { name: 'Port', class: 'port', text: portOf },
  { name: 'Verdict', class: 'verdict', text: ({ verdict }) => verdictWords[verdict] ?? verdict },
  { name: 'What', class: 'what', text: whatOf },
  { name: 'Policy', class: 'policy', text: ({ policies }) => policies.map(policyName).join(', ') },
  { name: 'Node', class: 'at', text: ({ node }) => node },
];

function createRowView(number) {
  const cells = columns.map((column) => element('div', { role: 'gridcell', class: `cell ${column.class}` }));
  const root = element('div', { role: 'row', class: 'row', id: `row-${number}` }, ...cells);
  let shown;
  return {
    root,
    show(row, { at, isActive }) {
      root.hidden = false;
      root.style.transform = `translateY(${at * rowHeight}px)`;
      root.setAttribute('aria-rowindex', String(at + 2));
      root.classList.toggle('active', isActive);
      root.setAttribute('aria-selected', String(isActive));
      if (shown === row) return;
      shown = row;
      root.dataset.verdict = row.verdict;
      for (const [index, { text }] of columns.entries()) {
        const value = text(row);
        setText(cells[index], value);
        cells[index].title = value;
      }
    },
    hide: () => (root.hidden = true),
  };
}

function createHead() {
  const cells = columns.map(({ name, class: of }) =>
    element('div', { role: 'columnheader', class: `cell ${of}`, text: name }),
  );
  return element('div', { role: 'row', class: 'row head', 'aria-rowindex': 1 }, ...cells);
}

/** Where a flow stands; rows are kept oldest first and shown newest first. -1: it is not there any more. */
function findPlace(rows, id) {
  let [low, high] = [0, rows.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (rows[middle].id === id) return rows.length - 1 - middle;
    if (rows[middle].id < id) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** Makes what fills the rows that can be seen. */
function createPainter({ grid, body, spacer, state }) {
  const views = [];
  return () => {
    const { rows, activeId } = state();
    spacer.style.height = `${rows.length * rowHeight}px`;
    const first = Math.max(0, Math.floor(body.scrollTop / rowHeight) - spareRows);
    const count = Math.min(rows.length - first, Math.ceil(body.clientHeight / rowHeight) + 2 * spareRows);
    while (views.length < count) {
      const view = createRowView(views.length);
      views.push(view);
      body.append(view.root);
    }
    let active;
    for (const [index, view] of views.entries()) {
      if (index >= count) {
        view.hide();
        continue;
      }
      const at = first + index;
      const row = rows[rows.length - 1 - at];
      const isActive = row.id === activeId;
      if (isActive) active = view.root.id;
      view.show(row, { at, isActive });
    }
    grid.setAttribute('aria-rowcount', String(rows.length + 1));
    if (active === undefined) grid.removeAttribute('aria-activedescendant');
    else grid.setAttribute('aria-activedescendant', active);
  };
}

/**
 * Shows flows, the newest first, however many there are: only rows that can be seen exist. Whoever has scrolled down stays where
 * they are. Arrow keys, Page Up and Down, Home and End move, Enter opens. `onOpen` gets a flow.
 */
export function createTableView(root, { onOpen }) {
  const spacer = element('div', { class: 'spacer', role: 'presentation' });
  const body = element('div', { class: 'body', role: 'rowgroup' }, spacer);
  const grid = element(
    'div',
    { role: 'grid', class: 'grid', tabindex: 0, 'aria-label': 'Flows, the newest first' },
    element('div', { role: 'rowgroup', class: 'heads' }, createHead()),
    body,
  );
  root.append(grid);
  let rows = [];
  let activeId;
  let newestId = -1;

  const placeOf = (id) => findPlace(rows, id);
  const rowAt = (place) => rows[rows.length - 1 - place];
  const paint = createPainter({ grid, body, spacer, state: () => ({ rows, activeId }) });

  const activate = (place) => {
    if (rows.length === 0) return;
    const at = Math.min(rows.length - 1, Math.max(0, place));
    activeId = rowAt(at).id;
    const top = at * rowHeight;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (top + rowHeight > body.scrollTop + body.clientHeight) body.scrollTop = top + rowHeight - body.clientHeight;
    paint();
  };

  grid.addEventListener('keydown', (event) => {
    const place = activeId === undefined ? -1 : placeOf(activeId);
    const visible = Math.max(1, Math.floor(body.clientHeight / rowHeight) - 1);
    const moves = {
      ...{ ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: rows.length - 1 },
      ...{ PageDown: place + visible * pageKeys.PageDown, PageUp: place + visible * pageKeys.PageUp },
    };
    if (event.key === 'Enter' && place >= 0) onOpen(rowAt(place));
    else if (event.key in moves) activate(moves[event.key]);
    else return;
    event.preventDefault();
  });
  body.addEventListener('scroll', () => requestAnimationFrame(paint), { passive: true });
  body.addEventListener('click', (event) => {
    const place = Math.floor((event.clientY - body.getBoundingClientRect().top + body.scrollTop) / rowHeight);
    if (place < 0 || place >= rows.length) return;
    activate(place);
    onOpen(rowAt(place));
  });
  new ResizeObserver(() => requestAnimationFrame(paint)).observe(body);

  return {
    /** Shows these, oldest first. */
    draw(next) {
      const added = next.length - (next.findLastIndex(({ id }) => id <= newestId) + 1);
      rows = next;
      newestId = next.at(-1)?.id ?? newestId;
      if (body.scrollTop > 0) {
        spacer.style.height = `${rows.length * rowHeight}px`;
        body.scrollTop += added * rowHeight;
      }
      paint();
    },
    focus: () => grid.focus(),
  };
}
