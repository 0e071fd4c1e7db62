//! Repacks blocks of a file into the layouts of `layout.rs`: where each type has its bits.

use half::{bf16, f16};

use super::BlockType;
use super::codes::{self, Code, Coded};
use super::layout::{BLOCK, GROUP, Layout, Planes, Scales, two_bits};

/// **Appends** `rows` to `out`, repacked from the file's `block` type into [`Layout::for_block`].
///
/// `rows` is a whole number of rows of `cols` values, as a [`Sink`](super::Sink) receives them.
/// One pass; allocates only to grow `out`: reserve there, or [`clear`](Planes::clear) and reuse it.
pub fn repack(block: BlockType, cols: usize, rows: &[u8], out: &mut Planes) {
    debug_assert_eq!(cols % block.block_len(), 0, "a row is whole blocks");
    debug_assert_eq!(rows.len() % block.row_bytes(cols).max(1), 0, "rows come whole");
    match block {
        BlockType::F32 | BlockType::F16 | BlockType::Bf16 => out.quants.extend_from_slice(rows),
        BlockType::Q4_0 => {
            for [d0, d1, quants @ ..] in rows.as_chunks::<{ 2 + 16 }>().0 {
                out.quants.extend_from_slice(quants);
                let d = f16::from_le_bytes([*d0, *d1]);
                out.push_scale(d, f16::from_f32(-8.0 * d.to_f32()));
            }
        }
        BlockType::Q4_1 => {
            for [d0, d1, m0, m1, quants @ ..] in rows.as_chunks::<{ 2 + 2 + 16 }>().0 {
                out.quants.extend_from_slice(quants);
                out.scales.extend_from_slice(&[*d0, *d1, *m0, *m1]);
            }
        }
        BlockType::Q5_0 => {
            for [d0, d1, quants @ ..] in rows.as_chunks::<{ 2 + 4 + 16 }>().0 {
                let d = f16::from_le_bytes([*d0, *d1]);
                out.push_scale(d, f16::from_f32(-16.0 * d.to_f32()));
                out.push_five_bits(quants);
            }
        }
        BlockType::Q5_1 => {
            for [d0, d1, m0, m1, quants @ ..] in rows.as_chunks::<{ 2 + 2 + 4 + 16 }>().0 {
                out.scales.extend_from_slice(&[*d0, *d1, *m0, *m1]);
                out.push_five_bits(quants);
            }
        }
        BlockType::Q8_0 => {
            for [d0, d1, quants @ ..] in rows.as_chunks::<{ 2 + 32 }>().0 {
                out.quants.extend_from_slice(quants);
                out.scales.extend_from_slice(&[*d0, *d1, 0, 0]);
            }
        }
        BlockType::Iq4Nl => {
            for [d0, d1, quants @ ..] in rows.as_chunks::<{ 2 + 16 }>().0 {
                out.quants.extend_from_slice(quants);
                out.scales.extend_from_slice(&[*d0, *d1, 0, 0]);
            }
        }
        BlockType::Mxfp4 => {
            for row in rows.chunks_exact(block.row_bytes(cols).max(1)) {
                let blocks = row.as_chunks::<{ 1 + 16 }>().0;
                for [e, quants @ ..] in blocks {
                    out.quants.extend_from_slice(quants);
                    out.scales.extend(bf16::from_f32(half_power_of_two(*e)).to_le_bytes());
                }
                if blocks.len() % 2 == 1 {
                    out.scales.extend([0; 2]);
                }
            }
        }
        BlockType::Nvfp4 => {
            for [s0, s1, s2, s3, quants @ ..] in rows.as_chunks::<{ 4 + 32 }>().0 {
                // NaN is 0, as in ggml, and there are no signs
                out.scales.extend([s0, s1, s2, s3].map(|scale| if *scale == 0x7f { 0 } else { scale & 0x7f }));
                let quants: [i8; 64] = std::array::from_fn(|i| nibble(quants, 16, i) as i8);
                out.push_nibbles(&quants);
            }
        }
        BlockType::Q1_0 => {
            for [d0, d1, signs @ ..] in rows.as_chunks::<{ 2 + 16 }>().0 {
                out.quants.extend_from_slice(signs);
                out.scales.extend([*d0, *d1, 0, 0]);
            }
        }
        BlockType::Q2K => groups(block, rows, out, q2_k),
        BlockType::Q3K => groups(block, rows, out, q3_k),
        BlockType::Q4K => groups(block, rows, out, q4_k),
        BlockType::Q5K => groups(block, rows, out, q5_k),
        BlockType::Q6K => groups(block, rows, out, q6_k),
        BlockType::Iq4Xs => groups(block, rows, out, iq4_xs),
        BlockType::Tq1_0 => groups(block, rows, out, tq1_0),
        BlockType::Tq2_0 => groups(block, rows, out, tq2_0),
        BlockType::Iq1S => coded(&codes::IQ1_S, rows, out, codes::iq1_s),
        BlockType::Iq1M => coded(&codes::IQ1_M, rows, out, codes::iq1_m),
        BlockType::Iq2Xxs => coded(&codes::IQ2_XXS, rows, out, codes::iq2_xxs),
        BlockType::Iq2Xs => coded(&codes::IQ2_XS, rows, out, codes::iq2_xs),
        BlockType::Iq2S => coded(&codes::IQ2_S, rows, out, codes::iq2_s),
        BlockType::Iq3Xxs => coded(&codes::IQ3_XXS, rows, out, codes::iq3_xxs),
        BlockType::Iq3S => coded(&codes::IQ3_S, rows, out, codes::iq3_s),
    }
}

