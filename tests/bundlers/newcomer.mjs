// The steps of README.md, "First app, step by step", followed exactly: its commands, and its code
// in the files that it names. Two things are replaced: the package comes from this repository, and
// the hub's model is a tiny one.

import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fencesIn } from '../../scripts/lib/snippets.mjs';
import { inRoot } from '../../scripts/lib/run.mjs';
import { tinyModel } from '../web/tiny.mjs';

/** The commands and files of a section, in order. */
export async function stepsOf(title) {
  const readme = await readFile(inRoot('README.md'), 'utf8');
  const [, section] = readme.split(new RegExp(`^### ${title}$`, 'm'));
  assert.ok(section, `README.md has no section ${title}`);
  const blocks = fencesIn('README.md', section.split(/^##/m)[0]);
  const above = fencesIn('README.md', readme).find(({ file }) => file === 'main.js');
  const files = Object.fromEntries(blocks.filter(({ file }) => file).map(({ file, code }) => [file, code]));
  // "`src/main.js` is the code above."
  const [, main] = /^`([\w./]+)` is the code \[above\]/m.exec(section) ?? [];
  if (main) files[main] = above.code;
  const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ code }) => code.trim().split('\n'));
  return { commands, files };
}

/** Writes the files of a section. */
export async function writeFiles(folder, files) {
  for (const [name, code] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), code);
  }
}

const model = tinyModel({ template: '{% for message in messages %}{{ message.content }}{% endfor %}' });

/** The first word that an app writes, with a hub that has a tiny model for every file. */
export async function firstWord(browser, url) {
  const context = await browser.newContext();
  try {
    const headers = { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' };
    let asked = 0;
    await context.route('https://huggingface.co/**', (route) => {
      asked += 1;
      return route.fulfill({ headers, body: Buffer.from(model) });
    });
    const page = await context.newPage();
    const said = [];
    page.on('console', (message) => said.push(message.text()));
    page.on('pageerror', (error) => said.push(String(error)));
    await page.goto(url);
    for (const end = Date.now() + 60_000; Date.now() < end;) {
      const text = await page.evaluate(() => document.body?.innerText.trim()).catch(() => '');
      if (text && asked) return text;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no word came; the page said:\n${said.join('\n')}`);
  } finally {
    await context.close();
  }
}
