// Makes everything ready to measure on a machine with a GPU, see docs/GPU-DAY.md.
//
// `npm run gpu:day` makes the folder that is taken there.
// `npm run gpu:day -- --small` makes it and tries it here, on a software adapter too.
// `npm run gpu:day -- --report FOLDER [--gpu NAME]` writes tables of what came back.

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FOLDER, make, readResults, report, weftCost } from './lib/gpu-day.mjs';
import { inRoot, main, run, step } from './lib/run.mjs';

main(async () => {
  const options = { small: { type: 'boolean' }, report: { type: 'string' }, gpu: { type: 'string' } };
  const { values } = parseArgs({ options });
  const folder = inRoot(FOLDER);
  const tables = (results) => report(readResults(results), { gpu: values.gpu, cost: weftCost(join(folder, 'weft')) });
  if (values.report) return console.log(tables(values.report));
  await make(folder);
  if (!values.small) return console.log(`\nOn the machine with the GPU: ${FOLDER}/run.sh --out FOLDER`);
  const results = join(folder, 'results');
  await step('a small run', async () => void (await run(join(folder, 'run.sh'), ['--small', '--out', results])));
  console.log(tables(results));
});
