//! Four lanes of f32 and dot products of quantised weights: the instructions of this engine's
//! kernels.
//!
//! Both backends of four lanes have the same types. In the browser they are WebAssembly's own
//! instructions, with [relaxed SIMD](https://github.com/WebAssembly/relaxed-simd) in builds that
//! use it. Elsewhere they are arrays, which the compiler vectorises for its target. Kernels are
//! written for [`Vector`]: these or the processor's own, which are of four lanes with NEON on Arm
//! and of eight lanes with AVX2 on x86-64. Attention is for vectors of any width, which are of
//! sixteen lanes with AVX-512. Matrix products are for vectors of the eight [`Rows`] of a tile.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(target_arch = "wasm32"))]
mod portable;
mod rows;
mod vector;
#[cfg(target_arch = "wasm32")]
mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub use portable::*;
pub use rows::{Dot, Lanes, Rows, Task, WideTask};
pub use vector::Vector;
#[cfg(target_arch = "wasm32")]
pub use wasm::*;

/// Replaces each value by e to its power, see [`F32x4::exp`].
pub fn exponentials(values: &mut [f32]) {
    let (fours, rest) = values.as_chunks_mut::<4>();
    fours.iter_mut().for_each(|four| *four = F32x4::load(four).exp().to_array());
    rest.iter_mut().for_each(|value| *value = F32x4::splat(*value).exp().to_array()[0]);
}

impl F32x4 {
    /// All lanes zero.
    pub const ZERO: Self = Self::new([0.0; 4]);

