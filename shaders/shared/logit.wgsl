// Logits as integers in their own order, and the blocks that a search for the best ones goes by.
const BLOCK: u32 = 32;

// Of positive and negative infinity.
const INFINITE: u32 = 0xff800000;
const FORBIDDEN: u32 = 0x007fffff;

// `bits` of an f32 as an integer in the order of the numbers; NaN beyond infinity, whatever its sign.
fn ordered(bits: u32) -> u32 {
    let nan = (bits & 0x7fffffffu) > 0x7f800000u;
    let value = bits ^ select(0x80000000u, 0xffffffffu, (bits >> 31u) == 1u);
    return select(value, 0xffffffffu, nan);
}

// The number itself again.
fn number(value: u32) -> f32 {
    return bitcast<f32>(value ^ select(0xffffffffu, 0x80000000u, (value >> 31u) == 1u));
}
