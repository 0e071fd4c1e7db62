//! Blocks of a KV cache in the format that one asked for, in an order that suits the kernels.
//!
//! Keys lie column by column, and values row by row, so that a lane is a position, then a column,
//! and no sum crosses lanes. Bytes lie in pairs, whose products an instruction adds: two columns of
//! a key, position by position, and two positions of a value, column by column. Four bits are these
//! bytes, packed: of 32 the first 16 in the low halves.

use std::cell::Cell;
use std::ops::Range;

use half::f16;

use super::simd::Vector;
use crate::Result;
use crate::engine::host::{Block, zeroed};
use crate::record::kv_format::{GROUP, from_byte, from_nibble, to_bytes, to_f16, to_nibbles};
use crate::record::{KV_BLOCK, KvCache, KvFormat};

/// A block in memory; empty if it is not held.
#[derive(Clone)]
pub enum KvBlock {
    F32(Vec<f32>),
    F16(Vec<u16>),
    Q8(Bytes),
    Q4(Nibbles),
}

/// Bytes, and the extreme of each [`GROUP`] of them.
#[derive(Clone)]
pub struct Bytes {
    bytes: Vec<i8>,
    extremes: Vec<f32>,
}

/// The same in four bits; see [`HALF`].
#[derive(Clone)]
pub struct Nibbles {
    packed: Vec<[u8; HALF]>,
    extremes: Vec<f32>,
}

/// Bytes `i` and `HALF + i` of a group are the halves of one.
const HALF: usize = GROUP / 2;

/// What nibbles are more than the numbers that they stand for.
const BIAS: i8 = 8;

/// Keys and values of a head in a block.
pub enum Run<'a> {
    /// (head_dim, [`KV_BLOCK`]) and (positions, head_dim)
    Floats {
        keys: &'a [f32],
        values: &'a [f32],
    },
    Bytes(ByteRun<'a>),
}

/// Numbers that are multiplied by `unit` and the extreme of their group.
#[derive(Clone, Copy)]
pub struct ByteRun<'a> {
    pub unit: f32,
    /// (pairs of columns, [`KV_BLOCK`], 2)
    pub keys: &'a [i8],
    /// (groups of columns, [`KV_BLOCK`])
    pub key_extremes: &'a [f32],
    /// (pairs of positions, head_dim, 2)
    pub values: &'a [i8],
    /// (groups of columns, [`KV_BLOCK`])
    pub value_extremes: &'a [f32],
}

impl Default for KvBlock {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

/// Where values of a block are as floats.
fn places(shape: &KvCache, range: Range<usize>) -> impl Iterator<Item = usize> + use<> {
    let (d, keys) = (shape.head_dim, shape.heads * KV_BLOCK);
    (range.start / d..range.end.div_ceil(d)).flat_map(move |row| {
        let first = row / KV_BLOCK * KV_BLOCK * d;
        let (start, step) = if row < keys { (first + row % KV_BLOCK, KV_BLOCK) } else { (row * d, 1) };
        let cols = range.start.max(row * d) - row * d..range.end.min((row + 1) * d) - row * d;
        cols.map(move |col| start + col * step)
    })
}

/// Where the bytes of a group are.
struct Place {
    start: usize,
    /// Distances of pairs, and within one.
    steps: [usize; 2],
    extreme: usize,
}

impl Place {
    /// Of the group that begins with value `first` of a block.
    fn of(shape: &KvCache, first: usize) -> Self {
        let d = shape.head_dim;
        let (plane, position, col) = (first / (KV_BLOCK * d), first / d % KV_BLOCK, first % d);
        let start = plane * KV_BLOCK * d;
        let (within, steps) = if plane < shape.heads {
            (col * KV_BLOCK + 2 * position, [2 * KV_BLOCK, 1])
        } else {
            (position / 2 * 2 * d + position % 2 + 2 * col, [4, 2])
        };
        Self { start: start + within, steps, extreme: (start + col * KV_BLOCK) / GROUP + position }
    }

