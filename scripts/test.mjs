// `npm test`: sets up what is missing, then runs every check, the quick ones first. A failing check does not keep the
// others from running, unless they need what it makes. `npm test -- --only rust,web` runs the checks of some areas.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { build, grammar, modules, targetDir, wasmSize } from './lib/build.mjs';
import { checkLicences } from './lib/licences.mjs';
import { ensureModel } from './lib/model.mjs';
import { ensurePackages, installed, npm } from './lib/npm.mjs';
import { checkReference } from './lib/reference.mjs';
import { inRoot, main, output, root, run, seconds, step } from './lib/run.mjs';
import { ensureRust, ensureRustTools, ensureWasmClippy, wasmCargo, wasmToolchain } from './lib/rust.mjs';
import { ensureTestPrograms } from './lib/system.mjs';

const native = ['--release', '--locked'];
const noWarnings = ['--', '-D', 'warnings'];
/** What needs the model runs, what needs the vocabularies of many does not: `npm run test:models` is for that. */
const downloaded = ['--include-ignored', '--skip', 'published_'];
const quiet = (work) => async () => void (await work());

const ofGrammar = ['--manifest-path', inRoot(grammar.manifest), '--target-dir', inRoot('target/grammar')];

/** `area` is what --only names; a `gate` is needed by all that follow it, whatever their area. */
const checks = [
  { name: 'rustfmt', area: 'rust', run: quiet(rustfmt) },
  { name: 'prettier', area: 'js', run: quiet(() => npx('prettier', '--check', '**/*.{ts,mjs,js,css,html}')) },
  { name: 'script tests', area: 'packages', run: async () => nodeTests(await nodeTest('scripts/lib')) },
  { name: 'licences', area: 'packages', run: checkLicences },
  { name: 'advisories', area: 'packages', run: audit },
  {
    name: 'clippy, native',
    area: 'rust',
    run: quiet(() => run('cargo', ['clippy', ...native, '--all-targets', ...noWarnings])),
  },
  { name: 'clippy, wasm', area: 'rust', run: quiet(wasmClippy) },
  {
    name: 'cargo test',
    area: 'rust',
    run: async () => cargoTests(await run('cargo', ['test', ...native, '--no-fail-fast', '--', ...downloaded])),
  },
  {
    name: 'cargo test, grammar',
    area: 'rust',
    run: async () => cargoTests(await run('cargo', ['test', '--locked', ...ofGrammar])),
  },
  { name: 'build', area: 'web', gate: true, run: build },
  { name: 'package tests', area: 'js', run: async () => nodeTests(await npm('test', '-w', 'weft-llm')) },
  { name: 'package and wasm sizes', area: 'packages', run: sizes },
  { name: 'API reference', area: 'js', run: checkReference },
  { name: 'page types', area: 'js', run: quiet(() => npm('run', 'check', '-w', 'www')) },
  { name: 'page build', area: 'web', gate: true, run: quiet(() => npm('run', 'build', '-w', 'www')) },
  { name: 'bundlers and snippets', area: 'web', run: bundlers },
  { name: 'browser tests', area: 'web', run: async () => nodeTests(await nodeTest('tests/web')) },
];

main(async () => {
  const start = performance.now();
  const { values } = parseArgs({ options: { only: { type: 'string' } } });
  const areas = new Set(checks.map(({ area }) => area));
  const only = values.only?.split(',') ?? [...areas];
  const unknown = only.filter((area) => !areas.has(area));
  if (unknown.length) throw new Error(`--only ${unknown} is not an area; they are ${[...areas].join(', ')}`);

  try {
    await setUp();
  } catch (error) {
    console.log(`${error.message}\nThe set-up failed.\n0 passed, 1 failed`);
    process.exitCode = 1;
    return;
  }

  const failed = [];
  let passed = 0;
  let notRun = checks.filter(({ area, gate }) => gate || only.includes(area));
  while (notRun.length) {
    const check = notRun.shift();
    try {
      await step(check.name, check.run);
      passed += 1;
    } catch (error) {
      console.log(error.message);
      failed.push(check.name);
      if (check.gate) break;
    }
  }
  console.log(`\n${seconds(start)} in all`);
  if (failed.length) console.log(`failed: ${failed.join(', ')}`);
  if (notRun.length) console.log(`not run, for want of what failed: ${notRun.map(({ name }) => name).join(', ')}`);
  console.log(`${passed} passed, ${failed.length} failed`);
  process.exitCode = failed.length ? 1 : 0;
});

async function setUp() {
  await ensureRust();
  await ensureRustTools();
  await ensurePackages();
  await ensureTestPrograms();
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
