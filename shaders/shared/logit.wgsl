// Logits as integers of the same order, and the block size of the search for the largest.
const BLOCK: u32 = 32;

// Positive and negative infinity as ordered integers.
const INFINITE: u32 = 0xff800000;
const FORBIDDEN: u32 = 0x007fffff;

// The `bits` of an f32 as an integer of the same order; NaN of either sign lies beyond infinity.
fn ordered(bits: u32) -> u32 {
    let nan = (bits & 0x7fffffffu) > 0x7f800000u;
    let value = bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
    return select(value, 0xffffffffu, nan);
}

// The inverse of `ordered`.
fn number(value: u32) -> f32 {
    return bitcast<f32>(value ^ select(0xffffffffu, 0x80000000u, (value >> 31u) == 1u));
}