    /// e^x, within 2 units in the last place from -87 to 88. Beyond these bounds, the value at the
    /// nearer bound; NaN for NaN.
    ///
    /// x = n ln 2 + r with |r| ≤ ln 2 / 2: a Taylor polynomial gives e^r, and the exponent bits
    /// 2^n.
    #[inline(always)]
    pub fn exp(self) -> Self {
        // ln 2 in two parts; the first ends in zero bits, so that its product with n is exact (Cody
        // & Waite 1980)
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let x = self.max(Self::splat(-87.0)).min(Self::splat(88.0));
        let (n, power) = x.mul(Self::splat(std::f32::consts::LOG2_E)).round_and_power_of_two();
        let r = n.mul_add(Self::splat(-LN_2_HIGH), x);
        let r = n.mul_add(Self::splat(-LN_2_LOW), r);
        let mut sum = Self::splat(1.0 / 720.0);
        for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            sum = sum.mul_add(r, Self::splat(factor));
        }
        sum.mul(power)
    }

    /// Lane i of the result is the sum of the lanes of `rows[i]`.
    #[inline(always)]
    pub fn sums(rows: [Self; 4]) -> Self {
        let [a, b, c, d] = rows;
        let (ab, cd) = (a.unzip(b), c.unzip(d));
        let (ab, cd) = (ab.0.add(ab.1), cd.0.add(cd.1)); // a01 a23 b01 b23, c01 c23 d01 d23
        let (even, odd) = ab.unzip(cd);
        even.add(odd)
    }

    /// The largest lane; NaN if a lane is NaN.
    #[inline(always)]
    pub fn max_lane(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        let larger = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
        larger(larger(a, b), larger(c, d))
    }

    /// The sum of the lanes.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        let [a, b, c, d] = self.to_array();
        (a + b) + (c + d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_within_units_in_the_last_place() {
        let mut x = -87.0f32;
        while x < 88.0 {
            let got = F32x4::splat(x).exp().to_array()[2];
            let expected = f64::from(x).exp();
            let error = (f64::from(got) - expected).abs() / expected;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}) = {got}, not {expected}");
            x += 0.0137;
        }
        assert_eq!(F32x4::ZERO.exp().to_array(), [1.0; 4]);
        assert!(F32x4::splat(f32::NAN).exp().to_array()[0].is_nan());
        assert!(F32x4::splat(-1e30).exp().to_array()[0] < 1e-37);
        let mut x = -126.0f32;
        while x <= 0.0 {
            let got = F32x4::splat(x).exp2().to_array()[1];
            let expected = f64::from(x).exp2();
            let error = (f64::from(got) - expected).abs() / expected;
            assert!(error < 3.0 * f64::from(f32::EPSILON), "exp2({x}) = {got}, not {expected}");
            x += 0.0137;
        }
        assert_eq!(F32x4::ZERO.exp2().to_array(), [1.0; 4]);
        assert!(F32x4::splat(f32::NAN).exp2().to_array()[0].is_nan());
        assert!(F32x4::splat(f32::NEG_INFINITY).exp2().to_array()[0] < 1e-37);
    }

    #[test]
    fn sums_are_per_row() {
        let row = |i: usize| F32x4::new([1.0, 10.0, 100.0, 1000.0].map(|v| v * (i + 1) as f32));
        assert_eq!(F32x4::sums([row(0), row(1), row(2), row(3)]).to_array(), [1111.0, 2222.0, 3333.0, 4444.0]);
        assert_eq!(row(1).sum(), 2222.0);
        assert_eq!(F32x4::new([1.0, 7.0, -9.0, 3.0]).max_lane(), 7.0);
        assert!(F32x4::new([1.0, f32::NAN, -9.0, 3.0]).max_lane().is_nan());
    }

    #[test]
    fn dots_are_exact_at_their_bounds() {
        // the extremes of a block of 32
        for (w, x) in [(15u8, 127i8), (15, -127), (0, -127), (9, 3)] {
            let mut dot = NibbleDot::ZERO;
            for _ in 0..4 {
                let (low, high) = nibbles(&[w | w << 4; 16]);
                dot.add(low, words(&[x; 4]));
                dot.add(high, words(&[x; 4]));
            }
            assert_eq!(dot.sums().to_array(), [32.0 * f32::from(w) * f32::from(x); 4]);
        }
        // the other words' bits differ and must be ignored
        for (w, x) in [(7u8, 127i8), (7, -127), (3, 5), (5, -3)] {
            let bits = |j: usize| [((w & 3) * 5) << (4 * (j % 2)) | ((!w & 3) * 5) << (4 - 4 * (j % 2)); 16];
            let third = |j: usize| [if w > 3 { 17 << j } else { 255 - (17 << j) }; 16];
            let mut dot = NibbleDot::ZERO;
            for (first, second) in [
                three_bits::<0>(&bits(0), &third(0)),
                three_bits::<1>(&bits(1), &third(1)),
                three_bits::<2>(&bits(2), &third(2)),
                three_bits::<3>(&bits(3), &third(3)),
            ] {
                dot.add(first, words(&[x; 4]));
                dot.add(second, words(&[x; 4]));
            }
            assert_eq!(dot.sums().to_array(), [32.0 * f32::from(w) * f32::from(x); 4]);
        }
        for (w, x) in [(63u8, 127i8), (63, -127), (37, 5)] {
            let above = |odd: usize| [((w >> 4) * 5) << (4 * odd) | 15 << (4 - 4 * odd); 16];
            let bytes = [w & 15 | w << 4; 16];
            let mut dot = SixBitDot::ZERO;
            let (even, odd) = (six_bits::<0>(&bytes, &above(0)), six_bits::<1>(&bytes, &above(1)));
            for (low, high) in [even, odd, even, odd] {
                dot.add(low, words(&[x; 4]));
                dot.add(high, words(&[x; 4]));
                dot.widen();
            }
            assert_eq!(dot.sums().to_array(), [32.0 * f32::from(w) * f32::from(x); 4]);
        }
        for (w, x) in [(31u8, 127i8), (31, -127), (19, 5), (13, -3)] {
            let fifth = |j: usize| [if w > 15 { 17 << j } else { 255 - (17 << j) }; 16];
            let bytes = [w & 15 | w << 4; 16];
            let mut dot = SixBitDot::ZERO;
            for pairs in [
                [five_bits::<0>(&bytes, &fifth(0)), five_bits::<1>(&bytes, &fifth(1))],
                [five_bits::<2>(&bytes, &fifth(2)), five_bits::<3>(&bytes, &fifth(3))],
            ] {
                for (low, high) in pairs {
                    dot.add(low, words(&[x; 4]));
                    dot.add(high, words(&[x; 4]));
                }
                dot.widen();
            }
            assert_eq!(dot.sums().to_array(), [32.0 * f32::from(w) * f32::from(x); 4]);
        }
        for (w, x) in [(-128i8, -127i8), (-128, 127), (127, 127), (-3, 5)] {
            let mut dot = ByteDot::ZERO;
            for _ in 0..8 {
                dot.add(bytes(&[w.cast_unsigned(); 16]), words(&[x; 4]));
            }
            assert_eq!(dot.sums().to_array(), [32.0 * f32::from(w) * f32::from(x); 4]);
        }
    }

    #[test]
    fn dots_keep_rows_and_bytes_in_place() {
        let w: [u8; 16] = std::array::from_fn(|i| i as u8);
        let x = [1i8, -2, 3, -4];
        let expected = |row: usize| (0..4).map(|i| f32::from(w[4 * row + i]) * f32::from(x[i])).sum::<f32>();
        let expected: [f32; 4] = std::array::from_fn(expected);
        let mut dot = NibbleDot::ZERO;
        dot.add(nibbles(&w).0, words(&x));
        assert_eq!(dot.sums().to_array(), expected);
        let mut dot = ByteDot::ZERO;
        dot.add(bytes(&w), words(&x));
        assert_eq!(dot.sums().to_array(), expected);
    }

    #[test]
    fn indices_become_the_numbers_of_a_table() {
        let table: [i8; 16] = std::array::from_fn(|i| (i as i8 - 9) * 14);
        for b in 0..16 {
            let indices: [u8; 16] = std::array::from_fn(|i| (i ^ b) as u8 | ((i * 7 + b) as u8) << 4);
            let (low, high) = look_up(&table, &indices);
            let number = |index: u8| f32::from(table[usize::from(index)]);
            for (got, expected) in [(low, indices.map(|i| number(i & 15))), (high, indices.map(|i| number(i >> 4)))] {
                let mut dot = ByteDot::ZERO;
                dot.add(got, words(&[1, -2, 3, -4]));
                let expected = expected.as_chunks::<4>().0.iter().map(|[a, b, c, d]| a - 2.0 * b + 3.0 * c - 4.0 * d);
                assert_eq!(dot.sums().to_array().to_vec(), expected.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn rounding_goes_to_the_nearest() {
        let (rounded, power) = F32x4::new([1.4, -1.6, 0.0, 7.9]).round_and_power_of_two();
        assert_eq!(rounded.to_array(), [1.0, -2.0, 0.0, 8.0]);
        assert_eq!(power.to_array(), [2.0, 0.25, 1.0, 256.0]);
        let values = [[0.4, -0.6, 126.6, -127.0], [1.0, 2.0, 3.0, 4.0], [0.0; 4], [-1.2; 4]].map(F32x4::new);
        let bytes = F32x4::round_to_bytes(values);
        assert_eq!(bytes, [0, -1, 127, -127, 1, 2, 3, 4, 0, 0, 0, 0, -1, -1, -1, -1]);
    }

    #[test]
    fn halves_and_bytes_widen_exactly() {
        for bits in (0..0x7c00u16).chain(0x8000..0xfc00).step_by(7) {
            let expected = half::f16::from_bits(bits).to_f32();
            assert_eq!(F32x4::from_f16(&[bits; 4]).to_array(), [expected; 4]);
        }
        let words: [u8; 16] = std::array::from_fn(|i| (i as u8).wrapping_mul(37).wrapping_sub(90));
        let half = |i: usize| half::f16::from_le_bytes([words[i], words[i + 1]]).to_f32();
        let (low, high) = F32x4::from_f16_pairs(&words);
        assert_eq!([low, high].map(F32x4::to_array), [0, 2].map(|at| std::array::from_fn(|i| half(4 * i + at))));
        for pair in 0..2 {
            let (even, odd) = F32x4::from_byte_pairs(&words, pair);
            let byte = |at: usize| std::array::from_fn(|i| f32::from(words[4 * i + at].cast_signed()));
            assert_eq!([even, odd].map(F32x4::to_array), [2 * pair, 2 * pair + 1].map(byte));
        }
        for i in 0..4 {
            let (low, high) = F32x4::from_nibbles(&words, i);
            let byte = |lane: usize| words[4 * lane + i];
            assert_eq!(low.to_array(), std::array::from_fn(|lane| f32::from(byte(lane) & 15)));
            assert_eq!(high.to_array(), std::array::from_fn(|lane| f32::from(byte(lane) >> 4)));
        }
        let values = [0x3f80, 0xc040, 0x0001, 0x7f80];
        assert_eq!(F32x4::from_bf16(&values).to_array(), values.map(|v| f32::from_bits(u32::from(v) << 16)));
        let half = |at: usize| half::bf16::from_le_bytes([words[at], words[at + 1]]).to_f32();
        let (low, high) = F32x4::from_bf16_pairs(&words);
        assert_eq!([low, high].map(F32x4::to_array), [0, 2].map(|at| std::array::from_fn(|i| half(4 * i + at))));
    }
}
