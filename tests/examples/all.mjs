// `npm run test:examples`: every example as a person gets it, copied, installed from the registry
// with the packed package, started by `npm run dev`, and opened in Chromium. It needs the registry.
// `npm run test:examples -- next` tries one.

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { inRoot, run } from '../../scripts/lib/run.mjs';
import { serving } from '../bundlers/app.mjs';
import { launchChromium, launchWithExtension } from '../web/browsers.mjs';
import { copyExample } from './copy.mjs';
import { serveModels } from './models.mjs';
import { EXAMPLES, use } from './people.mjs';

const MINUTE = 60_000;
const env = { NEXT_TELEMETRY_DISABLED: '1', BROWSER: 'none' };

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in EXAMPLES));
if (unknown.length) throw new Error(`no example is named ${unknown}; they are ${Object.keys(EXAMPLES).join(', ')}`);
const names = wanted.length ? wanted : Object.keys(EXAMPLES);

let out, tarball, browser, models;

before(async () => {
  out = await mkdtemp(join(tmpdir(), 'weft-examples-'));
  await run('npm', ['pack', '-w', 'weft-llm', '--pack-destination', out], { cwd: inRoot() });
  tarball = join(
    out,
    (await readdir(out)).find((file) => file.endsWith('.tgz')),
  );
  models = await serveModels();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await models?.close();
  if (out) await rm(out, { recursive: true });
});

/** Copies an example and installs it; the package, which its range names, is the packed one. */
async function install(name) {
  const folder = join(out, name);
  await copyExample(name, folder);
  await run('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: folder });
  return folder;
}

for (const name of names) {
  test(`${name}: copied, installed and used`, { timeout: 10 * MINUTE }, async (t) => {
    const cwd = await install(name);
    const { scripts } = JSON.parse(await readFile(join(cwd, 'package.json'), 'utf8'));
    if (scripts.build) await run('npm', ['run', 'build'], { cwd, env });
    const place = { models: models.models, folder: join(out, `${name} files`) };
    if (name === 'extension') {
      const { context, origin } = await launchWithExtension(join(cwd, 'dist'), join(out, 'profile'));
      t.after(() => context.close());
      await use(name, { ...place, context, url: `${origin}/panel.html` });
      return;
    }
    for (const script of Object.keys(scripts).filter((script) => script !== 'build')) {
      const { url, stop } = await serving('npm', ['run', script], { cwd, env });
      const context = await browser.newContext();
      try {
        await use(name, { ...place, context, url: `${url}/`, stop });
      } finally {
        await context.close();
        stop();
      }
    }
  });
}
