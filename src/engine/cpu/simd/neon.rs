//! Four lanes in a vector, with NEON, and with the dot products of Armv8.2 where the processor has
//! them: they add four products of bytes to a lane of 32 bits in one instruction. Sums of integers
//! are exact, so that both give the same. What each function does is said in `portable.rs`; as for
//! the compiler, see `avx2.rs`.

use std::arch::aarch64::*;
use std::arch::asm;

use super::super::tiles::{Column, Words};
use super::{Dot, Rows, Task, Vector, WideTask};

/// Whether this processor has dot products. All have NEON.
pub fn has_byte_products() -> bool {
    std::arch::is_aarch64_feature_detected!("dotprod")
}

/// Runs a task with these vectors and dot products.
///
/// # Safety
/// The instructions must be available.
#[target_feature(enable = "neon,dotprod")]
pub unsafe fn run_with_byte_products(task: impl Task) {
    task.run::<Four<true>>();
}

/// Runs a task with these vectors.
pub fn run(task: impl Task) {
    task.run::<Four<false>>();
}

/// Runs a task with these vectors.
pub fn run_wide(task: impl WideTask) {
    task.run::<Four<false>>();
}

/// Four f32. `DOT`: whether products of bytes use dot products.
#[derive(Clone, Copy)]
pub struct Four<const DOT: bool>(float32x4_t);

/// Four bytes of each of four rows.
#[derive(Clone, Copy)]
pub struct Bytes(int8x16_t);

/// Eight integers of 16 bits.
#[derive(Clone, Copy)]
pub struct Shorts(int16x8_t);

/// Four integers of 32 bits.
#[derive(Clone, Copy)]
pub struct Ints(int32x4_t);

// SAFETY, in all of this file: every processor of this architecture has NEON, and
// `run_with_byte_products` has found dot products; loads and stores go through references to as
// many bytes.

const NO_INTS: int32x4_t = unsafe { std::mem::zeroed() };
const NO_SHORTS: int16x8_t = unsafe { std::mem::zeroed() };

#[inline(always)]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

/// Four words of 32 bits.
#[inline(always)]
fn load_words(bytes: &[u8; 16]) -> int32x4_t {
    unsafe { vreinterpretq_s32_u8(load(bytes)) }
}

/// Four halves of words, with zeros below.
#[inline(always)]
fn load_upper(values: &[u16; 4]) -> int32x4_t {
    unsafe { vreinterpretq_s32_u32(vshll_n_u16::<16>(vld1_u16(values.as_ptr()))) }
}

/// `w` with those of `bits` that are in `mask`.
#[inline(always)]
fn with(w: Bytes, bits: uint8x16_t, mask: u8) -> Bytes {
    unsafe { Bytes(vorrq_s8(w.0, vreinterpretq_s8_u8(vandq_u8(bits, vdupq_n_u8(mask))))) }
}

impl<const DOT: bool> Four<DOT> {
    #[inline(always)]
    fn from_integers(v: int32x4_t) -> Self {
        Self(unsafe { vcvtq_f32_s32(v) })
    }

    #[inline(always)]
    fn from_bits(v: int32x4_t) -> Self {
        Self(unsafe { vreinterpretq_f32_s32(v) })
    }

    /// Widens finite f16 values, the upper halves of words.
    #[inline(always)]
    fn from_upper_f16(words: int32x4_t) -> Self {
        unsafe {
            let wide = vandq_s32(vshrq_n_s32::<3>(words), vdupq_n_s32(0x8fff_e000u32.cast_signed()));
            Self(vmulq_n_f32(vreinterpretq_f32_s32(wide), f32::from_bits((127 + 112) << 23)))
        }
    }
}

impl<const DOT: bool> Vector for Four<DOT> {
    const LANES: usize = 4;
    const ZERO: Self = Self(unsafe { std::mem::zeroed() });

    type Shorts = Shorts;
    type Ints = Ints;
    const NO_INTS: Ints = Ints(NO_INTS);

    #[inline(always)]
    fn first(values: &[f32]) -> Self {
        let values = &values.as_chunks::<4>().0[0];
        Self(unsafe { vld1q_f32(values.as_ptr()) })
    }

