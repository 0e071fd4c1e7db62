/**
 * The builds of the engine that an app does not ship by default: what imports this has them in its
 * output.
 */

import { absolute } from './assets.js';
import type { BuildAddresses } from './types/index.js';

/**
 * Value of the option `builds` of `load` and `estimate`: the other two builds of the engine.
 * `weft-threads` is for browsers without relaxed SIMD (Safari) on cross-origin isolated pages;
 * `weft-relaxed` for those that have relaxed SIMD and no shared memory.
 */
export const allBuilds = (): BuildAddresses => ({
  'weft-relaxed': absolute(new URL('./weft-relaxed.wasm.gz', import.meta.url)),
  'weft-threads': absolute(new URL('./weft-threads.wasm.gz', import.meta.url)),
});
