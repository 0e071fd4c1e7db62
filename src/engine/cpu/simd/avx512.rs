//! Sixteen lanes in a vector, with AVX-512 and its products of shorts (VNNI). What each function
//! does is said at [`Vector`]; as for the compiler, see `avx2.rs`.

use std::arch::x86_64::*;

use super::{Vector, WideTask};

/// Whether this processor has the instructions.
pub fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
}

/// Runs a task with these vectors.
///
/// # Safety
/// The instructions must be available.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,fma")]
pub unsafe fn run(task: impl WideTask) {
    task.run::<F32x16>();
}

/// Sixteen f32.
#[derive(Clone, Copy)]
pub struct F32x16(__m512);

/// 32 integers of 16 bits.
#[derive(Clone, Copy)]
pub struct Shorts(__m512i);

/// Sixteen integers of 32 bits.
#[derive(Clone, Copy)]
pub struct Ints(__m512i);

// SAFETY, in all of this file: `run` has the instructions; loads and stores go through references
// to as many bytes and require no alignment.

impl Vector for F32x16 {
    const LANES: usize = 16;
    const ZERO: Self = Self(unsafe { std::mem::zeroed() });

    type Shorts = Shorts;
    type Ints = Ints;
    const NO_INTS: Ints = Ints(unsafe { std::mem::zeroed() });

    #[inline(always)]
    fn first(values: &[f32]) -> Self {
        let values = &values.as_chunks::<16>().0[0];
        Self(unsafe { _mm512_loadu_ps(values.as_ptr()) })
    }

    #[inline(always)]
    fn halves(values: &[u16]) -> Self {
        let values = &values.as_chunks::<16>().0[0];
        Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(std::ptr::from_ref(values).cast())) })
    }

    #[inline(always)]
    fn write(self, values: &mut [f32]) {
        let values = &mut values.as_chunks_mut::<16>().0[0];
        unsafe { _mm512_storeu_ps(values.as_mut_ptr(), self.0) };
    }

    #[inline(always)]
    fn write_shorts(values: [Self; 2], shorts: &mut [i16]) {
        let halves = shorts.as_chunks_mut::<32>().0[0].as_chunks_mut::<16>().0;
        for (half, values) in halves.iter_mut().zip(values) {
            unsafe {
                let rounded = _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(values.0));
                _mm256_storeu_si256(std::ptr::from_mut(half).cast(), rounded);
            }
        }
    }

    #[inline(always)]
    fn widened(bytes: &[i8], i: usize) -> Shorts {
        let bytes = &bytes.as_chunks::<32>().0[i];
        Shorts(unsafe { _mm512_cvtepi8_epi16(_mm256_loadu_si256(std::ptr::from_ref(bytes).cast())) })
    }

    #[inline(always)]
    fn pair([a, b]: &[i16; 2]) -> Shorts {
        let both = i32::from(*a) & 0xffff | i32::from(*b) << 16;
        Shorts(unsafe { _mm512_set1_epi32(both) })
    }

    #[inline(always)]
    fn add_products(a: Shorts, b: Shorts, sums: Ints) -> Ints {
        Ints(unsafe { _mm512_dpwssd_epi32(sums.0, a.0, b.0) })
    }

    #[inline(always)]
    fn from_ints(ints: Ints) -> Self {
        Self(unsafe { _mm512_cvtepi32_ps(ints.0) })
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max_lane(self) -> f32 {
        unsafe { _mm512_reduce_max_ps(self.0) }
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { _mm512_reduce_add_ps(self.0) }
    }

    #[inline(always)]
    fn round_and_power_of_two(self) -> (Self, Self) {
        unsafe {
            let n = _mm512_roundscale_ps::<0>(self.0);
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            (Self(n), Self(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))))
        }
    }
}
