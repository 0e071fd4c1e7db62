/** What this browser can do, as far as it decides which build of the wasm module runs. */

/**
 * A module of one function, which pushes three zero vectors and multiplies them with an instruction of relaxed SIMD. A
 * browser without it finds the module invalid.
 */
const RELAXED_SIMD = new Uint8Array([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // "\0asm", version 1
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b], // one type: () → v128
  ...[0x03, 0x02, 0x01, 0x00], // one function, of that type
  ...[0x0a, 0x13, 0x01, 0x11, 0x00], // its code: 17 bytes, no locals
  ...[0x41, 0x00, 0xfd, 0x0f], // i32.const 0, i8x16.splat
  ...[0x41, 0x00, 0xfd, 0x0f],
  ...[0x41, 0x00, 0xfd, 0x0f],
  ...[0xfd, 0x93, 0x02], // i32x4.relaxed_dot_i8x16_i7x16_add_s
  0x0b, // end
]);

export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(RELAXED_SIMD);
}

/** WebAssembly's unit of memory, in bytes. */
const PAGE = 1 << 16;

/** What the threads builds start with, as their linker was told (scripts/lib/rust.mjs), and a page that wasm-bindgen adds. */
const INITIAL_PAGES = (4 << 20) / PAGE + 1;

/** In GiB. A browser reserves addresses for all of it, and where they are scarce (phones, 32 bits) it refuses. */
const MAXIMA = [4, 2, 1];

/** Whether workers may share a memory. Without it a shared memory is of use to one worker alone. */
export const isIsolated = (): boolean => globalThis.crossOriginIsolated === true;

/**
 * A memory for a threads build, or undefined. `Atomics.waitAsync` is what Rust's futures wait with
 * there.
 */
export function sharedMemory(): WebAssembly.Memory | undefined {
  if (!('waitAsync' in Atomics)) return undefined;
  for (const gibibytes of MAXIMA) {
    try {
      const maximum = (gibibytes * 2 ** 30) / PAGE;
      return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum, shared: true });
    } catch {
      // Too large for this browser: ask for less.
    }
  }
  return undefined;
}