    fn bytes(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { start, steps: [pair, within], .. } = *self;
        (0..GROUP).map(move |i| start + i / 2 * pair + i % 2 * within)
    }
}

/// The values of a head, and their extremes: of keys, then of values.
fn ranges(shape: &KvCache, head: usize) -> [(Range<usize>, Range<usize>); 2] {
    [shape.keys(head, 0..KV_BLOCK), shape.values(head, 0..KV_BLOCK)]
        .map(|bytes| (bytes.clone(), bytes.start / GROUP..bytes.end / GROUP))
}

impl Bytes {
    fn write(&mut self, shape: &KvCache, first: usize, values: &[f32]) {
        for (i, values) in values.chunks_exact(GROUP).enumerate() {
            let place = Place::of(shape, first + i * GROUP);
            let (extreme, bytes) = to_bytes(values);
            self.extremes[place.extreme] = extreme;
            place.bytes().zip(bytes).for_each(|(i, byte)| self.bytes[i] = byte);
        }
    }

    fn read(&self, shape: &KvCache, range: Range<usize>, read: &mut Vec<f32>) {
        for first in range.step_by(GROUP) {
            let place = Place::of(shape, first);
            read.extend(place.bytes().map(|i| from_byte(self.extremes[place.extreme], self.bytes[i])));
        }
    }

    fn run(&self, shape: &KvCache, head: usize) -> ByteRun<'_> {
        let [(keys, key_extremes), (values, value_extremes)] = ranges(shape, head);
        ByteRun {
            unit: 1.0 / 127.0,
            keys: &self.bytes[keys],
            key_extremes: &self.extremes[key_extremes],
            values: &self.bytes[values],
            value_extremes: &self.extremes[value_extremes],
        }
    }
}

impl Nibbles {
    /// Where byte `i` is packed, and the bits below it.
    fn at(i: usize) -> (usize, usize, usize) {
        (i / GROUP, i % HALF, i % GROUP / HALF * 4)
    }

    fn write(&mut self, shape: &KvCache, first: usize, values: &[f32]) {
        for (i, values) in values.chunks_exact(GROUP).enumerate() {
            let place = Place::of(shape, first + i * GROUP);
            let (extreme, numbers) = to_nibbles(values);
            self.extremes[place.extreme] = extreme;
            for (i, number) in place.bytes().zip(numbers) {
                let (chunk, byte, shift) = Self::at(i);
                let place = &mut self.packed[chunk][byte];
                *place = *place & !(15 << shift) | (number + BIAS).cast_unsigned() << shift;
            }
        }
    }

    fn read(&self, shape: &KvCache, range: Range<usize>, read: &mut Vec<f32>) {
        for first in range.step_by(GROUP) {
            let place = Place::of(shape, first);
            read.extend(place.bytes().map(|i| {
                let (chunk, byte, shift) = Self::at(i);
                let number = (self.packed[chunk][byte] >> shift & 15).cast_signed() - BIAS;
                from_nibble(self.extremes[place.extreme], number)
            }));
        }
    }

    fn run<'a>(&'a self, shape: &KvCache, head: usize, scratch: &'a mut [[i8; GROUP]]) -> ByteRun<'a> {
        let [(keys, key_extremes), (values, value_extremes)] = ranges(shape, head);
        let (for_keys, for_values) = scratch.split_at_mut(key_extremes.len());
        unpack(&self.packed[key_extremes.clone()], for_keys);
        unpack(&self.packed[value_extremes.clone()], for_values);
        ByteRun {
            unit: from_nibble(1.0, 1),
            keys: &for_keys.as_flattened()[..keys.len()],
            key_extremes: &self.extremes[key_extremes],
            values: &for_values.as_flattened()[..values.len()],
            value_extremes: &self.extremes[value_extremes],
        }
    }
}

