// The packed package, installed beside the bundlers.

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inRoot, run } from '../../scripts/lib/run.mjs';

export const here = fileURLToPath(new URL('.', import.meta.url));

/** Where it is installed. */
export const PACKAGE = join(here, 'node_modules/weft-llm');

export const installPackage = () => unpackPackage(PACKAGE);

/** Packs the package, and puts it into a folder. */
export async function unpackPackage(folder) {
  const out = await mkdtemp(join(tmpdir(), 'weft-package-'));
  try {
    await run('npm', ['pack', '-w', 'weft-llm', '--pack-destination', out], { cwd: inRoot() });
    const [tarball] = await readdir(out);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await run('tar', ['-xzf', join(out, tarball), '--strip-components=1', '-C', folder]);
  } finally {
    await rm(out, { recursive: true });
  }
}
