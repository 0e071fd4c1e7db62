// The demo page as one file of the package: compressed together, its files take half as much, and
// the package does not hold a second copy of the engine.

import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants } from 'node:zlib';

/**
 * Reads the page: `policy` for the header Content-Security-Policy, `files` by their paths, and
 * `own`, which maps paths to files of the package.
 */
export async function readPage(archive) {
  const bytes = await promisify(brotliDecompress)(await readFile(archive));
  const begin = 4 + bytes.readUInt32LE();
  const { sizes, own, ...head } = JSON.parse(bytes.toString('utf8', 4, begin));
  let at = begin;
  const files = new Map(sizes.map(([path, size]) => [path, bytes.subarray(at, (at += size))]));
  return { ...head, own: new Map(own), files };
}

/** The length of a head, the head as JSON, then the bytes of each file. */
function packed({ files, own, ...head }) {
  const sizes = [...files].map(([path, bytes]) => [path, bytes.length]);
  const json = Buffer.from(JSON.stringify({ ...head, sizes, own: [...own] }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  return Buffer.concat([length, json, ...files.values()]);
}

/** Character maps and fonts for PDF files would take another 2.5 MB, see budgets.json. */
const LEFT_OUT = /^assets\/pdf-files-/;

/** Packs the built page in `page` for the package's files in `dist`. */
export async function writePage(archive, page, dist) {
  const files = new Map();
  for (const entry of await readdir(page, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(page.length + 1).replaceAll(sep, '/');
    if (!LEFT_OUT.test(name)) files.set(name, await readFile(path));
  }
  const own = new Map();
  for (const name of (await readdir(dist)).filter((name) => /^weft.*\.(js|gz)$/.test(name))) {
    const bytes = await readFile(join(dist, name));
    for (const [path, copy] of files) if (copy.equals(bytes)) own.set(path, name);
  }
  for (const path of own.keys()) files.delete(path);
  const stray = [...files.keys()].filter((path) => /\.gz$|weft-worker/.test(path));
  if (stray.length > 0) {
    throw new Error(`${stray.join(', ')} of the page differ from the package: \`npm run build\` builds both`);
  }
  const html = files.get('index.html').toString('utf8');
  const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html)?.[1].replaceAll('&#39;', "'");
  if (!policy) throw new Error('the built page has no content security policy');
  const bytes = packed({ policy, files, own, worker: await hashOfWorker(dist) });
  const params = {
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  await writeFile(archive, await promisify(brotliCompress)(bytes, { params }));
}

/** Whether the archive was made for the package's files in `dist`. */
export async function isPageOf(archive, dist) {
  const page = await readPage(archive).catch(() => undefined);
  return page?.worker === (await hashOfWorker(dist));
}

/** The page speaks with the worker: both must be of one version. */
const hashOfWorker = async (dist) =>
  createHash('sha256')
    .update(await readFile(join(dist, 'weft-worker.js')))
    .digest('hex');
