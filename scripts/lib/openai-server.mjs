// A server of OpenAI's API that is not ours, for `npm run test:models`: dasllama (BSD-3-Clause),
// which comes from the Python package index. It has no Q4_1, so it gets the default model in Q5_1,
// whose values are the same.

import { spawn } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { modelPath } from './model.mjs';
import { inRoot, run, step } from './run.mjs';

const REQUIREMENT = 'dasllama==0.6.6';
const FOLDER = inRoot('target/openai-server');
const PROGRAM = `${FOLDER}/dasllama/_sdk/dasllama-server.exe`;
const MODEL = `${FOLDER}/SmolLM2-135M-Instruct.Q5_1.gguf`;
const MINUTE = 60_000;

/** Its wheels for other systems were not tried. */
export const serverRuns = process.platform === 'linux' && process.arch === 'x64';

export async function ensureServer() {
  if (!existsSync(PROGRAM)) {
    await step(`fetch the server ${REQUIREMENT}`, async () => {
      const only = ['--no-deps', '--only-binary', ':all:', '--target', FOLDER];
      await run('python3', ['-m', 'pip', 'install', '--quiet', ...only, REQUIREMENT]);
      await chmod(PROGRAM, 0o755);
    });
  }
  if (!existsSync(MODEL)) await writeFile(MODEL, withQ5(await readFile(modelPath)));
}

/** @returns {Promise<{ baseURL: string, stop: () => void }>} */
export async function startServer() {
  const port = await freePort();
  const args = ['-m', MODEL, '-p', String(port), '--ctx', '256', '-t', '2', '--gpu', 'off'];
  const server = spawn(PROGRAM, args, { cwd: FOLDER, stdio: 'ignore', env: { ...process.env, HOME: FOLDER } });
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const end = Date.now() + MINUTE;
  while (!(await fetch(`${baseURL}/models`).catch(() => null))?.ok) {
    if (server.exitCode !== null || Date.now() > end) throw new Error(`${PROGRAM} ${args.join(' ')} does not answer`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return { baseURL, stop: () => server.kill() };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const Q4_1 = { id: 3, bytes: 20 };
const Q5_1 = { id: 7, bytes: 24 };
/** Values a block, of both. */
const VALUES = 32;
const ALIGNMENT = 32;
/** Bytes of GGUF's types of metadata, by their numbers; 8 is a string, 9 an array. */
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/**
 * The GGUF file with its Q4_1 tensors as Q5_1: the fifth bits, between scales and quants, are zero.
 */
export function withQ5(file) {
  let at = 4 + 4;
  const u32 = () => file.readUInt32LE((at += 4) - 4);
  const u64 = () => Number(file.readBigUInt64LE((at += 8) - 8));
  const skipString = () => {
    const length = u64();
    at += length;
  };
  const skip = (type) => {
    if (type === 8) skipString();
    else if (type === 9) {
      const [of, count] = [u32(), u64()];
      for (let i = 0; i < count; i += 1) skip(of);
    } else at += SIZES[type];
  };
  const [tensors, entries] = [u64(), u64()];
  for (let i = 0; i < entries; i += 1) {
    skipString();
    skip(u32());
  }
  const infos = Array.from({ length: tensors }, () => {
    skipString();
    const values = Array.from({ length: u32() }, u64).reduce((product, size) => product * size, 1);
    const info = { values, typeAt: at, type: u32(), offset: u64() };
    return info;
  });
  const aligned = (length) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;
  const begin = aligned(at);
  const header = Buffer.from(file.subarray(0, begin));
  const parts = [];
  let offset = 0;
  const ends = infos.map((_, index) => infos[index + 1]?.offset ?? file.length - begin);
  for (const [index, info] of infos.entries()) {
    let data = file.subarray(begin + info.offset, begin + ends[index]);
    if (info.type === Q4_1.id) {
      const blocks = info.values / VALUES;
      const wide = Buffer.alloc(blocks * Q5_1.bytes);
      for (let block = 0; block < blocks; block += 1) {
        data.copy(wide, block * Q5_1.bytes, block * Q4_1.bytes, block * Q4_1.bytes + 4);
        data.copy(wide, block * Q5_1.bytes + 8, block * Q4_1.bytes + 4, (block + 1) * Q4_1.bytes);
      }
      data = wide;
      header.writeUInt32LE(Q5_1.id, info.typeAt);
    }
    header.writeBigUInt64LE(BigInt(offset), info.typeAt + 4);
    parts.push(data, Buffer.alloc(aligned(data.length) - data.length));
    offset += aligned(data.length);
  }
  return Buffer.concat([header, ...parts]);
}
