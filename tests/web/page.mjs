// The demo page with the fake engine of www/dev, for tests of what it shows.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { build, preview } from 'vite';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';

/** Serves a built page; www/dist, unless `config` says otherwise. */
export const servePage = (config = {}) =>
  preview({ root: inRoot('www'), logLevel: 'error', preview: { port: 0, host: '127.0.0.1' }, ...config });

/** Builds and serves the page with the fake engine: `address` and `close`. */
export async function serveFake() {
  const outDir = await mkdtemp(join(tmpdir(), 'weft-page-'));
  const config = { mode: 'fake', build: { outDir } };
  await build({ root: inRoot('www'), logLevel: 'error', ...config });
  const server = await servePage(config);
  const close = async () => {
    await server.close();
    await rm(outDir, { recursive: true });
  };
  return { address: server.resolvedUrls.local[0], close };
}

/** The elements that axe finds fault with, by WCAG 2.2 AA. */
export async function violations(page, axe) {
  await page.evaluate(axe);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
  const options = { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] };
  const found = await page.evaluate((options) => globalThis.axe.run(document, options), options);
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
}

/**
 * To be called once by a test file: serves the page with the fake engine to Chromium. Returns
 * `open(t, options)`, which opens it; `query` and `say` tell the fake engine what to do, `prepare`
 * gets the page before it is opened, the other options are those of a browser context.
 */
export function fakePage() {
  let browser, fake;
  before(async () => {
    fake = await serveFake();
    browser = await launchChromium();
  });
  after(async () => {
    await browser?.close();
    await fake?.close();
  });
  return (t, options) => openFake(browser, fake)(t, options);
}

/** `open` of fakePage(), for a browser and a page that are there already. */
export function openFake(browser, fake) {
  return async function open(t, { query = {}, say, prepare, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    const problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    t.after(() => assert.deepEqual(problems, []));
    await prepare?.(page);
    const fragment = say === undefined ? '' : `#${new URLSearchParams({ say })}`;
    await page.goto(`${fake.address}?${new URLSearchParams({ wait: 3, ...query })}${fragment}`);
    await page.getByTestId('load-default').waitFor();
    return page;
  };
}

export const view = (page, name) => page.waitForSelector(`body[data-view=${name}]`);
export const state = (page, name) => page.waitForSelector(`chat-turn:last-child .turn[data-state=${name}]`);
export const focused = (page) => page.evaluate(() => document.activeElement?.id || document.activeElement?.localName);

export async function load(page) {
  await page.getByTestId('load-default').click();
  await view(page, 'chat');
}

/** Presses a button of the page's head, also where it is in the menu. */
export async function pressInHead(page, testid) {
  const button = page.getByTestId(testid);
  if (!(await button.isVisible())) await page.locator('#open-menu').click();
  await button.click();
}

/** Sends a question, and waits for the end of the answer or for another state of it. */
export async function ask(page, question = 'Go on.', until = 'answered') {
  await page.getByTestId('prompt').fill(question);
  await page.getByTestId('send').click();
  if (until) await state(page, until);
}