    #[inline(always)]
    fn halves(values: &[u16]) -> Self {
        Self::from_upper_f16(load_upper(&values.as_chunks().0[0]))
    }

    #[inline(always)]
    fn write(self, values: &mut [f32]) {
        let values = &mut values.as_chunks_mut::<4>().0[0];
        unsafe { vst1q_f32(values.as_mut_ptr(), self.0) };
    }

    #[inline(always)]
    fn write_shorts([a, b]: [Self; 2], shorts: &mut [i16]) {
        let shorts = &mut shorts.as_chunks_mut::<8>().0[0];
        unsafe {
            let a = vqmovn_s32(vcvtnq_s32_f32(a.0));
            vst1q_s16(shorts.as_mut_ptr(), vqmovn_high_s32(a, vcvtnq_s32_f32(b.0)));
        }
    }

    #[inline(always)]
    fn widened(bytes: &[i8], i: usize) -> Shorts {
        let bytes = &bytes.as_chunks::<8>().0[i];
        Shorts(unsafe { vmovl_s8(vld1_s8(bytes.as_ptr())) })
    }

    #[inline(always)]
    fn pair([a, b]: &[i16; 2]) -> Shorts {
        let both = i32::from(*a) & 0xffff | i32::from(*b) << 16;
        Shorts(unsafe { vreinterpretq_s16_s32(vdupq_n_s32(both)) })
    }

    #[inline(always)]
    fn add_products(a: Shorts, b: Shorts, sums: Ints) -> Ints {
        unsafe {
            let low = vmull_s16(vget_low_s16(a.0), vget_low_s16(b.0));
            Ints(vaddq_s32(sums.0, vpaddq_s32(low, vmull_high_s16(a.0, b.0))))
        }
    }

    #[inline(always)]
    fn from_ints(ints: Ints) -> Self {
        Self::from_integers(ints.0)
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { vfmaq_f32(term.0, self.0, factor.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { vmaxq_f32(self.0, other.0) })
    }

    #[inline(always)]
    fn max_lane(self) -> f32 {
        unsafe { vmaxvq_f32(self.0) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { vaddvq_f32(self.0) }
    }

    #[inline(always)]
    fn round_and_power_of_two(self) -> (Self, Self) {
        unsafe {
            let exponent = vaddq_s32(vcvtnq_s32_f32(self.0), vdupq_n_s32(127));
            (Self(vrndnq_f32(self.0)), Self::from_bits(vshlq_n_s32::<23>(exponent)))
        }
    }
}

impl<const DOT: bool> Rows for Four<DOT> {
    type Input = Bytes;
    type NibbleDot = Sums<DOT, false>;
    type SixBitDot = Sums<DOT, true>;
    type ByteDot = ByteDot<DOT>;

    #[inline(always)]
    fn store(self, group: usize, rows: &mut Column<f32>) {
        self.write(&mut rows[group]);
    }

    #[inline(always)]
    fn load(column: &Column<f32>, group: usize) -> Self {
        Self::first(&column[group])
    }

    #[inline(always)]
    fn from_f16(column: &Column<u16>, group: usize) -> Self {
        Self::from_upper_f16(load_upper(&column[group]))
    }

    #[inline(always)]
    fn from_bf16(column: &Column<u16>, group: usize) -> Self {
        Self::from_bits(load_upper(&column[group]))
    }

    #[inline(always)]
    fn from_f16_pairs(words: &Words, group: usize) -> (Self, Self) {
        let words = load_words(&words[group]);
        (Self::from_upper_f16(unsafe { vshlq_n_s32::<16>(words) }), Self::from_upper_f16(words))
    }

    #[inline(always)]
    fn from_bf16_pairs(words: &Words, group: usize) -> (Self, Self) {
        let words = load_words(&words[group]);
        unsafe {
            let upper = vandq_s32(words, vdupq_n_s32(0xffff_0000u32.cast_signed()));
            (Self::from_bits(vshlq_n_s32::<16>(words)), Self::from_bits(upper))
        }
    }

    #[inline(always)]
    fn from_byte_pairs(words: &Words, group: usize, i: usize) -> (Self, Self) {
        let words = load_words(&words[group]);
        unsafe {
            let high = if i == 0 { vshlq_n_s32::<16>(words) } else { words };
            let first = vshrq_n_s32::<24>(vshlq_n_s32::<8>(high));
            (Self::from_integers(first), Self::from_integers(vshrq_n_s32::<24>(high)))
        }
    }

    #[inline(always)]
    fn from_nibbles(words: &Words, group: usize, i: usize) -> (Self, Self) {
        unsafe {
            let words = vreinterpretq_u32_u8(load(&words[group]));
            // a shift by a negative number goes to the right
            let byte = vshlq_u32(words, vdupq_n_s32(-8 * i as i32));
            let nibble = |v: uint32x4_t| Self(vcvtq_f32_u32(vandq_u32(v, vdupq_n_u32(15))));
            (nibble(byte), nibble(vshrq_n_u32::<4>(byte)))
        }
    }

    #[inline(always)]
    fn words(x: &[i8; 4]) -> Bytes {
        Bytes(unsafe { vreinterpretq_s8_s32(vdupq_n_s32(i32::from_ne_bytes(x.map(i8::cast_unsigned)))) })
    }

    #[inline(always)]
    fn nibbles(words: &Words, group: usize) -> (Bytes, Bytes) {
        let words = load(&words[group]);
        unsafe {
            let low = vandq_u8(words, vdupq_n_u8(15));
            (Bytes(vreinterpretq_s8_u8(low)), Bytes(vreinterpretq_s8_u8(vshrq_n_u8::<4>(words))))
        }
    }

    #[inline(always)]
    fn two_bits<const J: usize>(words: &Words, group: usize) -> (Bytes, Bytes) {
        let words = load(&words[group]);
        unsafe {
            let bits = if J.is_multiple_of(2) { words } else { vshrq_n_u8::<4>(words) };
            let two = |v: uint8x16_t| Bytes(vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(3))));
            (two(bits), two(vshrq_n_u8::<2>(bits)))
        }
    }

