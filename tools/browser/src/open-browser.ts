// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { WeirError } from '@weir/errors';
import { type Browser, launch, type Page } from 'puppeteer-core';

export type { Browser, Page };

const programs = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];
const deadlineMs = 60_000;

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** The path of a Chromium of this machine; undefined: it has none. */
export function findBrowser(): string | undefined {
  const directories = (process.env.PATH ?? '').split(delimiter);
  return programs.flatMap((name) => directories.map((directory) => join(directory, name))).find(isProgram);
}

/** Why there is no browser to test with; undefined: there is one. */
export const whyNoBrowser = (): string | undefined =>
  findBrowser() === undefined ? `no Chromium on this machine (looked for ${programs.join(', ')})` : undefined;

/** Starts a browser. FAILED_PRECONDITION where there is none. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = findBrowser();
  if (executablePath === undefined) throw new WeirError('FAILED_PRECONDITION', `Cannot test: ${whyNoBrowser()}`);
  return launch({
    ...{ executablePath, headless: true, timeout: deadlineMs, protocolTimeout: deadlineMs },
    // Tests run as root, where Chromium's sandbox does not, and where /dev/shm may be small.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-proxy-server'],
    defaultViewport: { width: 1_440, height: 900 },
  });
}
