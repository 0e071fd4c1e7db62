//! Codes: the quantised types of ggml whose quants are indices of whole vectors of eight or four
//! numbers (IQ1_S to IQ3_S). Neighbouring weights are quantised together, to one of the 256 to 2048
//! vectors of a codebook that llama.cpp's authors chose by how often vectors occur. Q1_0 is like
//! them: its quants are signs.
//!
//! Of 256 values, the quants plane has the low byte of each index; then, if there are signs, a bit
//! for each value. The scales plane has, in words of 32 bits:
//!
//! - the scale d, an f16, in the low half of a word;
//! - factors of four bits, for 32 or 16 values each;
//! - the upper bits of indices, bit i for index i, the lowest of an index first;
//! - in IQ1_M a word of offsets, a bit for each index.
//!
//! A value is d / 2^halvings · (2 s + 1) · number, with the factor s. With signs, the number is one
//! of a few sizes or its negative. Without, it is 8 times −1, 0 or 1, and then 1 more, or 1 less
//! where the offset's bit is set; in IQ1_S this bit is the highest of the factor. All numbers fit a
//! signed byte, and all products an f32.

use std::sync::OnceLock;

use half::f16;

use super::layout::{GROUP, Quantised, SIGNS};

/// How a layout stores indices of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Bits of an index above its low byte.
    pub high_bits: usize,
    /// Values that share a factor: 32 or 16.
    pub shared: usize,
    /// Whether each index has an offset of its own (IQ1_M).
    pub offsets: bool,
    book: &'static Book,
}

/// Vectors.
#[derive(Debug, PartialEq, Eq)]
struct Book {
    /// Numbers of a vector: eight or four.
    len: usize,
    /// The sizes of numbers, by level; none without signs.
    sizes: &'static [i8],
    /// The scale d counts units of 1 / 2^halvings.
    halvings: u32,
    /// Two bytes a vector: the levels of its numbers, in 16 / `len` bits each.
    levels: &'static [u8],
    /// See [`Book::vectors`].
    vectors: OnceLock<Vec<u64>>,
}

macro_rules! book {
    ($file:literal, $len:literal of $sizes:expr, $halvings:literal) => {
        Book {
            len: $len,
            sizes: &$sizes,
            halvings: $halvings,
            levels: include_bytes!(concat!("codes/", $file, ".bin")),
            vectors: OnceLock::new(),
        }
    };
}

static IQ1: Book = book!("iq1_s", 8 of [], 3);
static IQ2: [Book; 3] =
    [book!("iq2_xxs", 8 of [8, 25, 43], 3), book!("iq2_xs", 8 of [8, 25, 43], 3), book!("iq2_s", 8 of [8, 25, 43], 3)];
static IQ3: [Book; 2] =
    [book!("iq3_xxs", 4 of [4, 12, 20, 28, 36, 44, 52, 62], 2), book!("iq3_s", 4 of [1, 3, 5, 7, 9, 11, 13, 15], 0)];

pub static IQ1_S: Code = Code { high_bits: 3, shared: 32, offsets: false, book: &IQ1 };
pub static IQ1_M: Code = Code { high_bits: 3, shared: 16, offsets: true, book: &IQ1 };
pub static IQ2_XXS: Code = Code { high_bits: 0, shared: 32, offsets: false, book: &IQ2[0] };
pub static IQ2_XS: Code = Code { high_bits: 1, shared: 16, offsets: false, book: &IQ2[1] };
pub static IQ2_S: Code = Code { high_bits: 2, shared: 16, offsets: false, book: &IQ2[2] };
pub static IQ3_XXS: Code = Code { high_bits: 0, shared: 32, offsets: false, book: &IQ3[0] };
pub static IQ3_S: Code = Code { high_bits: 1, shared: 32, offsets: false, book: &IQ3[1] };

/// Sixteen values share a scale at least.
pub const PIECE: usize = 16;

impl Book {
    const fn has_signs(&self) -> bool {
        !self.sizes.is_empty()
    }

