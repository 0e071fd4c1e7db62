// `npm run bench` measures weft, `npm run bench:peers` weft beside its peers; README.md says what
// the figures mean.
//
//   --model NAME       smollm2 (default) or qwen2.5-coder, which is fetched (1.1 GB)
//   --only NAME,…      the cases whose name has this in it: `cpu`, `chromium/weft`, `wllama/gpu`
//   --repetitions N    sessions a case (3); those of different cases take turns
//   --json             prints one line of JSON a case instead of tables

import { mkdir, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { build } from '../scripts/lib/build.mjs';
import { ensureModel } from '../scripts/lib/model.mjs';
import { ensurePackages } from '../scripts/lib/npm.mjs';
import { inRoot, main, run, step } from '../scripts/lib/run.mjs';
import { ensureRust } from '../scripts/lib/rust.mjs';
import { ensureBrowsers } from '../scripts/lib/system.mjs';
import * as cases from './lib/cases.mjs';
import { models } from './lib/models.mjs';

// At this signal the drivers close both browsers, and the bench would start the next session.
process.once('SIGTERM', () => process.exit(143));

main(async () => {
  const { values } = parseArgs({
    options: {
      peers: { type: 'boolean', default: false },
      model: { type: 'string', default: 'smollm2' },
      only: { type: 'string' },
      repetitions: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  });
  const repetitions = Number(values.repetitions);
  if (!(Number.isInteger(repetitions) && repetitions > 0))
    throw new Error('--repetitions must be a whole number above 0');
  const model = models[values.model];
  if (!model) throw new Error(`--model ${values.model}: no such model; they are ${Object.keys(models).join(', ')}`);
  const chosen = cases
    .choose(values.peers ? cases.peers : cases.weft, values.only?.split(','))
    .filter(({ runtime }) => model.runtimes.includes(runtime));
  // The JSON has standard output to itself.
  if (values.json) console.log = console.error;

  await ensureRust();
  await ensurePackages();
  await ensureBrowsers();
  await ensureModel(model.source);
  await build();
  await step('compile the native command', async () => void (await run('cargo', ['build', '--release', '--locked'])));
  const { ensurePeers } = await import('./lib/peers.mjs');
  if (values.peers) await ensurePeers(chosen);

  const { measure } = await import('./lib/measure.mjs');
  const { machine, ratios, table } = await import('./lib/report.mjs');
  const rows = await measure(model, chosen, repetitions);
  const results = { date: new Date().toISOString(), model: values.model, machine: machine(), repetitions, rows };
  await mkdir(inRoot('benches/results'), { recursive: true });
  const other = values.model === 'smollm2' ? '' : `-${values.model}`;
  const file = `benches/results/${values.peers ? 'peers' : 'latest'}${other}.json`;
  await writeFile(inRoot(file), `${JSON.stringify(results, null, 2)}\n`);
  if (values.json) return void process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  console.log(`\n${table(rows)}`);
  if (values.peers) console.log(`\n${ratios(rows)}`);
  console.log(`\nall of it: ${file}`);
});
