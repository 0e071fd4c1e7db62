// Loads a module of the page without its page.

import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

/** `name` as in `conversations/tree`. */
export async function source(name) {
  const path = fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url));
  return (await runnerImport(path, { configFile: false, logLevel: 'error' })).module;
}
