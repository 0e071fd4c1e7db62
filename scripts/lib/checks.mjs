// The checks of `npm test`. To add one, add a line to the table below.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { installPacked } from '../../tests/web/packed.mjs';
import { buildPackage, buildTasks, grammar, modules, PACKAGE, PAGE, pageTask, targetDir, wasmSize } from './build.mjs';
import { checkGpu } from './gpu-stats.mjs';
import { checkLicences } from './licences.mjs';
import { npm } from './npm.mjs';
import { checkReference } from './reference.mjs';
import { inRoot, output, root, run } from './run.mjs';
import { wasmCargo, wasmToolchain } from './rust.mjs';

const native = ['--release', '--locked'];
const noWarnings = ['-D', 'warnings'];
/** A crate beside the engine's: what both need is compiled once. */
const besides = (manifest) => [...native, '--manifest-path', inRoot(manifest), '--target-dir', inRoot('target')];
const moduleNamed = (name) => modules.find((module) => module.name === name);
const PACKED = 'install the packed package';

/**
 * Every check: a task of lib/tasks.mjs that returns a note or nothing, or throws. `--only` selects
 * by `area`, and `--quick` by `quick`. The first that can run is the next to run.
 */
export const checks = [
  // A few seconds each: what is easily fixed is reported first
  { name: 'rustfmt', area: 'rust', quick: true, needs: ['Rust tools'], run: quiet(rustfmt) },
  {
    name: 'prettier',
    area: 'js',
    quick: true,
    needs: ['npm packages'],
    run: quiet(() => npm('exec', '--offline', '--', 'prettier', '--check', '**/*.{ts,tsx,mjs,js,css,html}')),
  },
  {
    name: 'oxlint',
    area: 'js',
    quick: true,
    needs: ['npm packages'],
    run: quiet(() => npm('exec', '--offline', '--', 'oxlint')),
  },
  {
    name: 'script tests',
    area: 'packages',
    quick: true,
    needs: ['npm packages'],
    run: () => nodeTest(testFiles('scripts/lib')),
  },
  { name: 'licences', area: 'packages', needs: ['Rust'], run: checkLicences },
  { name: 'advisories', area: 'packages', run: audit },

  // Rust; these run one after the other, so they begin early
  {
    name: 'clippy, native',
    area: 'rust',
    quick: true,
    needs: ['Rust tools'],
    lock: 'target',
    run: quiet(() => run('cargo', ['clippy', ...native, '--all-targets', '--', ...noWarnings])),
  },
  {
    name: 'Rust unit tests',
    area: 'rust',
    quick: true,
    needs: ['Rust'],
    lock: 'target',
    run: () => cargoTest([...native, '--lib', '--bins', '--test', 'layering']),
  },
  {
    name: 'shaders in a GPU compiler',
    area: 'rust',
    quick: true,
    needs: ['Rust', 'Vulkan driver'],
    lock: 'target',
    run: checkGpu,
  },
  {
    name: 'Rust integration tests',
    area: 'rust',
    needs: ['Rust', 'Vulkan driver', 'model'],
    lock: 'target',
    run: () => cargoTest([...native, '--test', '*'], WITH_MODEL),
  },

  // The package, the page, and apps that use the package
  ...buildTasks().map((task) => ({ ...task, area: 'web' })),
  { ...pageTask, area: 'web' },
  { name: PACKED, area: 'web', needs: [PAGE], run: installForBrowsers },
  ...browserChecks(),
  {
    name: 'bundlers and snippets',
    area: 'web',
    needs: [PACKAGE, 'browsers', 'packages of tests/bundlers'],
    run: () => nodeTest(testFiles('tests/bundlers')),
  },
  {
    name: 'examples',
    area: 'web',
    needs: [PACKAGE, 'browsers', 'packages of tests/bundlers'],
    run: () => nodeTest(testFiles('tests/examples')),
  },

  // Rust, the rest
  { name: 'grammar tests', area: 'rust', needs: ['Rust'], run: () => cargoTest(besides(grammar.manifest)) },
  { name: 'sound tests', area: 'rust', needs: ['Rust'], run: () => cargoTest(besides('sound/Cargo.toml')) },
  ...wasmClippyChecks(),

  // TypeScript and JavaScript
  { name: 'page types', area: 'js', quick: true, needs: [PACKAGE], run: quiet(() => npm('run', 'check', '-w', 'www')) },
  { name: 'page tests', area: 'js', quick: true, needs: ['npm packages'], run: () => nodeTest(testFiles('www/test')) },
  {
    name: 'package tests',
    area: 'js',
    quick: true,
    needs: [PACKAGE],
    run: async () => countNodeTests(await npm('test', '-w', 'weft-llm')),
  },
  { name: 'API reference', area: 'js', needs: [PACKAGE], run: checkReference },
  { name: 'package and wasm sizes', area: 'packages', needs: [PAGE], run: sizes },
];