fn unpack(packed: &[[u8; HALF]], bytes: &mut [[i8; GROUP]]) {
    for (packed, bytes) in packed.iter().zip(bytes) {
        for (i, byte) in packed.iter().enumerate() {
            bytes[i] = (byte & 15).cast_signed() - BIAS;
            bytes[HALF + i] = (byte >> 4).cast_signed() - BIAS;
        }
    }
}

impl Block for KvBlock {
    fn bytes(shape: &KvCache) -> usize {
        shape.block_bytes()
    }

    fn new(label: &str, shape: &KvCache) -> Result<Self> {
        let len = shape.block_len();
        Ok(match shape.format {
            KvFormat::F32 => Self::F32(zeroed(label, len)?),
            KvFormat::F16 => Self::F16(zeroed(label, len)?),
            KvFormat::Q8 => Self::Q8(Bytes { bytes: zeroed(label, len)?, extremes: zeroed(label, len / GROUP)? }),
            KvFormat::Q4 => {
                Self::Q4(Nibbles { packed: zeroed(label, len / GROUP)?, extremes: zeroed(label, len / GROUP)? })
            }
        })
    }

    fn is_held(&self) -> bool {
        match self {
            Self::F32(values) => !values.is_empty(),
            Self::F16(_) | Self::Q8(_) | Self::Q4(_) => true,
        }
    }

    fn write(&mut self, shape: &KvCache, first: usize, values: &[f32]) {
        match self {
            Self::F32(all) => {
                places(shape, first..first + values.len()).zip(values).for_each(|(place, value)| all[place] = *value);
            }
            Self::F16(all) => {
                let halves = values.iter().map(|value| to_f16(*value).to_bits());
                places(shape, first..first + values.len()).zip(halves).for_each(|(place, half)| all[place] = half);
            }
            Self::Q8(bytes) => bytes.write(shape, first, values),
            Self::Q4(nibbles) => nibbles.write(shape, first, values),
        }
    }

    fn write_bytes(&mut self, shape: &KvCache, bytes: &[u8]) {
        match self {
            // halves stay as they are
            Self::F16(all) => {
                let halves = bytes.as_chunks().0.iter().map(|half| u16::from_le_bytes(*half));
                places(shape, 0..shape.block_len()).zip(halves).for_each(|(place, half)| all[place] = half);
            }
            _ => self.write(shape, 0, &shape.format.decode(bytes)),
        }
    }

    fn read(&self, shape: &KvCache, range: Range<usize>, read: &mut Vec<f32>) {
        match self {
            Self::F32(all) => read.extend(places(shape, range).map(|place| all[place])),
            Self::F16(all) => read.extend(places(shape, range).map(|place| f16::from_bits(all[place]).to_f32())),
            Self::Q8(bytes) => bytes.read(shape, range, read),
            Self::Q4(nibbles) => nibbles.read(shape, range, read),
        }
    }

    fn state_mut(&mut self) -> &mut [f32] {
        match self {
            Self::F32(values) => values,
            Self::F16(_) | Self::Q8(_) | Self::Q4(_) => &mut [],
        }
    }
}

/// Memory for what kernels read of a run in another form than it has.
#[derive(Default)]
pub struct Scratch {
    floats: Vec<f32>,
    bytes: Vec<[i8; GROUP]>,
}

