// SPDX-License-Identifier: Apache-2.0
// The page in a real browser, served by a real relay.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type Browser, openBrowser, type Page, whyNoBrowser } from '@weir/browser';
import {
  answerFlow,
  connectionFlow,
  eventually,
  type PageWorld,
  podEnd,
  startPageWorld,
} from './testing/page-world.ts';

const reason = whyNoBrowser();
const [describeHere, title] =
  reason === undefined ? [describe, 'the page'] : [describe.skip, `the page, not tested: ${reason}`];
const [client, server, stranger] = [podEnd('client-1', 'client'), podEnd('server-1', 'server'), podEnd('stranger')];

let browser: Browser;
let world: PageWorld;
let page: Page;
let errors: string[];
let asked: string[];
beforeAll(async () => {
  if (reason === undefined) browser = await openBrowser();
});
afterAll(() => browser?.close());

async function open(options: Parameters<typeof startPageWorld>[0] = {}, hash = ''): Promise<void> {
  world = await startPageWorld(options);
  page = await browser.newPage();
  [errors, asked] = [[], []];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(world.url + hash);
}
afterEach(async () => {
  if (reason !== undefined) return;
  await page.close();
  await world.stop();
});

/** What an expression is in the browser. */
const look = <Value>(expression: string): Promise<Value> => page.evaluate(expression) as Promise<Value>;
const one = (selector: string): string => `document.querySelector(${JSON.stringify(selector)})`;
const all = (selector: string): string => `[...document.querySelectorAll(${JSON.stringify(selector)})]`;
const textOf = (selector: string): Promise<string> => look(`${one(selector)}?.textContent ?? ''`);
const textsOf = (selector: string): Promise<string[]> => look(`${all(selector)}.map(({ textContent }) => textContent)`);
const count = async (selector: string): Promise<number> => (await textsOf(selector)).length;
const stateIs = (kind: string) =>
  eventually(`the page is ${kind}`, async () => (await count(`body[data-state="${kind}"]`)) === 1);
const rows = (): Promise<string[]> => textsOf('.body .row:not([hidden])');

