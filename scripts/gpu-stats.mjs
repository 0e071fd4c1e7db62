// What a real GPU's compiler makes of our pipelines, see lib/gpu-stats.mjs.
//
// `npm run gpu:stats` writes the table of docs/GPU.md.
// `npm run gpu:stats -- FILE.wgsl …` shows the same figures of compute shaders.

import { readFileSync, writeFileSync } from 'node:fs';
import { DOCUMENT, gpuStats, readBudgets, statsTable, withStats } from './lib/gpu-stats.mjs';
import { inRoot, main } from './lib/run.mjs';

main(async () => {
  const files = process.argv.slice(2);
  const results = await gpuStats(files);
  if (files.length) return console.log(statsTable(results));
  const document = inRoot(DOCUMENT);
  writeFileSync(document, withStats(readFileSync(document, 'utf8'), results, readBudgets().families));
});
