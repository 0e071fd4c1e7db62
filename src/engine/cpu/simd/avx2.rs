//! Eight lanes in a vector, with AVX2 and FMA, and with AVX-VNNI where the processor has that: it
//! adds products of bytes to 32 bits in one instruction. Sums of integers are exact, so that both
//! give the same. What each function does is said in `portable.rs`.
//!
//! Every function is `inline(always)` and ends up in [`run`], where these instructions are allowed.
//! The compiler has no instructions for functions elsewhere, but calls the intrinsics: slow, and as
//! right.

use std::arch::x86_64::*;

use super::super::tiles::{Column, Words};
use super::{Dot, Rows, Task, Vector, WideTask};

/// Whether this processor has the instructions.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
}

/// Whether it has AVX-VNNI too.
pub fn has_byte_products() -> bool {
    is_x86_feature_detected!("avxvnni")
}

/// Runs a task with these vectors.
///
/// # Safety
/// The instructions must be available.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn run(task: impl Task) {
    task.run::<F32x8<false>>();
}

/// The same with AVX-VNNI.
///
/// # Safety
/// The instructions must be available.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub unsafe fn run_with_byte_products(task: impl Task) {
    task.run::<F32x8<true>>();
}

/// Runs a task with these vectors.
///
/// # Safety
/// The instructions must be available.
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn run_wide(task: impl WideTask) {
    task.run::<F32x8<false>>();
}

/// The same with AVX-VNNI.
///
/// # Safety
/// The instructions must be available.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub unsafe fn run_wide_with_byte_products(task: impl WideTask) {
    task.run::<F32x8<true>>();
}

/// Eight f32. `VNNI`: whether products of bytes use AVX-VNNI.
#[derive(Clone, Copy)]
pub struct F32x8<const VNNI: bool>(__m256);

/// Four bytes of each row of a tile.
#[derive(Clone, Copy)]
pub struct Bytes(__m256i);

/// Sixteen integers of 16 bits.
#[derive(Clone, Copy)]
pub struct Shorts(__m256i);

/// Eight integers of 32 bits.
#[derive(Clone, Copy)]
pub struct Ints(__m256i);

// SAFETY, in all of this file: `run`, or the test, has found the instructions; loads and stores go
// through references to as many bytes and require no alignment.

#[inline(always)]
fn load(words: &Words) -> __m256i {
    unsafe { _mm256_loadu_si256(std::ptr::from_ref(words).cast()) }
}

impl<const VNNI: bool> F32x8<VNNI> {
    /// Eight integers as f32.
    #[inline(always)]
    fn from_integers(v: __m256i) -> Self {
        Self(unsafe { _mm256_cvtepi32_ps(v) })
    }
}

impl<const VNNI: bool> Vector for F32x8<VNNI> {
    const LANES: usize = 8;
    const ZERO: Self = Self(unsafe { std::mem::zeroed() });

    type Shorts = Shorts;
    type Ints = Ints;
    const NO_INTS: Ints = Ints(NibbleDot::<VNNI>::ZERO.0);

    #[inline(always)]
    fn first(values: &[f32]) -> Self {
        let values = &values.as_chunks::<8>().0[0];
        Self(unsafe { _mm256_loadu_ps(values.as_ptr()) })
    }

