//! Vectors of the rows of a tile, and which vectors this processor has.

use super::super::tiles::{Column, Words};
use super::{F32x4, Vector};

/// Vectors that matrix products are made of: a lane is a row of a tile, and functions that read a
/// tile take the vector of it that they are about: `group`, below [`GROUPS`](Self::GROUPS).
///
/// What a function does is said at that of the same name in `portable.rs`.
pub trait Rows: Vector {
    /// Vectors of the eight rows of a tile.
    const GROUPS: usize = 8 / Self::LANES;

    /// Four activations, which all rows share.
    type Input: Copy;
    /// Sums of products with nibbles.
    type NibbleDot: Dot<Self>;
    /// Sums of products with five or six bits.
    type SixBitDot: Dot<Self>;
    /// Sums of products with signed bytes.
    type ByteDot: Dot<Self>;

    fn store(self, group: usize, rows: &mut Column<f32>);

    fn load(column: &Column<f32>, group: usize) -> Self;
    fn from_f16(column: &Column<u16>, group: usize) -> Self;
    fn from_bf16(column: &Column<u16>, group: usize) -> Self;
    fn from_f16_pairs(words: &Words, group: usize) -> (Self, Self);
    fn from_bf16_pairs(words: &Words, group: usize) -> (Self, Self);
    fn from_byte_pairs(words: &Words, group: usize, i: usize) -> (Self, Self);
    fn from_nibbles(words: &Words, group: usize, i: usize) -> (Self, Self);

    fn words(x: &[i8; 4]) -> Self::Input;
    fn nibbles(words: &Words, group: usize) -> Pair<Self, Self::NibbleDot>;
    fn two_bits<const J: usize>(words: &Words, group: usize) -> Pair<Self, Self::NibbleDot>;
    fn three_bits<const J: usize>(words: &Words, third: &Words, group: usize) -> Pair<Self, Self::NibbleDot>;
    fn five_bits<const J: usize>(words: &Words, fifth: &Words, group: usize) -> Pair<Self, Self::SixBitDot>;
    fn six_bits<const J: usize>(words: &Words, above: &Words, group: usize) -> Pair<Self, Self::SixBitDot>;
    fn bytes(words: &Words, group: usize) -> <Self::ByteDot as Dot<Self>>::Weights;
    fn look_up(table: &[i8; 16], words: &Words, group: usize) -> Pair<Self, Self::ByteDot>;
}

/// Dot products of each row's weights with the same activations of at most ±127, over up to 32
/// values a row.
pub trait Dot<V: Rows>: Copy {
    /// Four numbers a row.
    type Weights: Copy;
    /// Sums of nothing.
    const ZERO: Self;

    /// Adds four products a row.
    fn add(&mut self, w: Self::Weights, x: V::Input);

    /// Makes room in sums that have few bits. Due after four additions of five bits, and after two
    /// of six.
    #[inline(always)]
    fn widen(&mut self) {}

    fn sums(self) -> V;
}

/// Weights for two places of the activations.
pub type Pair<V, D> = (<D as Dot<V>>::Weights, <D as Dot<V>>::Weights);

/// What can be done with any vectors.
pub trait Task {
    /// Does it. `inline(always)`, like all that it calls: only so does the compiler use the
    /// instructions that the caller has found.
    fn run<V: Rows>(self);
}

/// The same, where a vector need not be of a tile's rows and may be wider than they are.
pub trait WideTask {
    /// See [`Task::run`].
    fn run<V: Vector>(self);
}

/// The vectors that kernels use.
#[derive(Clone, Copy)]
pub enum Lanes {
    /// Four lanes, which every processor has.
    Four,
    /// Those of AVX2, which the processor has.
    #[cfg(target_arch = "x86_64")]
    Avx2 {
        /// Whether it has AVX-VNNI too.
        byte_products: bool,
        /// Whether it has AVX-512, for what may be wider than the rows of a tile.
        sixteen: bool,
    },
    /// Four lanes with the processor's own instructions.
    #[cfg(target_arch = "aarch64")]
    Neon {
        /// Whether it has dot products of bytes.
        byte_products: bool,
    },
}

