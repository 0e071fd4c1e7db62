// Runs commands and reports: one line a step, with its time. Uses Node's builtins only, because
// these scripts start before the first `npm ci`.

import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root, with no slash at the end. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '');

/** The folder of rustup is not in the PATH of a shell that was open while Rust was installed. */
const cargoBin = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin');
if (!process.env.PATH?.split(delimiter).includes(cargoBin)) process.env.PATH += delimiter + cargoBin;

/** A failure that users can fix: its message says how, and is shown without a stack. */
export class Remedy extends Error {}

/** `a/path` → the same inside the repository. */
export const inRoot = (...parts) => join(root, ...parts);

/** Full path of the first of `names` that is an executable, by its path or in the PATH. */
export function which(...names) {
  for (const name of names) {
    const folders = name.includes('/') ? [''] : process.env.PATH.split(delimiter);
    for (const folder of folders) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not here: look on.
      }
    }
  }
  return undefined;
}

/** Standard output of a quick command, trimmed; undefined if it failed or does not exist. */
export function output(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  return done.status === 0 ? done.stdout.trim() : undefined;
}

const terminal = process.stdout.isTTY;
const verbose = process.env.WEFT_VERBOSE === '1';
const tailLines = 150;
/** Names a test that failed, by node's runner or cargo's. */
const failedTest = /^\s*not ok |^test .* FAILED$/;
const cargoProgress = /^ +(Compiling|Checking|Downloading|Downloaded|Updating|Locking|Adding) /;

/**
 * Runs a command to its end and returns its output. If it fails, prints the last lines and the
 * failed tests; with WEFT_VERBOSE=1, prints all output as it comes. On a terminal the newest line
 * is shown under the title of the step.
 */
export function run(command, args, { env, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const take = (chunk) => {
      text += chunk;
      if (verbose) process.stdout.write(chunk);
      else if (terminal) showProgress(String(chunk));
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (cause) => reject(new Error(`cannot start ${command}: ${cause.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(text);
      const lines = text
        .trimEnd()
        .split('\n')
        .filter((line) => !cargoProgress.test(line));
      const cut = lines.slice(0, -tailLines).filter((line) => failedTest.test(line));
      const shown = verbose ? '' : `${[...cut, ...lines.slice(-tailLines)].join('\n')}\n`;
      reject(new Error(`${shown}\`${[command, ...args].join(' ')}\` ended with ${signal ?? `code ${code}`}`));
    });
  });
}

function showProgress(chunk) {
  const line = chunk
    .trim()
    .split(/[\r\n]/)
    .pop()
    .trim();
  if (line) process.stdout.write(`\r\x1b[K  ${line.slice(0, (process.stdout.columns ?? 80) - 4)}`);
}

/** Seconds since `start` (a `performance.now()`), for people. */
export const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/**
 * Does one step and prints its line: title, the note that `work` gives, time. On a log, a slow step
 * prints its title first, so that one sees what it waits for.
 */
export async function step(title, work) {
  const start = performance.now();
  if (terminal) process.stdout.write(`  ${title} …`);
  const slow = terminal ? undefined : setTimeout(() => console.log(`… ${title}`), 5000);
  const clear = terminal ? '\r\x1b[K' : '';
  try {
    const note = await work();
    console.log(`${clear}✓ ${title}${note ? `: ${note}` : ''} (${seconds(start)})`);
  } catch (error) {
    console.log(`${clear}✗ ${title} (${seconds(start)})`);
    throw error;
  } finally {
    clearTimeout(slow);
  }
}

/**
 * Runs the main function of a script. A failure ends the process with its message, a bug with its
 * stack too.
 */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    const bug = error instanceof TypeError || error instanceof ReferenceError;
    console.error(`\n${bug ? error.stack : error.message}`);
    process.exitCode = 1;
  }
}

/** Makes the calls of a function wait for each other. */
export function inTurn(work) {
  let last = Promise.resolve();
  return (...args) => (last = last.catch(() => {}).then(() => work(...args)));
}