    #[inline(always)]
    fn halves(values: &[u16]) -> Self {
        let values = &values.as_chunks::<8>().0[0];
        Self(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(std::ptr::from_ref(values).cast())) })
    }

    #[inline(always)]
    fn write(self, values: &mut [f32]) {
        let values = &mut values.as_chunks_mut::<8>().0[0];
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), self.0) };
    }

    #[inline(always)]
    fn write_shorts([a, b]: [Self; 2], shorts: &mut [i16]) {
        let shorts = &mut shorts.as_chunks_mut::<16>().0[0];
        unsafe {
            let packed = _mm256_packs_epi32(_mm256_cvtps_epi32(a.0), _mm256_cvtps_epi32(b.0));
            let in_order = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            _mm256_storeu_si256(std::ptr::from_mut(shorts).cast(), in_order);
        }
    }

    #[inline(always)]
    fn widened(bytes: &[i8], i: usize) -> Shorts {
        let bytes = &bytes.as_chunks::<16>().0[i];
        Shorts(unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(std::ptr::from_ref(bytes).cast())) })
    }

    #[inline(always)]
    fn pair([a, b]: &[i16; 2]) -> Shorts {
        let both = i32::from(*a) & 0xffff | i32::from(*b) << 16;
        Shorts(unsafe { _mm256_set1_epi32(both) })
    }

    #[inline(always)]
    fn add_products(a: Shorts, b: Shorts, sums: Ints) -> Ints {
        Ints(unsafe {
            if VNNI {
                _mm256_dpwssd_avx_epi32(sums.0, a.0, b.0)
            } else {
                _mm256_add_epi32(sums.0, _mm256_madd_epi16(a.0, b.0))
            }
        })
    }

    #[inline(always)]
    fn from_ints(ints: Ints) -> Self {
        Self::from_integers(ints.0)
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm256_set1_ps(value) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max_lane(self) -> f32 {
        unsafe {
            let four = _mm_max_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    fn round_and_power_of_two(self) -> (Self, Self) {
        unsafe {
            let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0);
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(self.0), _mm256_set1_epi32(127));
            (Self(n), Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))))
        }
    }
}

impl<const VNNI: bool> Rows for F32x8<VNNI> {
    type Input = Bytes;
    type NibbleDot = NibbleDot<VNNI>;
    type SixBitDot = SixBitDot<VNNI>;
    type ByteDot = ByteDot<VNNI>;

    #[inline(always)]
    fn store(self, _: usize, rows: &mut Column<f32>) {
        unsafe { _mm256_storeu_ps(std::ptr::from_mut(rows).cast(), self.0) };
    }

    #[inline(always)]
    fn load(column: &Column<f32>, _: usize) -> Self {
        Self(unsafe { _mm256_loadu_ps(std::ptr::from_ref(column).cast()) })
    }

    #[inline(always)]
    fn from_f16(column: &Column<u16>, _: usize) -> Self {
        Self(unsafe { _mm256_cvtph_ps(_mm_loadu_si128(std::ptr::from_ref(column).cast())) })
    }

