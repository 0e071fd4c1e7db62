//! The types as WebAssembly SIMD.
//!
//! Builds differ in byte products. With relaxed SIMD, `i16x8.relaxed_dot_i8x16_i7x16` multiplies 16
//! pairs and adds neighbours in one machine instruction on x86 (`pmaddubsw`). The result is the
//! same everywhere if one side has seven bits, as nibbles do. Without relaxed SIMD, bytes are
//! widened, multiplied and added separately.

// Loads and stores go through references to as many bytes; WebAssembly requires no alignment.

use std::arch::wasm32::*;

/// Name of this backend in [`EngineInfo`](crate::engine::EngineInfo).
pub const NAME: &str =
    if cfg!(target_feature = "relaxed-simd") { "WebAssembly relaxed SIMD" } else { "WebAssembly SIMD" };

/// Four f32.
#[derive(Clone, Copy, Debug)]
pub struct F32x4(v128);

/// 1.5 · 2^23: added to a small number, it leaves the nearest integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

impl F32x4 {
    pub const fn new([a, b, c, d]: [f32; 4]) -> Self {
        Self(f32x4(a, b, c, d))
    }

    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self(f32x4_splat(value))
    }

    #[inline(always)]
    pub fn load(lanes: &[f32; 4]) -> Self {
        // SAFETY: 16 readable bytes
        Self(unsafe { v128_load(std::ptr::from_ref(lanes).cast()) })
    }

    #[inline(always)]
    pub fn to_array(self) -> [f32; 4] {
        let mut lanes = [0.0; 4];
        // SAFETY: 16 writable bytes
        unsafe { v128_store(std::ptr::from_mut(&mut lanes).cast(), self.0) };
        lanes
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        Self(f32x4_add(self.0, other.0))
    }

    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        Self(f32x4_mul(self.0, other.0))
    }

    #[inline(always)]
    pub fn div(self, other: Self) -> Self {
        Self(f32x4_div(self.0, other.0))
    }

    /// self · factor + term, rounded once or twice.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, term: Self) -> Self {
        #[cfg(target_feature = "relaxed-simd")]
        return Self(f32x4_relaxed_madd(self.0, factor.0, term.0));
        #[cfg(not(target_feature = "relaxed-simd"))]
        self.mul(factor).add(term)
    }

    /// The larger; NaN if either is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        Self(f32x4_max(self.0, other.0))
    }

    /// The smaller; NaN if either is NaN.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        Self(f32x4_min(self.0, other.0))
    }

    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(f32x4_abs(self.0))
    }

    #[inline(always)]
    pub fn neg(self) -> Self {
        Self(f32x4_neg(self.0))
    }

    /// The lanes at even and at odd places of both, self first.
    #[inline(always)]
    pub fn unzip(self, other: Self) -> (Self, Self) {
        (Self(i32x4_shuffle::<0, 2, 4, 6>(self.0, other.0)), Self(i32x4_shuffle::<1, 3, 5, 7>(self.0, other.0)))
    }

    /// The nearest integers n, and 2^n. |x| < 127.
    #[inline(always)]
    pub fn round_and_power_of_two(self) -> (Self, Self) {
        let shifted = f32x4_add(self.0, f32x4_splat(ROUNDER));
        let exponent = i32x4_sub(shifted, i32x4_splat((ROUNDER.to_bits() - 127).cast_signed()));
        (Self(f32x4_sub(shifted, f32x4_splat(ROUNDER))), Self(i32x4_shl(exponent, 23)))
    }

    /// 16 values of at most ±127, rounded to the nearest integers.
    #[inline(always)]
    pub fn round_to_bytes(values: [Self; 4]) -> [i8; 16] {
        let offset = i32x4_splat(ROUNDER.to_bits().cast_signed());
        let [a, b, c, d] = values.map(|v| i32x4_sub(f32x4_add(v.0, f32x4_splat(ROUNDER)), offset));
        let packed = i8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d));
        let mut bytes = [0; 16];
        // SAFETY: 16 writable bytes
        unsafe { v128_store(std::ptr::from_mut(&mut bytes).cast(), packed) };
        bytes
    }

    /// 8 values of at most ±32767, rounded to the nearest integers.
    #[inline(always)]
    pub fn round_to_shorts(values: [Self; 2]) -> [i16; 8] {
        let offset = i32x4_splat(ROUNDER.to_bits().cast_signed());
        let [a, b] = values.map(|v| i32x4_sub(f32x4_add(v.0, f32x4_splat(ROUNDER)), offset));
        let mut shorts = [0; 8];
        // SAFETY: 16 writable bytes
        unsafe { v128_store(std::ptr::from_mut(&mut shorts).cast(), i16x8_narrow_i32x4(a, b)) };
        shorts
    }

    #[inline(always)]
    pub fn from_ints(ints: Ints) -> Self {
        Self(f32x4_convert_i32x4(ints.0))
    }

    /// Widens finite f16 values.
    ///
    /// Exponent and mantissa move to their places in an f32, whose exponent is then too small by
    /// 112; a factor corrects that, also for subnormal values. Sign extension moves the sign and
    /// fills three bits too many, which are masked.
    #[inline(always)]
    pub fn from_f16(bits: &[u16; 4]) -> Self {
        // SAFETY: 8 readable bytes
        Self::from_extended_f16(unsafe { i32x4_load_extend_i16x4(std::ptr::from_ref(bits).cast()) })
    }

    #[inline(always)]
    fn from_extended_f16(wide: v128) -> Self {
        let small = v128_and(i32x4_shl(wide, 13), u32x4_splat(0x8fff_ffff));
        Self(f32x4_mul(small, f32x4_splat(f32::from_bits((127 + 112) << 23))))
    }

    /// Widens the low and the high halves of four words, which are finite f16 values.
    #[inline(always)]
    pub fn from_f16_pairs(words: &[u8; 16]) -> (Self, Self) {
        // SAFETY: 16 readable bytes
        let words = unsafe { v128_load(std::ptr::from_ref(words).cast()) };
        let low = i32x4_shr(i32x4_shl(words, 16), 16);
        (Self::from_extended_f16(low), Self::from_extended_f16(i32x4_shr(words, 16)))
    }

    /// Bytes 2 i and 2 i + 1 of four words, as signed integers.
    #[inline(always)]
    pub fn from_byte_pairs(words: &[u8; 16], i: usize) -> (Self, Self) {
        // SAFETY: 16 readable bytes
        let words = unsafe { v128_load(std::ptr::from_ref(words).cast()) };
        let high = i32x4_shl(words, 16 - 16 * i as u32);
        let bytes = |top: v128| Self(f32x4_convert_i32x4(i32x4_shr(top, 24)));
        (bytes(i32x4_shl(high, 8)), bytes(high))
    }

    /// The low and the high halves of byte i of four words.
    #[inline(always)]
    pub fn from_nibbles(words: &[u8; 16], i: usize) -> (Self, Self) {
        // SAFETY: 16 readable bytes
        let words = unsafe { v128_load(std::ptr::from_ref(words).cast()) };
        let half = |at: u32| Self(f32x4_convert_i32x4(v128_and(u32x4_shr(words, at), u32x4_splat(15))));
        (half(8 * i as u32), half(8 * i as u32 + 4))
    }

    #[inline(always)]
    pub fn from_bf16(bits: &[u16; 4]) -> Self {
        // SAFETY: 8 readable bytes
        Self(i32x4_shl(unsafe { u32x4_load_extend_u16x4(std::ptr::from_ref(bits).cast()) }, 16))
    }

    /// Widens the low and the high halves of four words, which are bf16 values.
    #[inline(always)]
    pub fn from_bf16_pairs(words: &[u8; 16]) -> (Self, Self) {
        // SAFETY: 16 readable bytes
        let words = unsafe { v128_load(std::ptr::from_ref(words).cast()) };
        (Self(i32x4_shl(words, 16)), Self(v128_and(words, u32x4_splat(0xffff_0000))))
    }
}

