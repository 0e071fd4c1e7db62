// `npm start`: from a clone to the demo page on localhost. `--port N` chooses another port than Vite's own.

import { parseArgs } from 'node:util';
import { build } from './lib/build.mjs';
import { ensureModel } from './lib/model.mjs';
import { ensurePackages, npm } from './lib/npm.mjs';
import { inRoot, main, step } from './lib/run.mjs';
import { ensureRust } from './lib/rust.mjs';

main(async () => {
  const { values } = parseArgs({ options: { port: { type: 'string' } } });
  await ensureRust();
  await ensurePackages();
  await ensureModel();
  await build();
  await step('build the page', async () => void (await npm('run', 'build', '-w', 'www')));
  const { preview } = await import('vite');
  const server = await preview({
    root: inRoot('www'),
    logLevel: 'warn',
    preview: { port: Number(values.port) || undefined },
  });
  console.log(`\nweft is at ${server.resolvedUrls.local[0]} (Ctrl+C ends it)`);
});
