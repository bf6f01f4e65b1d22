// SPDX-License-Identifier: Apache-2.0
import { byId, element, setText } from './dom.js';
import { setUpDisclosure } from './filter-bar.js';
import { formatNumber } from './format.js';

const secondsShown = 10;
const words = { connecting: 'Connecting…', live: 'Live', token: 'Waiting for a token', refused: 'The filter is wrong' };

/** Counts over the last few seconds. */
function createRate() {
  const seconds = new Map();
  return {
    add(atMs) {
      const second = Math.floor(atMs / 1_000);
      seconds.set(second, (seconds.get(second) ?? 0) + 1);
    },
    perSecond(nowMs) {
      const now = Math.floor(nowMs / 1_000);
      let sum = 0;
      for (const [second, count] of seconds) {
        if (second < now - secondsShown) seconds.delete(second);
        else if (second < now) sum += count;
      }
      return sum / secondsShown;
    },
  };
}

const stateWords = { connected: 'connected', silent: 'nothing said yet', unavailable: 'unavailable', error: 'failed' };

function nodeItem({ name, state, message }) {
  return element(
    'li',
    { 'data-state': state },
    element('strong', { text: name }),
    element('span', { text: message === '' ? stateWords[state] : `${stateWords[state]}: ${message}` }),
  );
}

/** What the page knows of the relay and its nodes. */
export function createStatusBar() {
  const [box, text, button, panel] = [byId('state'), byId('state-text'), byId('nodes-button'), byId('nodes')];
  const [flows, denied] = [createRate(), createRate()];
  let nodeCount;
  let lost = { here: 0, before: 0 };
  setUpDisclosure(button, panel);
  return {
    showState({ kind, message, retryMs }) {
      box.dataset.kind = kind;
      document.body.dataset.state = kind;
      setText(text, kind === 'away' ? `${message}. Trying again in ${Math.round(retryMs / 1_000)} s` : words[kind]);
    },
    showNodes({ nodes, isTold }) {
      nodeCount = nodes.length;
      const well = nodes.filter(({ state }) => state === 'connected' || state === 'silent').length;
      setText(button, `${well} of ${nodes.length} node${nodes.length === 1 ? '' : 's'}`);
      button.classList.toggle('warns', well < nodes.length || !isTold);
      const nobody = isTold
        ? []
        : [
            element('p', {
              text: 'Nobody tells the relay of nodes at the moment; it goes on with those that it knows.',
            }),
          ];
      panel.replaceChildren(...nobody, element('ul', {}, ...nodes.map(nodeItem)));
    },
    count({ verdict }, atMs) {
      flows.add(atMs);
      if (verdict === 'dropped' || verdict === 'error') denied.add(atMs);
    },
    lose({ here, before }) {
      lost = { here: lost.here + here, before: lost.before + before };
      byId('figure-lost-box').hidden = false;
      setText(byId('figure-lost'), formatNumber(lost.here + lost.before));
      byId('figure-lost-box').title =
        `${lost.here} because this page was too slow, ${lost.before} before they came to the relay`;
    },
    showFigures(nowMs) {
      setText(byId('figure-rate'), formatNumber(flows.perSecond(nowMs)));
      setText(byId('figure-denied'), formatNumber(denied.perSecond(nowMs)));
    },
    /** Undefined until the relay has said. */
    get nodeCount() {
      return nodeCount;
    },
  };
}
