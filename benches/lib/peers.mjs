// The packages of the peers, which weft does not depend on, and the models converted for them.

import { existsSync } from 'node:fs';
import { npm } from '../../scripts/lib/npm.mjs';
import { inRoot, Remedy, step } from '../../scripts/lib/run.mjs';

/**
 * What only other machines, or other uses of the packages, need is left out, and nothing of theirs
 * runs at install. Not `npm ci`: it wants such packages in the lock even so, and a registry may
 * lack them.
 */
const install = [
  'install',
  '--no-save',
  '--prefix',
  inRoot('benches/peers'),
  '--omit=optional',
  '--ignore-scripts',
  '--no-audit',
];

/** @param {object[]} cases what will be measured */
export async function ensurePeers(cases) {
  if (!existsSync(inRoot('benches/peers/node_modules/.package-lock.json'))) {
    await step('npm install in benches/peers', async () => void (await npm(...install)));
  }
  const isConverted = existsSync(inRoot('benches/peers/models/webgpu'));
  if (!isConverted && cases.some(({ runtime }) => runtime === 'transformers')) {
    throw new Remedy(
      'The models of transformers.js are missing: benches/peers/convert.py says in its first lines how they are made. ' +
        'To measure the others, name them: --only weft,wllama,llama.cpp',
    );
  }
}
