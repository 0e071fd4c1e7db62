// Rust → wasm → JavaScript glue → smaller wasm, into js/generated/, and TypeScript → js/dist/. Each
// is a task of lib/tasks.mjs; the slow ones run only if their inputs have changed.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writePage } from '../../js/cli/archive.mjs';
import { npm } from './npm.mjs';
import { writeNotices } from './notices.mjs';
import { inRoot, Remedy, run } from './run.mjs';
import { wasmCargo, wasmToolchain } from './rust.mjs';
import { setUps } from './setups.mjs';
import { runTask } from './tasks.mjs';

const simd = ['+simd128'];
const relaxed = ['+simd128', '+relaxed-simd'];

/**
 * The builds of the engine. A browser gets the one that suits it (js/src/common/builds.ts).
 * `features` are wasm features; `threads` requires atomics and a shared memory. Builds with the
 * same `folder` share their compiled dependencies.
 */
export const modules = [
  { name: 'weft-relaxed-threads', features: relaxed, threads: true, folder: 'threads' },
  { name: 'weft', features: simd, threads: false, folder: 'plain' },
  { name: 'weft-threads', features: simd, threads: true, folder: 'threads' },
  { name: 'weft-relaxed', features: relaxed, threads: false, folder: 'plain' },
];

/** The module for constraints: a crate of its own, fetched when a page first needs it. */
export const grammar = {
  name: 'weft-grammar',
  manifest: 'grammar/Cargo.toml',
  features: simd,
  threads: false,
  folder: 'grammar',
};

/** The build that Chromium and Firefox use. */
export const [usual] = modules;

/** Where cargo compiles a module. */
export const targetDir = ({ folder }) => inRoot('target-web', folder);

const bindgenDir = inRoot('target-web/bindgen');
const bindgen = `${bindgenDir}/release/bindgen`;
const squeeze = `${bindgenDir}/release/squeeze`;
const generated = inRoot('js/generated');
/** A module as it ships. */
export const wasmPath = ({ name }) => `${generated}/${name}_bg.wasm`;
/**
 * A module between the compiler and the glue: the next build of the folder overwrites cargo's own
 * file.
 */
const compiled = (name) => inRoot('target-web/compiled', `${name}.wasm`);
const stamp = (name) => inRoot('target-web/compiled', `${name}.stamp`);

/** Names of the tasks for the two halves of a module, and of the last task of all. */
const compileName = ({ name }) => `compile ${name}.wasm`;
export const glueName = ({ name }) => `glue and wasm-opt for ${name}.wasm`;
export const PACKAGE = 'TypeScript package';
export const PAGE = 'page build';

/**
 * The tasks that build these modules, the notices of what they contain, and the package around
 * them. Without all of the modules, the package's types are not checked.
 */
export function buildTasks(wanted = [...modules, grammar]) {
  const whole = wanted.length === modules.length + 1;
  return [
    ...wanted.slice(0, 1).map(compileTask),
    { name: 'build tools/bindgen', needs: ['Rust'], lock: bindgenDir, run: buildBindgen },
    ...wanted.slice(1).map(compileTask),
    ...wanted.map((module) => ({
      name: glueName(module),
      needs: [compileName(module), 'build tools/bindgen', 'npm packages'],
      run: () => glue(module),
    })),
    { name: 'licences and notices of what ships', needs: ['Rust', 'npm packages'], run: writeNotices },
    {
      name: PACKAGE,
      needs: [...wanted.map(glueName), 'licences and notices of what ships'],
      run: whole ? buildPackage : buildPackageWithStubs,
    },
  ];
}

/** Builds the page from the package, and puts it into the package for the command `weft-llm`. */
export const pageTask = { name: PAGE, needs: [PACKAGE], run: buildPage };

/** Builds the whole package, installing what is missing first. */
export const build = () => runTask([...setUps, ...buildTasks(), pageTask], PAGE);

function compileTask(module) {
  const { name, manifest, features, threads } = module;
  const library = module === grammar ? 'weft_grammar' : 'weft_llm';
  const folder = targetDir(module);
  return {
    name: compileName(module),
    needs: ['wasm toolchain'],
    lock: folder,
    async run() {
      await checkBindgenVersion();
      if (isCompiled(module)) return 'nothing has changed';
      const toolchain = await wasmToolchain();
      const began = new Date();
      await wasmCargo(toolchain, 'build', { manifest, targetDir: folder, features, threads });
      await mkdir(dirname(compiled(name)), { recursive: true });
      const bytes = await readFile(`${folder}/wasm32-unknown-unknown/web/${library}.wasm`);
      // The date of the file says when the bytes last changed, and that of the stamp when compiling
      // began: a source saved during a build is compiled by the next one.
      if (!existsSync(compiled(name)) || !bytes.equals(await readFile(compiled(name)))) {
        await writeFile(compiled(name), bytes);
      }
      await writeFile(stamp(name), '');
      await utimes(stamp(name), began, began);
      return `with ${toolchain.name}`;
    },
  };
}

/**
 * Whether a module is newer than its sources. Cargo cannot tell: in a folder shared by two builds
 * it knows only the last one, and compiles the other again.
 */
