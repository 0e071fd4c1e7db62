// Debian packages: installed if no password is needed (root, apt), otherwise named in the error.

import { inTurn, output, Remedy, run, step, which } from './run.mjs';

const options = ['-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120'];

/**
 * Installs `packages`. `missing`: what users call the missing thing. `remedy`: how to get it
 * without Debian's packages. apt cannot run twice at once.
 */
export const install = inTurn(async (packages, missing, remedy) => {
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
});
