//! Vectors of any width: what attention is made of.

use super::F32x4;

/// Lanes of f32.
pub trait Vector: Copy {
    /// Lanes of a vector.
    const LANES: usize;
    /// All lanes zero.
    const ZERO: Self;

    /// Twice as many integers of 16 bits.
    type Shorts: Copy;
    /// As many integers of 32 bits.
    type Ints: Copy;
    /// All of them zero.
    const NO_INTS: Self::Ints;

    /// The first lanes of `values`.
    fn first(values: &[f32]) -> Self;
    /// Widens the first lanes of finite f16 values.
    fn halves(values: &[u16]) -> Self;
    /// Writes the lanes to the beginning of `values`.
    fn write(self, values: &mut [f32]);
    /// Two vectors of at most ±32767, rounded to the nearest integers.
    fn write_shorts(values: [Self; 2], shorts: &mut [i16]);

    /// Vector `i` of `bytes`, widened.
    fn widened(bytes: &[i8], i: usize) -> Self::Shorts;
    /// The same two shorts in each lane.
    fn pair(both: &[i16; 2]) -> Self::Shorts;
    /// Products of neighbours, two to a lane, added to `sums`.
    fn add_products(a: Self::Shorts, b: Self::Shorts, sums: Self::Ints) -> Self::Ints;
    fn from_ints(ints: Self::Ints) -> Self;

    fn splat(value: f32) -> Self;
    fn mul(self, other: Self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger; NaN if `other` is.
    fn max(self, other: Self) -> Self;
    /// The largest lane; any if a lane is NaN.
    fn max_lane(self) -> f32;
    /// The sum of the lanes.
    fn sum(self) -> f32;
    /// The nearest integers n, and 2^n. |x| < 127.
    fn round_and_power_of_two(self) -> (Self, Self);

    /// 2^x for x ≤ 0, within 3 units in the last place; below -126 the value there, NaN for NaN.
    ///
    /// x = n + r with |r| ≤ 1/2: a polynomial through Chebyshev's nodes gives 2^r, exactly 1 at 0.
    #[inline(always)]
    fn exp2(self) -> Self {
        let x = Self::splat(-126.0).max(self);
        let (n, power) = x.round_and_power_of_two();
        let r = x.sub(n);
        let mut sum = Self::splat(0.001_338_130_3);
        for factor in [0.009_666_368, 0.055_503_81, 0.240_223_5, std::f32::consts::LN_2, 1.0] {
            sum = sum.mul_add(r, Self::splat(factor));
        }
        sum.mul(power)
    }
}

impl Vector for F32x4 {
    const LANES: usize = 4;
    const ZERO: Self = Self::ZERO;

    type Shorts = super::Shorts;
    type Ints = super::Ints;
    const NO_INTS: super::Ints = super::Ints::ZERO;

    #[inline(always)]
    fn first(values: &[f32]) -> Self {
        Self::load(&values.as_chunks().0[0])
    }

    #[inline(always)]
    fn halves(values: &[u16]) -> Self {
        Self::from_f16(&values.as_chunks().0[0])
    }

    #[inline(always)]
    fn write(self, values: &mut [f32]) {
        values.as_chunks_mut().0[0] = self.to_array();
    }

    #[inline(always)]
    fn write_shorts(values: [Self; 2], shorts: &mut [i16]) {
        shorts.as_chunks_mut().0[0] = Self::round_to_shorts(values);
    }

    #[inline(always)]
    fn widened(bytes: &[i8], i: usize) -> super::Shorts {
        super::widened(&bytes.as_chunks().0[i])
    }

    #[inline(always)]
    fn pair(both: &[i16; 2]) -> super::Shorts {
        super::pair(both)
    }

    #[inline(always)]
    fn add_products(a: super::Shorts, b: super::Shorts, sums: super::Ints) -> super::Ints {
        sums.add_products(a, b)
    }