impl Default for Lanes {
    /// The widest that this processor has.
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        if super::avx2::is_available() {
            let byte_products = super::avx2::has_byte_products();
            return Self::Avx2 { byte_products, sixteen: super::avx512::is_available() };
        }
        #[cfg(target_arch = "aarch64")]
        return Self::Neon { byte_products: super::neon::has_byte_products() };
        #[cfg(not(target_arch = "aarch64"))]
        Self::Four
    }
}

impl Lanes {
    /// All that this processor has.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Four, Self::default()];
        match Self::default() {
            Self::Four => {}
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 { byte_products, .. } => {
                all.push(Self::Avx2 { byte_products, sixteen: false });
                all.push(Self::Avx2 { byte_products: false, sixteen: false });
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon { .. } => all.push(Self::Neon { byte_products: false }),
        }
        all
    }

    /// Runs a task with them.
    pub fn run(self, task: impl Task) {
        // SAFETY: the processor has the instructions
        match self {
            Self::Four => task.run::<F32x4>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 { byte_products: true, .. } => unsafe { super::avx2::run_with_byte_products(task) },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 { .. } => unsafe { super::avx2::run(task) },
            #[cfg(target_arch = "aarch64")]
            Self::Neon { byte_products: true } => unsafe { super::neon::run_with_byte_products(task) },
            #[cfg(target_arch = "aarch64")]
            Self::Neon { .. } => super::neon::run(task),
        }
    }

    /// Runs a task whose vectors divide `cols`, a multiple of four.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn run_wide(self, cols: usize, task: impl WideTask) {
        // SAFETY: the processor has the instructions
        match self {
            Self::Four => task.run::<F32x4>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 { byte_products, sixteen } => match byte_products {
                _ if sixteen && cols.is_multiple_of(16) => unsafe { super::avx512::run(task) },
                _ if !cols.is_multiple_of(8) => task.run::<F32x4>(),
                true => unsafe { super::avx2::run_wide_with_byte_products(task) },
                false => unsafe { super::avx2::run_wide(task) },
            },
            #[cfg(target_arch = "aarch64")]
            Self::Neon { .. } => super::neon::run_wide(task),
        }
    }

    /// Name of these vectors in [`EngineInfo`](crate::engine::EngineInfo).
    pub fn name(self) -> &'static str {
        match self {
            Self::Four => super::NAME,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 { byte_products, sixteen } => match (byte_products, sixteen) {
                (false, false) => "AVX2",
                (false, true) => "AVX2, AVX-512",
                (true, false) => "AVX2 with AVX-VNNI",
                (true, true) => "AVX2 with AVX-VNNI, AVX-512",
            },
            #[cfg(target_arch = "aarch64")]
            Self::Neon { byte_products: false } => "NEON",
            #[cfg(target_arch = "aarch64")]
            Self::Neon { byte_products: true } => "NEON with dot products",
        }
    }
}

macro_rules! dots {
    ($($dot:ident of $weights:ident $(, $widen:ident)?;)+) => {
        $(
            impl Dot<F32x4> for super::$dot {
                type Weights = super::$weights;
                const ZERO: Self = Self::ZERO;

                #[inline(always)]
                fn add(&mut self, w: super::$weights, x: super::Words) {
                    self.add(w, x);
                }

                $(
                    #[inline(always)]
                    fn widen(&mut self) {
                        self.$widen();
                    }
                )?

                #[inline(always)]
                fn sums(self) -> F32x4 {
                    self.sums()
                }
            }
        )+
    };
}

dots! {
    NibbleDot of Nibbles;
    SixBitDot of SixBits, widen;
    ByteDot of Bytes;
}

impl Rows for F32x4 {
    type Input = super::Words;
    type NibbleDot = super::NibbleDot;
    type SixBitDot = super::SixBitDot;
    type ByteDot = super::ByteDot;

    #[inline(always)]
    fn store(self, group: usize, rows: &mut Column<f32>) {
        rows[group] = self.to_array();
    }

    #[inline(always)]
    fn load(column: &Column<f32>, group: usize) -> Self {
        Self::load(&column[group])
    }

    #[inline(always)]
    fn from_f16(column: &Column<u16>, group: usize) -> Self {
        Self::from_f16(&column[group])
    }

    #[inline(always)]
    fn from_bf16(column: &Column<u16>, group: usize) -> Self {
        Self::from_bf16(&column[group])
    }

    #[inline(always)]
    fn from_f16_pairs(words: &Words, group: usize) -> (Self, Self) {
        Self::from_f16_pairs(&words[group])
    }