/// Eight integers of 16 bits.
#[derive(Clone, Copy)]
pub struct Shorts(v128);

/// Eight bytes, widened.
#[inline(always)]
pub fn widened(bytes: &[i8; 8]) -> Shorts {
    // SAFETY: 8 readable bytes
    Shorts(unsafe { i16x8_load_extend_i8x8(std::ptr::from_ref(bytes).cast()) })
}

/// The same two in turns.
#[inline(always)]
pub fn pair(both: &[i16; 2]) -> Shorts {
    // SAFETY: 4 readable bytes
    Shorts(unsafe { v128_load32_splat(std::ptr::from_ref(both).cast()) })
}

/// Four integers of 32 bits.
#[derive(Clone, Copy)]
pub struct Ints(v128);

impl Ints {
    pub const ZERO: Self = Self(i32x4(0, 0, 0, 0));

    /// Adds the products of neighbours, two to a lane.
    #[inline(always)]
    pub fn add_products(self, a: Shorts, b: Shorts) -> Self {
        Self(i32x4_add(self.0, i32x4_dot_i16x8(a.0, b.0)))
    }
}

/// Four activations for each of four rows: the same four, since rows share their input.
#[derive(Clone, Copy)]
pub struct Words(v128);

#[inline(always)]
pub fn words(x: &[i8; 4]) -> Words {
    // SAFETY: 4 readable bytes
    Words(unsafe { v128_load32_splat(std::ptr::from_ref(x).cast()) })
}

