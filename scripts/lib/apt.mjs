// Debian packages: installed where that is possible without asking (root, apt), else named in the
// error.

import { output, Remedy, run, step, which } from './run.mjs';

const options = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];

/** apt runs once at a time: the end of the last install. */
let last = Promise.resolve();

/**
 * Installs `packages`. `missing` is what a reader calls the thing that is not there; `remedy` is
 * another way to get it than Debian's packages.
 */
export function install(packages, missing, remedy) {
  const mine = last.catch(() => {}).then(() => installNow(packages, missing, remedy));
  last = mine;
  return mine;
}

async function installNow(packages, missing, remedy) {
  const root = process.getuid?.() === 0;
  if (!which('apt-get') || !root) {
    const apt = which('apt-get') ? `sudo apt-get install ${packages.join(' ')}` : undefined;
    throw new Remedy(
      `Missing: ${missing}. To install it: ${[apt, remedy].filter(Boolean).join('; or ')}. Then run this again.`,
    );
  }
  await step(`install ${packages.join(', ')} by apt`, async () => {
    const env = { DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['update', '-q'], { env });
    const unknown = packages.filter((name) => !output('apt-cache', ['show', '--no-all-versions', name]));
    if (unknown.length) throw new Remedy(`Missing: ${missing}, and apt knows no ${unknown.join(', ')}. ${remedy}.`);
    await run('apt-get', ['install', ...options, ...packages], { env });
  });
}
