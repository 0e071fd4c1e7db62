// `npm run soak`: do memory and speed stay the same over hundreds of loads and tens of thousands of
// tokens? It prints what it measured, quarter by quarter, and judges nothing.
// `npm run soak -- --only tiny-cpu,tokens` runs some parts.

import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { inRoot, main } from '../scripts/lib/run.mjs';
import { APP, prepareApp } from '../tests/web/app.mjs';
import { launchChromium } from '../tests/web/browsers.mjs';
import { installPacked } from '../tests/web/packed.mjs';
import { serve } from '../tests/web/serve.mjs';
import { tinyModel } from '../tests/web/tiny.mjs';
import { heldMib } from './lib/processes.mjs';

const SMOLLM2 = '/models/SmolLM2-135M-Instruct.Q4_1.gguf';

/**
 * Each is repeated `times` in one page: `load` and dispose, or, after one load, `tokens` generated.
 */
const cycle = { what: 'load, 8 tokens, dispose', tokens: 8 };
const long = { what: 'generations of at most 200 tokens', tokens: 200, times: 100, once: true };
const parts = {
  'tiny-cpu': { ...cycle, model: '/tiny.gguf', device: 'cpu', times: 200 },
  'tiny-gpu': { ...cycle, model: '/tiny.gguf', device: 'gpu', times: 200 },
  'smollm2-cpu': { ...cycle, model: SMOLLM2, device: 'cpu', times: 50 },
  'smollm2-gpu': { ...cycle, model: SMOLLM2, device: 'gpu', times: 8 },
  tokens: { ...long, model: SMOLLM2, device: 'cpu' },
  'tokens-gpu': { ...long, model: '/tiny.gguf', device: 'gpu' },
};

main(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const packed = await installPacked();
  const tiny = tinyModel();
  const handle = (request, response) => {
    const body = { '/': APP, '/tiny.gguf': tiny }[request.url];
    if (body) response.writeHead(200, { 'Content-Type': request.url === '/' ? 'text/html' : 'text/plain' }).end(body);
    return body !== undefined;
  };
  const mounts = { '/node_modules/': join(packed.folder, 'node_modules'), '/models/': inRoot('models') };
  const server = await serve(mounts, { handle });
  try {
    console.log(
      '| | times | MiB of all processes, median of each quarter | tokens/s, median of each quarter |\n|---|---|---|---|',
    );
    for (const name of values.only?.split(',') ?? Object.keys(parts)) console.log(await soak(server, parts[name]));
  } finally {
    await server.close();
    await packed.remove();
  }
});

/** A row of the table. */
async function soak(server, { what, model, device, times, tokens, once = false }) {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.goto(server.url);
    await prepareApp(page);
    const [memory, speed] = [[], []];
    for (let time = 0; time < times; time += 1) {
      const rate = await page.evaluate(
        async ({ model, device, tokens, once }) => {
          globalThis.llm ??= await weft.load({ model, device, contextLength: 512 });
          const options = { temperature: 1, maxTokens: tokens };
          const { usage } = await collect(llm.generate('Once upon a time there was a weaver.', options));
          if (!once) {
            llm.dispose();
            globalThis.llm = undefined;
          }
          return usage.tokensPerSecond;
        },
        { model, device, tokens, once },
      );
      speed.push(rate);
      await sleep(50); // processes end, and the browser gives memory back
      memory.push(heldMib());
    }
    const row = [`${what}, ${model.split('/').at(-1)}, ${device}`, times, quarters(memory), quarters(speed)];
    return `| ${row.join(' | ')} |`;
  } finally {
    await browser.close();
  }
}

function quarters(values) {
  const quarter = Math.ceil(values.length / 4);
  return [0, 1, 2, 3].map((i) => median(values.slice(i * quarter, (i + 1) * quarter)).toFixed(0)).join(', ');
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
