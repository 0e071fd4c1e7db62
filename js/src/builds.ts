/** The builds of the wasm module, and which of them a browser gets. Only that one is fetched. */

import type { Glue, GrammarGlue, ThreadsGlue } from './runtime.js';
import type { Device } from './types.js';

/** Plain SIMD runs everywhere; relaxed SIMD and threads where there are any. */
export type Build = `weft${'' | '-relaxed'}${'' | '-threads'}`;

export type ThreadsBuild = Extract<Build, `${string}-threads`>;

// Bundlers look for these very expressions: nothing in them can be computed.

/** The JavaScript side of each build. */
export const glues: { readonly [B in Build]: () => Promise<B extends ThreadsBuild ? ThreadsGlue : Glue> } = {
  weft: () => import('../generated/weft.js'),
  'weft-relaxed': () => import('../generated/weft-relaxed.js'),
  'weft-threads': () => import('../generated/weft-threads.js'),
  'weft-relaxed-threads': () => import('../generated/weft-relaxed-threads.js'),
};

/** Where the wasm of each build lies. */
export const addresses: Record<Build, URL> = {
  weft: new URL('../generated/weft_bg.wasm', import.meta.url),
  'weft-relaxed': new URL('../generated/weft-relaxed_bg.wasm', import.meta.url),
  'weft-threads': new URL('../generated/weft-threads_bg.wasm', import.meta.url),
  'weft-relaxed-threads': new URL('../generated/weft-relaxed-threads_bg.wasm', import.meta.url),
};

/** The module that constrains answers; it needs nothing that a browser may lack. */
export const grammar: { readonly glue: () => Promise<GrammarGlue>; readonly address: URL } = {
  glue: () => import('../generated/weft-grammar.js'),
  address: new URL('../generated/weft-grammar_bg.wasm', import.meta.url),
};

export function isThreadsBuild(build: Build): build is ThreadsBuild {
  return build.endsWith('-threads');
}

/** `features` are looked at only where they matter: a shared memory costs addresses. */
export function chooseBuild<Memory>(
  threads: number,
  features: { hasRelaxedSimd(): boolean; sharedMemory(): Memory | undefined },
): { build: Build; memory: Memory | undefined } {
  const memory = threads > 1 ? features.sharedMemory() : undefined;
  return { build: `weft${features.hasRelaxedSimd() ? '-relaxed' : ''}${memory ? '-threads' : ''}`, memory };
}

/** More threads wait for memory, which all of them share, longer than they compute. */
const MOST_THREADS = 8;

/** Up to here every processor is used: the page itself waits while the model computes. */
const FEW_PROCESSORS = 4;

/**
 * How many threads compute. A GPU needs none beside the worker. By default, all of a few processors, and half of many: two of them
 * share one core on most desktops, and half are slow ones on most phones and laptops, which every step would wait for.
 */
export function threadsFor(device: Device, wanted: number | null, processors: number): number {
  if (device === 'gpu') return 1;
  if (wanted !== null) return wanted;
  return Math.min(MOST_THREADS, Math.max(Math.min(processors, FEW_PROCESSORS), Math.ceil(processors / 2)));
}
