// `npm test`: sets up what is missing, then runs every check, two at a time. A failing check does
// not keep the others from running, unless they need what it makes. `npm test -- --only rust,web`
// runs the checks of some areas.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { build, grammar, modules, targetDir, wasmSize } from './lib/build.mjs';
import { runChecks, withNeeds } from './lib/checks.mjs';
import { checkLicences } from './lib/licences.mjs';
import { ensureModel } from './lib/model.mjs';
import { ensurePackages, installed, npm } from './lib/npm.mjs';
import { checkReference } from './lib/reference.mjs';
import { inRoot, main, output, root, run, seconds, step } from './lib/run.mjs';
import { ensureRust, ensureRustTools, ensureWasmClippy, wasmCargo, wasmToolchain } from './lib/rust.mjs';
import { ensureTestPrograms } from './lib/system.mjs';

const native = ['--release', '--locked'];
const noWarnings = ['--', '-D', 'warnings'];
/**
 * What needs the model runs. What needs the vocabularies of many does not (`npm run test:models` is
 * for that), nor what needs files that llama.cpp has saved (tests/fixtures/saver/README.md).
 */
const downloaded = ['--include-ignored', '--skip', 'published_', '--skip', 'saved_files_'];
/**
 * Most of a check's time is one core's: compilers end on one, and a browser test waits for its
 * page.
 */
const AT_ONCE = 2;
const quiet = (work) => async () => void (await work());

const ofGrammar = ['--manifest-path', inRoot(grammar.manifest), '--target-dir', inRoot('target/grammar')];

/**
 * Every check there is. `area` is what --only names. `needs` names checks whose products it reads:
 * they run first, whatever their area, and when one of them fails it does not run. `folder`: where
 * cargo builds; cargo lets one command at a time into such a folder.
 */
const checks = [
  { name: 'build', area: 'web', folder: 'target-web', run: build },
  { name: 'rustfmt', area: 'rust', run: quiet(rustfmt) },
  { name: 'prettier', area: 'js', run: quiet(() => npx('prettier', '--check', '**/*.{ts,tsx,mjs,js,css,html}')) },
  { name: 'script tests', area: 'packages', run: async () => nodeTests(await nodeTest('scripts/lib')) },
  { name: 'licences', area: 'packages', run: checkLicences },
  { name: 'advisories', area: 'packages', run: audit },
  {
    name: 'clippy, native',
    area: 'rust',
    folder: 'target',
    run: quiet(() => run('cargo', ['clippy', ...native, '--all-targets', ...noWarnings])),
  },
  {
    name: 'cargo test',
    area: 'rust',
    folder: 'target',
    run: async () => cargoTests(await run('cargo', ['test', ...native, '--no-fail-fast', '--', ...downloaded])),
  },
  {
    name: 'cargo test, grammar',
    area: 'rust',
    run: async () => cargoTests(await run('cargo', ['test', '--locked', ...ofGrammar])),
  },
  { name: 'clippy, wasm', area: 'rust', folder: 'target-web', run: quiet(wasmClippy) },
  {
    name: 'package tests',
    area: 'js',
    needs: ['build'],
    run: async () => nodeTests(await npm('test', '-w', 'weft-llm')),
  },
  { name: 'package and wasm sizes', area: 'packages', needs: ['build'], run: sizes },
  { name: 'API reference', area: 'js', needs: ['build'], run: checkReference },
  { name: 'page types', area: 'js', needs: ['build'], run: quiet(() => npm('run', 'check', '-w', 'www')) },
  { name: 'page build', area: 'web', needs: ['build'], run: quiet(() => npm('run', 'build', '-w', 'www')) },
  { name: 'bundlers and snippets', area: 'web', needs: ['build'], run: bundlers },
  {
    name: 'examples',
    area: 'web',
    needs: ['bundlers and snippets'],
    run: () => nodeTest('tests/examples').then(nodeTests),
  },
  {
    name: 'browser tests',
    area: 'web',
    needs: ['page build'],
    run: async () => nodeTests(await nodeTest('tests/web')),
  },
];

