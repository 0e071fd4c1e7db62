// Debian packages: installed where that is possible without asking (root, apt), else named in the error.

import { output, Remedy, run, step, which } from './run.mjs';

const options = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];

/**
 * Makes sure that `packages` are installed; the caller has found that `missing` (what a reader would call it) is not
 * there, and knows another `remedy` than Debian's packages.
 */
export async function install(packages, missing, remedy) {
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