impl Planes {
    fn push_nibbles(&mut self, quants: &[i8]) {
        for quants in quants.as_chunks::<BLOCK>().0 {
            let (low, high) = quants.split_at(BLOCK / 2);
            self.quants.extend(low.iter().zip(high).map(|(low, high)| (low & 15 | high << 4).cast_unsigned()));
        }
    }

    /// Two bits of each quant, from bit number `bit` on.
    fn push_two_bits(&mut self, quants: &[i8], bit: usize) {
        for quants in quants.as_chunks::<BLOCK>().0 {
            let mut bytes = [0; BLOCK / 4];
            for (i, quant) in quants.iter().enumerate() {
                let (byte, shift) = two_bits(i);
                bytes[byte] |= (quant.cast_unsigned() >> bit & 3) << shift;
            }
            self.quants.extend(bytes);
        }
    }

    /// Bit number `bit` of each quant, in a u32 per 32 of the scales plane.
    fn push_high_words(&mut self, quants: &[i8], bit: usize) {
        for quants in quants.as_chunks::<BLOCK>().0 {
            let mut word = [0; 4];
            for (i, quant) in quants.iter().enumerate() {
                word[i % 4] |= (quant.cast_unsigned() >> bit & 1) << (i / 4);
            }
            self.scales.extend(word);
        }
    }

    /// Q5_0 and Q5_1: four bytes of fifth bits in order, then nibbles.
    fn push_five_bits(&mut self, bytes: &[u8; 4 + 16]) {
        let (fifth, nibbles) = bytes.split_at(4);
        self.quants.extend_from_slice(nibbles);
        let bits: [i8; BLOCK] = std::array::from_fn(|i| (fifth[i / 8] >> (i % 8)).cast_signed());
        self.push_high_words(&bits, 0);
    }

    /// Scale and minimum: the u32 of a scales plane.
    fn push_scale(&mut self, d: f16, m: f16) {
        self.scales.extend(d.to_le_bytes());
        self.scales.extend(m.to_le_bytes());
    }
}

/// Nibble of value `i`. Each `run` values share run / 2 bytes: first all low halves, then all high
/// ones.
fn nibble(bytes: &[u8], run: usize, i: usize) -> usize {
    let half = run / 2;
    usize::from(bytes[i / run * half + i % half] >> (i % run / half * 4) & 15)
}

