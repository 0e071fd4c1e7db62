//! The types as arrays, for all targets without a backend of their own. They define what the types
//! mean.

/// Name of this backend in [`EngineInfo`](crate::engine::EngineInfo).
pub const NAME: &str = "native";

/// Four f32.
#[derive(Clone, Copy, Debug)]
pub struct F32x4([f32; 4]);

/// 1.5 · 2^23: added to a small number, it leaves the nearest integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

impl F32x4 {
    pub const fn new(lanes: [f32; 4]) -> Self {
        Self(lanes)
    }

    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    pub fn load(lanes: &[f32; 4]) -> Self {
        Self(*lanes)
    }

    #[inline(always)]
    pub fn to_array(self) -> [f32; 4] {
        self.0
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }

    #[inline(always)]
    pub fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    pub fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    pub fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    /// self · factor + term, rounded once or twice.
    #[inline(always)]
    pub fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul(factor).add(term)
    }

    /// The larger; NaN if either is NaN.
    #[inline(always)]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a.is_nan() || a > b { a } else { b })
    }

    /// The smaller; NaN if either is NaN.
    #[inline(always)]
    pub fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a.is_nan() || a < b { a } else { b })
    }

    #[inline(always)]
    pub fn abs(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    pub fn neg(self) -> Self {
        Self(self.0.map(|v| -v))
    }

    /// The lanes at even and at odd places of both, self first.
    #[inline(always)]
    pub fn unzip(self, other: Self) -> (Self, Self) {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        (Self([a, c, e, g]), Self([b, d, f, h]))
    }

    /// The nearest integers n, and 2^n. |x| < 127.
    #[inline(always)]
    pub fn round_and_power_of_two(self) -> (Self, Self) {
        let shifted = self.0.map(|v| v + ROUNDER);
        let powers = shifted.map(|v| f32::from_bits(v.to_bits().wrapping_sub(ROUNDER.to_bits() - 127) << 23));
        (Self(shifted.map(|v| v - ROUNDER)), Self(powers))
    }

    /// 16 values of at most ±127, rounded to the nearest integers.
    #[inline(always)]
    pub fn round_to_bytes(values: [Self; 4]) -> [i8; 16] {
        std::array::from_fn(|i| (values[i / 4].0[i % 4] + ROUNDER).to_bits() as i8)
    }

    /// 8 values of at most ±32767, rounded to the nearest integers.
    #[inline(always)]
    pub fn round_to_shorts(values: [Self; 2]) -> [i16; 8] {
        std::array::from_fn(|i| (values[i / 4].0[i % 4] + ROUNDER).to_bits() as i16)
    }

    #[inline(always)]
    pub fn from_ints(ints: Ints) -> Self {
        Self(ints.0.map(|v| v as f32))
    }

    /// Widens finite f16 values. The WebAssembly backend explains how.
    #[inline(always)]
    pub fn from_f16(bits: &[u16; 4]) -> Self {
        Self::from_upper_f16(bits.map(|bits| u32::from(bits) << 16))
    }

    /// Widens the low and the high halves of four words, which are finite f16 values.
    #[inline(always)]
    pub fn from_f16_pairs(words: &[u8; 16]) -> (Self, Self) {
        let words: [u32; 4] = std::array::from_fn(|i| u32::from_le_bytes(words.as_chunks().0[i]));
        (Self::from_upper_f16(words.map(|word| word << 16)), Self::from_upper_f16(words))
    }

    /// Widens the upper halves of words.
    #[inline(always)]
    fn from_upper_f16(words: [u32; 4]) -> Self {
        const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
        Self(words.map(|word| {
            // the sign fills the bits above the exponent, and the mask keeps one of them
            let wide = (word.cast_signed() >> 3).cast_unsigned();
            f32::from_bits(wide & 0x8fff_e000) * TWO_TO_112
        }))
    }

    /// Bytes 2 i and 2 i + 1 of four words, as signed integers.
    #[inline(always)]
    pub fn from_byte_pairs(words: &[u8; 16], i: usize) -> (Self, Self) {
        let words = words.as_chunks::<4>().0;
        let bytes = |at: usize| Self(std::array::from_fn(|i| f32::from(words[i][at].cast_signed())));
        (bytes(2 * i), bytes(2 * i + 1))
    }

    /// The low and the high halves of byte i of four words.
    #[inline(always)]
    pub fn from_nibbles(words: &[u8; 16], i: usize) -> (Self, Self) {
        let bytes: [u8; 4] = std::array::from_fn(|lane| words[4 * lane + i]);
        (Self(bytes.map(|b| f32::from(b & 15))), Self(bytes.map(|b| f32::from(b >> 4))))
    }

    #[inline(always)]
    pub fn from_bf16(bits: &[u16; 4]) -> Self {
        Self(bits.map(|bits| f32::from_bits(u32::from(bits) << 16)))
    }

    /// Widens the low and the high halves of four words, which are bf16 values.
    #[inline(always)]
    pub fn from_bf16_pairs(words: &[u8; 16]) -> (Self, Self) {
        let words: [u32; 4] = std::array::from_fn(|i| u32::from_le_bytes(words.as_chunks().0[i]));
        (Self(words.map(|word| f32::from_bits(word << 16))), Self(words.map(|word| f32::from_bits(word & 0xffff_0000))))
    }
}

