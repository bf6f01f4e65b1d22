// SPDX-License-Identifier: Apache-2.0
import { byId } from './dom.js';

const key = 'weir-token';

/** Keeps the token for as long as the tab is open, and asks for it. */
export function createTokenDialog({ onToken }) {
  const [dialog, form, input, message] = ['token-dialog', 'token-form', 'token', 'token-message'].map(byId);
  form.addEventListener('submit', () => {
    sessionStorage.setItem(key, input.value.trim());
    input.value = '';
    onToken();
  });
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  return {
    get: () => sessionStorage.getItem(key) ?? '',
    ask(text) {
      message.textContent = sessionStorage.getItem(key) === null ? '' : text;
      sessionStorage.removeItem(key);
      if (!dialog.open) dialog.showModal();
    },
  };
}
