// SPDX-License-Identifier: Apache-2.0
// A real browser for tests, without a window. Brings none: it takes the one that the machine has.
export { findBrowser, openBrowser, whyNoBrowser, type Browser, type Page } from './open-browser.ts';