main(async () => {
  const start = performance.now();
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const areas = new Set(checks.map(({ area }) => area));
  const only = values.only?.split(',') ?? [...areas];
  const unknown = only.filter((area) => !areas.has(area));
  if (unknown.length) throw new Error(`--only ${unknown} is not an area; they are ${[...areas].join(', ')}`);

  try {
    await setUp(only);
  } catch (error) {
    console.log(`${error.message}\nThe set-up failed.\n0 passed, 1 failed`);
    process.exitCode = 1;
    return;
  }

  const wanted = withNeeds(checks, (check) => only.includes(check.area));
  const { passed, failed, notRun } = await runChecks(wanted, AT_ONCE, async ({ name, run }) => {
    try {
      await step(name, run);
      return true;
    } catch (error) {
      console.log(error.message);
      return false;
    }
  });
  console.log(`\n${seconds(start)} in all`);
  if (failed.length) console.log(`failed: ${failed.join(', ')}`);
  if (notRun.length) console.log(`not run, for want of what failed: ${notRun.join(', ')}`);
  console.log(`${passed.length} passed, ${failed.length} failed`);
  process.exitCode = failed.length ? 1 : 0;
});

/** Installs what the checks of these areas need. */
async function setUp(areas) {
  await ensureRust();
  await ensureRustTools();
  await ensurePackages();
  await ensureTestPrograms({ browsers: areas.some((area) => area === 'web') });
  await ensureWasmClippy(await wasmToolchain());
  await ensureModel();
}

async function rustfmt() {
  await run('cargo', ['fmt', '--check']);
  for (const own of ['tools/bindgen', 'grammar', 'fuzz']) {
    await run('cargo', ['fmt', '--check', '--manifest-path', inRoot(own, 'Cargo.toml')]);
  }
}

async function wasmClippy() {
  const toolchain = await wasmToolchain();
  // The least of the builds and the most: between them everything that is conditional is there and is not.
  for (const { name, features, threads } of [modules.at(0), modules.at(-1)]) {
    await wasmCargo(toolchain, 'clippy', { targetDir: targetDir(name), features, threads, rest: noWarnings });
  }
  const { name, manifest, features, threads } = grammar;
  await wasmCargo(toolchain, 'clippy', { manifest, targetDir: targetDir(name), features, threads, rest: noWarnings });
}

/** Known faults of what users receive. The answer needs the registry: without it the check says so. */
async function audit() {
  const report = spawnSync('npm', ['audit', '--omit=dev', '--json'], { cwd: root, encoding: 'utf8' }).stdout;
  const found = JSON.parse(report || '{}').metadata?.vulnerabilities;
  if (!found) return 'NOT CHECKED: the registry gave no answer';
  if (found.total) throw new Error(`npm audit --omit=dev finds ${found.total}: run it to see them`);
  return 'none';
}

/** Holds what users download to scripts/budgets.json; a budget is raised there, by someone who says why. */
async function sizes() {
  const budgets = JSON.parse(readFileSync(inRoot('scripts/budgets.json'), 'utf8'));
  const [pack] = Object.values(JSON.parse(output('npm', ['pack', '-w', 'weft-llm', '--dry-run', '--json'])));
  const measured = [
    ['npm package, bytes packed', pack.size, budgets.npm.packed],
    ['npm package, files', pack.entryCount, budgets.npm.files],
  ];
  for (const { name } of modules) {
    measured.push([`${name}.wasm, bytes gzipped`, (await wasmSize(name)).gzip, budgets.wasm.gzip]);
  }
  measured.push([`${grammar.name}.wasm, bytes gzipped`, (await wasmSize(grammar.name)).gzip, budgets.grammar.gzip]);
  const over = measured.filter(([, size, budget]) => !(size <= budget));
  if (over.length)
    throw new Error(over.map(([what, size, budget]) => `${what}: ${size}, the budget is ${budget}`).join('\n'));
  return measured.map(([what, size, budget]) => `${what} ${size} of ${budget}`).join('; ');
}

async function bundlers() {
  await installed('tests/bundlers');
  return nodeTests(await nodeTest('tests/bundlers'));
}

/** Runs the test files of a folder one after the other: each has a browser, and some a model, to themselves. */
async function nodeTest(folder) {
  const files = (await readdir(inRoot(folder))).filter((name) => name.endsWith('.test.mjs'));
  return run(process.execPath, ['--test', '--test-concurrency=1', ...files.map((name) => inRoot(folder, name))]);
}

function npx(command, ...args) {
  return npm('exec', '--offline', '--', command, ...args);
}

function sum(text, pattern) {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
}

function cargoTests(text) {
  const ignored = sum(text, /(\d+) ignored;/g);
  return `${sum(text, /(\d+) passed;/g)} tests${ignored ? `, ${ignored} ignored` : ''}`;
}

function nodeTests(text) {
  const [passed, skipped] = [sum(text, /^[#ℹ] pass (\d+)$/gm), sum(text, /^[#ℹ] skipped (\d+)$/gm)];
  if (!passed) throw new Error(`no test ran:\n${text}`);
  return `${passed} tests${skipped ? `, ${skipped} skipped` : ''}`;
}