    #[inline(always)]
    fn from_bf16(column: &Column<u16>, _: usize) -> Self {
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(std::ptr::from_ref(column).cast()));
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide)))
        }
    }

    #[inline(always)]
    fn from_f16_pairs(words: &Words, _: usize) -> (Self, Self) {
        let words = load(words);
        unsafe { (from_upper_f16(_mm256_slli_epi32::<16>(words)), from_upper_f16(words)) }
    }

    #[inline(always)]
    fn from_bf16_pairs(words: &Words, _: usize) -> (Self, Self) {
        let words = load(words);
        unsafe {
            let upper = _mm256_and_si256(words, _mm256_set1_epi32(0xffff_0000u32.cast_signed()));
            (Self(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(words))), Self(_mm256_castsi256_ps(upper)))
        }
    }

    #[inline(always)]
    fn from_byte_pairs(words: &Words, _: usize, i: usize) -> (Self, Self) {
        let words = load(words);
        unsafe {
            let high = if i == 0 { _mm256_slli_epi32::<16>(words) } else { words };
            let first = _mm256_srai_epi32::<24>(_mm256_slli_epi32::<8>(high));
            (Self::from_integers(first), Self::from_integers(_mm256_srai_epi32::<24>(high)))
        }
    }

    #[inline(always)]
    fn from_nibbles(words: &Words, _: usize, i: usize) -> (Self, Self) {
        let words = load(words);
        unsafe {
            let byte = _mm256_srl_epi32(words, _mm_cvtsi32_si128(8 * i as i32));
            let nibble = |v: __m256i| Self::from_integers(_mm256_and_si256(v, _mm256_set1_epi32(15)));
            (nibble(byte), nibble(_mm256_srli_epi32::<4>(byte)))
        }
    }

    #[inline(always)]
    fn words(x: &[i8; 4]) -> Bytes {
        Bytes(unsafe { _mm256_set1_epi32(i32::from_ne_bytes(x.map(i8::cast_unsigned))) })
    }

    #[inline(always)]
    fn nibbles(words: &Words, _: usize) -> (Bytes, Bytes) {
        let words = load(words);
        unsafe {
            let mask = _mm256_set1_epi8(15);
            (Bytes(_mm256_and_si256(words, mask)), Bytes(_mm256_and_si256(_mm256_srli_epi16::<4>(words), mask)))
        }
    }

    #[inline(always)]
    fn two_bits<const J: usize>(words: &Words, _: usize) -> (Bytes, Bytes) {
        let words = load(words);
        unsafe {
            let mask = _mm256_set1_epi8(3);
            let bits = if J.is_multiple_of(2) { words } else { _mm256_srli_epi16::<4>(words) };
            (Bytes(_mm256_and_si256(bits, mask)), Bytes(_mm256_and_si256(_mm256_srli_epi16::<2>(bits), mask)))
        }
    }

    #[inline(always)]
    fn three_bits<const J: usize>(words: &Words, third: &Words, group: usize) -> (Bytes, Bytes) {
        let ((first, second), third) = (Self::two_bits::<J>(words, group), load(third));
        unsafe {
            let bit = _mm256_set1_epi8(4);
            let (low, high) = match J {
                0 => (_mm256_slli_epi16::<2>(third), _mm256_srli_epi16::<2>(third)),
                1 => (_mm256_slli_epi16::<1>(third), _mm256_srli_epi16::<3>(third)),
                2 => (third, _mm256_srli_epi16::<4>(third)),
                _ => (_mm256_srli_epi16::<1>(third), _mm256_srli_epi16::<5>(third)),
            };
            let with = |w: Bytes, bits: __m256i| Bytes(_mm256_or_si256(w.0, _mm256_and_si256(bits, bit)));
            (with(first, low), with(second, high))
        }
    }

    #[inline(always)]
    fn five_bits<const J: usize>(words: &Words, fifth: &Words, group: usize) -> (Bytes, Bytes) {
        let ((first, second), fifth) = (Self::nibbles(words, group), load(fifth));
        unsafe {
            let bit = _mm256_set1_epi8(16);
            let (low, high) = match J {
                0 => (_mm256_slli_epi16::<4>(fifth), fifth),
                1 => (_mm256_slli_epi16::<3>(fifth), _mm256_srli_epi16::<1>(fifth)),
                2 => (_mm256_slli_epi16::<2>(fifth), _mm256_srli_epi16::<2>(fifth)),
                _ => (_mm256_slli_epi16::<1>(fifth), _mm256_srli_epi16::<3>(fifth)),
            };
            let with = |w: Bytes, bits: __m256i| Bytes(_mm256_or_si256(w.0, _mm256_and_si256(bits, bit)));
            (with(first, low), with(second, high))
        }
    }

    #[inline(always)]
    fn six_bits<const J: usize>(words: &Words, above: &Words, group: usize) -> (Bytes, Bytes) {
        let ((first, second), above) = (Self::nibbles(words, group), load(above));
        unsafe {
            let bits = _mm256_set1_epi8(0x30);
            let (low, high) = if J.is_multiple_of(2) {
                (_mm256_slli_epi16::<4>(above), _mm256_slli_epi16::<2>(above))
            } else {
                (above, _mm256_srli_epi16::<2>(above))
            };
            let with = |w: Bytes, above: __m256i| Bytes(_mm256_or_si256(w.0, _mm256_and_si256(above, bits)));
            (with(first, low), with(second, high))
        }
    }

    #[inline(always)]
    fn bytes(words: &Words, _: usize) -> Bytes {
        Bytes(load(words))
    }

    #[inline(always)]
    fn look_up(table: &[i8; 16], words: &Words, group: usize) -> (Bytes, Bytes) {
        let (low, high) = Self::nibbles(words, group);
        unsafe {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(std::ptr::from_ref(table).cast()));
            (Bytes(_mm256_shuffle_epi8(table, low.0)), Bytes(_mm256_shuffle_epi8(table, high.0)))
        }
    }
}

