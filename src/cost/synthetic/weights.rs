//! Random weights for the headers of published models, to measure how fast these run without a
//! download of gigabytes. What the weights are hardly matters for that, as long as no number of the
//! model becomes infinite.

use super::{Mixture, Shape};
use crate::Result;
use crate::format::{BlockType, TensorInfo};

/// Bytes of random blocks of a kind, which are repeated: more than a GPU's small caches hold.
const PATTERN: usize = 16 << 20;

/// Bytes that are given at once.
const PIECE: usize = 1 << 20;

/// Tensors begin at multiples of it.
const ALIGNMENT: usize = 32;

/// A GGUF file of random weights, made while it is read.
pub struct RandomFile {
    header: Vec<u8>,
    tensors: Vec<TensorInfo>,
    patterns: Vec<(Kind, Vec<u8>)>,
}

/// Weights that look alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a matrix.
    Matrix(BlockType),
    /// Around one: of a norm, and factors of RoPE.
    Factors,
}

impl Kind {
    fn of(tensor: &TensorInfo) -> Self {
        let is_vector = tensor.dims.len() == 1 && !tensor.name.ends_with(".bias");
        if is_vector { Self::Factors } else { Self::Matrix(tensor.block) }
    }

    fn block(self) -> BlockType {
        if let Self::Matrix(block) = self { block } else { BlockType::F32 }
    }

    /// Whole blocks of it, about [`PATTERN`] bytes.
    fn pattern(self) -> Vec<u8> {
        let (block, mut random) = (self.block(), 0x9e37_79b9u32);
        let mut bits = || {
            // xorshift32, Marsaglia 2003
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            random
        };
        let len = PATTERN / block.block_bytes() * block.block_bytes();
        let mut bytes: Vec<u8> = (0..len.div_ceil(4)).flat_map(|_| bits().to_le_bytes()).collect();
        bytes.truncate(len);
        // where a block has halves, and their exponents: weights are then about 0.02, in Q6_K 0.08,
        // since smaller halves would be subnormal
        let halves: &[(usize, i16)] = match block {
            BlockType::Q4K => &[(0, -14), (2, -11)],
            BlockType::Q6K => &[(208, -14)],
            BlockType::Q4_0 => &[(0, -8)],
            BlockType::Q5_0 => &[(0, -9)],
            BlockType::Q8_0 => &[(0, -12)],
            _ => &[],
        };
        for bytes in bytes.chunks_exact_mut(block.block_bytes()) {
            if block == BlockType::F32 {
                let unit = f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32768.0;
                let value = if self == Self::Factors { 1.0 + unit / 2.0 } else { unit / 32.0 };
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            for &(at, exponent) in halves {
                let fraction = u16::from_le_bytes([bytes[at], bytes[at + 1]]) & 0x3ff;
                bytes[at..at + 2].copy_from_slice(&(fraction | ((exponent + 15) as u16) << 10).to_le_bytes());
            }
        }
        bytes
    }
}

impl Shape {
    /// A file with this header and random weights.
    pub fn random(&self, mixture: Mixture) -> RandomFile {
        let tensors = self.tensors(mixture);
        let mut patterns: Vec<(Kind, Vec<u8>)> = Vec::new();
        for kind in tensors.iter().map(Kind::of) {
            if !patterns.iter().any(|(other, _)| *other == kind) {
                patterns.push((kind, kind.pattern()));
            }
        }
        RandomFile { header: self.header(mixture), tensors, patterns }
    }
}

impl RandomFile {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        let padded = |tensor: &TensorInfo| tensor.bytes().next_multiple_of(ALIGNMENT as u64);
        self.header.len() as u64 + self.tensors.iter().map(padded).sum::<u64>()
    }

    /// Gives the file to `each`, from its first byte to its last. Errors: those of `each`.
    pub fn read(&self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        each(&self.header)?;
        for (number, tensor) in self.tensors.iter().enumerate() {
            let kind = Kind::of(tensor);
            let pattern = self.patterns.iter().find(|(other, _)| *other == kind).map_or(&[][..], |(_, bytes)| bytes);
            let block = kind.block().block_bytes();
            // another beginning in each tensor, so that layers differ
            let mut at = number * 7919 * block % pattern.len().max(1);
            let mut left = tensor.bytes() as usize;
            while left > 0 {
                let piece = &pattern[at..][..left.min(pattern.len() - at).min(PIECE)];
                each(piece)?;
                left -= piece.len();
                at = (at + piece.len()) % pattern.len();
            }
            let padding = (tensor.bytes() as usize).next_multiple_of(ALIGNMENT) - tensor.bytes() as usize;
            each(&[0; ALIGNMENT][..padding])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::named;
    use super::*;
    use crate::format::{Header, Layout, ModelReader, Planes, Sink, dequantize_row, repack};

    #[derive(Default)]
    struct Seen {
        bytes: u64,
        largest: f32,
    }

    impl Sink for Seen {
        fn header(&mut self, _: Header) -> Result<()> {
            Ok(())
        }

        fn rows(&mut self, tensor: &TensorInfo, _: usize, rows: &[u8]) -> Result<()> {
            let mut values = vec![0.0; tensor.dims[0] as usize];
            for row in rows.chunks(tensor.row_bytes()) {
                let mut planes = Planes::default();
                repack(tensor.block, values.len(), row, &mut planes);
                dequantize_row(Layout::for_block(tensor.block), &planes.quants, &planes.scales, &mut values);
                assert!(values.iter().all(|value| value.is_finite()), "{}", tensor.name);
                self.largest = values.iter().fold(self.largest, |largest, value| largest.max(value.abs()));
            }
            self.bytes += rows.len() as u64;
            Ok(())
        }
    }

    #[test]
    fn a_random_file_is_whole_and_its_weights_are_small() {
        for (name, mixture) in [("qwen3-0.6b", Mixture::Q4KM), ("qwen2.5-1.5b", Mixture::Q8_0)] {
            let (hidden, ffn, vocab) = (256, 512, 300);
            let shape = Shape { hidden, ffn, vocab, heads: 2, kv_heads: 1, ..named(name).unwrap().with_layers(8) };
            let file = shape.random(mixture);
            let (mut reader, mut seen, mut bytes) = (ModelReader::default(), Seen::default(), 0);
            file.read(|piece| {
                bytes += piece.len() as u64;
                reader.feed(piece, &mut seen)
            })
            .unwrap();
            reader.finish().unwrap();
            assert_eq!(bytes, file.bytes());
            assert_eq!(seen.bytes, file.tensors.iter().map(TensorInfo::bytes).sum::<u64>());
            assert!((1.0..=1.5).contains(&seen.largest), "{}", seen.largest);
        }
    }
}
