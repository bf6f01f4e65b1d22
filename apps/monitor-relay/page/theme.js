// SPDX-License-Identifier: Apache-2.0
const key = 'weir-theme';
const order = ['auto', 'light', 'dark'];

/** Light, dark, or what the system has: the button goes through them, and the browser keeps the choice. */
export function setUpTheme(button) {
  const show = (theme) => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  const kept = localStorage.getItem(key);
  let theme = order.includes(kept) ? kept : 'auto';
  show(theme);
  button.addEventListener('click', () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    localStorage.setItem(key, theme);
    show(theme);
  });
}
