// After the TypeScript compiler: bundles the worker into one file without imports, and gzips the wasm modules beside it. Bundlers of apps
// copy these files as they are, so that nothing of the package depends on how one treats workers.

import { existsSync, statSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { build } from 'rolldown';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

await build({
  input: here('dist/worker.js'),
  output: { file: here('dist/weft-worker.js'), format: 'iife', minify: true },
  logLevel: 'warn',
});

const modules = (await readdir(here('generated'))).filter((name) => name.endsWith('_bg.wasm'));
for (const name of modules) {
  const module = here(`generated/${name}`);
  const packed = here(`dist/${name.replace('_bg.wasm', '.wasm.gz')}`);
  if (existsSync(packed) && statSync(packed).mtimeMs > statSync(module).mtimeMs) continue;
  await writeFile(packed, await promisify(gzip)(await readFile(module), { level: 9 }));
}

// Vite's development server bundles an app's packages, which moves `import.meta.url` away from the files beside it. It leaves what ends
// with .jsx where it is, so that is what the entries which need those files end with there (`development` in package.json).
for (const entry of ['index', 'all-builds', 'prompt-api/index', 'remote/index']) {
  await writeFile(here(`dist/${entry}.jsx`), `export * from './${basename(entry)}.js';\n`);
}
