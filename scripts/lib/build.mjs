// Rust → wasm → JavaScript glue → smaller wasm, into js/generated/, and TypeScript → js/dist/. The slow steps run only when
// what they read has changed.

import { existsSync, statSync } from 'node:fs';
import { copyFile, mkdir, readFile, rename } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { npm } from './npm.mjs';
import { writeNotices } from './notices.mjs';
import { inRoot, Remedy, run, step } from './run.mjs';
import { wasmCargo, wasmToolchain } from './rust.mjs';

const simd = ['+simd128'];
const relaxed = ['+simd128', '+relaxed-simd'];

/**
 * The modules that are built, of which a browser gets the one that suits (js/src/common/builds.ts): `name` names the files and the
 * target folder, `features` the wasm features of the build; `threads` asks for atomics and a shared memory.
 */
export const modules = [
  { name: 'weft', features: simd, threads: false },
  { name: 'weft-relaxed', features: relaxed, threads: false },
  { name: 'weft-threads', features: simd, threads: true },
  { name: 'weft-relaxed-threads', features: relaxed, threads: true },
];

/** The module that constrains answers: a crate of its own, fetched when a page first needs it. */
export const grammar = { name: 'weft-grammar', manifest: 'grammar/Cargo.toml', features: ['+simd128'], threads: false };

/** Where a module's compiled code lies; clippy shares it. */
export const targetDir = (name) => inRoot('target-web', name);

/** What every browser with WebGPU has, by wasm-opt's names: it must not use more, and refuses input that does. */
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

const bindgenDir = inRoot('target-web/bindgen');
const generated = inRoot('js/generated');

/** Builds every wasm module with its glue, what their licences ask for, then the TypeScript package around them. */
export async function build() {
  const toolchain = await wasmToolchain();
  await mkdir(generated, { recursive: true });
  await checkBindgenVersion();
  await step('build tools/bindgen', async () => {
    const args = [
      '--release',
      '--locked',
      '--manifest-path',
      inRoot('tools/bindgen/Cargo.toml'),
      '--target-dir',
      bindgenDir,
    ];
    await run('cargo', ['build', ...args]);
  });
  // What follows the compiler runs on one core, and so does the end of a compilation.
  let glued;
  for (const module of [grammar, ...modules]) {
    await Promise.all([compile(toolchain, module), glued]);
    glued = glue(module);
  }
  await glued;
  await step('licences and notices of what ships', writeNotices);
  await step('build the TypeScript package', async () => void (await npm('run', 'build', '-w', 'weft-llm')));
}

function compile(toolchain, { name, manifest, features, threads }) {
  return step(`compile ${name}.wasm with ${toolchain.name}`, async () => {
    await wasmCargo(toolchain, 'build', { manifest, targetDir: targetDir(name), features, threads });
  });
}

async function glue(module) {
  const { name } = module;
  const target = targetDir(name);
  const library = module === grammar ? 'weft_grammar' : 'weft_llm';
  const compiled = `${target}/wasm32-unknown-unknown/web/${library}.wasm`;
  const bindgen = `${bindgenDir}/release/bindgen`;
  const wasm = `${generated}/${name}_bg.wasm`;
  if (isNewer(wasm, [compiled, bindgen, fileURLToPath(import.meta.url)])) return;
  await step(`glue and wasm-opt for ${name}.wasm`, async () => {
    const glue = `${target}/glue`;
    await run(bindgen, [compiled, glue, name]);
    for (const file of [`${name}.js`, `${name}.d.ts`]) await copyFile(`${glue}/${file}`, `${generated}/${file}`);
    // The wasm goes to its place last and at once: its date is what says that the whole step is done.
    const optimised = `${glue}/${name}.opt.wasm`;
    await run(process.execPath, [
      inRoot('node_modules/binaryen/bin/wasm-opt'),
      // The compiler has optimised already: higher levels take up to four times as long for the same size, gzipped.
      '-O1',
      ...optFeatures(module),
      '-o',
      optimised,
      `${glue}/${name}_bg.wasm`,
    ]);
    await rename(optimised, wasm);
    const { raw, gzip } = await wasmSize(name);
    return `${(raw / 1e6).toFixed(2)} MB, ${(gzip / 1e6).toFixed(2)} MB gzipped`;
  });
}

/** Bytes of a built module, as it is and as a web server sends it. */
export async function wasmSize(name) {
  const bytes = await readFile(`${generated}/${name}_bg.wasm`);
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length };
}

const isNewer = (output, inputs) =>
  existsSync(output) && inputs.every((input) => statSync(output).mtimeMs > statSync(input).mtimeMs);

/** wasm-bindgen's two halves must be of one version; a bump of one alone is caught here, by name. */
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
