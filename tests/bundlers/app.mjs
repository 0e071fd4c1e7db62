// What the apps of the bundlers leave, and how large they are.

import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const MINUTE = 60_000;

/** What the app at an address leaves as its result. */
export async function resultOf(page, url) {
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(url);
  // A page without `unsafe-eval` takes no condition as text, so it is asked again and again; a development server may reload it.
  let result;
  for (const end = Date.now() + MINUTE; !result && Date.now() < end;) {
    result = await page.evaluate(() => globalThis.result).catch(() => undefined);
    if (!result) await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(result && !result.error, `${result?.error ?? 'no result'}; the page said:\n${said.join('\n')}`);
  return result;
}

/** Bytes of all files in a folder. */
export async function sizeOf(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
  return sizes.reduce((total, size) => total + size, 0);
}