/// 16 numbers from 0 to 15: four for each of four rows.
#[derive(Clone, Copy)]
pub struct Nibbles(v128);

/// The low and the high halves of 16 bytes.
#[inline(always)]
pub fn nibbles(bytes: &[u8; 16]) -> (Nibbles, Nibbles) {
    // SAFETY: 16 readable bytes
    let bytes = unsafe { v128_load(std::ptr::from_ref(bytes).cast()) };
    (Nibbles(v128_and(bytes, u8x16_splat(15))), Nibbles(u8x16_shr(bytes, 4)))
}

/// Two bits of each of 16 bytes, bits 0 and 1 and bits 2 and 3; four bits further up for an odd J.
#[inline(always)]
pub fn two_bits<const J: usize>(bytes: &[u8; 16]) -> (Nibbles, Nibbles) {
    // SAFETY: 16 readable bytes
    let bytes = unsafe { v128_load(std::ptr::from_ref(bytes).cast()) };
    // shifts of wider lanes bring in bits of neighbouring bytes, which are masked
    let bits = |shift: usize| Nibbles(v128_and(u32x4_shr(bytes, shift as u32), u8x16_splat(3)));
    (bits(4 * (J % 2)), bits(4 * (J % 2) + 2))
}

/// The same with third bits: bit J of 16 more bytes for the first ones, bit 4 + J for the second
/// ones.
#[inline(always)]
pub fn three_bits<const J: usize>(bytes: &[u8; 16], third: &[u8; 16]) -> (Nibbles, Nibbles) {
    // SAFETY: 16 readable bytes
    let third = unsafe { v128_load(std::ptr::from_ref(third).cast()) };
    let (Nibbles(first), Nibbles(second)) = two_bits::<J>(bytes);
    let low = if J < 2 { i32x4_shl(third, 2 - J as u32) } else { u32x4_shr(third, J as u32 - 2) };
    let high = u32x4_shr(third, J as u32 + 2);
    let bit = u8x16_splat(4);
    (Nibbles(v128_or(first, v128_and(low, bit))), Nibbles(v128_or(second, v128_and(high, bit))))
}

/// Adds pairs of partial sums: `low` has two for each of rows 0 and 1, `high` for rows 2 and 3.
#[inline(always)]
fn join(low: v128, high: v128) -> F32x4 {
    let even = i32x4_shuffle::<0, 2, 4, 6>(low, high);
    let odd = i32x4_shuffle::<1, 3, 5, 7>(low, high);
    F32x4(f32x4_convert_i32x4(i32x4_add(even, odd)))
}

