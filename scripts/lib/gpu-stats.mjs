// What a real GPU's compiler makes of our pipelines. Mesa's driver for AMD's GPUs, RADV, compiles
// for a GPU that the machine does not have where RADV_FORCE_FAMILY names it, and tells registers,
// memory and waves of each pipeline. tools/gpu-stats asks it; here are the budget and the table.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inRoot, Remedy, run } from './run.mjs';
import { section } from './section.mjs';

/** The document with the table. */
export const DOCUMENT = 'docs/GPU.md';

/** A shader that every budget must refuse. */
const SPILLS = 'tools/gpu-stats/spills.wgsl';

/**
 * The limits, as JSON: `most` bounds statistics by the driver's names. `families` are GPUs, with
 * the names that versions of Mesa have for each; `least` bounds their statistics, and `exceptions`
 * replace limits for the pipelines of a shader. Whoever changes one says why.
 */
export const readBudgets = () => JSON.parse(readFileSync(inRoot('scripts/gpu-budgets.json'), 'utf8'));

/** The file that tells Vulkan's loader of RADV; undefined where there is no RADV. */
export function findRadv(folders = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d']) {
  const filesIn = (folder) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []);
  return folders.flatMap(filesIn).find((file) => /radeon_icd[^/]*\.json$/.test(file));
}

/**
 * What RADV says of our pipelines on each GPU of the budget, or of those in `files` of WGSL: a list
 * of `{ gpu, driver, pipelines: [{ kind, name, statistics }] }`.
 */
export async function gpuStats(files = []) {
  const radv = findRadv();
  if (!radv)
    throw new Remedy("Missing: RADV, Mesa's driver for AMD's GPUs. On Debian: apt install mesa-vulkan-drivers.");
  const folder = mkdtempSync(join(tmpdir(), 'weft-gpu-stats-'));
  try {
    const results = [];
    for (const { names } of readBudgets().families)
      results.push(await ofFamily(radv, names, join(folder, 'out'), files));
    return results;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function ofFamily(radv, [name, ...others], out, files) {
  const env = { VK_ICD_FILENAMES: radv, RADV_FORCE_FAMILY: name, RADV_DEBUG: 'nocache' };
  try {
    await run('cargo', ['run', '--release', '--locked', '--example', 'gpu-stats', '--', out, ...files], { env });
  } catch (error) {
    if (!others.length || !/Unknown family/.test(error.message)) throw error;
    return ofFamily(radv, others, out, files);
  }
  return JSON.parse(readFileSync(out, 'utf8'));
}

/** A line for each statistic that is out of its limits. */
export function overBudget({ pipelines }, family, most) {
  return pipelines.flatMap(({ name, statistics }) => {
    const exceptions = (family.exceptions ?? []).filter(({ shader }) => shader === name.split(' ')[0]);
    const limits = (own, bound) => Object.entries(Object.assign({}, own, ...exceptions.map((one) => one[bound])));
    const tooMany = limits(most, 'most').filter(([what, limit]) => statistic(statistics, what) > limit);
    const tooFew = limits(family.least, 'least').filter(([what, limit]) => statistic(statistics, what) < limit);
    const line =
      (bound) =>
      ([what, limit]) =>
        `${family.generation}: ${what} is ${statistics[what]}, at ${bound} ${limit}: ${name}`;
    return [...tooMany.map(line('most')), ...tooFew.map(line('least'))];
  });
}

function statistic(statistics, what) {
  if (statistics[what] !== undefined) return statistics[what];
  throw new Error(`this version of RADV does not say "${what}", only ${Object.keys(statistics).join(', ')}`);
}

const COLUMNS = [
  ['registers', 'VGPRs', Math.max],
  ['waves', 'Subgroups per SIMD', Math.min],
  ['LDS', 'LDS size', Math.max],
  ['instructions', 'Instructions', Math.max],
  ['latency', 'Latency', Math.max],
  ['throughput', 'Inverse Throughput', Math.max],
];

/** A row for each kind of pipeline: the worst figures on each GPU. */
export function statsTable(results) {
  const kinds = [...new Set(results[0].pipelines.map(({ kind }) => kind))];
  const row = (kind) => {
    const gpus = results.map(({ pipelines }) => pipelines.filter((pipeline) => pipeline.kind === kind));
    const cells = COLUMNS.map(([, what, worst]) => {
      const values = gpus.map((all) => worst(...all.map(({ statistics }) => statistic(statistics, what))));
      return new Set(values).size === 1 ? values[0] : values.join(' / ');
    });
    return `| ${[kind, gpus[0].length, ...cells].join(' | ')} |`;
  };
  const head = `| | pipelines | ${COLUMNS.map(([title]) => title).join(' | ')} |`;
  return [head, `|---|---:|${COLUMNS.map(() => '---:|').join('')}`, ...kinds.map(row)].join('\n');
}

/** The document with these figures. */
export function withStats(text, results, families) {
  const gpus = families.map(({ names, generation }) => `${generation} (${names[0]})`).join(' / ');
  return section(DOCUMENT, text, 'npm run gpu:stats', `${results[0].driver}: ${gpus}.\n\n${statsTable(results)}`);
}

/**
 * Compares our pipelines with the budget, after the budget has refused a shader that spills. Only
 * limits are compared: figures differ from one version of Mesa to the next.
 */
export async function checkGpu() {
  if (!findRadv()) return 'LEFT OUT: there is no RADV here (on Debian: mesa-vulkan-drivers)';
  const { most, families } = readBudgets();
  const over = (results) => results.map((result, i) => overBudget(result, families[i], most));
  const unseen = over(await gpuStats([SPILLS])).findIndex((found) => !found.some((line) => line.includes('Spilled')));
  if (unseen >= 0)
    throw new Error(`${SPILLS} is within the limits of ${families[unseen].generation}: nothing is checked`);
  const results = await gpuStats();
  const broken = over(results).flat();
  if (broken.length)
    throw new Error(`${broken.join('\n')}\ndocs/GPU.md explains the limits of scripts/gpu-budgets.json`);
  return `${results[0].pipelines.length} pipelines for ${results.length} GPUs, ${results[0].driver}`;
}
