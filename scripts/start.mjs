// `npm start`: from a clone to the demo page on localhost. `--port N` chooses another port than
// Vite's. It builds the engine for Chromium and Firefox first, and other builds when a browser
// requests them; `--all` builds all before the page is shown.

import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildTasks, missingModules, PACKAGE, usual, wasmPath } from './lib/build.mjs';
import { npm } from './lib/npm.mjs';
import { inRoot, main, seconds } from './lib/run.mjs';
import { setUps } from './lib/setups.mjs';
import { runTask } from './lib/tasks.mjs';

const page = {
  name: 'build the page',
  needs: [PACKAGE, 'model'],
  run: async () => void (await npm('run', 'build', '-w', 'www')),
};
const show = (modules) => runTask([...setUps, ...buildTasks(modules), page], page.name);

main(async () => {
  const start = performance.now();
  const { values } = parseArgs({ options: { port: { type: 'string' }, all: { type: 'boolean' } } });
  if (!existsSync(wasmPath(usual))) {
    console.log('The first start compiles the engine: about five minutes on two cores. Later ones take seconds.');
  }
  await show(values.all ? undefined : [usual]);
  const { preview } = await import('vite');
  const server = await preview({
    root: inRoot('www'),
    logLevel: 'warn',
    preview: { port: Number(values.port) || undefined },
    plugins: [{ name: 'build-on-demand', configurePreviewServer: buildOnDemand }],
  });
  console.log(`\nweft is at ${server.resolvedUrls.local[0]} after ${seconds(start)} (Ctrl+C ends it)`);
});

/**
 * Builds a module that a browser requests and that is missing: one without relaxed SIMD requests
 * `weft`.
 */
function buildOnDemand(server) {
  let building;
  server.middlewares.use((request, response, next) => {
    const path = request.url.split('?')[0];
    const module = missingModules().find(({ name }) => path.endsWith(`/${name}.wasm.gz`));
    if (!module) return next();
    building ??= demand(module).finally(() => (building = undefined));
    response.writeHead(503, 'being built: see the terminal of npm start', { 'Content-Type': 'text/plain' });
    response.end();
  });
}

async function demand(module) {
  console.log(`\nThis browser takes the build ${module.name}. It is built now, for some minutes.`);
  try {
    await show([usual, module]);
    console.log(`${module.name} is there: reload the page.`);
  } catch (error) {
    console.error(error.message);
  }
}