/// Bits from `bits · j` of byte i % run, where j = i / run: the lowest bits of, say, 32 bytes
/// belong to the first 32 values.
fn slice(bytes: &[u8], run: usize, bits: usize, i: usize) -> u8 {
    bytes[i % run] >> (i / run * bits) & ((1 << bits) - 1)
}

/// 2^(e − 128), including where f32 has it as a subnormal.
fn half_power_of_two(e: u8) -> f32 {
    f32::from_bits(if e < 2 { 1 << (21 + e) } else { (u32::from(e) - 1) << 23 })
}

/// 256 values, d · scale · quant + m · min, with a scale and min per 16.
struct Group {
    d: f16,
    m: f16,
    scales: [i8; 16],
    mins: [i8; 16],
    quants: [i8; GROUP],
}

/// Repacks blocks of 256 values, N bytes each.
fn groups<const N: usize>(block: BlockType, rows: &[u8], out: &mut Planes, decode: impl Fn(&[u8; N]) -> Group) {
    debug_assert_eq!(N, block.block_bytes());
    let Some(quantised) = Layout::for_block(block).quantised() else { return };
    for bytes in rows.as_chunks::<N>().0 {
        let Group { d, m, scales, mins, quants } = decode(bytes);
        match quantised.bits {
            6 => {
                for quants in quants.as_chunks::<{ 2 * BLOCK }>().0 {
                    out.push_nibbles(quants);
                    out.push_two_bits(quants, 4);
                }
            }
            2 => out.push_two_bits(&quants, 0),
            _ => out.push_nibbles(&quants),
        }
        out.push_scale(d, m);
        let pairs = scales.iter().zip(&mins).map(|(s, t)| [s.cast_unsigned(), t.cast_unsigned()]);
        match quantised.scales {
            Scales::Factors => out.scales.extend(pairs.map(|[s, _]| s)),
            Scales::Nibbles => out.scales.extend(pairs.map(|[s, t]| s | t << 4)),
            Scales::Whole => {}
            _ => out.scales.extend(pairs.step_by(2).flatten()),
        }
        if quantised.high_bit {
            out.push_high_words(&quants, quantised.bits);
        }
    }
}

/// Repacks blocks of indices of vectors, N bytes each.
fn coded<const N: usize>(code: &Code, rows: &[u8], out: &mut Planes, decode: impl Fn(&[u8; N]) -> Coded) {
    rows.as_chunks::<N>().0.iter().for_each(|block| decode(block).push(code, &mut out.quants, &mut out.scales));
}

fn half(bytes: &[u8]) -> f16 {
    f16::from_le_bytes([bytes[0], bytes[1]])
}

/// A byte per 16 values: scale in its low half, min in its high half; quants of two bits; d and m.
fn q2_k(block: &[u8; 84]) -> Group {
    let (scales, quants) = (&block[..16], &block[16..80]);
    Group {
        d: half(&block[80..]),
        m: -half(&block[82..]),
        scales: std::array::from_fn(|i| (scales[i] & 15).cast_signed()),
        mins: std::array::from_fn(|i| (scales[i] >> 4).cast_signed()),
        quants: std::array::from_fn(|i| slice(&quants[i / 128 * 32..], 32, 2, i % 128).cast_signed()),
    }
}

