// SPDX-License-Identifier: Apache-2.0
// The relay's page in a real browser: what it shows of real pods under real policies.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Browser, openBrowser, type Page, whyNoBrowser } from '@weir/browser';
import { curl, httpServer } from './testing/http.ts';
import { nobody, onHttp, policy } from './testing/policy.ts';
import { eventually } from './testing/services.ts';
import { type PlayedPod, useLab } from './testing/use-lab.ts';
import { distDirectory } from './testing/weir.ts';

const port = 80;
const apps = ['gateway', 'frontend', 'catalog', 'cart', 'checkout', 'payments', 'scanner'] as const;
/** Who calls whom, all day. */
const calls = [
  ...(['gateway frontend', 'frontend catalog', 'frontend cart', 'frontend checkout'] as const),
  ...(['checkout payments', 'checkout cart'] as const),
].map((text) => text.split(' ') as [string, string]);
const evilPath = '/<img/src=x/onerror=window.pwned=1>';
// `WEIR_SCREENSHOT=FILE` keeps what the page looks like, for the documentation.
const screenshot = process.env.WEIR_SCREENSHOT;
const reason = whyNoBrowser();
const [describeHere, title] =
  reason === undefined ? [describe, 'the page'] : [describe.skip, `the page, not tested: ${reason}`];

const pods = new Map<string, PlayedPod>();
const test = useLab('page', async ({ pod }) => {
  const played = apps.map((app) => pod(app, { namespace: 'shop', labels: { app }, ...httpServer(port) }));
  for (const each of await Promise.all(played)) pods.set(each.name, each);
});

/** Starts a relay beside the node, on a free port of this machine; resolves when it serves. */
async function startRelay(): Promise<{ process: ChildProcess; url: string }> {
  const { directory, node } = test.lab.paths;
  const relay = spawn(
    process.execPath,
    [
      ...[join(distDirectory, 'monitor-relay.mjs'), '--listen', `unix:${directory}/page.sock`],
      ...['--peer-service', `unix:${node('node1').observerSocket}`, '--page-listen', '127.0.0.1:0'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env['PATH'] } },
  );
  for await (const line of createInterface({ input: relay.stderr })) {
    const { message, address } = JSON.parse(line) as { message: string; address?: string };
    if (message !== 'Serving the page' || address === undefined) continue;
    relay.stderr.resume();
    return { process: relay, url: address };
  }
  throw new Error('The relay does not serve the page');
}

/** Whoever calls a service may read of it, and nobody else may do anything. */
const policies = apps
  .filter((app) => app !== 'gateway')
  .map((app) => {
    const matchLabels = calls.filter(([, to]) => to === app).map(([from]) => ({ matchLabels: { app: from } }));
    const ingress = [{ fromEndpoints: matchLabels, ...onHttp(port, { method: 'GET', path: `/v1/${app}` }) }];
    return {
      ...policy(app, { app }, { ingress: app === 'scanner' ? [nobody] : ingress }),
      metadata: { name: app, namespace: 'shop' },
    };
  });

/** Lets everybody call everybody for a while, and keeps what the page looks like then. */
async function keepScreenshot(
  page: Page,
  file: string,
  call: (from: string, to: string, ...more: string[]) => Promise<unknown>,
): Promise<void> {
  for (let round = 0; round < 12; round++) {
    await Promise.all([
      ...calls.flatMap(([from, to], at) => Array.from({ length: 3 + (at % 3) }, () => call(from, to))),
      ...(round % 4 === 0
        ? [call('scanner', 'payments', '--max-time', '1'), call('frontend', 'cart', '-X', 'DELETE')]
        : []),
    ]);
  }
  await call('frontend', 'cart', '-X', 'DELETE');
  await page.setViewport({ width: 1_280, height: 800 });
  await sleep(1_500);
  await page.screenshot({ path: file });
}

describeHere(title, () => {
  let relay: Awaited<ReturnType<typeof startRelay>>;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    [relay, browser] = await Promise.all([startRelay(), openBrowser()]);
    page = await browser.newPage();
    await page.goto(relay.url);
  });
  afterAll(async () => {
    await browser.close();
    relay.process.kill();
  });

  const look = (selector: string, expression: string) =>
    page.evaluate(
      `[...document.querySelectorAll(${JSON.stringify(selector)})].map((each) => ${expression})`,
    ) as Promise<string[]>;
  const texts = (selector: string) => look(selector, 'each.textContent');
  const attributes = (selector: string, name: string) => look(selector, `each.getAttribute(${JSON.stringify(name)})`);
  const call = (from: string, to: string, ...more: string[]) =>
    curl(test.lab, `shop/${from}`, ...more, `http://${pods.get(to)?.ipv4}/v1/${to}`);

  it('shows who talks to whom, what is denied, how fast calls are, and the policy that decided', async () => {
    await test.apply(...policies);
    await eventually(
      'the page is live',
      async () => (await texts('body[data-state="live"]')).length === 1 || undefined,
    );
    for (const [from, to] of calls) expect([from, to, (await call(from, to)).status]).toEqual([from, to, 200]);
    const cart = `http://${pods.get('cart')?.ipv4}`;
    expect((await call('frontend', 'cart', '-X', 'DELETE')).status).toBe(403);
    expect((await curl(test.lab, 'shop/frontend', '--path-as-is', `${cart}${evilPath}`)).status).toBe(403);
    await call('scanner', 'payments', '--max-time', '1');
    // The proxy tells of calls when it does; the map and the table are drawn when the browser does.
    const shows = (what: string, look: () => Promise<string[]>, patterns: readonly RegExp[]) =>
      eventually(what, async () => {
        const found = await look();
        return patterns.every((each) => found.some((text) => each.test(text))) || undefined;
      });
    await shows('who talks to whom', () => attributes('.edge', 'aria-label'), [
      ...calls.map(([from, to]) => new RegExp(`^${from} to ${to}: allowed`)),
      /^checkout to payments: allowed \S+\/s · \S+ (ms|µs)$/,
      /^frontend to cart: allowed and denied /,
      /^scanner to payments: denied ✕/,
    ]);
    await shows('flows', () => texts('.body .row:not([hidden])'), [
      /shop\/scanner→shop\/payments.*denied.*Policy denied/,
      /GET \/(<|%3C)img/,
    ]);
    expect(await page.evaluate('globalThis.pwned')).toBeUndefined();
    expect(await texts('main img')).toEqual([]);
    await page.evaluate(
      `document.querySelector('.edge[aria-label^="frontend to cart"]').dispatchEvent(new Event('click'))`,
    );
    await shows('the policy that decided', () => texts('#detail'), [
      /Policies.*allowsshop\/cartCiliumNetworkPolicy.*deniesshop\/cartCiliumNetworkPolicy/,
    ]);
    if (screenshot !== undefined) await keepScreenshot(page, screenshot, call);
  });
});
