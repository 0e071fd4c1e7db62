// `npm run build`: the wasm and the TypeScript package, installing what is missing first.

import { build } from './lib/build.mjs';
import { ensurePackages } from './lib/npm.mjs';
import { main } from './lib/run.mjs';
import { ensureRust } from './lib/rust.mjs';

main(async () => {
  await ensureRust();
  await ensurePackages();
  await build();
});