    #[inline(always)]
    fn from_bf16_pairs(words: &Words, group: usize) -> (Self, Self) {
        Self::from_bf16_pairs(&words[group])
    }

    #[inline(always)]
    fn from_byte_pairs(words: &Words, group: usize, i: usize) -> (Self, Self) {
        Self::from_byte_pairs(&words[group], i)
    }

    #[inline(always)]
    fn from_nibbles(words: &Words, group: usize, i: usize) -> (Self, Self) {
        Self::from_nibbles(&words[group], i)
    }

    #[inline(always)]
    fn words(x: &[i8; 4]) -> super::Words {
        super::words(x)
    }

    #[inline(always)]
    fn nibbles(words: &Words, group: usize) -> (super::Nibbles, super::Nibbles) {
        super::nibbles(&words[group])
    }

    #[inline(always)]
    fn two_bits<const J: usize>(words: &Words, group: usize) -> (super::Nibbles, super::Nibbles) {
        super::two_bits::<J>(&words[group])
    }

    #[inline(always)]
    fn three_bits<const J: usize>(words: &Words, third: &Words, group: usize) -> (super::Nibbles, super::Nibbles) {
        super::three_bits::<J>(&words[group], &third[group])
    }

    #[inline(always)]
    fn five_bits<const J: usize>(words: &Words, fifth: &Words, group: usize) -> (super::SixBits, super::SixBits) {
        super::five_bits::<J>(&words[group], &fifth[group])
    }

    #[inline(always)]
    fn six_bits<const J: usize>(words: &Words, above: &Words, group: usize) -> (super::SixBits, super::SixBits) {
        super::six_bits::<J>(&words[group], &above[group])
    }

    #[inline(always)]
    fn bytes(words: &Words, group: usize) -> super::Bytes {
        super::bytes(&words[group])
    }

    #[inline(always)]
    fn look_up(table: &[i8; 16], words: &Words, group: usize) -> (super::Bytes, super::Bytes) {
        super::look_up(table, &words[group])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random, others for each `seed`.
    fn words(seed: usize) -> Words {
        std::array::from_fn(|group| {
            std::array::from_fn(|i| ((seed * 64 + group * 16 + i + 1).wrapping_mul(0x9e37_79b9) >> 13) as u8)
        })
    }

    /// What functions of every kind give for the eight rows, one after the other.
    struct All<'a>(&'a mut Vec<Column<f32>>, usize);

