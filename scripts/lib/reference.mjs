// docs/api: the reference of the package, from the comments of its sources.

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { installed } from './npm.mjs';
import { inRoot, Remedy, run } from './run.mjs';

const TOOL = 'tools/reference';
const FOLDER = inRoot('docs/api');

/** Writes the reference into a folder. */
export async function writeReference(folder = FOLDER) {
  await installed(TOOL);
  const cli = inRoot(TOOL, 'node_modules/typedoc/bin/typedoc');
  await run(process.execPath, [cli, '--options', inRoot(TOOL, 'typedoc.json'), '--out', folder], { cwd: inRoot(TOOL) });
}

/** Throws if docs/api is not current. Returns its number of files. */
export async function checkReference() {
  const fresh = await mkdtemp(join(tmpdir(), 'weft-reference-'));
  try {
    await writeReference(fresh);
    const [now, before] = await Promise.all([contentsOf(fresh), contentsOf(FOLDER)]);
    const names = new Set([...now.keys(), ...before.keys()]);
    const other = [...names].filter((name) => now.get(name) !== before.get(name));
    if (other.length)
      throw new Remedy(`docs/api is not what the sources say: ${other.join(', ')}. \`npm run reference\` writes it.`);
    return `${now.size} files`;
  } finally {
    await rm(fresh, { recursive: true });
  }
}

async function contentsOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  return new Map(
    await Promise.all(
      files.map(async ({ parentPath, name }) => {
        const path = join(parentPath, name);
        return [relative(folder, path), await readFile(path, 'utf8')];
      }),
    ),
  );
}
