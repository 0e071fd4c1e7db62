// npm packages: `npm ci` when the lock file has changed since the last one.

import { existsSync, statSync } from 'node:fs';
import { inRoot, Remedy, run, step, which } from './run.mjs';

/** The oldest Node that the page's bundler runs on. */
const oldestNode = [20, 19];

export async function ensurePackages() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    throw new Remedy(`Node ${process.versions.node} is too old. Install Node ${oldestNode.join('.')} or newer.`);
  }
  await installed();
}

/**
 * Installs what a lock file says: that of the repository, or of a folder that is not part of the
 * product.
 */
export async function installed(folder = '') {
  const lock = inRoot(folder, 'package-lock.json');
  // npm writes this file when it is done, so an interrupted install does not count.
  const done = inRoot(folder, 'node_modules/.package-lock.json');
  if (existsSync(done) && statSync(done).mtimeMs >= statSync(lock).mtimeMs) return;
  const ci = () => run(which('npm') ?? 'npm', ['ci', '--no-audit', '--no-fund'], { cwd: inRoot(folder) });
  await step(`npm ci${folder && ` in ${folder}`}`, async () => void (await ci()));
}

/** Runs npm in the repository's root. */
export const npm = (...args) => run(which('npm') ?? 'npm', args);
