// After the TypeScript compiler: bundles the worker into one file without imports, and puts the
// gzipped wasm modules beside it. Bundlers of apps copy these files as they are, so that nothing of
// the package depends on how one treats workers. Bundles the command `weft-llm` too.

import { existsSync } from 'node:fs';
import { chmod, copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';
import { isPageOf } from './cli/archive.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Leaves a file alone that says this already: others may be reading it. */
async function replace(path, text) {
  if (!existsSync(path) || (await readFile(path, 'utf8')) !== text) await writeFile(path, text);
}

const { output } = await build({
  input: here('dist/worker/worker.js'),
  output: { file: here('dist/weft-worker.js'), format: 'iife', minify: true },
  logLevel: 'warn',
  write: false,
});
await replace(here('dist/weft-worker.js'), output[0].code);

const command = await build({
  input: here('cli/main.mjs'),
  platform: 'node',
  output: { file: here('dist/cli.js'), format: 'esm' },
  logLevel: 'warn',
  write: false,
});
await replace(here('dist/cli.js'), command.output[0].code);
await chmod(here('dist/cli.js'), 0o755);
const bundled = command.output[0].moduleIds.flatMap(
  (id) => /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules)/.exec(id)?.[1] ?? [],
);
const noticed = await readFile(here('THIRD-PARTY-NOTICES.md'), 'utf8').catch(() => null);
for (const name of new Set(bundled)) {
  if (noticed !== null && !noticed.includes(`- ${name} `))
    throw new Error(`no notice of ${name}: see scripts/lib/notices.mjs`);
}

const modules = (await readdir(here('generated'))).filter((name) => name.endsWith('_bg.wasm'));
// `npm start` builds one module, and a package is packed with all.
const ALL = 5;
if (process.env.npm_lifecycle_event === 'prepack' && modules.length < ALL) {
  throw new Error(`js/generated holds ${modules.length} of ${ALL} modules: \`npm run build\` builds all`);
}
// The page is built after the package, from it.
if (process.env.npm_command === 'publish' && !(await isPageOf(here('dist/page.br'), here('dist')))) {
  throw new Error('dist/page.br is not the page of this package: `npm run build` makes it');
}
for (const name of modules) {
  await copyFile(here(`generated/${name}.gz`), here(`dist/${name.replace('_bg.wasm', '.wasm.gz')}`));
}

// Vite's development server bundles an app's packages, which moves `import.meta.url` away from the
// files beside it. It leaves what ends with .jsx where it is, so that is what the entries which
// need those files end with there (`development` in package.json).
for (const entry of ['index', 'all-builds', 'prompt-api/index', 'remote/index']) {
  await replace(here(`dist/${entry}.jsx`), `export * from './${basename(entry)}.js';\n`);
}

/**
 * The modules that an entry of the package needs, and those that they need: of the worker's own
 * there is only the bundle in it.
 */
async function shipped() {
  const { exports } = JSON.parse(await readFile(here('package.json'), 'utf8'));
  const waiting = Object.values(exports).flatMap((entry) => (entry.types ? [here(entry.types)] : []));
  const found = new Set();
  for (const types of waiting) {
    const name = types.replace(/\.d\.ts$/, '');
    if (found.has(name)) continue;
    found.add(name);
    for (const file of [types, `${name}.js`].filter(existsSync)) {
      for (const [, path] of (await readFile(file, 'utf8')).matchAll(
        /\b(?:from|import)\s*\(?['"](\.[^'"]+)\.js['"]/g,
      )) {
        waiting.push(join(dirname(file), `${path}.d.ts`));
      }
    }
  }
  return found;
}

const found = await shipped();
const modulesOf = (await readdir(here('dist'), { recursive: true })).filter((file) => file.endsWith('.d.ts'));
const unshipped = modulesOf
  .map((file) => file.slice(0, -'.d.ts'.length))
  .filter((name) => !found.has(here(`dist/${name}`)));
await replace(here('dist/.npmignore'), unshipped.map((name) => `/${name}.*\n`).join(''));
