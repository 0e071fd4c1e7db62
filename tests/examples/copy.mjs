// An example as a person copies it: without installed packages and builds.

import { cp } from 'node:fs/promises';
import { basename } from 'node:path';
import { inRoot } from '../../scripts/lib/run.mjs';

const MADE = ['node_modules', 'dist', '.next', 'package-lock.json'];

/** Copies an example into a folder. */
export function copyExample(name, folder) {
  return cp(inRoot('examples', name), folder, { recursive: true, filter: (path) => !MADE.includes(basename(path)) });
}
