/**
 * URLs of the package's files that bundlers copy unchanged: the worker, a single file without
 * imports, and the gzipped wasm modules. Bundlers look for exactly these expressions, so nothing in
 * them can be computed.
 */

import type { ModuleAddresses } from './common/builds.js';
import type { BuildAddresses } from './types/index.js';

export const workerAddress = (): string => absolute(new URL('./weft-worker.js', import.meta.url));

/**
 * The build for browsers with relaxed SIMD, on one thread or several; the build for all others; the
 * module for constraints. `more`: further builds, see all-builds.ts.
 */
export const moduleAddresses = (more: BuildAddresses = {}): ModuleAddresses => ({
  weft: absolute(new URL('./weft.wasm.gz', import.meta.url)),
  'weft-relaxed-threads': absolute(new URL('./weft-relaxed-threads.wasm.gz', import.meta.url)),
  'weft-grammar': absolute(new URL('./weft-grammar.wasm.gz', import.meta.url)),
  ...more,
});

/** Turbopack returns URL-like objects whose `href` is a path. */
export function absolute({ href }: URL): string {
  return URL.canParse(href) ? href : new URL(href, globalThis.location.origin).href;
}
