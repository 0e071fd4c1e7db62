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

/// The vectors that matrix products use.
#[derive(Clone, Copy)]
pub struct Lanes {
    /// Whether they are those of AVX2, which the processor has.
    eight: bool,
    /// Whether it has AVX-VNNI too.
    byte_products: bool,
    /// Whether it has AVX-512, for what may be wider.
    sixteen: bool,
}

impl Default for Lanes {
    /// The widest that this processor has.
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        let (eight, byte_products, sixteen) =
            (super::avx2::is_available(), super::avx2::has_byte_products(), super::avx512::is_available());
        #[cfg(not(target_arch = "x86_64"))]
        let (eight, byte_products, sixteen) = (false, false, false);
        Self { eight, byte_products, sixteen }
    }
}

impl Lanes {
    /// Four lanes, which every processor has.
    pub const FOUR: Self = Self { eight: false, byte_products: false, sixteen: false };

    /// All that this processor has.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let Self { eight, byte_products, sixteen } = Self::default();
        let all = [(false, false, false), (true, false, false), (true, true, false), (true, true, true)];
        let has = |&(a, b, c): &(bool, bool, bool)| a <= eight && b <= byte_products && c <= sixteen;
        let lanes = |(eight, byte_products, sixteen)| Self { eight, byte_products, sixteen };
        all.into_iter().filter(has).map(lanes).collect()
    }

    /// Runs a task with them.
    pub fn run(self, task: impl Task) {
        #[cfg(target_arch = "x86_64")]
        if self.eight {
            // SAFETY: the processor has the instructions
            return unsafe {
                match self.byte_products {
                    true => super::avx2::run_with_byte_products(task),
                    false => super::avx2::run(task),
                }
            };
        }
        task.run::<F32x4>();
    }

    /// Runs a task whose vectors divide `cols`, a multiple of four.
    #[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
    pub fn run_wide(self, cols: usize, task: impl WideTask) {
        #[cfg(target_arch = "x86_64")]
        if self.eight && cols.is_multiple_of(8) {
            // SAFETY: the processor has the instructions
            return unsafe {
                match self {
                    Self { sixteen: true, .. } if cols.is_multiple_of(16) => super::avx512::run(task),
                    Self { byte_products: true, .. } => super::avx2::run_wide_with_byte_products(task),
                    _ => super::avx2::run_wide(task),
                }
            };
        }
        task.run::<F32x4>();
    }

    /// Name of these vectors in [`EngineInfo`](crate::engine::EngineInfo).
    pub fn name(self) -> &'static str {
        match self {
            Self { eight: false, .. } => super::NAME,
            Self { byte_products: false, .. } => "AVX2",
            Self { sixteen: true, .. } => "AVX2 with AVX-VNNI, AVX-512",
            Self { byte_products: true, .. } => "AVX2 with AVX-VNNI",
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