thread_local! {
    /// Kept, since making it takes as long as attention to a hundred positions.
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Scratch {
    /// This thread's, until [`Scratch::give_back`].
    pub fn take(shape: &KvCache) -> Self {
        let mut scratch = SCRATCH.take();
        let len = 2 * KV_BLOCK * shape.head_dim;
        let (floats, groups) = match shape.format {
            KvFormat::F32 | KvFormat::Q8 => (0, 0),
            KvFormat::F16 => (len, 0),
            KvFormat::Q4 => (0, len / GROUP),
        };
        scratch.floats.resize(scratch.floats.len().max(floats), 0.0);
        scratch.bytes.resize(scratch.bytes.len().max(groups), [0; GROUP]);
        scratch
    }

    pub fn give_back(self) {
        SCRATCH.set(self);
    }
}

impl KvBlock {
    /// Asks for what [`KvBlock::run`] reads, so that it comes from memory while others are
    /// multiplied.
    #[cfg(target_arch = "x86_64")]
    pub fn ask(&self, shape: &KvCache, head: usize) {
        for (values, extremes) in ranges(shape, head) {
            match self {
                Self::F32(all) => ask(&all[values]),
                Self::F16(all) => ask(&all[values]),
                Self::Q8(all) => {
                    ask(&all.extremes[extremes]);
                    ask(&all.bytes[values]);
                }
                Self::Q4(all) => {
                    ask(&all.extremes[extremes.clone()]);
                    ask(&all.packed[extremes]);
                }
            }
        }
    }

    /// Keys and values of a head at the first `count` positions, and maybe of those behind. Halves
    /// are widened, and nibbles become bytes.
    #[inline(always)]
    pub fn run<'a, V: Vector>(
        &'a self,
        shape: &KvCache,
        head: usize,
        count: usize,
        scratch: &'a mut Scratch,
    ) -> Run<'a> {
        let (keys, values) = (shape.keys(head, 0..KV_BLOCK), shape.values(head, 0..count));
        let run = match self {
            Self::F32(all) => {
                let (keys, values) = (&all[keys], &all[values]);
                fetch(keys);
                fetch(values);
                return Run::Floats { keys, values };
            }
            Self::F16(all) => {
                let (for_keys, for_values) = scratch.floats.split_at_mut(keys.len());
                let for_values = &mut for_values[..values.len()];
                widen::<V>(&all[keys], for_keys);
                widen::<V>(&all[values], for_values);
                return Run::Floats { keys: for_keys, values: for_values };
            }
            Self::Q8(bytes) => bytes.run(shape, head),
            Self::Q4(nibbles) => nibbles.run(shape, head, &mut scratch.bytes),
        };
        fetch(run.keys);
        fetch(run.values);
        Run::Bytes(run)
    }
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Reads a value of each cache line, so that the lines come from memory side by side. Left to the
/// kernels they come one after another: a decode step at 1,500 positions takes a quarter longer.
fn fetch<T: Copy>(values: &[T]) {
    for value in values.iter().step_by(LINE / size_of::<T>()) {
        // SAFETY: the pointer is of a reference; a volatile read is not optimised away
        unsafe { std::ptr::from_ref(value).read_volatile() };
    }
}

/// Asks for the cache lines of values.
#[cfg(target_arch = "x86_64")]
fn ask<T>(values: &[T]) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    for value in values.iter().step_by(LINE / size_of::<T>()) {
        // SAFETY: the processor has SSE, and the pointer is of a reference
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
}

/// A multiple of as many values as a vector has.
#[inline(always)]
fn widen<V: Vector>(halves: &[u16], out: &mut [f32]) {
    for (halves, out) in halves.chunks_exact(V::LANES).zip(out.chunks_exact_mut(V::LANES)) {
        V::halves(halves).write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BufferId;

    #[test]
    fn what_is_written_is_read_as_the_format_rounds_it() {
        for format in KvFormat::ALL {
            let shape = KvCache { buffer: BufferId(0), heads: 3, head_dim: 96, format, parts: 1 };
            let mut block = KvBlock::new("test", &shape).unwrap();
            assert!(block.is_held() && !KvBlock::default().is_held());
            let mut expected: Vec<f32> = (0..shape.block_len()).map(|i| (i as f32 * 0.37).sin() * 3.0).collect();
            // some at a time, as keys and values come
            for first in (0..expected.len()).step_by(96) {
                block.write(&shape, first, &expected[first..][..96]);
            }
            format.round(&mut expected);
            let mut read = Vec::new();
            block.read(&shape, 0..expected.len(), &mut read);
            assert_eq!(read, expected, "{format:?}");
            let (part, mut read) = (shape.values(1, 7..12), Vec::new());
            block.read(&shape, part.clone(), &mut read);
            assert_eq!(read, expected[part], "{format:?}");
        }
    }
}