function isCompiled({ name, manifest = 'Cargo.toml' }) {
  const crate = dirname(inRoot(manifest));
  const sources = ['src', 'shaders', 'Cargo.toml', 'Cargo.lock'].map((part) => join(crate, part)).filter(existsSync);
  const scripts = ['build.mjs', 'rust.mjs'].map((file) => inRoot('scripts/lib', file));
  return existsSync(compiled(name)) && isNewer(stamp(name), [...sources.flatMap(below), ...scripts]);
}

/** A file, or a folder with its files: the date of a folder says when one was last removed. */
function below(path) {
  if (!statSync(path).isDirectory()) return [path];
  return [path, ...readdirSync(path, { recursive: true }).map((name) => join(path, name))];
}

async function buildBindgen() {
  const manifest = ['--manifest-path', inRoot('tools/bindgen/Cargo.toml'), '--target-dir', bindgenDir];
  await run('cargo', ['build', '--release', '--locked', ...manifest]);
}

/**
 * The features of every browser with WebGPU, by wasm-opt's names. It uses no others and refuses
 * input that does.
 */
const everywhere = [
  'simd',
  'bulk-memory',
  'bulk-memory-opt',
  'nontrapping-float-to-int',
  'sign-ext',
  'mutable-globals',
  'reference-types',
  'multivalue',
];

function optFeatures({ features, threads }) {
  const more = [...(features.includes('+relaxed-simd') ? ['relaxed-simd'] : []), ...(threads ? ['threads'] : [])];
  return [...everywhere, ...more].map((feature) => `--enable-${feature}`);
}

async function glue(module) {
  const { name } = module;
  const wasm = wasmPath(module);
  if (isNewer(wasm, [compiled(name), bindgen, fileURLToPath(import.meta.url)])) return;
  await mkdir(generated, { recursive: true });
  const out = inRoot('target-web/glue', name);
  await run(bindgen, [compiled(name), out, name]);
  for (const file of [`${name}.js`, `${name}.d.ts`]) await copyFile(`${out}/${file}`, `${generated}/${file}`);
  // It needs an npm package, which is not there yet when this file is imported.
  const { valueTypes } = await import('./value-types.mjs');
  const types = valueTypes(await readFile(`${out}/${name}.d.ts`, 'utf8'));
  await writeFile(`${generated}/${module === grammar ? name : 'weft'}-types.d.ts`, types);
  // The wasm is moved to its place last and at once: its date shows that the whole step is done.
  const optimised = `${out}/${name}.opt.wasm`;
  await run(process.execPath, [
    inRoot('node_modules/binaryen/bin/wasm-opt'),
    // The compiler has optimised already: higher levels take up to four times as long for the same
    // gzipped size.
    '-O1',
    // What is of one type stands together then, and is much alike: 5 % less when gzipped.
    '--reorder-functions-by-name',
    ...optFeatures(module),
    '-o',
    optimised,
    `${out}/${name}_bg.wasm`,
  ]);
  await run(squeeze, [optimised, `${wasm}.gz`]);
  await rename(optimised, wasm);
  const { raw, gzip } = await wasmSize(module);
  return `${(raw / 1e6).toFixed(2)} MB, ${(gzip / 1e6).toFixed(2)} MB gzipped`;
}

/** Bytes of a built module, as it is and as the package has it. */
export async function wasmSize(module) {
  const [raw, gzip] = await Promise.all(['', '.gz'].map((end) => stat(`${wasmPath(module)}${end}`)));
  return { raw: raw.size, gzip: gzip.size };
}

const isNewer = (output, inputs) =>
  existsSync(output) && inputs.every((input) => statSync(output).mtimeMs > statSync(input).mtimeMs);

/** The modules that were never built here. */
export const missingModules = () => [...modules, grammar].filter((module) => !existsSync(wasmPath(module)));

export async function buildPackage() {
  await npm('run', 'build', '-w', 'weft-llm');
}

async function buildPage() {
  await npm('run', 'build', '-w', 'www');
  const dist = inRoot('js/dist');
  await writePage(`${dist}/page.br`, inRoot('www/dist'), dist);
  return `${(statSync(`${dist}/page.br`).size / 1e6).toFixed(2)} MB in the package`;
}

/** The package, with glue that throws in place of each module that was never built. */
async function buildPackageWithStubs() {
  const message = 'This module is not built: `npm run build` builds all.';
  for (const { name } of missingModules()) {
    const stub = `// ${message}\nexport default () => {\n  throw new Error('${message}');\n};\n`;
    await writeFile(`${generated}/${name}.js`, stub);
  }
  await npm('exec', '--offline', '-w', 'weft-llm', '--', 'tsc', '--noCheck');
  await run(process.execPath, [inRoot('js/build.mjs')]);
}

/** The two halves of wasm-bindgen need one version; this names the half that was bumped alone. */
async function checkBindgenVersion() {
  const pinned = async (file, crate) =>
    (await readFile(inRoot(file), 'utf8')).match(new RegExp(`^${crate} = "=([^"]+)"`, 'm'))?.[1];
  const tool = await pinned('tools/bindgen/Cargo.toml', 'wasm-bindgen-cli-support');
  for (const manifest of ['Cargo.toml', grammar.manifest]) {
    const crate = await pinned(manifest, 'wasm-bindgen');
    if (crate && crate === tool) continue;
    throw new Remedy(
      `${manifest} pins wasm-bindgen ${crate}, tools/bindgen/Cargo.toml pins ${tool}: give both the same "=" version.`,
    );
  }
}