    impl Task for All<'_> {
        #[inline(always)]
        fn run<V: Rows>(self) {
            let Self(out, seed) = self;
            let (a, b) = (words(seed), words(seed + 1000));
            let floats: Column<f32> = a.map(|a| std::array::from_fn(|i| f32::from(a[i]) - 100.5));
            let column: Column<u16> =
                a.map(|a| std::array::from_fn(|i| u16::from_le_bytes([a[2 * i], a[2 * i + 1]]) & 0xfbff));
            let halves = a.map(|a| std::array::from_fn(|i| if i % 2 == 1 { a[i] & 0xfb } else { a[i] }));
            let mut put = |group: usize, value: V| {
                if group == 0 {
                    out.push([[0.0; 4]; 2]);
                }
                let at = out.len() - 1;
                value.store(group, &mut out[at]);
            };
            macro_rules! each {
                ($($value:expr),+ $(,)?) => { $(for group in 0..V::GROUPS { put(group, ($value)(group)); })+ };
            }
            each!(
                |group| V::load(&floats, group).mul(V::splat(0.25)).add(V::splat(3.0)),
                |group| V::splat(2.0).mul_add(V::load(&floats, group), V::splat(-1.0)),
                |group| V::from_f16(&column, group),
                |group| V::from_bf16(&column, group),
                |group| V::from_f16_pairs(&halves, group).0,
                |group| V::from_f16_pairs(&halves, group).1,
                |group| V::from_bf16_pairs(&halves, group).0,
                |group| V::from_bf16_pairs(&halves, group).1,
            );
            for i in 0..4 {
                each!(
                    |group| V::from_byte_pairs(&a, group, i % 2).0,
                    |group| V::from_byte_pairs(&a, group, i % 2).1,
                    |group| V::from_nibbles(&a, group, i).0,
                    |group| V::from_nibbles(&a, group, i).1,
                );
            }
            /// Four products with each of a pair, the first ones twice.
            fn products<V: Rows, D: Dot<V>>((first, second): (D::Weights, D::Weights), seed: usize) -> V {
                let x = |i: usize| [127, -127, (seed * 31 % 255) as i8, (seed * 7 + i) as i8].map(|x: i8| x.max(-127));
                let mut dot = D::ZERO;
                dot.add(first, V::words(&x(0)));
                dot.add(second, V::words(&x(1)));
                dot.widen();
                dot.add(first, V::words(&x(2)));
                dot.widen();
                dot.sums()
            }
            let table = std::array::from_fn(|i| a[0][i].cast_signed());
            each!(
                |group| products::<V, V::NibbleDot>(V::nibbles(&a, group), seed),
                |group| products::<V, V::NibbleDot>(V::two_bits::<0>(&a, group), seed),
                |group| products::<V, V::NibbleDot>(V::two_bits::<1>(&a, group), seed),
                |group| products::<V, V::NibbleDot>(V::three_bits::<0>(&a, &b, group), seed),
                |group| products::<V, V::NibbleDot>(V::three_bits::<1>(&a, &b, group), seed),
                |group| products::<V, V::NibbleDot>(V::three_bits::<2>(&a, &b, group), seed),
                |group| products::<V, V::NibbleDot>(V::three_bits::<3>(&a, &b, group), seed),
                |group| products::<V, V::SixBitDot>(V::five_bits::<0>(&a, &b, group), seed),
                |group| products::<V, V::SixBitDot>(V::five_bits::<1>(&a, &b, group), seed),
                |group| products::<V, V::SixBitDot>(V::five_bits::<2>(&a, &b, group), seed),
                |group| products::<V, V::SixBitDot>(V::five_bits::<3>(&a, &b, group), seed),
                |group| products::<V, V::SixBitDot>(V::six_bits::<0>(&a, &b, group), seed),
                |group| products::<V, V::SixBitDot>(V::six_bits::<1>(&a, &b, group), seed),
                |group| products::<V, V::ByteDot>((V::bytes(&a, group), V::bytes(&b, group)), seed),
                |group| products::<V, V::ByteDot>(V::look_up(&table, &b, group), seed),
            );
        }
    }

    #[test]
    fn rows_of_all_vectors_give_the_same() {
        let results = |lanes: Lanes, seed: usize| -> Vec<_> {
            let mut all = Vec::new();
            lanes.run(All(&mut all, seed));
            all.iter().map(|rows| rows.map(|row| row.map(f32::to_bits))).collect()
        };
        for seed in 0..500 {
            let four = results(Lanes::Four, seed);
            for lanes in Lanes::all() {
                let got = results(lanes, seed);
                assert_eq!(got.len(), four.len());
                for (i, (got, four)) in got.iter().zip(&four).enumerate() {
                    assert_eq!(got, four, "{i}, {}", lanes.name());
                }
            }
        }
    }

    /// The extremes of a block of 32.
    #[test]
    fn sums_of_16_bits_hold_a_block() {
        struct Extremes;
        impl Task for Extremes {
            #[inline(always)]
            fn run<V: Rows>(self) {
                fn check<V: Rows, D: Dot<V>>(w: D::Weights, value: i32, widen_after: usize) {
                    for x in [127i8, -127] {
                        let mut dot = D::ZERO;
                        for i in 1..=8 {
                            dot.add(w, V::words(&[x; 4]));
                            if i % widen_after == 0 {
                                dot.widen();
                            }
                        }
                        let mut rows = [[0.0; 4]; 2];
                        dot.sums().store(0, &mut rows);
                        assert_eq!(rows[0], [(32 * value * i32::from(x)) as f32; 4]);
                    }
                }
                let (ones, lowest) = ([[255; 16]; 2], [[128; 16]; 2]);
                check::<V, V::NibbleDot>(V::nibbles(&ones, 0).0, 15, 8);
                check::<V, V::SixBitDot>(V::five_bits::<0>(&ones, &ones, 0).0, 31, 4);
                check::<V, V::SixBitDot>(V::six_bits::<0>(&ones, &ones, 0).1, 63, 2);
                check::<V, V::ByteDot>(V::bytes(&lowest, 0), -128, 8);
            }
        }
        for lanes in Lanes::all() {
            lanes.run(Extremes);
        }
    }
}
