// The models that were named on the command line: what is served for each.

import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** What was given cannot be served; the message says why and what can. */
export class NotAModel extends Error {}

const READS = 'weft reads GGUF files and folders of Hugging Face transformers';

/** Parts of a split model but the first, which finds the others. */
const LATER_PART = /-(?!00001-)\d{5}-of-\d{5}\.gguf$/i;

/**
 * For each model: `path` as it was given, `bytes`, `folder` and `file`, which is empty for a folder
 * of transformers.
 */
export async function findModels(paths) {
  const found = await Promise.all(paths.map(modelsAt));
  return found.flat();
}

async function modelsAt(path) {
  const info = await stat(path).catch((error) => {
    const why = error.code === 'ENOENT' ? 'there is no such file or folder' : error.message;
    throw new NotAModel(`${path}: ${why}`);
  });
  if (!info.isDirectory()) return [await fileAt(path)];
  const names = (await readdir(path)).sort();
  if (names.includes('config.json')) {
    const weights = names.filter((name) => name.endsWith('.safetensors'));
    if (weights.length === 0) {
      throw new NotAModel(`${path} has a config.json but no safetensors file. ${READS}.`);
    }
    const sizes = await Promise.all(weights.map(async (name) => (await stat(join(path, name))).size));
    return [{ path, bytes: sum(sizes), folder: resolve(path), file: '' }];
  }
  const files = names.filter((name) => /\.gguf$/i.test(name) && !LATER_PART.test(name));
  if (files.length === 0) throw new NotAModel(`${path} holds no GGUF file and no config.json. ${READS}.`);
  return Promise.all(files.map((name) => fileAt(join(path, name))));
}

async function fileAt(path) {
  const file = await open(path).catch((error) => {
    throw new NotAModel(`${path} cannot be read: ${error.message}`);
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
    const magic = buffer.toString('latin1', 0, bytesRead);
    if (magic !== 'GGUF') {
      const hint = path.endsWith('.safetensors') ? ' Give the folder that it lies in.' : '';
      throw new NotAModel(`${path} is no GGUF file: it begins with ${JSON.stringify(magic)}. ${READS}.${hint}`);
    }
  } finally {
    await file.close();
  }
  return { path, bytes: await bytesOf(path), folder: dirname(resolve(path)), file: basename(path) };
}

/** Of a split model: of all its parts. */
async function bytesOf(path) {
  const parts = await Promise.all(partsOf(path).map((part) => stat(part).catch(() => undefined)));
  const missing = parts.findIndex((part) => part === undefined);
  if (missing !== -1) throw new NotAModel(`${partsOf(path)[missing]} is missing: ${path} is the first part of a model`);
  return sum(parts.map(({ size }) => size));
}

/** The files of a model, given its first. */
export function partsOf(path) {
  const [, start, count] = /^(.*-)00001-of-(\d{5})\.gguf$/i.exec(path) ?? [];
  if (count === undefined) return [path];
  return Array.from({ length: Number(count) }, (_, index) => {
    return `${start}${String(index + 1).padStart(5, '0')}-of-${count}${path.slice(-'.gguf'.length)}`;
  });
}

const sum = (figures) => figures.reduce((total, figure) => total + figure, 0);