/// Dot products of four rows of nibbles with int8 activations of at most ±127, over up to 32 values
/// per row.
///
/// A lane of 16 bits adds two products 8 times: at most 16 · 15 · 127 = 30480, which fits.
#[cfg(target_feature = "relaxed-simd")]
#[derive(Clone, Copy)]
pub struct NibbleDot(v128);

#[cfg(target_feature = "relaxed-simd")]
impl NibbleDot {
    pub const ZERO: Self = Self(i32x4(0, 0, 0, 0));

    #[inline(always)]
    pub fn add(&mut self, w: Nibbles, x: Words) {
        self.0 = i16x8_add(self.0, i16x8_relaxed_dot_i8x16_i7x16(x.0, w.0));
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        F32x4(f32x4_convert_i32x4(i32x4_extadd_pairwise_i16x8(self.0)))
    }
}

/// Dot products of four rows of nibbles with int8 activations of at most ±127, over up to 32 values
/// per row.
///
/// A lane of 16 bits adds one product 8 times: at most 8 · 15 · 127 = 15240, which fits.
#[cfg(not(target_feature = "relaxed-simd"))]
#[derive(Clone, Copy)]
pub struct NibbleDot(v128, v128);

#[cfg(not(target_feature = "relaxed-simd"))]
impl NibbleDot {
    pub const ZERO: Self = Self(i32x4(0, 0, 0, 0), i32x4(0, 0, 0, 0));

    #[inline(always)]
    pub fn add(&mut self, w: Nibbles, x: Words) {
        self.0 = i16x8_add(self.0, i16x8_extmul_low_i8x16(w.0, x.0));
        self.1 = i16x8_add(self.1, i16x8_extmul_high_i8x16(w.0, x.0));
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        join(i32x4_extadd_pairwise_i16x8(self.0), i32x4_extadd_pairwise_i16x8(self.1))
    }
}

/// 16 numbers from 0 to 63: four for each of four rows.
#[derive(Clone, Copy)]
pub struct SixBits(v128);

/// The low and the high nibbles of 16 bytes, with their upper bits: bits 0 and 1 of 16 more bytes
/// for the low ones, bits 2 and 3 for the high ones; four bits further up for an odd J.
#[inline(always)]
pub fn six_bits<const J: usize>(bytes: &[u8; 16], above: &[u8; 16]) -> (SixBits, SixBits) {
    // SAFETY: 16 readable bytes
    let above = u8x16_shr(unsafe { v128_load(std::ptr::from_ref(above).cast()) }, 4 * (J as u32 % 2));
    let (Nibbles(low), Nibbles(high)) = nibbles(bytes);
    // shifts of wider lanes bring in bits of neighbouring bytes, which are masked
    let above_low = v128_and(i32x4_shl(above, 4), u8x16_splat(0x30));
    let above_high = v128_and(i32x4_shl(above, 2), u8x16_splat(0x30));
    (SixBits(v128_or(low, above_low)), SixBits(v128_or(high, above_high)))
}

/// The low and the high nibbles of 16 bytes, with fifth bits: bit J of 16 more bytes for the low
/// ones, bit 4 + J for the high ones.
#[inline(always)]
pub fn five_bits<const J: usize>(bytes: &[u8; 16], fifth: &[u8; 16]) -> (SixBits, SixBits) {
    // SAFETY: 16 readable bytes
    let fifth = unsafe { v128_load(std::ptr::from_ref(fifth).cast()) };
    let (Nibbles(low), Nibbles(high)) = nibbles(bytes);
    let bit = u8x16_splat(16);
    let fifth_low = v128_and(i32x4_shl(fifth, 4 - J as u32), bit);
    let fifth_high = v128_and(u32x4_shr(fifth, J as u32), bit);
    (SixBits(v128_or(low, fifth_low)), SixBits(v128_or(high, fifth_high)))
}

