// A browser for the tests of downloads and the store: like js/test/support/store.mjs, with a real
// one behind it. A visitor is a browser context and a tab is a page with a dedicated worker; a
// closing tab loses its running work.

import { after, before } from 'node:test';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { serve } from './serve.mjs';

const MIB = 1 << 20;

let browser, server;

before(async () => {
  server = await serve({ '/js/': inRoot('js'), '/tests/': inRoot('tests/web') }, { handle });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

/** The files are on other servers. */
function handle(request, response) {
  response.setHeader('Content-Security-Policy', `${response.getHeader('Content-Security-Policy')}; connect-src *`);
  if (request.url !== '/') return false;
  response.setHeader('Content-Type', 'text/html');
  response.end(APP);
  return true;
}

export class ChromiumVisitor {
  /** Bytes on their way to a busy reader are dropped when the connection breaks. */
  static lostWithConnection = MIB;
  /** Maximum bytes waiting to be stored. */
  static lostWithTab = 4 * MIB;
  #context = browser.newContext();
  #storage;
  #session;
  #toldQuota = 0;
  /** The tab that inspects the store. */
  #home;
  /** Milliseconds of every pause of a load. */
  pauses = [];

  constructor(t, { storage = 'opfs' } = {}) {
    t.after(async () => (await this.#context).close());
    this.#storage = storage;
  }

  /**
   * Loads in a new tab, see `Tab` there; throws its error. `closeAt`: the tab closes when this many
   * bytes were read.
   */
  async load(files, { onPiece, closeAt = Infinity, ...options } = {}) {
    const page = await this.#open();
    const watched = onPiece !== undefined || closeAt < Infinity;
    await page.exposeFunction('onPiece', async (length, received) => {
      const said = await onPiece?.(length, received);
      if (length >= closeAt || said === 'close') await page.close();
    });
    const told = await call(page, 'load', [files, options], watched).catch((error) => {
      if (!page.isClosed()) throw error;
    });
    if (!told) return undefined;
    this.pauses.push(...told.pauses);
    if (told.error) throw Object.assign(new Error(told.error.message), told.error);
    return told;
  }

  /** `told`: whether the browser reports it. Chromium itself always reports 10 GiB. */
  async setQuota(bytes, { told }) {
    this.#toldQuota = told ? bytes : 0;
    const page = await this.#homeTab();
    this.#session ??= await page.context().newCDPSession(page);
    const quotaSize = bytes < Infinity ? { quotaSize: bytes } : {};
    await this.#session.send('Storage.overrideQuotaForOrigin', { origin: new URL(server.url).origin, ...quotaSize });
  }

  /** Bytes of all stored chunks. */
  async storedBytes() {
    const page = await this.#homeTab();
    return page.evaluate(async () => {
      let sum = 0;
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle('weft', { create: true });
      for await (const handle of folder.values()) sum += (await handle.getFile()).size;
      return sum;
    });
  }

  manifests = () => this.#look('manifests');
  chunks = (url) => this.#look('chunks', [url]);
  evict = () => this.#look('evict');
  list = () => this.#look('list');
  sweep = () => this.#look('sweep');
  damage = (...how) => this.#look('damage', how);
  namedBytes = () => this.#look('namedBytes');
  deleteModel = (...which) => this.#look('deleteModel', which);
  orphan = (hash, length) => this.#look('orphan', [hash, length]);

  async #look(method, args = []) {
    return call(await this.#homeTab(), method, args);
  }

  #homeTab() {
    return (this.#home ??= this.#open());
  }

  async #open() {
    const page = await (await this.#context).newPage();
    page.setDefaultTimeout(0); // a test has its own limit
    await page.goto(server.url);
    await page.evaluate((address) => {
      const worker = new Worker(address, { type: 'module' });
      const waiting = new Map();
      worker.onerror = ({ message }) => waiting.forEach(({ reject }) => reject(new Error(message)));
      worker.onmessage = async ({ data: { id, piece, value, failure } }) => {
        if (failure) return waiting.get(id).reject(new Error(failure));
        if (!piece) return waiting.get(id).resolve(value);
        await onPiece(...piece);
        worker.postMessage({ method: 'goOn' });
      };
      globalThis.call = (method, args, watched) =>
        new Promise((resolve, reject) => {
          const id = waiting.size;
          waiting.set(id, { resolve, reject });
          worker.postMessage({ id, method, args, watched });
        });
    }, `/tests/tab-worker.js?storage=${this.#storage}&quota=${this.#toldQuota}`);
    return page;
  }
}

const call = (page, method, args, watched = false) =>
  page.evaluate(([method, args, watched]) => call(method, args, watched), [method, args, watched]);
