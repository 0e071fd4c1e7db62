//! The values of a safetensors file → rows in the order of GGUF.
//!
//! Only vectors, and the few matrices that are transposed, are collected before they are passed on.

use super::experts::{Experts, Held};
use super::order::{Heads, Order};
use super::ternary::{self, PACKED, Ternary};
use crate::format::quantize::dequantize;
use crate::format::{BlockType, Planes, Sink, TensorInfo};
use crate::{Error, Result};

/// The values of one file.
#[derive(Debug)]
pub(super) struct Values {
    heads: Heads,
    parts: Vec<Part>,
    /// Index of the current part.
    part: usize,
    /// Bytes of it that were passed on or dropped.
    done: u64,
    /// Bytes of it that arrived and are not passed on yet.
    carry: Vec<u8>,
    pub(super) held: Held,
}

/// A tensor of a file.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) place: Option<Place>,
}

/// Destination of a tensor.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) info: TensorInfo,
    pub(super) first_row: usize,
    pub(super) order: Order,
    /// Type in the file.
    pub(super) block: BlockType,
    /// Values per row in the file.
    pub(super) cols: usize,
    /// Whether all rows must arrive before any can be passed on.
    pub(super) whole: bool,
    /// Takes the rows behind those of `info`.
    pub(super) rest: Option<TensorInfo>,
    /// Of all experts together.
    pub(super) experts: Option<Experts>,
    /// Of three values.
    pub(super) ternary: Option<Ternary>,
}

impl Values {
    pub(super) fn new(heads: Heads, parts: Vec<Part>, held: Held) -> Self {
        Self { heads, parts, part: 0, done: 0, carry: Vec::new(), held }
    }

    /// Passes on what is in `input`. Returns whether the last byte of the file was in it.
    pub(super) fn feed(&mut self, input: &mut &[u8], sink: &mut dyn Sink) -> Result<bool> {
        while let Some(Part { bytes, place, .. }) = self.parts.get(self.part) {
            let left = bytes - self.done - self.carry.len() as u64;
            let here = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match place {
                None => {
                    *input = &input[here..];
                    self.done += here as u64;
                }
                Some(place) => {
                    // the unit that can be passed on
                    let unit = match &place.experts {
                        _ if place.whole => *bytes as usize,
                        Some(experts) => *bytes as usize / experts.experts,
                        None if matches!(place.ternary, Some(Ternary::Packed { .. })) => place.cols,
                        None => place.block.row_bytes(place.cols),
                    };
                    let rows = if self.carry.is_empty() { here / unit.max(1) * unit } else { 0 };
                    let taken = if rows > 0 { rows } else { here.min(unit - self.carry.len()) };
                    let (now, rest) = input.split_at(taken);
                    *input = rest;
                    if rows == 0 {
                        self.carry.extend_from_slice(now);
                    }
                    if rows > 0 || self.carry.len() == unit {
                        let now = if rows > 0 { now } else { self.carry.as_slice() };
                        if let Some(experts) = &place.experts {
                            let first = (self.done / unit as u64) as usize;
                            experts.hand_on(&place.info, first, now, &mut self.held, sink)?;
                        } else {
                            place.hand_on(self.heads, self.done, now, sink)?;
                        }
                        self.done += now.len() as u64;
                        self.carry.clear();
                    }
                }
            }
            if self.done == *bytes {
                (self.part, self.done) = (self.part + 1, 0);
                self.carry = Vec::new();
            } else if input.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The result for a file that ends here.
    pub(super) fn truncated(&self, file: &str) -> Result<()> {
        let Some(Part { name, bytes, .. }) = self.parts.get(self.part) else { return Ok(()) };
        let got = self.done + self.carry.len() as u64;
        Err(Error::TruncatedFile { field: format!("tensor `{name}` in {file}"), needed: *bytes, got })
    }
}

impl Place {
    /// Passes on bytes after `done` others of the tensor: whole rows, or all of it.
    fn hand_on(&self, heads: Heads, done: u64, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let Self { info, first_row, order, block, cols, whole, rest, experts: _, ternary } = self;
        let hand_on =
            |row, numbers: &[u8], sink: &mut dyn Sink| sink.rows(info, order.row(heads, row), &ternary::row(numbers));
        match ternary {
            Some(Ternary::Packed { .. }) => {
                let (first, apart) = (done as usize / cols, info.rows() / PACKED);
                for (i, bytes) in bytes.chunks_exact(*cols).enumerate() {
                    for (part, numbers) in ternary::unpacked(bytes).iter().enumerate() {
                        hand_on(first + i + part * apart, numbers, sink)?;
                    }
                }
                return Ok(());
            }
            Some(Ternary::Trained) => {
                let numbers = ternary::rounded(*block, bytes, rest.as_ref(), sink)?;
                let mut rows = numbers.chunks_exact(*cols).enumerate();
                return rows.try_for_each(|(row, numbers)| hand_on(row, numbers, sink));
            }
            None => {}
        }
        if *order == Order::Transposed {
            return sink.rows(info, *first_row, &transposed(bytes, *cols, block.row_bytes(1)));
        }
        if *whole {
            let mut values = vec![0.0; *cols];
            dequantize(*block, bytes, &mut Planes::default(), &mut values);
            let mut ordered = vec![0.0; *cols];
            for (i, value) in values.into_iter().enumerate() {
                ordered[order.row(heads, i)] = order.value(value);
            }
            return sink.rows(info, *first_row, &bytes_of(&ordered));
        }
        let row_bytes = block.row_bytes(*cols);
        let moved = (*order == Order::ValueColumns).then(|| with_columns_moved(bytes, *order, heads, row_bytes / cols));
        let bytes = moved.as_deref().unwrap_or(bytes);
        let rows = if rest.is_some() { info.rows() } else { usize::MAX };
        let row = |i: usize| order.row(heads, (done / row_bytes as u64) as usize + i);
        let count = bytes.len() / row_bytes;
        let mut start = match order {
            Order::Behind(skipped) => count.min(skipped.saturating_sub((done / row_bytes as u64) as usize)),
            _ => 0,
        };
        while start < count {
            let mut end = start + 1;
            while end < count && row(end) == row(end - 1) + 1 && row(end) != rows {
                end += 1;
            }
            let bytes = &bytes[start * row_bytes..end * row_bytes];
            match rest {
                Some(rest) if row(start) >= rows => sink.rows(rest, row(start) - rows, bytes)?,
                _ => sink.rows(info, first_row + row(start), bytes)?,
            }
            start = end;
        }
        Ok(())
    }
}

/// Rows in the order's columns, each value of `size` bytes.
fn with_columns_moved(bytes: &[u8], order: Order, heads: Heads, size: usize) -> Vec<u8> {
    let cols = order.expected(heads, 0).unwrap_or(1);
    let mut out = vec![0; bytes.len()];
    for (from, to) in bytes.chunks_exact(cols * size).zip(out.chunks_exact_mut(cols * size)) {
        for (column, value) in from.chunks_exact(size).enumerate() {
            to[order.column(heads, column) * size..][..size].copy_from_slice(value);
        }
    }
    out
}

/// Transposes a matrix of rows of `cols` values, each of `size` bytes.
pub(super) fn transposed(bytes: &[u8], cols: usize, size: usize) -> Vec<u8> {
    let rows = bytes.len() / (cols * size);
    let value = |row: usize, col: usize| &bytes[(row * cols + col) * size..][..size];
    let mut out = Vec::with_capacity(bytes.len());
    for col in 0..cols {
        (0..rows).for_each(|row| out.extend_from_slice(value(row, col)));
    }
    out
}

/// Little-endian f32.
pub(super) fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
