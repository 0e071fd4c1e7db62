/** Features of the browser that decide which build of the wasm module runs. */

/**
 * A module with one function, which applies an instruction of relaxed SIMD to three zero vectors.
 * Browsers without relaxed SIMD reject the module.
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

/** Bytes of a WebAssembly page. */
const PAGE = 1 << 16;

/**
 * Initial pages of the builds with threads: as set for their linker (scripts/lib/rust.mjs), and one
 * that wasm-bindgen adds.
 */
const INITIAL_PAGES = (4 << 20) / PAGE + 1;

/**
 * Maximum sizes to try, in GiB. Browsers reserve the address space, and refuse if it is scarce
 * (phones, 32 bits).
 */
const MAXIMA = [4, 2, 1];

/** Whether workers can share memory. */
export const isIsolated = (): boolean => globalThis.crossOriginIsolated === true;

/**
 * Creates the memory for a build with threads, if possible. Rust's futures wait there with
 * `Atomics.waitAsync`.
 */
export function sharedMemory(): WebAssembly.Memory | undefined {
  if (!('waitAsync' in Atomics)) return undefined;
  for (const gibibytes of MAXIMA) {
    try {
      const maximum = (gibibytes * 2 ** 30) / PAGE;
      return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum, shared: true });
    } catch {
      // Too large for this browser: try less.
    }
  }
  return undefined;
}
