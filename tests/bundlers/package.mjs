// The packed package, installed where the bundlers are.

import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inRoot, run } from '../../scripts/lib/run.mjs';

export const here = fileURLToPath(new URL('.', import.meta.url));

/** Where it is installed. */
export const PACKAGE = join(here, 'node_modules/weft-llm');

export async function installPackage() {
  const out = await mkdtemp(join(tmpdir(), 'weft-package-'));
  try {
    await run('npm', ['pack', '-w', 'weft-llm', '--pack-destination', out], { cwd: inRoot() });
    const [tarball] = await readdir(out);
    await rm(PACKAGE, { recursive: true, force: true });
    await mkdir(PACKAGE, { recursive: true });
    await run('tar', ['-xzf', join(out, tarball), '--strip-components=1', '-C', PACKAGE]);
  } finally {
    await rm(out, { recursive: true });
  }
}