    #[inline(always)]
    fn from_ints(ints: super::Ints) -> Self {
        Self::from_ints(ints)
    }

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self::splat(value)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.mul(other)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.add(other)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.add(other.neg())
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.max(other)
    }

    #[inline(always)]
    fn max_lane(self) -> f32 {
        self.max_lane()
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.sum()
    }

    #[inline(always)]
    fn round_and_power_of_two(self) -> (Self, Self) {
        self.round_and_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lanes, WideTask};
    use super::*;

    /// Exact results of functions of every kind, of 32 lanes whatever the width; then powers.
    struct All<'a>(&'a mut Vec<f32>, &'a mut Vec<f32>, usize);

    impl WideTask for All<'_> {
        #[inline(always)]
        fn run<V: Vector>(self) {
            let Self(out, powers, seed) = self;
            let byte = |i: usize| ((seed * 64 + i + 1).wrapping_mul(0x9e37_79b9) >> 13) as i8;
            let floats: Vec<f32> = (0..64).map(|i| f32::from(byte(i)) * 0.8125).collect();
            let halves: Vec<u16> =
                (0..32).map(|i| u16::from_le_bytes([byte(i), byte(64 + i)].map(i8::cast_unsigned)) & 0xfbff).collect();
            let bytes: Vec<i8> = (0..64).map(byte).collect();
            let mut shorts = [0; 64];
            for start in (0..64).step_by(2 * V::LANES) {
                let of = |i: usize| V::first(&floats[i..]).mul(V::splat(315.0));
                V::write_shorts([of(start), of(start + V::LANES)], &mut shorts[start..]);
            }
            out.extend(shorts.map(f32::from));
            let mut put = |value: V| {
                let mut lanes = [0.0; 16];
                value.write(&mut lanes);
                out.extend(&lanes[..V::LANES]);
            };
            for i in 0..32 / V::LANES {
                put(V::halves(&halves[i * V::LANES..]));
            }
            for i in 0..32 / V::LANES {
                let (a, b) = (V::first(&floats[i * V::LANES..]), V::first(&floats[32 + i * V::LANES..]));
                put(V::splat(2.0).mul_add(a, a.add(b).mul(V::splat(0.25)).sub(b).max(a)));
            }
            for i in 0..32 / V::LANES {
                let sums = V::add_products(V::widened(&bytes, i), V::pair(&[-32767, 12345]), V::NO_INTS);
                put(V::from_ints(V::add_products(V::pair(&[-3, 7]), V::widened(&bytes, i), sums)));
            }
            for i in 0..32 / V::LANES {
                let a = V::first(&floats[i * V::LANES..]);
                let (n, power) = a.round_and_power_of_two();
                put(n.mul(power));
                let (mut all, none) = ([0.0; 16], V::splat(f32::NAN).exp2());
                V::splat(0.0).sub(a.max(a.mul(V::splat(-1.0)))).exp2().write(&mut all);
                powers.extend(&all[..V::LANES]);
                assert!(none.sum().is_nan());
            }
            let all = |from: usize| V::first(&floats[from..]);
            let (mut most, mut sum) = (f32::NEG_INFINITY, 0.0);
            for i in 0..32 / V::LANES {
                most = f32::max(most, all(i * V::LANES).max_lane());
                sum += all(i * V::LANES).sum();
            }
            out.extend([most, sum]);
        }
    }

    #[test]
    fn vectors_of_all_widths_give_the_same() {
        for seed in 0..200 {
            let results = |lanes: Lanes| {
                let (mut exact, mut powers) = (Vec::new(), Vec::new());
                lanes.run_wide(16, All(&mut exact, &mut powers, seed));
                (exact, powers)
            };
            let four = results(Lanes::Four);
            for lanes in Lanes::all() {
                let (exact, powers) = results(lanes);
                assert_eq!(exact, four.0, "{}", lanes.name());
                for (a, b) in powers.iter().zip(&four.1) {
                    assert!((a - b).abs() <= 6.0 * f32::EPSILON * b, "{}: {a}, not {b}", lanes.name());
                }
            }
        }
    }
}
