// Apps under test: serving them, their results, and their size.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

const MINUTE = 60_000;

/**
 * Starts the server of an app and waits for its address, which is given or printed by the server.
 */
export async function serving(command, args, { cwd, env, address }) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const stop = () => {
    if (child.exitCode === null) process.kill(-child.pid);
  };
  for (const end = Date.now() + 2 * MINUTE; Date.now() < end;) {
    const url = address ?? /http:\/\/localhost:\d+/.exec(said.replaceAll(/\u001b\[[\d;]*m/g, ''))?.[0];
    if (url && (await fetch(url).catch(() => undefined))?.ok) return { url, stop };
    if (child.exitCode !== null) throw new Error(`${command} ${args.join(' ')} ended:\n${said}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  stop();
  throw new Error(`${command} ${args.join(' ')} does not answer:\n${said}`);
}

/** The result of the app at an address. */
export async function resultOf(page, url) {
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(url);
  // Without `unsafe-eval` the page takes no condition as text, so it is polled; a development
  // server may reload it.
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
