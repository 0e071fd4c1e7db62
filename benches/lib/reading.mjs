// How fast a browser reads memory in wasm: the bound of decoding, which reads every weight a token.

import binaryen from 'binaryen';

/** Bytes that each thread reads: more than a share of the caches. */
export const threadMib = 256;

/** Loads a round of the loop, into sums that do not wait for each other. */
const loads = 8;
const each = (text) => Array.from({ length: loads }, (_, i) => text(i)).join('\n');

/** `read(end)` reads the memory up to `end`, a multiple of 128, in loads of 16 bytes. */
const source = `(module
  (memory (export "memory") ${threadMib * 16})
  (func (export "read") (param $end i32) (result i32)
    (local $at i32)
    ${each((i) => `(local $sum${i} v128)`)}
    (loop $loop
      ${each((i) => `(local.set $sum${i} (v128.xor (local.get $sum${i}) (v128.load offset=${16 * i} (local.get $at))))`)}
      (local.set $at (i32.add (local.get $at) (i32.const ${16 * loads})))
      (br_if $loop (i32.lt_u (local.get $at) (local.get $end))))
    (i32x4.extract_lane 0 ${Array.from({ length: loads - 1 }, (_, i) => i + 1).reduce(
      (sum, i) => `(v128.xor ${sum} (local.get $sum${i}))`,
      '(local.get $sum0)',
    )})))`;

/** The bytes of the module. */
export function readerModule() {
  const module = binaryen.parseText(source);
  try {
    module.setFeatures(binaryen.Features.MVP | binaryen.Features.SIMD128);
    if (!module.validate()) throw new Error('the module that reads memory is not valid');
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}
