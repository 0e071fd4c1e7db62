// The steps of README.md to the first word, in plain HTML and with Vite, on packages that are
// installed here. `npm run test:newcomer` runs every step with the registry.

import { mkdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../scripts/lib/run.mjs';
import { launchChromium } from '../web/browsers.mjs';
import { serving } from './app.mjs';
import { firstWord, stepsOf, writeFiles } from './newcomer.mjs';
import { here, unpackPackage } from './package.mjs';

const MINUTE = 60_000;
/** Inside this folder, so that Vite is found. */
const WORK = join(here, '.newcomer');
let browser;

before(async () => {
  await rm(WORK, { recursive: true, force: true });
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await rm(WORK, { recursive: true, force: true });
});

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return String(port);
}

for (const section of ['Plain HTML', 'Vite']) {
  test(`${section}: from the first command of README.md to the first word`, { timeout: 3 * MINUTE }, async (t) => {
    const { commands, files } = await stepsOf(section);
    let cwd = join(WORK, section);
    await mkdir(cwd, { recursive: true });
    const port = await freePort();
    const last = commands.pop().replace('8000', port);
    for (const command of commands) {
      const [, , ...rest] = command.split(' ');
      if (command === 'npm install weft-llm') await unpackPackage(join(cwd, 'node_modules/weft-llm'));
      else if (command.startsWith('cd ')) cwd = join(cwd, command.slice('cd '.length));
      else if (command.startsWith('npm create vite@latest ')) {
        const args = rest.slice(1).filter((word) => word !== '--');
        await run(process.execPath, [join(here, 'node_modules/create-vite/index.js'), ...args], { cwd });
      } else throw new Error(`nothing stands in for ${command}`);
    }
    await writeFiles(cwd, files);
    const [command, ...args] = last.split(' ');
    const ofVite = command === 'npm' ? ['--', '--port', port] : [];
    const { url, stop } = await serving(command, [...args, ...ofVite], { cwd, address: `http://localhost:${port}/` });
    t.after(stop);
    await firstWord(browser, url);
  });
}