    #[inline(always)]
    fn three_bits<const J: usize>(words: &Words, third: &Words, group: usize) -> (Bytes, Bytes) {
        let ((first, second), third) = (Self::two_bits::<J>(words, group), load(&third[group]));
        let (low, high) = unsafe {
            match J {
                0 => (vshlq_n_u8::<2>(third), vshrq_n_u8::<2>(third)),
                1 => (vshlq_n_u8::<1>(third), vshrq_n_u8::<3>(third)),
                2 => (third, vshrq_n_u8::<4>(third)),
                _ => (vshrq_n_u8::<1>(third), vshrq_n_u8::<5>(third)),
            }
        };
        (with(first, low, 4), with(second, high, 4))
    }

    #[inline(always)]
    fn five_bits<const J: usize>(words: &Words, fifth: &Words, group: usize) -> (Bytes, Bytes) {
        let ((first, second), fifth) = (Self::nibbles(words, group), load(&fifth[group]));
        let (low, high) = unsafe {
            match J {
                0 => (vshlq_n_u8::<4>(fifth), fifth),
                1 => (vshlq_n_u8::<3>(fifth), vshrq_n_u8::<1>(fifth)),
                2 => (vshlq_n_u8::<2>(fifth), vshrq_n_u8::<2>(fifth)),
                _ => (vshlq_n_u8::<1>(fifth), vshrq_n_u8::<3>(fifth)),
            }
        };
        (with(first, low, 16), with(second, high, 16))
    }

    #[inline(always)]
    fn six_bits<const J: usize>(words: &Words, above: &Words, group: usize) -> (Bytes, Bytes) {
        let ((first, second), above) = (Self::nibbles(words, group), load(&above[group]));
        let (low, high) = unsafe {
            match J {
                0 => (vshlq_n_u8::<4>(above), vshlq_n_u8::<2>(above)),
                _ => (above, vshrq_n_u8::<2>(above)),
            }
        };
        (with(first, low, 0x30), with(second, high, 0x30))
    }

    #[inline(always)]
    fn bytes(words: &Words, group: usize) -> Bytes {
        Bytes(unsafe { vreinterpretq_s8_u8(load(&words[group])) })
    }

