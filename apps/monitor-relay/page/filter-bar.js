// SPDX-License-Identifier: Apache-2.0
import { byId, element } from './dom.js';
import { filterHelp, parseFilter } from './filter-text.js';

/** A button that shows and hides something. */
export function setUpDisclosure(button, panel) {
  button.addEventListener('click', () => {
    panel.hidden = !panel.hidden;
    button.setAttribute('aria-expanded', String(!panel.hidden));
  });
}

function fillHelp(panel) {
  const entries = filterHelp.map(({ help, about }) =>
    element('div', {}, element('code', { text: help }), element('span', { text: about })),
  );
  panel.append(
    element('p', {
      text: 'Words of different kinds must all hold; values with commas between them are alternatives; "-" before a word takes flows away. Nodes apply filters: what is not wanted does not leave them.',
    }),
    element('div', { class: 'help-list' }, ...entries),
    element('p', {
      text: 'Keys: / goes to the filter, p pauses, arrow keys move in the table, Enter opens, Escape closes.',
    }),
  );
}

const readAddress = () => new URLSearchParams(location.hash.slice(1)).get('filter') ?? '';

/** The filter that people write; it stands in the address, so that it can be kept and sent. */
export function createFilterBar({ onFilter }) {
  const [form, input, message] = [byId('filters'), byId('filter'), byId('filter-message')];
  const verdict = () => form.elements.verdict.value;
  const say = (text) => {
    message.textContent = text;
    input.setAttribute('aria-invalid', String(text !== ''));
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    onFilter();
  });
  form.addEventListener('change', ({ target }) => {
    if (target !== input) onFilter();
  });
  input.value = readAddress();
  fillHelp(byId('filter-help'));
  setUpDisclosure(byId('filter-help-button'), byId('filter-help'));
  return {
    say,
    /** What is wanted; undefined, and said why, when that cannot be understood. */
    read() {
      try {
        const wanted = parseFilter(input.value, { verdict: verdict() });
        say('');
        const text = input.value.trim();
        history.replaceState(null, '', text === '' ? location.pathname : `#${new URLSearchParams({ filter: text })}`);
        return wanted;
      } catch (error) {
        say(error.message);
        return undefined;
      }
    },
    set(text) {
      input.value = text;
      onFilter();
    },
    get isEmpty() {
      return input.value.trim() === '' && verdict() === '';
    },
  };
}