/// Eight integers of 16 bits.
#[derive(Clone, Copy)]
pub struct Shorts([i16; 8]);

/// Eight bytes, widened.
#[inline(always)]
pub fn widened(bytes: &[i8; 8]) -> Shorts {
    Shorts(bytes.map(i16::from))
}

/// The same two in turns.
#[inline(always)]
pub fn pair([a, b]: &[i16; 2]) -> Shorts {
    Shorts([*a, *b, *a, *b, *a, *b, *a, *b])
}

/// Four integers of 32 bits.
#[derive(Clone, Copy)]
pub struct Ints([i32; 4]);

impl Ints {
    pub const ZERO: Self = Self([0; 4]);

    /// Adds the products of neighbours, two to a lane.
    #[inline(always)]
    pub fn add_products(self, a: Shorts, b: Shorts) -> Self {
        let product = |i: usize| i32::from(a.0[i]) * i32::from(b.0[i]);
        Self(std::array::from_fn(|i| self.0[i] + product(2 * i) + product(2 * i + 1)))
    }
}

/// Four activations for each of four rows: the same four, since rows share their input.
#[derive(Clone, Copy)]
pub struct Words([i8; 4]);

#[inline(always)]
pub fn words(x: &[i8; 4]) -> Words {
    Words(*x)
}

/// 16 numbers from 0 to 15: four for each of four rows.
#[derive(Clone, Copy)]
pub struct Nibbles([u8; 16]);

/// The low and the high halves of 16 bytes.
#[inline(always)]
pub fn nibbles(bytes: &[u8; 16]) -> (Nibbles, Nibbles) {
    (Nibbles(bytes.map(|b| b & 15)), Nibbles(bytes.map(|b| b >> 4)))
}

/// Two bits of each of 16 bytes, bits 0 and 1 and bits 2 and 3; four bits further up for an odd J.
#[inline(always)]
pub fn two_bits<const J: usize>(bytes: &[u8; 16]) -> (Nibbles, Nibbles) {
    (Nibbles(bytes.map(|b| b >> (4 * (J % 2)) & 3)), Nibbles(bytes.map(|b| b >> (4 * (J % 2) + 2) & 3)))
}

/// The same with third bits: bit J of 16 more bytes for the first ones, bit 4 + J for the second
/// ones.
#[inline(always)]
pub fn three_bits<const J: usize>(bytes: &[u8; 16], third: &[u8; 16]) -> (Nibbles, Nibbles) {
    let (Nibbles(first), Nibbles(second)) = two_bits::<J>(bytes);
    let first = std::array::from_fn(|i| first[i] | (third[i] >> J & 1) << 2);
    let second = std::array::from_fn(|i| second[i] | (third[i] >> (4 + J) & 1) << 2);
    (Nibbles(first), Nibbles(second))
}

