import { fileURLToPath } from 'node:url';

export default {
  output: 'export',
  // otherwise Next uses the lock file of the repository
  turbopack: { root: fileURLToPath(new URL('../..', import.meta.url)) },
};
