//! Decodes rows in a layout: the straightforward code, which defines what `layout.rs` describes.

use half::{bf16, f16};

use super::codes::PIECE;
use super::layout::{BLOCK, GROUP, Layout, Quantised, Scales, two_bits};

/// Decodes one row into `out`, which has `cols` values.
///
/// - quants: `quants_row_bytes(cols)` bytes
/// - scales: `scales_row_bytes(cols)` bytes
///
/// Every kernel is tested against it.
pub fn dequantize_row(layout: Layout, quants: &[u8], scales: &[u8], out: &mut [f32]) {
    debug_assert_eq!(quants.len(), layout.quants_row_bytes(out.len()));
    debug_assert_eq!(scales.len(), layout.scales_row_bytes(out.len()));
    match (layout, layout.quantised()) {
        (_, Some(quantised)) => dequantize_groups(quantised, quants, scales, out),
        (Layout::F32, _) => plain(quants, out, f32::from_le_bytes),
        (Layout::F16, _) => plain(quants, out, |bytes| f16::from_le_bytes(bytes).to_f32()),
        (_, None) => plain(quants, out, |bytes| bf16::from_le_bytes(bytes).to_f32()),
    }
}

fn plain<const N: usize>(bytes: &[u8], out: &mut [f32], decode: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
        *value = decode(*bytes);
    }
}

fn dequantize_groups(quantised: Quantised, quants: &[u8], scales: &[u8], out: &mut [f32]) {
    let (block, group) = (quantised.scales.block(), quantised.scales.group());
    let words = scales.as_chunks::<4>().0.chunks_exact(quantised.scales_bytes() / 4);
    let groups = quants.chunks(quantised.quants_bytes()).zip(words);
    let mut unpacked = [0; GROUP];
    for (values, (quants, words)) in out.chunks_mut(group).zip(groups) {
        if quantised.is_coded() {
            let scales = quantised.decode(quants, words, &mut unpacked);
            let numbers = values.iter_mut().zip(unpacked).enumerate();
            numbers.for_each(|(i, (value, number))| *value = scales[i / PIECE] * f32::from(number));
            continue;
        }
        unpack(quantised, quants, &words[quantised.scales.words()..], &mut unpacked);
        for (i, (values, quants)) in values.chunks_exact_mut(block).zip(unpacked.chunks_exact(block)).enumerate() {
            let (d, m) = quantised.scales.of(words, i);
            for (value, quant) in values.iter_mut().zip(quants) {
                *value = d * f32::from(*quant) + m;
            }
        }
    }
}

impl Scales {
    /// Scale and minimum of block `i` of a group with these words.
    fn of(self, words: &[[u8; 4]], i: usize) -> (f32, f32) {
        let half = |at: usize| f16::from_le_bytes([words[0][at], words[0][at + 1]]).to_f32();
        let factors = words[1..].as_flattened();
        let signed = |i: usize| f32::from(factors[i].cast_signed());
        match self {
            Self::Halves | Self::Whole => (half(0), half(2)),
            Self::Bfloats => (bf16::from_le_bytes(words[0].as_chunks().0[i]).to_f32(), 0.0),
            Self::Minifloats => (half_e4m3(words[0][i]), 0.0),
            Self::Pairs => (half(0) * signed(2 * i), half(2) * signed(2 * i + 1)),
            Self::Factors => (half(0) * signed(i), half(2) * signed(i)),
            Self::Nibbles => (half(0) * f32::from(factors[i] & 15), half(2) * f32::from(factors[i] >> 4)),
            // decoded before
            Self::Coded(_) | Self::Signs => (0.0, 0.0),
        }
    }
}

/// Half the value of an unsigned float of 4 exponent and 3 mantissa bits, whose top bit is 0.
#[inline(always)]
pub fn half_e4m3(bits: u8) -> f32 {
    // an f32 with the same fields is 2^120 times too small
    f32::from_bits(u32::from(bits) << 20) * f32::from_bits((119 + 127) << 23)
}

/// Unpacks quants to bytes; `high` are the words of their highest bits.
fn unpack(quantised: Quantised, quants: &[u8], high: &[[u8; 4]], out: &mut [i8; GROUP]) {
    match quantised.bits {
        8 => out.iter_mut().zip(quants).for_each(|(out, quant)| *out = quant.cast_signed()),
        6 => {
            for (out, quants) in out.as_chunks_mut::<{ 2 * BLOCK }>().0.iter_mut().zip(quants.as_chunks::<48>().0) {
                let (nibbles, upper) = quants.split_at(32);
                unpack_nibbles(nibbles, out);
                add_two_bits(upper, 4, out);
            }
        }
        2 => {
            out.fill(0);
            add_two_bits(quants, 0, out);
        }
        _ => unpack_nibbles(quants, out),
    }
    for (out, high) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(high) {
        for (i, out) in out.iter_mut().enumerate() {
            *out |= ((high[i % 4] >> (i / 4) & 1) << quantised.bits).cast_signed();
        }
    }
    if let Some(table) = quantised.table {
        out.iter_mut().for_each(|out| *out = table[usize::from(out.cast_unsigned() & 15)]);
    }
}

/// Sets two bits of each value, from `shift` on.
fn add_two_bits(bytes: &[u8], shift: usize, out: &mut [i8]) {
    for (out, bytes) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(bytes.as_chunks::<{ BLOCK / 4 }>().0) {
        for (i, out) in out.iter_mut().enumerate() {
            let (byte, at) = two_bits(i);
            *out |= ((bytes[byte] >> at & 3) << shift).cast_signed();
        }
    }
}

fn unpack_nibbles(nibbles: &[u8], out: &mut [i8]) {
    for (out, quants) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(nibbles.as_chunks::<{ BLOCK / 2 }>().0) {
        for (j, byte) in quants.iter().enumerate() {
            out[j] = (byte & 15).cast_signed();
            out[j + BLOCK / 2] = (byte >> 4).cast_signed();
        }
    }
}