/// Dot products of four rows of 6-bit values with int8 activations.
///
/// A lane of 16 bits adds two products, of 31 · 127 four times or of 63 · 127 twice, before it is
/// widened: at most 32004, which fits.
#[cfg(target_feature = "relaxed-simd")]
#[derive(Clone, Copy)]
pub struct SixBitDot {
    narrow: v128,
    wide: v128,
}

#[cfg(target_feature = "relaxed-simd")]
impl SixBitDot {
    pub const ZERO: Self = Self { narrow: i32x4(0, 0, 0, 0), wide: i32x4(0, 0, 0, 0) };

    #[inline(always)]
    pub fn add(&mut self, w: SixBits, x: Words) {
        self.narrow = i16x8_add(self.narrow, i16x8_relaxed_dot_i8x16_i7x16(x.0, w.0));
    }

    #[inline(always)]
    pub fn widen(&mut self) {
        self.wide = i32x4_add(self.wide, i32x4_extadd_pairwise_i16x8(self.narrow));
        self.narrow = Self::ZERO.narrow;
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        F32x4(f32x4_convert_i32x4(self.wide))
    }
}

/// Dot products of four rows of 6-bit values with int8 activations.
///
/// A lane of 16 bits adds one product, of 31 · 127 four times or of 63 · 127 twice, before it is
/// widened.
#[cfg(not(target_feature = "relaxed-simd"))]
#[derive(Clone, Copy)]
pub struct SixBitDot {
    narrow: NibbleDot,
    wide: (v128, v128),
}

#[cfg(not(target_feature = "relaxed-simd"))]
impl SixBitDot {
    pub const ZERO: Self = Self { narrow: NibbleDot::ZERO, wide: (NibbleDot::ZERO.0, NibbleDot::ZERO.1) };

    #[inline(always)]
    pub fn add(&mut self, w: SixBits, x: Words) {
        self.narrow.add(Nibbles(w.0), x);
    }

    #[inline(always)]
    pub fn widen(&mut self) {
        self.wide.0 = i32x4_add(self.wide.0, i32x4_extadd_pairwise_i16x8(self.narrow.0));
        self.wide.1 = i32x4_add(self.wide.1, i32x4_extadd_pairwise_i16x8(self.narrow.1));
        self.narrow = NibbleDot::ZERO;
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        join(self.wide.0, self.wide.1)
    }
}

/// 16 signed numbers: four for each of four rows.
#[derive(Clone, Copy)]
pub struct Bytes(v128);

#[inline(always)]
pub fn bytes(bytes: &[u8; 16]) -> Bytes {
    // SAFETY: 16 readable bytes
    Bytes(unsafe { v128_load(std::ptr::from_ref(bytes).cast()) })
}

/// The numbers of a table that the low and the high halves of 16 bytes are indices of.
#[inline(always)]
pub fn look_up(table: &[i8; 16], bytes: &[u8; 16]) -> (Bytes, Bytes) {
    // SAFETY: 16 readable bytes
    let table = unsafe { v128_load(std::ptr::from_ref(table).cast()) };
    let (Nibbles(low), Nibbles(high)) = nibbles(bytes);
    (Bytes(i8x16_swizzle(table, low)), Bytes(i8x16_swizzle(table, high)))
}

/// Dot products of four rows of int8 weights with int8 activations. The relaxed instruction takes
/// seven bits on one side, so both are widened.
#[derive(Clone, Copy)]
pub struct ByteDot(v128, v128);

impl ByteDot {
    pub const ZERO: Self = Self(i32x4(0, 0, 0, 0), i32x4(0, 0, 0, 0));

    #[inline(always)]
    pub fn add(&mut self, w: Bytes, x: Words) {
        let x = i16x8_extend_low_i8x16(x.0);
        self.0 = i32x4_add(self.0, i32x4_dot_i16x8(i16x8_extend_low_i8x16(w.0), x));
        self.1 = i32x4_add(self.1, i32x4_dot_i16x8(i16x8_extend_high_i8x16(w.0), x));
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        join(self.0, self.1)
    }
}
