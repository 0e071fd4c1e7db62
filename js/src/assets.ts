/**
 * Where the files of the package are that a bundler copies as they are: the worker, which is one
 * file without imports, and the wasm modules, which are gzipped. Bundlers look for these very
 * expressions: nothing in them can be computed.
 */

import type { ModuleAddresses } from './common/builds.js';
import type { BuildAddresses } from './types/index.js';

export const workerAddress = (): string => absolute(new URL('./weft-worker.js', import.meta.url));

/**
 * The build for browsers with relaxed SIMD, on several threads or one; the build for all others;
 * and the module for constraints. `more`: further builds, as all-builds.ts has them.
 */
export const moduleAddresses = (more: BuildAddresses = {}): ModuleAddresses => ({
  weft: absolute(new URL('./weft.wasm.gz', import.meta.url)),
  'weft-relaxed-threads': absolute(new URL('./weft-relaxed-threads.wasm.gz', import.meta.url)),
  'weft-grammar': absolute(new URL('./weft-grammar.wasm.gz', import.meta.url)),
  ...more,
});

/** Turbopack gives objects like URLs whose address is a path. */
export function absolute({ href }: URL): string {
  return URL.canParse(href) ? href : new URL(href, globalThis.location.origin).href;
}