/// Dot products of four rows of nibbles with int8 activations of at most ±127, over up to 32 values
/// per row.
#[derive(Clone, Copy)]
pub struct NibbleDot([i32; 4]);

impl NibbleDot {
    pub const ZERO: Self = Self([0; 4]);

    #[inline(always)]
    pub fn add(&mut self, w: Nibbles, x: Words) {
        for row in 0..4 {
            self.0[row] += (0..4).map(|i| i32::from(w.0[4 * row + i]) * i32::from(x.0[i])).sum::<i32>();
        }
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        F32x4(self.0.map(|v| v as f32))
    }
}

/// 16 numbers from 0 to 63: four for each of four rows.
#[derive(Clone, Copy)]
pub struct SixBits([u8; 16]);

/// The low and the high nibbles of 16 bytes, with their upper bits: bits 0 and 1 of 16 more bytes
/// for the low ones, bits 2 and 3 for the high ones; four bits further up for an odd J.
#[inline(always)]
pub fn six_bits<const J: usize>(bytes: &[u8; 16], above: &[u8; 16]) -> (SixBits, SixBits) {
    let (Nibbles(above_low), Nibbles(above_high)) = two_bits::<J>(above);
    let low = std::array::from_fn(|i| bytes[i] & 15 | above_low[i] << 4);
    let high = std::array::from_fn(|i| bytes[i] >> 4 | above_high[i] << 4);
    (SixBits(low), SixBits(high))
}

/// The low and the high nibbles of 16 bytes, with fifth bits: bit J of 16 more bytes for the low
/// ones, bit 4 + J for the high ones.
#[inline(always)]
pub fn five_bits<const J: usize>(bytes: &[u8; 16], fifth: &[u8; 16]) -> (SixBits, SixBits) {
    let low = std::array::from_fn(|i| bytes[i] & 15 | (fifth[i] >> J & 1) << 4);
    let high = std::array::from_fn(|i| bytes[i] >> 4 | (fifth[i] >> (4 + J) & 1) << 4);
    (SixBits(low), SixBits(high))
}

/// Dot products of four rows of 6-bit values with int8 activations.
#[derive(Clone, Copy)]
pub struct SixBitDot(NibbleDot);

impl SixBitDot {
    pub const ZERO: Self = Self(NibbleDot::ZERO);

    #[inline(always)]
    pub fn add(&mut self, w: SixBits, x: Words) {
        self.0.add(Nibbles(w.0), x);
    }

    /// Makes room: due after four additions of five bits, and after two of six. Here there is room.
    #[inline(always)]
    pub fn widen(&mut self) {}

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        self.0.sums()
    }
}

/// 16 signed numbers: four for each of four rows.
#[derive(Clone, Copy)]
pub struct Bytes([u8; 16]);

#[inline(always)]
pub fn bytes(bytes: &[u8; 16]) -> Bytes {
    Bytes(*bytes)
}

/// The numbers of a table that the low and the high halves of 16 bytes are indices of.
#[inline(always)]
pub fn look_up(table: &[i8; 16], bytes: &[u8; 16]) -> (Bytes, Bytes) {
    let number = |index: u8| table[usize::from(index)].cast_unsigned();
    (Bytes(bytes.map(|b| number(b & 15))), Bytes(bytes.map(|b| number(b >> 4))))
}

/// Dot products of four rows of int8 weights with int8 activations.
#[derive(Clone, Copy)]
pub struct ByteDot([i32; 4]);

impl ByteDot {
    pub const ZERO: Self = Self([0; 4]);

    #[inline(always)]
    pub fn add(&mut self, w: Bytes, x: Words) {
        for row in 0..4 {
            self.0[row] += (0..4).map(|i| i32::from(w.0[4 * row + i].cast_signed()) * i32::from(x.0[i])).sum::<i32>();
        }
    }

    #[inline(always)]
    pub fn sums(self) -> F32x4 {
        F32x4(self.0.map(|v| v as f32))
    }
}
