// Loads a large model in Chromium into the memory of a GPU that forgets what it is given.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inRoot } from '../../scripts/lib/run.mjs';
import { APP, prepareApp } from './app.mjs';
import { launchChromium } from './browsers.mjs';
import { largeModel } from './large.mjs';
import { installPacked } from './packed.mjs';
import { serve } from './serve.mjs';

const WORKER = '/node_modules/weft-llm/dist/weft-worker.js';

/** What the module takes at most, with the header and everything else. */
const MOST = 64 << 20;

const mib = (bytes) => `${(bytes / (1 << 20)).toFixed(1)} MiB`;

/** Checks it with so many layers of the model; all if undefined. */
export async function checkStreaming(t, layers) {
  const packed = await installPacked();
  t.after(() => packed.remove());
  const forgetful = await readFile(inRoot('tests/web/forgetful-gpu.js'));
  const model = largeModel(layers);
  const handle = (request, response) => {
    const send = (type, body) => void response.writeHead(200, { 'Content-Type': type }).end(body);
    if (request.url === '/') send('text/html', APP);
    else if (request.url === '/forgetful-gpu.js') send('text/javascript', forgetful);
    else if (request.url === WORKER)
      send('text/javascript', `import '/forgetful-gpu.js'; import './weft-worker.js?real';`);
    else if (request.url === '/large.gguf') return model.handle(request, response).then(() => true);
    else return false;
    return true;
  };
  const server = await serve({ '/node_modules/': join(packed.folder, 'node_modules') }, { handle });
  t.after(() => server.close());
  const browser = await launchChromium();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(server.url);
  await prepareApp(page);

  const start = performance.now();
  const { kind, memoryBytes, seen } = await page.evaluate(async () => {
    const llm = await weft.load({ model: '/large.gguf', device: 'gpu', contextLength: 512, store: false });
    const channel = new BroadcastChannel('forgetful');
    const seen = new Promise((resolve) => (channel.onmessage = ({ data }) => resolve(data)));
    channel.postMessage('tell');
    const { kind, memoryBytes } = llm.info.engine;
    return { kind, memoryBytes, seen: await seen };
  });
  const { before, after, made, written, now } = seen;
  t.diagnostic(
    `${model.bytes} bytes in ${((performance.now() - start) / 1000).toFixed(1)} s; wasm memory: ` +
      `${mib(before)} before the weights, ${mib(after)} after them, ${mib(now)} with the model ready`,
  );
  assert.equal(kind, 'gpu');
  assert.equal(written, made, 'every tensor is whole');
  assert.ok(made > 0.95 * model.bytes && made <= memoryBytes, `${made} bytes of ${model.bytes} were weights`);
  assert.ok(now <= MOST, `${now} bytes of wasm memory`);
}
