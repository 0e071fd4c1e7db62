/** Which build of the wasm module a browser gets. Only that one is fetched. */

import { isThreadsBuild, type Build } from '../common/builds.js';
import type { Device } from '../types/index.js';

/** In order of preference: takes the first that the app ships and the browser supports. */
const WITH_THREADS: readonly Build[] = ['weft-relaxed-threads', 'weft-threads', 'weft-relaxed', 'weft'];

/**
 * A build with threads also runs on one thread. Without relaxed SIMD it would be slower than
 * `weft`, which every app ships.
 */
const ON_ONE_THREAD: readonly Build[] = ['weft-relaxed', 'weft-relaxed-threads', 'weft'];

/** `memory`: shared; only for builds with threads. */
export function chooseBuild<Memory>(
  threads: number,
  shipped: Readonly<Partial<Record<Build, unknown>>>,
  features: { hasRelaxedSimd(): boolean; sharedMemory(): Memory | undefined },
): { build: Build; memory: Memory | undefined } {
  const relaxed = features.hasRelaxedSimd();
  for (const build of threads > 1 ? WITH_THREADS : ON_ONE_THREAD) {
    if (!shipped[build] || (build.includes('-relaxed') && !relaxed)) continue;
    if (!isThreadsBuild(build)) return { build, memory: undefined };
    const memory = features.sharedMemory();
    if (memory) return { build, memory };
  }
  return { build: 'weft', memory: undefined };
}

/** More threads would mostly wait for the shared memory bandwidth. */
const MOST_THREADS = 8;

/** Up to this number, all processors are used: the page itself waits while the model computes. */
const FEW_PROCESSORS = 4;

/**
 * Number of threads that compute. With a GPU, only the worker. By default, all of a few processors
 * and half of many: on most desktops two of them share a core, and on most phones and laptops half
 * are slow, which every step would wait for.
 */
export function threadsFor(device: Device, wanted: number | null, processors: number): number {
  if (device === 'gpu') return 1;
  if (wanted !== null) return wanted;
  return Math.min(MOST_THREADS, Math.max(Math.min(processors, FEW_PROCESSORS), Math.ceil(processors / 2)));
}
