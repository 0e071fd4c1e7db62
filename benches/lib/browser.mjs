// A session in a fresh browser: an empty page, then one that loads a runtime and asks it the
// questions.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { inRoot } from '../../scripts/lib/run.mjs';
import { browsers } from '../../tests/web/browsers.mjs';
import { serve } from '../../tests/web/serve.mjs';
import { figuresOf } from './figures.mjs';
import { heldMib, watchMemory, watchOthers } from './processes.mjs';
import { bytesOf, fileOf, isRight } from './models.mjs';
import { questions } from './questions.mjs';
import { readerModule } from './reading.mjs';

/** A browser goes on starting for a while; its memory is measured after that. */
const settleMs = 2000;

/** A session that takes longer hangs: the slowest peer needs less, even on a software GPU. */
const sessionMinutes = 8;

/** What the drivers say where the browser is gone; it has nothing to do with frames. */
const CLOSED = /detached Frame|Target (page, context or browser has been )?closed/i;

/**
 * Serves the page, the models and the runtimes.
 * @param {string} packed folder with `node_modules/weft-llm`, the installed package
 * @returns {Promise<{ url: string, sizes: () => { raw_bytes: number, gzip_bytes: number },
 *   close: () => Promise<void> }>}
 *   `sizes` says how large the runtime was that pages asked for since the last call
 */
export async function serveBench(packed) {
  const runtimes = {
    '/runtime/weft/': join(packed, 'node_modules'),
    '/runtime/peers/': inRoot('benches/peers/node_modules'),
  };
  const mounts = {
    ...runtimes,
    '/page/': inRoot('benches/page'),
    '/models/': inRoot('models'),
    '/models/onnx/': inRoot('benches/peers/models'),
  };
  const asked = new Set();
  const reader = readerModule();
  const handle = (request, response) => {
    const [path, query] = request.url.split('?');
    if (path.startsWith('/runtime/')) asked.add(path);
    // weft gets the strict policy that it supports. Its peers build scripts of their own.
    if (path.startsWith('/runtime/peers/') || (path === '/page/' && !query?.startsWith('runtime=weft&'))) {
      response.removeHeader('Content-Security-Policy');
    }
    if (path === '/reader.wasm') {
      response.setHeader('Content-Type', 'application/wasm');
      response.end(reader);
      return true;
    }
    if (path !== '/empty') return false;
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><html lang="en"><title>empty</title><link rel="icon" href="data:," /></html>');
    return true;
  };
  const { url, close } = await serve(mounts, { handle });
  const sizes = () => {
    const files = [...asked].map((path) => {
      const prefix = Object.keys(runtimes).find((each) => path.startsWith(each));
      return sizeOf(join(runtimes[prefix], path.slice(prefix.length)));
    });
    asked.clear();
    const sum = (key) => files.reduce((total, file) => total + file[key], 0);
    return { raw_bytes: sum('raw'), gzip_bytes: sum('gzip') };
  };
  return { url, sizes, close };
}

const known = new Map();

/** Bytes of a file, as it is and as a web server sends it. */
function sizeOf(file) {
  if (!known.has(file)) {
    const bytes = readFileSync(file);
    known.set(file, { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length });
  }
  return known.get(file);
}

/** Measures one case once and returns its figures. Fails if its answer is wrong. */
export async function browserSession(server, model, { host, runtime, engine, threads }) {
  const others = watchOthers();
  const browser = await browsers[host]();
  let memory;
  try {
    const page = await browser.newPage();
    await page.goto(`${server.url}empty`);
    await sleep(settleMs);
    const empty = heldMib();
    memory = watchMemory();
    server.sizes();
    const session = JSON.stringify({ runtime, engine, threads: threads ?? 1, file: fileOf(model), questions });
    await page.goto(`${server.url}page/?${new URLSearchParams({ runtime, session })}`);
    const { ready_ms, answers, about, adapter } = await outcomeOf(page);
    const peak_mib = memory.stop() - empty;
    const sizes = server.sizes();
    if (!isRight(model, answers.long.text)) throw new Error(`wrong text: ${answers.long.text.slice(0, 60)}`);
    const reading = engine === 'cpu' && (await readingSpeed(server, page, threads));
    return {
      about: { browser: await browser.version(), ...about, ...(adapter && { adapter }) },
      ready_ms,
      ...figuresOf({ ...model, bytes: bytesOf(model) }, answers, reading),
      ...sizes,
      peak_mib,
      disturbance: others(),
    };
  } catch (error) {
    if (!CLOSED.test(error.message)) throw error;
    throw new Error('the browser was closed, or crashed, before the session ended', { cause: error });
  } finally {
    memory?.stop();
    await browser.close();
  }
}

/** Bytes of memory that so many threads read in a second, in the browser that has just answered. */
async function readingSpeed(server, page, threads) {
  await page.goto(`${server.url}page/reading.html?threads=${threads}`);
  return (await outcomeOf(page)).bytes_s;
}

/**
 * What the page leaves when it is done; fails with what it failed with. This polls, since no driver
 * waits minutes for one question.
 */
async function outcomeOf(page) {
  const end = performance.now() + sessionMinutes * 60_000;
  while (performance.now() < end) {
    const outcome = await page.evaluate(() => globalThis.outcome);
    if (outcome?.error) throw new Error(outcome.error);
    if (outcome) return outcome;
    await sleep(500);
  }
  const stuck = await page.evaluate(() => `${globalThis.stage}, ${globalThis.tokens ?? 0} tokens of the last answer`);
  throw new Error(`did not end within ${sessionMinutes} minutes: ${stuck}`);
}
