// `npm run build`: the wasm and the TypeScript package, installing what is missing first.

import { build } from './lib/build.mjs';
import { main } from './lib/run.mjs';

main(build);