/// Widens the upper halves of words.
#[inline(always)]
fn from_upper_f16<const VNNI: bool>(words: __m256i) -> F32x8<VNNI> {
    unsafe {
        let wide = _mm256_and_si256(_mm256_srai_epi32::<3>(words), _mm256_set1_epi32(0x8fff_e000u32.cast_signed()));
        let two_to_112 = _mm256_set1_ps(f32::from_bits((127 + 112) << 23));
        F32x8(_mm256_mul_ps(_mm256_castsi256_ps(wide), two_to_112))
    }
}

/// Adds neighbours of 16 bits.
#[inline(always)]
fn add_pairs(v: __m256i) -> __m256i {
    unsafe { _mm256_madd_epi16(v, _mm256_set1_epi16(1)) }
}

/// Adds the products of four unsigned bytes with four signed ones to each lane of 32 bits.
#[inline(always)]
fn add_fours(sums: __m256i, w: __m256i, x: __m256i) -> __m256i {
    unsafe { _mm256_dpbusd_avx_epi32(sums, w, x) }
}

/// Two products, of at most 15 · 127 each, are added to a lane of 16 bits eight times: at most
/// 30480. AVX-VNNI has lanes of 32 bits.
#[derive(Clone, Copy)]
pub struct NibbleDot<const VNNI: bool>(__m256i);

impl<const VNNI: bool> Dot<F32x8<VNNI>> for NibbleDot<VNNI> {
    type Weights = Bytes;
    const ZERO: Self = Self(unsafe { std::mem::zeroed() });

    #[inline(always)]
    fn add(&mut self, w: Bytes, x: Bytes) {
        self.0 = if VNNI {
            add_fours(self.0, w.0, x.0)
        } else {
            unsafe { _mm256_add_epi16(self.0, _mm256_maddubs_epi16(w.0, x.0)) }
        };
    }

    #[inline(always)]
    fn sums(self) -> F32x8<VNNI> {
        F32x8::from_integers(if VNNI { self.0 } else { add_pairs(self.0) })
    }
}

/// The same for five and six bits: lanes of 16 bits hold four additions of two products of 31 · 127
/// and two of 63 · 127.
#[derive(Clone, Copy)]
pub struct SixBitDot<const VNNI: bool> {
    narrow: __m256i,
    wide: __m256i,
}

impl<const VNNI: bool> Dot<F32x8<VNNI>> for SixBitDot<VNNI> {
    type Weights = Bytes;
    const ZERO: Self = Self { narrow: NibbleDot::<VNNI>::ZERO.0, wide: NibbleDot::<VNNI>::ZERO.0 };

    #[inline(always)]
    fn add(&mut self, w: Bytes, x: Bytes) {
        if VNNI {
            self.wide = add_fours(self.wide, w.0, x.0);
        } else {
            self.narrow = unsafe { _mm256_add_epi16(self.narrow, _mm256_maddubs_epi16(w.0, x.0)) };
        }
    }

    #[inline(always)]
    fn widen(&mut self) {
        if !VNNI {
            self.wide = unsafe { _mm256_add_epi32(self.wide, add_pairs(self.narrow)) };
            self.narrow = Self::ZERO.narrow;
        }
    }

    #[inline(always)]
    fn sums(self) -> F32x8<VNNI> {
        F32x8::from_integers(self.wide)
    }
}

/// Signed weights: |w| · (x with the sign of w), two of which are at most 2 · 128 · 127.
#[derive(Clone, Copy)]
pub struct ByteDot<const VNNI: bool>(__m256i);

impl<const VNNI: bool> Dot<F32x8<VNNI>> for ByteDot<VNNI> {
    type Weights = Bytes;
    const ZERO: Self = Self(NibbleDot::<VNNI>::ZERO.0);

    #[inline(always)]
    fn add(&mut self, w: Bytes, x: Bytes) {
        unsafe {
            let (w, x) = (_mm256_abs_epi8(w.0), _mm256_sign_epi8(x.0, w.0));
            self.0 = if VNNI {
                add_fours(self.0, w, x)
            } else {
                _mm256_add_epi32(self.0, add_pairs(_mm256_maddubs_epi16(w, x)))
            };
        }
    }

    #[inline(always)]
    fn sums(self) -> F32x8<VNNI> {
        F32x8::from_integers(self.0)
    }
}
