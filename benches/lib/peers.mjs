// The packages of the peers, which weft does not depend on, and the models converted for them.

import { existsSync } from 'node:fs';
import { npm } from '../../scripts/lib/npm.mjs';
import { inRoot, Remedy, step } from '../../scripts/lib/run.mjs';

/**
 * Leaves out what only other machines or uses need, and runs no install scripts. Not `npm ci`: it
 * requires those packages in the lock, and a registry may lack them.
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
