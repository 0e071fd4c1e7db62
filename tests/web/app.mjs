// An app's page in these tests: the installed package and a few helpers, as globals.

import { join } from 'node:path';
import { after, before } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { launchChromium } from './browsers.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';

/**
 * `weft`: the package, with `allBuilds`. `collect(pieces)`: a whole generation. `failure(work)`:
 * the error's message, or null.
 */
export function prepareApp(page) {
  return page.evaluate(async () => {
    globalThis.weft = await import('/node_modules/weft-llm/dist/index.js');
    globalThis.allBuilds = (await import('/node_modules/weft-llm/dist/all-builds.js')).allBuilds;
    globalThis.collect = async (pieces) => {
      const answer = { text: '', ids: [], pieces: 0 };
      for await (const piece of pieces) {
        answer.text += piece.text;
        answer.pieces += 1;
        if (piece.finish) Object.assign(answer, piece.finish);
        else answer.ids.push(piece.id);
      }
      return answer;
    };
    globalThis.failure = (work) =>
      work().then(
        () => null,
        ({ name, code, message }) => ({ name, code, message }),
      );
  });
}

/** The page itself, for a server's `handle`; {@link serveApp} has it. */
export const APP = '<!doctype html><html lang="en"><title>test</title><link rel="icon" href="data:," /></html>';

/**
 * Serves the page, the installed package, the models, `files` by path, and the folders of `mounts`.
 * `onRequest` is called with each path.
 */
export function serveApp({ folder }, { files = {}, mounts = {}, onRequest } = {}) {
  const bodies = { '/': APP, ...files };
  const folders = { '/node_modules/': join(folder, 'node_modules'), '/models/': inRoot('models'), ...mounts };
  return serve(folders, {
    handle({ url }, response) {
      onRequest?.(url);
      const body = bodies[url];
      if (body === undefined) return false;
      response.setHeader('Content-Type', url === '/' ? 'text/html' : 'application/octet-stream').end(body);
      return true;
    },
  });
}

/**
 * The app in Chromium, for all tests of a file; `options` as of {@link serveApp}. Returns
 * `open(t)`: a new page of it, which is closed behind the test.
 */
export function appInChromium(options) {
  let packed, server, browser;

  before(async () => {
    packed = await installPacked();
    server = await serveApp(packed, options);
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    await server?.close();
    await packed?.remove();
  });

  return async (t) => {
    const page = await browser.newPage();
    t.after(() => page.close());
    await page.goto(server.url);
    await prepareApp(page);
    return page;
  };
}