    /// The numbers of each vector as bytes, with both offsets where there are some: those of offset
    /// 1, then those of −1.
    fn vectors(&self) -> &[u64] {
        self.vectors.get_or_init(|| {
            let offsets: &[i8] = if self.has_signs() { &[0] } else { &[1, -1] };
            let numbers =
                |&offset: &i8| self.levels.as_chunks().0.iter().map(move |levels| self.vector(*levels, offset));
            offsets.iter().flat_map(numbers).collect()
        })
    }

    fn vector(&self, levels: [u8; 2], offset: i8) -> u64 {
        let (levels, bits) = (u16::from_le_bytes(levels), 16 / self.len);
        (0..self.len).fold(0, |vector, j| {
            let level = usize::from(levels >> (j * bits)) & ((1 << bits) - 1);
            let number = self.sizes.get(level).copied().unwrap_or(8 * (level as i8 - 1) + offset);
            vector | u64::from(number.cast_unsigned()) << (8 * j)
        })
    }
}

impl Quantised {
    /// Decodes a group of a coded layout: `quants` and `words` of both planes. Gives the numbers,
    /// and returns what each 16 of them are multiplied with.
    pub fn decode(self, quants: &[u8], words: &[[u8; 4]], numbers: &mut [i8; GROUP]) -> [f32; GROUP / PIECE] {
        if let Some(code) = self.code() {
            return code.decode(quants, words, numbers);
        }
        for (numbers, signs) in numbers[..SIGNS].as_chunks_mut().0.iter_mut().zip(quants) {
            *numbers = with_signs(ONES, !signs).to_le_bytes().map(u8::cast_signed);
        }
        [scale(words); GROUP / PIECE]
    }
}

/// The f16 in the low half of the first word.
fn scale(words: &[[u8; 4]]) -> f32 {
    f16::from_le_bytes([words[0][0], words[0][1]]).to_f32()
}

impl Code {
    /// Whether each value has a sign of its own.
    pub const fn has_signs(&self) -> bool {
        self.book.has_signs()
    }

    /// Bytes of the quants plane for 256 values.
    pub const fn quants_bytes(&self) -> usize {
        self.indices() + if self.has_signs() { GROUP / 8 } else { 0 }
    }

    /// Words of the scales plane for 256 values.
    pub const fn words(&self) -> usize {
        1 + self.factor_words() + self.high_words() + self.offsets as usize
    }

    /// The codebook, two bytes a vector: a GPU has it in front of the scales.
    pub const fn book(&self) -> &'static [u8] {
        self.book.levels
    }

    const fn indices(&self) -> usize {
        GROUP / self.book.len
    }

    const fn factor_words(&self) -> usize {
        GROUP / self.shared / 8
    }

    const fn high_words(&self) -> usize {
        self.high_bits * self.indices() / 32
    }

    fn decode(&self, quants: &[u8], words: &[[u8; 4]], numbers: &mut [i8; GROUP]) -> [f32; GROUP / PIECE] {
        let vectors = self.book.vectors();
        let (indices, signs) = quants.split_at(self.indices());
        let factors = words[1..].as_flattened();
        let high = &factors[4 * self.factor_words()..];
        let offsets = &high[4 * self.high_words()..];
        let factor = |i: usize| factors[i / 2] >> (i % 2 * 4) & 15;
        let mut places = [0; GROUP / 4];
        places.iter_mut().zip(indices).for_each(|(place, low)| *place = u16::from(*low));
        for (i, word) in high.as_chunks().0[..self.high_words()].iter().enumerate() {
            let (first, bit) = (32 * i % self.indices(), 8 + 32 * i / self.indices());
            let word = u32::from_le_bytes(*word);
            let places = places[first..][..32].iter_mut().enumerate();
            places.for_each(|(i, place)| *place |= ((word >> i & 1) as u16) << bit);
        }
        if !self.has_signs() {
            // the second half of the vectors have the other offset
            let is_less = |i: usize| match self.offsets {
                true => offsets[i / 8] >> (i % 8) & 1,
                false => factor(i / 4) >> 3,
            };
            places.iter_mut().take(32).enumerate().for_each(|(i, place)| *place |= u16::from(is_less(i)) << 11);
        }
        let numbers = numbers.as_chunks_mut::<8>().0.iter_mut();
        match self.book.len {
            4 => numbers.zip(places.as_chunks().0).zip(signs).for_each(|((numbers, [low, high]), signs)| {
                let eight = vectors[usize::from(*low)] | vectors[usize::from(*high)] << 32;
                *numbers = with_signs(eight, *signs).to_le_bytes().map(u8::cast_signed);
            }),
            _ if self.has_signs() => numbers.zip(&places).zip(signs).for_each(|((numbers, place), signs)| {
                *numbers = with_signs(vectors[usize::from(*place)], *signs).to_le_bytes().map(u8::cast_signed);
            }),
            _ => numbers.zip(&places).for_each(|(numbers, place)| {
                *numbers = vectors[usize::from(*place)].to_le_bytes().map(u8::cast_signed);
            }),
        }
        let d = scale(words) / (1 << self.book.halvings) as f32;
        // the highest bit of a factor without signs is an offset
        let mask = if self.has_signs() { 15 } else { 7 };
        std::array::from_fn(|i| d * f32::from(2 * (factor(i * PIECE / self.shared) & mask) + 1))
    }
}