describeHere(title, () => {
  describe('without a token', () => {
    beforeEach(async () => {
      await open();
      await stateIs('live');
    });
    afterEach(() => expect(errors).toEqual([]));

    it('shows who talks to whom, what became of it, how fast it is, and which policy has decided', async () => {
      world.nodes[0].push(
        connectionFlow(client, server),
        answerFlow(server, client, { url: 'http://server/fast', ms: 5 }),
      );
      world.nodes[1].push(connectionFlow(stranger, server, { isDenied: true, port: 443 }));
      await eventually('both edges are drawn', async () => (await count('.edge')) === 2);
      const labels = await look<string[]>(`${all('.edge')}.map((each) => each.getAttribute('aria-label'))`);
      expect(labels.toSorted()).toEqual([
        expect.stringMatching(/^client to server: allowed .*5\.0 ms/),
        expect.stringMatching(/^stranger to server: denied ✕ /),
      ]);
      const found = await eventually('three rows', async () => {
        const shown = await rows();
        return shown.length === 3 && shown;
      });
      expect(found).toContainEqual(
        expect.stringMatching(/shop\/client-1→shop\/server-1TCP 80allowed.*shop\/landingnode1/),
      );
      expect(found).toContainEqual(expect.stringContaining('GET /fast → 200 in 5.0 ms'));
      expect(found).toContainEqual(expect.stringMatching(/stranger→.*TCP 443deniedPolicy denied/));
      await page.click('.body .row[data-verdict="dropped"]');
      const detail = await textOf('#detail');
      expect(detail).toMatch(/Policydeniesshop\/landingCiliumNetworkPolicy, revision 3/);
      expect(await textOf('#nodes-button')).toBe('2 of 2 nodes');
    });

    it('shows names and paths of others as texts, whatever they are, and loads nothing from elsewhere', async () => {
      const markup = '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script>';
      const evil = { ...podEnd(markup, markup, markup), labels: [`k8s:app=${markup}`] };
      const policies = [{ kind: markup, namespace: markup, name: markup, revision: 1 }];
      world.nodes[0].push(
        connectionFlow(evil, server, { isDenied: true, ingressDeniedBy: policies, Summary: markup }),
        answerFlow(server, evil, { url: `http://server/${markup}"><svg onload=alert(1)>` }),
      );
      await eventually('the rows', async () => (await rows()).length === 2);
      await eventually('the map', async () => (await count('.node')) === 2);
      await page.click('.body .row[data-verdict="dropped"]');
      await eventually('the details', async () => (await textOf('#detail')).includes(markup));
      await look(`${one('.node')}.click()`);
      await eventually('what is selected', async () => (await textOf('#detail h2')).includes('<img'));
      expect((await rows()).join()).toContain(`${markup}"><svg onload=alert(1)> → 200`);
      expect(await textsOf('.node .name')).toContain(markup);
      expect(await count('main img, main script, main svg svg, [onerror], [onload]')).toBe(0);
      expect(await look('globalThis.pwned')).toBeUndefined();
      expect(new Set(asked.map((url) => new URL(url).origin))).toEqual(new Set([new URL(world.url).origin]));
    });

    it('cannot be made to run or load what is not of it', async () => {
      const attempts = [
        `document.body.innerHTML = '<b>x</b>'`,
        `document.createElement('script').textContent = 'window.pwned = 1'`,
        `fetch('http://127.0.0.1:1/')`,
      ];
      const tried: string[] = [];
      for (const attempt of attempts) {
        const outcome = `(async () => ${attempt})().then(() => 'works', ({ name }) => name)`;
        tried.push(await look<string>(outcome));
      }
      expect(tried).toEqual(['TypeError', 'TypeError', 'TypeError']);
    });

    it('has nodes filter, and says what is wrong with a filter', async () => {
      const write = async (text: string): Promise<void> => {
        await look(`${one('#filter')}.value = ''`);
        await page.type('#filter', text);
        await page.keyboard.press('Enter');
      };
      world.nodes[0].push(connectionFlow(client, server), connectionFlow(stranger, server, { isDenied: true }));
      await eventually('both rows', async () => (await rows()).length === 2);
      await write('from:shop/client');
      await eventually('one row', async () => (await rows()).length === 1);
      expect((await rows())[0]).toContain('client-1');
      expect(page.url()).toContain('#filter=from%3Ashop%2Fclient');
      await write('colour:red');
      expect(await textOf('#filter-message')).toMatch(/^"colour" cannot be filtered by; there are pod, /);
      await write('status:abc');
      await stateIs('refused');
      expect(await textOf('#filter-message')).toMatch(/abc/);
      await look(`${one('#filter')}.value = ''`);
      await page.click('.segments label:last-child span');
      await eventually('what was denied', async () => (await rows()).join().includes('stranger'));
      expect(await rows()).toHaveLength(1);
    });

    it('stays quick and small with thousands of flows, and keeps its place while they come', async () => {
      const total = 9_000;
      for (let sent = 0; sent < total; sent += 500) {
        const flows = Array.from({ length: 500 }, (_, at) =>
          connectionFlow(client, server, { Summary: `no ${sent + at}` }),
        );
        world.nodes[sent % 1_000 === 0 ? 0 : 1].push(...flows);
        // A browser does not take them all at once; those of the ring wait.
        await eventually('they are read', async () => Number((await textOf('#flows-note')).replaceAll(/\D/g, '')) > 0);
      }
      world.nodes[0].push(connectionFlow(stranger, server, { isDenied: true }));
      await eventually('the last one', async () => (await count('.edge.denied')) === 1);
      const kept = Number((await textOf('#flows-note')).split(' ')[0]?.replaceAll(',', ''));
      expect(kept).toBeGreaterThan(1_000);
      expect(kept).toBeLessThanOrEqual(6_250);
      expect(await count('.row')).toBeLessThan(80);

      await look(`${one('.body')}.scrollTop = 3000`);
      /** The row at the upper edge, and how far down that is. */
      const seen = () =>
        look<{ scrolled: number; text?: string }>(`(() => {
          const body = ${one('.body')};
          const { top } = body.getBoundingClientRect();
          const below = ${all('.body .row:not([hidden])')}
            .map((row) => ({ y: row.getBoundingClientRect().top - top, text: row.textContent }))
            .filter(({ y }) => y >= 0)
            .toSorted((a, b) => a.y - b.y);
          return { scrolled: body.scrollTop, text: below[0]?.text };
        })()`);
      const before = await eventually('rows of that place', async () => {
        const found = await seen();
        return found.text !== undefined && found;
      });
      world.nodes[1].push(...Array.from({ length: 10 }, () => connectionFlow(client, server)));
      const after = await eventually('the place has moved with it', async () => {
        const found = await seen();
        return found.scrolled >= before.scrolled + 300 && found;
      });
      expect(after.text).toBe(before.text);
    });

    it('says that the relay is away, and comes back by itself', async () => {
      world.nodes[0].push(connectionFlow(client, server));
      await eventually('a row', async () => (await rows()).length === 1);
      await world.relay.stop();
      await stateIs('away');
      expect(await textOf('#state-text')).toMatch(/^The relay .*\. Trying again in \d+ s$/);
      // What was seen stays.
      expect(await rows()).toHaveLength(1);
      await world.startRelayAgain();
      await stateIs('live');
      world.nodes[0].push(connectionFlow(stranger, server));
      await eventually('a new flow', async () => (await rows()).join().includes('stranger'));
    });

    it('says that a node fails, and that it has seen nothing yet', async () => {
      await eventually('nothing yet', async () =>
        (await textOf('#flows-empty')).startsWith('Nothing has been seen yet'),
      );
      await world.nodes[1].stop();
      await eventually('one is missing', async () => (await textOf('#nodes-button')) === '1 of 2 nodes');
      await page.click('#nodes-button');
      expect((await textsOf('#nodes li')).toSorted()).toEqual([
        'node1connected',
        expect.stringMatching(/^node2failed: /),
      ]);
    });

    it('can be used with the keyboard alone', async () => {
      world.nodes[0].push(connectionFlow(client, server), connectionFlow(stranger, server, { isDenied: true }));
      await eventually('rows and map', async () => (await rows()).length === 2 && (await count('.edge')) === 2);
      const focused = () => look<string>(`document.activeElement.id || 'none'`);
      await page.keyboard.press('/');
      expect(await focused()).toBe('filter');
      await page.focus('.grid');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      expect(await look(`${one('.grid')}.getAttribute('aria-activedescendant')`)).toMatch(/^row-/);
      await page.keyboard.press('Enter');
      expect(await focused()).toBe('detail');
      await page.keyboard.press('Escape');
      expect(await count('#detail[hidden]')).toBe(1);
      await look(`${one('.edge.denied')}.focus()`);
      await page.keyboard.press('Enter');
      expect(await textOf('#detail h2')).toBe('stranger → server');
      await eventually('its flows alone', async () => (await rows()).length === 1);
      await page.keyboard.press('Escape');
      await eventually('all rows again', async () => (await rows()).length === 2);
      await page.keyboard.press('p');
      expect(await textOf('#pause')).toBe('Go on');
    });
  });

  it('asks for the token, tells when it is wrong, and asks again when there is another', async () => {
    const tokens = mkdtempSync(join(tmpdir(), 'weir-page-token-'));
    const tokenFile = join(tokens, 'token');
    writeFileSync(tokenFile, 'the-first-token-of-all\n');
    await open({ page: { tokenFile } }, '#filter=from%3Ashop%2Fclient');
    const show = async (token: string): Promise<void> => {
      await page.waitForSelector('#token-dialog[open]');
      await page.type('#token', token);
      await page.keyboard.press('Enter');
    };
    await stateIs('token');
    await show('not-the-token-of-all');
    await eventually('it is refused', async () => (await textOf('#token-message')) === 'This is not the token');
    await show('the-first-token-of-all');
    await stateIs('live');
    expect(await look(`${one('#filter')}.value`)).toBe('from:shop/client');
    writeFileSync(tokenFile, 'the-second-token-of-all\n');
    await stateIs('token');
    rmSync(tokens, { recursive: true });
  });
});
