// `npm run test:newcomer`: from `npm install` to the first word, by the steps of README.md: plain
// HTML, Vite 7 and 8, Next, Nuxt. It needs the registry. `npm run test:newcomer -- Nuxt` runs these
// steps alone.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { launchChromium } from '../web/browsers.mjs';
import { serving } from './app.mjs';
import { firstWord, stepsOf, writeFiles } from './newcomer.mjs';

const MINUTE = 60_000;
const env = { NEXT_TELEMETRY_DISABLED: '1', NUXT_TELEMETRY_DISABLED: '1', npm_config_yes: 'true', CI: '1' };
let browser, out, tarball;

before(async () => {
  out = await mkdtemp(join(tmpdir(), 'weft-newcomer-'));
  await run('npm', ['pack', '-w', 'weft-llm', '--pack-destination', out], { cwd: inRoot() });
  tarball = join(out, (await readdir(out))[0]);
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  if (out) await rm(out, { recursive: true });
});

/** A section of README.md, and replacements for words in its commands. */
const NEWCOMERS = {
  'Plain HTML': {},
  Vite: {},
  'Vite 7': { section: 'Vite', 'vite@latest': 'vite@7' },
  Next: {},
  Nuxt: {},
};

const wanted = process.argv.slice(2);

for (const [name, { section = name, ...instead }] of Object.entries(NEWCOMERS)) {
  if (wanted.length && !wanted.includes(name)) continue;
  test(`${name}: the first word`, { timeout: 10 * MINUTE }, async (t) => {
    const { commands, files } = await stepsOf(section);
    let cwd = join(out, name.replace(' ', '-'));
    await run('mkdir', [cwd]);
    const last = commands.pop();
    for (const command of commands) {
      const words = command.split(' ').map((word) => (word === 'weft-llm' ? tarball : (instead[word] ?? word)));
      if (words[0] === 'cd') cwd = join(cwd, words[1]);
      else await run(words[0], words.slice(1), { cwd, env });
    }
    await writeFiles(cwd, files);
    const [command, ...args] = last.split(' ');
    const address = command === 'python3' ? `http://localhost:${args.at(-1)}` : undefined;
    const { url, stop } = await serving(command, args, { cwd, env, address });
    t.after(stop);
    t.diagnostic(JSON.stringify((await firstWord(browser, url)).slice(0, 40)));
  });
}