/// Eight bytes of 1.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight numbers, none of them 0, negative where a bit is set.
fn with_signs(numbers: u64, signs: u8) -> u64 {
    // bit j in byte j, then as the lowest bit of the byte
    let bits = (u64::from(signs) * ONES) & 0x8040_2010_0804_0201;
    let ones = ((bits + 127 * ONES) >> 7) & ONES;
    // −n = !n + 1, which carries only where n is 0
    (numbers ^ (ones * 0xff)) + ones
}

/// What a block of a file has, as [`Code`] stores it.
pub(super) struct Coded {
    d: [u8; 2],
    indices: [u16; GROUP / 4],
    signs: [u8; GROUP / 8],
    factors: [u8; GROUP / PIECE],
    offsets: u32,
}

impl Coded {
    fn of(d: [u8; 2]) -> Self {
        Self { d, indices: [0; 64], signs: [0; 32], factors: [0; 16], offsets: 0 }
    }

    /// **Appends** its planes.
    pub fn push(&self, code: &Code, quants: &mut Vec<u8>, scales: &mut Vec<u8>) {
        let indices = &self.indices[..code.indices()];
        quants.extend(indices.iter().map(|index| *index as u8));
        if code.has_signs() {
            quants.extend(self.signs);
        }
        scales.extend([self.d[0], self.d[1], 0, 0]);
        let factors = self.factors[..GROUP / code.shared].as_chunks::<2>().0;
        scales.extend(factors.iter().map(|[low, high]| low | high << 4));
        for bit in 8..8 + code.high_bits {
            let byte = |eight: &[u16; 8]| {
                eight.iter().enumerate().fold(0, |byte, (i, index)| byte | ((index >> bit & 1) as u8) << i)
            };
            scales.extend(indices.as_chunks().0.iter().map(byte));
        }
        if code.offsets {
            scales.extend(self.offsets.to_le_bytes());
        }
    }
}

fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn short(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// Seven signs; the eighth makes the number of negative ones even.
fn eight_signs(seven: u32) -> u8 {
    let seven = (seven & 127) as u8;
    seven | ((seven.count_ones() & 1) as u8) << 7
}

/// Four times seven signs and a factor, for 32 values.
fn signs_and_factor(coded: &mut Coded, i: usize, word: u32) {
    for k in 0..4 {
        coded.signs[4 * i + k] = eight_signs(word >> (7 * k));
    }
    coded.factors[i] = (word >> 28) as u8;
}

/// Nibble `i`, low ones first.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 2] >> (i % 2 * 4) & 15
}

