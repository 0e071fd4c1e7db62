// The package as users get it: packed by npm and installed in an unrelated folder.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run } from '../../scripts/lib/run.mjs';

/**
 * Packs and installs the built package. `npm test` does so once for all files: WEFT_PACKED names
 * that folder.
 * @returns {Promise<{ folder: string, remove: () => Promise<void> }>} `folder` holds
 *   `node_modules/weft-llm`
 */
export async function installPacked() {
  if (process.env.WEFT_PACKED) return { folder: process.env.WEFT_PACKED, remove: async () => {} };
  const folder = await mkdtemp(join(tmpdir(), 'weft-packed-'));
  await run('npm', ['pack', '-w', 'weft-llm', '--pack-destination', folder], { cwd: root });
  const [tarball] = await readdir(folder);
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  // Offline: the package has no dependencies to download.
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${tarball}`], { cwd: folder });
  return { folder, remove: () => rm(folder, { recursive: true }) };
}