    #[inline(always)]
    fn look_up(table: &[i8; 16], words: &Words, group: usize) -> (Bytes, Bytes) {
        let (low, high) = Self::nibbles(words, group);
        unsafe {
            let table = vld1q_s8(table.as_ptr());
            let number = |index: Bytes| Bytes(vqtbl1q_s8(table, vreinterpretq_u8_s8(index.0)));
            (number(low), number(high))
        }
    }
}

/// Adds four products of bytes to each lane. The function of the standard library for this
/// instruction, `vdotq_s32`, is not stable.
#[inline(always)]
fn add_fours(mut sums: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {sums:v}.4s, {w:v}.16b, {x:v}.16b",
            sums = inout(vreg) sums, w = in(vreg) w, x = in(vreg) x,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Adds pairs of partial sums: `low` has two for each of rows 0 and 1, `high` for rows 2 and 3.
#[inline(always)]
fn join<const DOT: bool>(low: int32x4_t, high: int32x4_t) -> Four<DOT> {
    Four::from_integers(unsafe { vpaddq_s32(low, high) })
}

/// Weights of up to six bits. A product is added to a lane of 16 bits eight times, at most
/// 8 · 15 · 127; or, if `WIDENS`, of 31 · 127 four times or of 63 · 127 twice before the lane is
/// added to wider ones. Dot products have lanes of 32 bits, the first of `wide`.
#[derive(Clone, Copy)]
pub struct Sums<const DOT: bool, const WIDENS: bool> {
    narrow: [int16x8_t; 2],
    wide: [int32x4_t; 2],
}

impl<const DOT: bool, const WIDENS: bool> Sums<DOT, WIDENS> {
    #[inline(always)]
    fn widened(self) -> [int32x4_t; 2] {
        let ([a, b], [low, high]) = (self.wide, self.narrow);
        unsafe { [vpadalq_s16(a, low), vpadalq_s16(b, high)] }
    }
}

impl<const DOT: bool, const WIDENS: bool> Dot<Four<DOT>> for Sums<DOT, WIDENS> {
    type Weights = Bytes;
    const ZERO: Self = Self { narrow: [NO_SHORTS; 2], wide: [NO_INTS; 2] };

    #[inline(always)]
    fn add(&mut self, w: Bytes, x: Bytes) {
        if DOT {
            self.wide[0] = add_fours(self.wide[0], w.0, x.0);
            return;
        }
        let [low, high] = self.narrow;
        self.narrow = unsafe { [vmlal_s8(low, vget_low_s8(w.0), vget_low_s8(x.0)), vmlal_high_s8(high, w.0, x.0)] };
    }

    #[inline(always)]
    fn widen(&mut self) {
        if WIDENS && !DOT {
            *self = Self { wide: self.widened(), ..Self::ZERO };
        }
    }

    #[inline(always)]
    fn sums(self) -> Four<DOT> {
        if DOT {
            return Four::from_integers(self.wide[0]);
        }
        let [low, high] = if WIDENS { self.wide } else { self.widened() };
        join(low, high)
    }
}

/// Signed weights, whose products of 128 · 127 fit 16 bits in pairs.
#[derive(Clone, Copy)]
pub struct ByteDot<const DOT: bool>([int32x4_t; 2]);

impl<const DOT: bool> Dot<Four<DOT>> for ByteDot<DOT> {
    type Weights = Bytes;
    const ZERO: Self = Self([NO_INTS; 2]);

    #[inline(always)]
    fn add(&mut self, w: Bytes, x: Bytes) {
        let [low, high] = self.0;
        self.0 = unsafe {
            match DOT {
                true => [add_fours(low, w.0, x.0), high],
                false => [
                    vpadalq_s16(low, vmull_s8(vget_low_s8(w.0), vget_low_s8(x.0))),
                    vpadalq_s16(high, vmull_high_s8(w.0, x.0)),
                ],
            }
        };
    }

    #[inline(always)]
    fn sums(self) -> Four<DOT> {
        let [low, high] = self.0;
        if DOT { Four::from_integers(low) } else { join(low, high) }
    }
}