/** Replaces the build in `--quick`: the package with the modules that exist. */
export const quickPackage = {
  name: PACKAGE,
  area: 'web',
  quick: true,
  needs: ['npm packages'],
  run: quiet(buildPackage),
};

/** Tests that need the model run. */
const WITH_MODEL = ['--include-ignored'];
/**
 * Tests that need the vocabularies of many models (`npm run test:models` runs them), or files saved
 * by llama.cpp (tests/fixtures/saver/README.md), do not run.
 */
const NOT_HERE = ['--skip', 'published_', '--skip', 'saved_files_'];

function quiet(work) {
  return async () => void (await work());
}

async function rustfmt() {
  await run('cargo', ['fmt', '--check']);
  for (const own of ['tools/bindgen', 'grammar', 'sound', 'fuzz']) {
    await run('cargo', ['fmt', '--check', '--manifest-path', inRoot(own, 'Cargo.toml')]);
  }
}

/**
 * Code for wasm depends on relaxed SIMD and on threads. So clippy checks the build without either,
 * the one with both, and the module for constraints.
 */
function wasmClippyChecks() {
  return [moduleNamed('weft'), moduleNamed('weft-relaxed-threads'), grammar].map((module) => {
    const { name, manifest, features, threads } = module;
    const options = { manifest, targetDir: targetDir(module), features, threads, rest: noWarnings };
    return {
      name: `clippy, ${name}`,
      area: 'rust',
      needs: ['wasm clippy'],
      lock: targetDir(module),
      run: quiet(async () => wasmCargo(await wasmToolchain(), 'clippy', options)),
    };
  });
}

async function cargoTest(args, more = []) {
  const text = await run('cargo', ['test', ...args, '--no-fail-fast', '--', ...more, ...NOT_HERE]);
  const ignored = sum(text, /(\d+) ignored;/g);
  return `${sum(text, /(\d+) passed;/g)} tests${ignored ? `, ${ignored} ignored` : ''}`;
}

/** Advisories on what users receive. Needs the registry, and says so where there is none. */
async function audit() {
  const report = spawnSync('npm', ['audit', '--omit=dev', '--json'], { cwd: root, encoding: 'utf8' }).stdout;
  const found = JSON.parse(report || '{}').metadata?.vulnerabilities;
  if (!found) return 'NOT CHECKED: the registry gave no answer';
  if (found.total) throw new Error(`npm audit --omit=dev finds ${found.total}: run it to see them`);
  return 'none';
}

/**
 * Compares what users download with scripts/budgets.json. Whoever raises a budget there says why.
 */
async function sizes() {
  const budgets = JSON.parse(readFileSync(inRoot('scripts/budgets.json'), 'utf8'));
  const [pack] = Object.values(JSON.parse(output('npm', ['pack', '-w', 'weft-llm', '--dry-run', '--json'])));
  const measured = [
    ['npm package, bytes packed', pack.size, budgets.npm.packed],
    ['npm package, files', pack.entryCount, budgets.npm.files],
  ];
  for (const module of [...modules, grammar]) {
    const budget = module === grammar ? budgets.grammar.gzip : budgets.wasm.gzip;
    measured.push([`${module.name}.wasm, bytes gzipped`, (await wasmSize(module)).gzip, budget]);
  }
  const over = measured.filter(([, size, budget]) => !(size <= budget));
  if (over.length)
    throw new Error(over.map(([what, size, budget]) => `${what}: ${size}, the budget is ${budget}`).join('\n'));
  return measured.map(([what, size, budget]) => `${what} ${size} of ${budget}`).join('; ');
}

/** A check for each file, with browsers of its own and the package that PACKED has installed. */
function browserChecks() {
  return testFiles('tests/web').map((file) => ({
    name: `browser: ${/(\S+)\.test\.mjs$/.exec(file)[1].split('/').at(-1)}`,
    area: 'web',
    needs: [PAGE, PACKED, 'browsers', 'model'],
    run: () => nodeTest([file]),
  }));
}

let packed;

/** Test files find the package by WEFT_PACKED; without it each installs it for itself. */
async function installForBrowsers() {
  packed = await installPacked();
  process.env.WEFT_PACKED = packed.folder;
}

/** Removes what the checks have left. */
export const cleanUp = () => packed?.remove();

function testFiles(folder) {
  return readdirSync(inRoot(folder))
    .filter((name) => name.endsWith('.test.mjs'))
    .map((name) => inRoot(folder, name));
}

/** Runs test files, one after the other. */
async function nodeTest(files) {
  return countNodeTests(await run(process.execPath, ['--test', '--test-concurrency=1', ...files]));
}

function countNodeTests(text) {
  const [passed, skipped] = [sum(text, /^[#ℹ] pass (\d+)$/gm), sum(text, /^[#ℹ] skipped (\d+)$/gm)];
  if (!passed) throw new Error(`no test ran:\n${text}`);
  return `${passed} tests${skipped ? `, ${skipped} skipped` : ''}`;
}

function sum(text, pattern) {
  return [...text.matchAll(pattern)].reduce((total, match) => total + Number(match[1]), 0);
}