/// d; per 32 values four low bytes of indices; per 32 values three more bits of each index, three
/// of a factor, an offset.
pub(super) fn iq1_s(block: &[u8; 50]) -> Coded {
    let mut coded = Coded::of([block[0], block[1]]);
    for i in 0..8 {
        let high = short(block, 34 + 2 * i);
        for k in 0..4 {
            coded.indices[4 * i + k] = u16::from(block[2 + 4 * i + k]) | (high >> (3 * k) & 7) << 8;
        }
        coded.factors[i] = (high >> 12) as u8;
    }
    coded
}

/// 32 low bytes of indices; a nibble for each with three more bits and an offset; four u16 with
/// four factors of three bits, and a nibble of d above them.
pub(super) fn iq1_m(block: &[u8; 56]) -> Coded {
    let scales: [u16; 4] = std::array::from_fn(|i| short(block, 48 + 2 * i));
    let d = scales.iter().enumerate().fold(0, |d, (i, scale)| d | (scale >> 12) << (4 * i));
    let mut coded = Coded::of(d.to_le_bytes());
    for i in 0..32 {
        let high = nibble(&block[32..48], i);
        coded.indices[i] = u16::from(block[i]) | u16::from(high & 7) << 8;
        coded.offsets |= u32::from(high >> 3) << i;
    }
    coded.factors = std::array::from_fn(|i| (scales[i / 4] >> (i % 4 * 3) & 7) as u8);
    coded
}

/// d; per 32 values four indices, then four times seven signs and a factor.
pub(super) fn iq2_xxs(block: &[u8; 66]) -> Coded {
    let mut coded = Coded::of([block[0], block[1]]);
    for i in 0..8 {
        for k in 0..4 {
            coded.indices[4 * i + k] = block[2 + 8 * i + k].into();
        }
        signs_and_factor(&mut coded, i, word(block, 6 + 8 * i));
    }
    coded
}

/// d; per eight values a u16 of nine bits of index and seven signs; a factor per 16 values.
pub(super) fn iq2_xs(block: &[u8; 74]) -> Coded {
    let mut coded = Coded::of([block[0], block[1]]);
    for i in 0..32 {
        let both = short(block, 2 + 2 * i);
        coded.indices[i] = both & 511;
        coded.signs[i] = eight_signs((both >> 9).into());
    }
    coded.factors = std::array::from_fn(|i| nibble(&block[66..], i));
    coded
}

/// d; 32 low bytes of indices; signs; two more bits of each index; a factor per 16 values.
pub(super) fn iq2_s(block: &[u8; 82]) -> Coded {
    let mut coded = Coded::of([block[0], block[1]]);
    for i in 0..32 {
        coded.indices[i] = u16::from(block[2 + i]) | u16::from(block[66 + i / 4] >> (i % 4 * 2) & 3) << 8;
    }
    coded.signs.copy_from_slice(&block[34..66]);
    coded.factors = std::array::from_fn(|i| nibble(&block[74..], i));
    coded
}

/// d; 64 indices; per 32 values four times seven signs and a factor.
pub(super) fn iq3_xxs(block: &[u8; 98]) -> Coded {
    let mut coded = Coded::of([block[0], block[1]]);
    coded.indices = std::array::from_fn(|i| block[2 + i].into());
    (0..8).for_each(|i| signs_and_factor(&mut coded, i, word(block, 66 + 4 * i)));
    coded
}

/// d; 64 low bytes of indices; the ninth bit of each; signs; a factor per 32 values.
pub(super) fn iq3_s(block: &[u8; 110]) -> Coded {
    let mut coded = Coded::of([block[0], block[1]]);
    coded.indices = std::array::from_fn(|i| u16::from(block[2 + i]) | u16::from(block[66 + i / 8] >> (i % 8) & 1) << 8);
    coded.signs.copy_from_slice(&block[74..106]);
    (0..8).for_each(|i| coded.factors[i] = nibble(&block[106..], i));
    coded
}
