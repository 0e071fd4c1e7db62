import { fileURLToPath } from 'node:url';

export default {
  output: 'export',
  // else the lock file of the repository would decide
  turbopack: { root: fileURLToPath(new URL('../..', import.meta.url)) },
};