/// Third bits; quants of two bits; 16 scales of six bits, four of each in eight bytes and two in
/// four; d.
///
/// A quant is its three bits minus four; the subtraction is left to the minimum.
fn q3_k(block: &[u8; 110]) -> Group {
    let (high, quants, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let scales =
        std::array::from_fn(|i| (slice(scales, 8, 4, i) | slice(&scales[8..], 4, 2, i) << 4).cast_signed() - 32);
    let d = half(&block[108..]);
    Group {
        d,
        m: f16::from_f32(-4.0 * d.to_f32()),
        scales,
        mins: scales,
        quants: std::array::from_fn(|i| {
            (slice(&quants[i / 128 * 32..], 32, 2, i % 128) | slice(high, 32, 1, i) << 2).cast_signed()
        }),
    }
}

/// d and m; scales and mins; nibbles, 64 values per 32 bytes.
fn q4_k(block: &[u8; 144]) -> Group {
    let (scales, mins) = six_bits(&block[4..16]);
    let quants = std::array::from_fn(|i| nibble(&block[16..], 64, i) as i8);
    Group { d: half(block), m: -half(&block[2..]), scales, mins, quants }
}

/// As Q4_K, with fifth bits before the nibbles.
fn q5_k(block: &[u8; 176]) -> Group {
    let (scales, mins) = six_bits(&block[4..16]);
    let (fifth, nibbles) = (&block[16..48], &block[48..]);
    let quants = std::array::from_fn(|i| nibble(nibbles, 64, i) as i8 | (slice(fifth, 32, 1, i) << 4).cast_signed());
    Group { d: half(block), m: -half(&block[2..]), scales, mins, quants }
}

/// Eight scales and eight mins of six bits in twelve bytes: the first four of each in the low bits
/// of the first eight bytes, whose two high bits belong to the last four; the other bits of those
/// are nibbles in the last four bytes.
fn six_bits(bytes: &[u8]) -> ([i8; 16], [i8; 16]) {
    let field = |first: usize, i: usize| match i {
        0..4 => bytes[first + i] & 63,
        _ => (bytes[4 + i] >> first & 15) | (bytes[first + i - 4] >> 6) << 4,
    };
    (std::array::from_fn(|i| field(0, i / 2).cast_signed()), std::array::from_fn(|i| field(4, i / 2).cast_signed()))
}

/// Nibbles, 128 values per 64 bytes; fifth and sixth bits; a signed scale per 16 values; d.
///
/// A quant is its six bits minus 32; the subtraction is left to the minimum.
fn q6_k(block: &[u8; 210]) -> Group {
    let (nibbles, high) = (&block[..128], &block[128..192]);
    let scales = std::array::from_fn(|i| block[192 + i].cast_signed());
    let d = half(&block[208..]);
    Group {
        d,
        m: f16::from_f32(-32.0 * d.to_f32()),
        scales,
        mins: scales,
        quants: std::array::from_fn(|i| {
            (nibble(nibbles, 128, i) as u8 | slice(&high[i / 128 * 32..], 32, 2, i % 128) << 4).cast_signed()
        }),
    }
}

/// d; eight scales of six bits, two of each in two bytes and four in four; nibbles.
fn iq4_xs(block: &[u8; 136]) -> Group {
    let (high, low) = (u16::from_le_bytes([block[2], block[3]]), &block[4..8]);
    let scale = |i: usize| (low[i / 2] >> (i % 2 * 4) & 15) | ((high >> (2 * i) & 3) as u8) << 4;
    Group {
        d: half(block),
        m: f16::ZERO,
        scales: std::array::from_fn(|i| scale(i / 2).cast_signed() - 32),
        mins: [0; 16],
        quants: std::array::from_fn(|i| nibble(&block[8..], BLOCK, i) as i8),
    }
}

/// Bytes with five ternary digits as a fraction of 243 in 256ths, the first digit the highest: 32
/// bytes have the first 160 values, the next 16 have 80, four have four digits each; d.
///
/// A quant is its digit minus one; the subtraction is left to the minimum.
fn tq1_0(block: &[u8; 54]) -> Group {
    const POWERS: [u8; 5] = [1, 3, 9, 27, 81];
    let digit = |byte: u8, place: usize| ((u16::from(byte.wrapping_mul(POWERS[place])) * 3) >> 8) as i8;
    let quant = |i: usize| match i {
        0..160 => digit(block[i % 32], i / 32),
        160..240 => digit(block[32 + (i - 160) % 16], (i - 160) / 16),
        _ => digit(block[48 + (i - 240) % 4], (i - 240) / 4),
    };
    ternary(half(&block[52..]), quant)
}

/// Quants of two bits, 128 values per 32 bytes; d.
fn tq2_0(block: &[u8; 66]) -> Group {
    ternary(half(&block[64..]), |i| slice(&block[i / 128 * 32..], 32, 2, i % 128).cast_signed())
}

fn ternary(d: f16, quant: impl Fn(usize) -> i8) -> Group {
    Group { d, m: -d, scales: [1; 16], mins: [1; 16], quants: std::array::from_fn(quant) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::dequantize_row;

    /// Value `i` of a file's row, directly from the formulas in `block.rs`; `None` for types that
    /// only `tests/format_golden.rs` compares, with gguf-py's values.
    fn decode(block: BlockType, row: &[u8], i: usize) -> Option<f32> {
        let bytes = &row[i / block.block_len() * block.block_bytes()..][..block.block_bytes()];
        let half = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
        let i = i % block.block_len();
        let nibble = |start: usize| f32::from((bytes[start + i % 16] >> (i / 16 * 4)) & 0xf);
        Some(match block {
            BlockType::F32 => f32::from_le_bytes(bytes.try_into().unwrap()),
            BlockType::F16 => half(0),
            BlockType::Bf16 => f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16),
            BlockType::Q4_0 => (nibble(2) - 8.0) * half(0),
            BlockType::Q4_1 => nibble(4) * half(0) + half(2),
            BlockType::Q8_0 => f32::from(bytes[2 + i] as i8) * half(0),
            _ => return None,
        })
    }

    proptest! {
        /// Any bytes, so any scale: subnormal, negative, infinite, NaN.
        #[test]
        fn repacked_rows_decode_like_the_file(
            block in proptest::sample::select(&BlockType::ALL[..]),
            blocks in 1usize..7,
            rows in 1usize..5,
            seed in proptest::collection::vec(any::<u8>(), 4 * 6 * 210),
        ) {
            let cols = blocks * block.block_len();
            let row_bytes = block.row_bytes(cols);
            let layout = Layout::for_block(block);
            let file = &seed[..rows * row_bytes];
            let mut planes = Planes::default();
            let cut = rows / 2 * row_bytes; // two calls append
            repack(block, cols, &file[..cut], &mut planes);
            repack(block, cols, &file[cut..], &mut planes);
            let mut whole = Planes::default();
            repack(block, cols, file, &mut whole);
            prop_assert_eq!(&planes, &whole);
            let (quants_row, scales_row) = (layout.quants_row_bytes(cols), layout.scales_row_bytes(cols));
            prop_assert_eq!(planes.quants.len(), rows * quants_row);
            prop_assert_eq!(planes.scales.len(), rows * scales_row);
            let mut out = vec![f32::NAN; cols];
            for row in 0..rows {
                let quants = &planes.quants[row * quants_row..][..quants_row];
                let scales = &planes.scales[row * scales_row..][..scales_row];
                dequantize_row(layout, quants, scales, &mut out);
                for (i, &got) in out.iter().enumerate() {
                    let file_row = &file[row * row_bytes..][..row_bytes];
                    let Some(expected) = decode(block, file_row, i) else { break };
                    let d = |row: &[u8]| f16::from_le_bytes([row[i / 32 * 18], row[i / 32 * 18 + 1]]).to_f32().abs();
                    if block == BlockType::Q4_0 && d(file_row) >= 8192.0 {
                        prop_assert!(!got.is_finite(), "a scale beyond the layout must show: {}", got);
                    } else {
                        // `==`: the sign of a zero may differ, since −8 d + 8 d is +0.
                        prop_assert!(got == expected || got.is_nan() && expected.is_nan(), "{got} != {expected}");
                    }
                }
            }
        }
    }
}
