// The demo page with the fake engine of www/dev, for tests of what it shows.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, preview } from 'vite';
import { inRoot } from '../../scripts/lib/run.mjs';

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
