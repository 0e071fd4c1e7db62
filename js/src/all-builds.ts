/**
 * The builds of the engine that apps do not ship by default. Importing this module adds them to the
 * app's output.
 */

import { absolute } from './assets.js';
import type { BuildAddresses } from './types/index.js';

/**
 * For the option `builds` of `load` and `estimate`: the two other builds of the engine.
 * `weft-threads` is for browsers without relaxed SIMD (Safari) on cross-origin isolated pages;
 * `weft-relaxed` is for browsers with relaxed SIMD but without shared memory.
 */
export const allBuilds = (): BuildAddresses => ({
  'weft-relaxed': absolute(new URL('./weft-relaxed.wasm.gz', import.meta.url)),
  'weft-threads': absolute(new URL('./weft-threads.wasm.gz', import.meta.url)),
});
