//! Placement of a file's matrices in engine memory.
//!
//! Matrices that read the same input (q, k and v; gate and up) are stacked into one matrix, so that
//! one dispatch computes all of them. This requires that neighbours have the same layout, are in
//! one shard and fit the engine's largest buffer together; otherwise the group is held in several
//! [`Part`]s with one dispatch each, except where [`LinearPair`] joins two. A matrix that is too
//! large for one binding is split in the same way.

use std::collections::HashMap;

use super::latents::HeadRows;
use super::vectors::Vectors;
use crate::format::TensorInfo;
use crate::format::layout::{Layout, MOST_TILE};
use crate::ops::{Embed, Epilogue, ExpertLinear, Index, Linear, LinearPair, Recording, RmsNorm};
use crate::record::{BufferId, Matrix, Memory, Tensor};
use crate::{Error, Result};

/// Consecutive rows of a [`Weight`].
#[derive(Clone, Debug)]
pub struct Part {
    pub matrix: Matrix,
    /// Index of the first row in the whole weight.
    pub first_row: usize,
    /// (2, matrix.rows): a factor for each row's product, and a bias for each row. Of all rows of
    /// the weight where [`Weight::pair`] has two parts.
    pub affine: Option<Tensor>,
}

/// A weight of shape (outputs, inputs) in one or more parts.
#[derive(Clone, Debug, Default)]
pub struct Weight {
    pub parts: Vec<Part>,
    /// What adapters add to its product.
    pub low_rank: Vec<LowRank>,
}

/// What an adapter adds to the product of a weight and x: scale · B A x (LoRA, Hu et al. 2021,
/// arXiv 2106.09685).
#[derive(Clone, Copy, Debug)]
pub struct LowRank {
    /// A: (rank, inputs)
    pub down: Matrix,
    /// B: (some of the outputs, rank)
    pub up: Matrix,
    /// The first of these outputs.
    pub first_row: usize,
    pub scale: f32,
    /// A buffer for A x: as many values as tokens · rank.
    pub inner: BufferId,
}

impl LowRank {
    /// Records y += factor · scale · B A norm(x).
    fn record(&self, r: &mut Recording, x: Tensor, norm: Option<RmsNorm>, factor: f32, y: Tensor) -> Result<()> {
        let &Self { down, up, first_row: y_offset, scale, inner } = self;
        let inner = Tensor { buffer: inner, rows: y.rows, cols: down.rows };
        let (affine, store, epilogue) = (None, Epilogue::Store, Epilogue::Accumulate { scale: factor * scale });
        r.push(Linear { x, norm, weight: down, affine, epilogue: store, y_offset: 0, y: inner })?;
        r.push(Linear { x: inner, norm: None, weight: up, affine, epilogue, y_offset, y })
    }
}

impl Weight {
    /// Records y = scale · the rows that `index` selects; for positions and segments, y += those
    /// rows.
    pub fn embed(&self, recording: &mut Recording, index: Index, scale: f32, y: Tensor) -> Result<()> {
        let mut parts = self.parts.iter();
        parts.try_for_each(|part| {
            recording.push(Embed { table: part.matrix, first_row: part.first_row, index, scale, y })
        })
    }

    /// Records y = epilogue(factors · norm(x) · weightᵀ + biases).
    pub fn linear(
        &self,
        recording: &mut Recording,
        x: Tensor,
        norm: Option<RmsNorm>,
        epilogue: Epilogue,
        y: Tensor,
    ) -> Result<()> {
        let of_part = |&Part { matrix: weight, first_row: y_offset, affine }: &Part| Linear {
            x,
            norm,
            weight,
            affine,
            epilogue,
            y_offset,
            y,
        };
        match self.pair().filter(|_| epilogue == Epilogue::Store) {
            Some(pair) => {
                let [head, tail] = pair.each_ref().map(of_part);
                recording.push(LinearPair { head, tail })
            }
            None => self.parts.iter().try_for_each(|part| recording.push(of_part(part))),
        }?;
        let factor = match epilogue {
            Epilogue::Accumulate { scale } | Epilogue::Cap { scale, cap: None } => scale,
            _ => 1.0,
        };
        if !self.low_rank.is_empty() {
            ensure_sum(&epilogue)?;
        }
        self.low_rank.iter().try_for_each(|term| term.record(recording, x, norm, factor, y))
    }

    /// Outputs.
    pub fn rows(&self) -> usize {
        self.parts.iter().map(|part| part.matrix.rows).sum()
    }

    /// Each part as a weight of its own.
    pub fn apart(&self) -> Vec<Self> {
        let alone = |part: &Part| Self { parts: vec![Part { first_row: 0, ..part.clone() }], low_rank: Vec::new() };
        self.parts.iter().map(alone).collect()
    }

    /// Takes the parts from this row on, which begins one, off as a weight of their own.
    pub fn split_off(&mut self, first_row: usize) -> Self {
        let (mut parts, own): (Vec<_>, _) = self.parts.drain(..).partition(|part| part.first_row >= first_row);
        parts.iter_mut().for_each(|part| part.first_row -= first_row);
        self.parts = own;
        Self { parts, low_rank: Vec::new() }
    }

    /// The parts, if [`LinearPair`] joins them.
    fn pair(&self) -> Option<&[Part; 2]> {
        let parts: &[Part; 2] = self.parts.as_slice().try_into().ok()?;
        let joins = LinearPair::joins(parts[0].matrix.layout, parts[1].matrix.layout);
        (joins && parts[0].affine == parts[1].affine).then_some(parts)
    }

    /// Records y[first_col ..] = factors · norm(x) · weightᵀ + biases.
    pub fn linear_from(
        &self,
        recording: &mut Recording,
        x: Tensor,
        norm: Option<RmsNorm>,
        first_col: usize,
        y: Tensor,
    ) -> Result<()> {
        for &Part { matrix: weight, first_row, affine } in &self.parts {
            let (epilogue, y_offset) = (Epilogue::Store, first_col + first_row);
            recording.push(Linear { x, norm, weight, affine, epilogue, y_offset, y })?;
        }
        Ok(())
    }
}

/// `Internal` unless something can be added behind this epilogue.
fn ensure_sum(epilogue: &Epilogue) -> Result<()> {
    match epilogue {
        Epilogue::Store | Epilogue::Accumulate { .. } | Epilogue::Cap { cap: None, .. } => Ok(()),
        other => Err(Error::Internal {
            op: "record",
            expected: "an epilogue that a sum can follow".into(),
            got: format!("{other:?}"),
        }),
    }
}

/// The weights of several experts, stacked by rows, in one or more parts that hold whole experts.
#[derive(Clone, Debug)]
pub struct ExpertWeight {
    pub weight: Weight,
    /// Rows of one expert.
    pub rows: usize,
    /// Experts chosen for each token.
    pub chosen: usize,
}

impl ExpertWeight {
    /// Records y[t] = norm(x[t]) · the rows of each expert chosen for token t.
    pub fn linear(
        &self,
        recording: &mut Recording,
        x: Tensor,
        norm: Option<RmsNorm>,
        (route, gathered): (Tensor, Option<Tensor>),
        y_offset: usize,
        y: Tensor,
    ) -> Result<()> {
        let Self { weight, rows, chosen } = self;
        for Part { matrix, first_row, affine } in &weight.parts {
            let (rows, chosen, first_expert) = (*rows, *chosen, first_row / rows);
            recording.push(ExpertLinear {
                x,
                norm,
                weight: *matrix,
                affine: *affine,
                rows,
                first_expert,
                all_experts: weight.rows() / rows,
                route,
                chosen,
                gathered,
                y_offset,
                y,
            })?;
        }
        Ok(())
    }
}

/// A tensor of a group.
#[derive(Clone, Debug)]
pub struct Member {
    /// The tensor's name without `.weight`.
    pub stem: String,
    pub rows: usize,
    /// Whether its rows have been given a place.
    placed: bool,
}

/// A weight that is being loaded: its members stacked by rows.
#[derive(Clone, Debug)]
pub struct Group {
    members: Vec<Member>,
    /// The one tensor that some files have in place of all members.
    whole: Option<String>,
    cols: usize,
    /// Columns in memory, where those of the file may be an odd number of them.
    padded: usize,
    /// Where the tensor of the first member has rows of the last one too: how many of the first and
    /// how many of the last take turns in it.
    turns: Option<[usize; 2]>,
    /// Whether the last member may be missing, and its rows are then those of the one before it.
    repeats: bool,
    /// Whether a tensor may have fewer rows, and those that it lacks are its first one.
    fills: bool,
    /// Number of experts in the only member's rows; 1 for an ordinary weight.
    experts: usize,
    /// Whether each of them is a part.
    apart: bool,
    /// Of a tensor whose rows are keys and values in turns, where these go.
    of_heads: Option<HeadRows>,
    pub weight: Weight,
}

impl Group {
    // Not inlined, since these are called for each kind of tensor.
    #[inline(never)]
    pub fn new(members: &[(String, usize)], cols: usize) -> Self {
        let members = members.iter().map(|(stem, rows)| Member { stem: stem.clone(), rows: *rows, placed: false });
        let (members, weight) = (members.collect(), Weight::default());
        Self {
            members,
            whole: None,
            cols,
            padded: cols,
            turns: None,
            repeats: false,
            fills: false,
            experts: 1,
            apart: false,
            of_heads: None,
            weight,
        }
    }

    /// A group of one tensor.
    #[inline(never)]
    pub fn of_one(stem: String, rows: usize, cols: usize) -> Self {
        Self::new(&[(stem, rows)], cols)
    }

    /// A group of one tensor that holds the rows of all experts.
    pub fn of_experts(stem: String, experts: usize, rows: usize, cols: usize) -> Self {
        Self { experts, ..Self::new(&[(stem, experts * rows)], cols) }
    }

    /// The same group, which a file may also hold as one tensor.
    pub fn or_whole(self, stem: String) -> Self {
        Self { whole: Some(stem), ..self }
    }

    /// The same group, whose last member is the one before it where a file lacks it.
    pub fn or_repeated(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// The same group, whose tensor may have fewer rows.
    pub fn or_filled(self) -> Self {
        Self { fills: true, ..self }
    }

    /// The same group of experts, of which each is a part.
    pub fn in_parts(self) -> Self {
        Self { apart: true, ..self }
    }

    /// The same group, whose first member has each head's rows and those of its gates in turns.
    pub fn with_gates(mut self, head_dim: usize) -> Self {
        self.members.extend(self.members.first().cloned());
        Self { turns: Some([head_dim; 2]), ..self }
    }

    /// The same group, whose only tensor has so many rows, and so many others that become the last
    /// member. Rows that the first member has more are 0.
    pub fn with_rest(mut self, [own, rest]: [usize; 2]) -> Self {
        self.members.extend(self.members.first().map(|member| Member { rows: rest, ..member.clone() }));
        Self { turns: Some([own, rest]), ..self }
    }

    /// The same group, whose columns are filled up with 0 to whole groups of them.
    pub fn with_padding(self) -> Self {
        Self { padded: self.cols.next_multiple_of(4), ..self }
    }

    /// The same group, whose only member has keys and values of each head. The weight is then two
    /// parts of different shapes.
    pub fn of_heads(self, rows: HeadRows) -> Self {
        Self { of_heads: Some(rows), ..self }
    }

    /// Replaces the members by the whole tensor, if `tensors` contains it; where it has the name of
    /// a member, if the others are absent.
    fn take_whole(&mut self, tensors: &HashMap<&str, &TensorInfo>) {
        let is_here = |stem: &String| tensors.contains_key(format!("{stem}.weight").as_str());
        let members = &self.members;
        let is_member = |stem: &String| {
            members.iter().any(|member| member.stem == *stem)
                && members.iter().any(|m| m.stem != *stem && is_here(&m.stem))
        };
        if let Some(stem) = self.whole.take_if(|stem| is_here(stem) && !is_member(stem)) {
            let rows = self.members.iter().map(|member| member.rows).sum();
            self.members = vec![Member { stem, rows, placed: false }];
        }
    }

    /// Gives a place to the members that are in `tensors`.
    pub fn place(&mut self, memory: &mut dyn Memory, tensors: &HashMap<&str, &TensorInfo>) -> Result<()> {
        self.take_whole(tensors);
        let shared = self.turns.map_or_else(String::new, |_| self.members[0].stem.clone());
        let of_shared = self.rows_of_shared();
        let has = |member: &Member| tensors.contains_key(format!("{}.weight", member.stem).as_str());
        // what may be repeated begins a part
        let repeated = match &self.members[..] {
            [.., one, last] if self.repeats && !has(last) => one.stem.clone(),
            _ => String::new(),
        };
        if let (Some(of_heads), [member]) = (&self.of_heads, &mut self.members[..]) {
            if let Some(info) = tensors.get(format!("{}.weight", member.stem).as_str()) {
                check_shape(info, &[self.cols, member.rows])?;
                member.placed = true;
                self.weight.parts = of_heads.place(memory, info, self.cols)?;
            }
            return Ok(());
        }
        let mut first_row = 0;
        let mut run: Option<(Layout, usize, usize)> = None; // layout, first row, rows
        let mut runs = Vec::new();
        for member in &mut self.members {
            let name = format!("{}.weight", member.stem);
            match tensors.get(name.as_str()) {
                Some(info) => {
                    let rows = if member.stem == shared { of_shared } else { member.rows };
                    let fewer = Some(info.rows()).filter(|fewer| self.fills && (1..rows).contains(fewer));
                    check_shape(info, &[self.cols, fewer.unwrap_or(rows / self.experts), self.experts])?;
                    let layout = Layout::for_block(info.block);
                    let is_apart = first_row > 0 && (member.stem == shared || member.stem == repeated);
                    run = match run {
                        Some((same, start, rows)) if same == layout && !is_apart => {
                            Some((layout, start, rows + member.rows))
                        }
                        other => {
                            runs.extend(other);
                            Some((layout, first_row, member.rows))
                        }
                    };
                    member.placed = true;
                }
                None => runs.extend(run.take()),
            }
            first_row += member.rows;
        }
        runs.extend(run);
        for (layout, start, rows) in runs {
            let label = &self.members[0].stem;
            let row_bytes = layout.quants_row_bytes(self.padded).max(layout.scales_row_bytes(self.padded)) as u64;
            let most = (memory.max_buffer_bytes() / row_bytes).max(1) as usize;
            // with the rows that fill up the last tile
            let most = if most > MOST_TILE { most / MOST_TILE * MOST_TILE } else { most };
            // an expert is never split
            let most = match self.experts {
                1 => most,
                experts if self.apart && most >= rows / experts => rows / experts,
                experts => whole_experts(most, rows / experts).ok_or_else(|| Error::OutOfMemory {
                    what: format!("an expert of `{label}`"),
                    needed: (rows / experts) as u64 * row_bytes,
                    limit: memory.buffer_limit(),
                })?,
            };
            for first_row in (start..start + rows).step_by(most) {
                let rows = most.min(start + rows - first_row);
                let matrix = memory.create_matrix(label, layout, rows, self.padded)?;
                self.weight.parts.push(Part { matrix, first_row, affine: None });
            }
        }
        Ok(())
    }

    /// Rows of the tensor that has those of the first and of the last member.
    fn rows_of_shared(&self) -> usize {
        let ([own, rest], last) = (self.turns.unwrap_or([0, 1]), self.members.last().map_or(0, |member| member.rows));
        last / rest * (own + rest)
    }

    /// Index of a member's first row in the group.
    pub fn first_row(&self, stem: &str) -> Option<usize> {
        let index = self.members.iter().position(|member| member.stem == stem)?;
        Some(self.members[..index].iter().map(|member| member.rows).sum())
    }

    /// The stems of all members, and of the whole tensor.
    pub fn stems(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| &member.stem).chain(&self.whole).map(String::as_str)
    }

    /// Writes rows of a tensor; `first_row` is counted from the start of the group.
    pub fn write(&mut self, memory: &mut dyn Memory, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        if let Some(of_heads) = &mut self.of_heads {
            return of_heads.write(memory, &self.weight.parts, info, first_row, rows);
        }
        let is_shared = info.name.strip_suffix(".weight") == Some(&self.members[0].stem);
        let Some([own, rest]) = self.turns.filter(|_| is_shared) else {
            if self.fills && first_row == 0 && !rows.is_empty() {
                let first = &rows[..info.block.row_bytes(self.cols)];
                (info.rows()..self.members[0].rows).try_for_each(|row| self.write_run(memory, info, row, first))?;
            }
            return self.write_run(memory, info, first_row, rows);
        };
        let before_last = self.members.split_last().map_or(0, |(_, others)| others.iter().map(|m| m.rows).sum());
        let row_bytes = info.block.row_bytes(self.cols);
        let own_rows = self.members.last().map_or(0, |last| last.rows / rest * own);
        let (mut row, mut left) = (first_row, rows);
        while !left.is_empty() {
            let (turn, within) = (row / (own + rest), row % (own + rest));
            let (place, run) = match within.checked_sub(own) {
                None => (turn * own + within, own - within),
                Some(of_rest) => (before_last + turn * rest + of_rest, rest - of_rest),
            };
            let count = run.min(left.len() / row_bytes);
            let (now, later) = left.split_at(count * row_bytes);
            self.write_run(memory, info, place, now)?;
            let (end, first) = (place + count, self.members[0].rows);
            if end == own_rows && end < first {
                // zeros are zeros in any type
                self.write_run(memory, info, end, &vec![0; (first - end) * row_bytes])?;
            }
            (row, left) = (row + count, later);
        }
        Ok(())
    }

    /// The same of rows that stay together.
    fn write_run(
        &self,
        memory: &mut dyn Memory,
        info: &TensorInfo,
        mut first_row: usize,
        mut rows: &[u8],
    ) -> Result<()> {
        let row_bytes = info.block.row_bytes(self.cols);
        for Part { matrix, first_row: start, .. } in &self.weight.parts {
            if rows.is_empty() || !(*start..start + matrix.rows).contains(&first_row) {
                continue;
            }
            let count = (rows.len() / row_bytes).min(start + matrix.rows - first_row);
            let (now, later) = rows.split_at(count * row_bytes);
            let filled = (self.padded > self.cols).then(|| filled_up(now, self.cols, self.padded, row_bytes));
            memory.write_rows(matrix, first_row - start, info.block, filled.as_deref().unwrap_or(now))?;
            (first_row, rows) = (first_row + count, later);
        }
        Ok(())
    }

    /// Whether any header has this member.
    pub fn has(&self, stem: &str) -> bool {
        self.members.iter().any(|member| member.placed && member.stem == stem)
    }

    /// Leaves out the first member, and its rows. Errors: `UnsupportedModel` where a header has it.
    pub fn drop_member(&mut self, stem: &str) -> Result<()> {
        if self.has(stem) {
            return Err(Error::UnsupportedModel {
                what: "one of its tensors".into(),
                found: format!("{stem}.weight"),
                known: "models of which each layer has it, or none".into(),
            });
        }
        let rows = self.members.remove(0).rows;
        self.weight.parts.iter_mut().for_each(|part| part.first_row -= rows);
        Ok(())
    }

    /// Whether any header has a member.
    pub fn is_there(&self) -> bool {
        self.members.iter().any(|member| member.placed)
    }

    /// Names of the factors that a file may contain for each tensor except embeddings, and their
    /// number.
    pub fn scales(&self) -> impl Iterator<Item = (String, usize)> {
        let projections = self.stems().filter(|stem| !stem.ends_with("_embd") && *stem != "token_types");
        projections.map(|stem| (format!("{stem}.scale"), self.experts))
    }

    /// The whole weight, with space for its factors and biases. Errors: `InvalidModel` naming a
    /// member that no header contained.
    pub fn finish(&mut self, memory: &mut dyn Memory, vectors: &mut Vectors) -> Result<Weight> {
        if let [others @ .., one, last] = &mut self.members[..]
            && self.repeats
            && !last.placed
        {
            let first: usize = others.iter().map(|member| member.rows).sum();
            let parts = self.weight.parts.iter().filter(|part| part.first_row >= first);
            let copy = |part: &Part| Part { first_row: part.first_row + one.rows, ..part.clone() };
            let copies: Vec<Part> = parts.map(copy).collect();
            self.weight.parts.extend(copies);
            *last = one.clone();
        }
        if let Some(missing) = self.members.iter().find(|member| !member.placed) {
            return Err(missing_tensor(&format!("{}.weight", missing.stem)));
        }
        if self.of_heads.is_some() {
            return Ok(self.weight.clone());
        }
        self.weight.parts.sort_by_key(|part| part.first_row);
        let (mut members, mut end) = (Vec::new(), 0);
        for member in &self.members {
            members.push((member.stem.as_str(), end..end + member.rows));
            end += member.rows;
        }
        // the last member of these becomes a weight of its own
        let is_pair = self.turns.is_none() && self.weight.pair().is_some();
        for i in 0..self.weight.parts.len() {
            let part = &self.weight.parts[i];
            let rows = part.first_row..part.first_row + part.matrix.rows;
            self.weight.parts[i].affine = match (is_pair, i) {
                (true, 0) => vectors.affine(memory, members.iter().cloned(), 0..end, self.experts)?,
                (true, _) => self.weight.parts[0].affine,
                (false, _) => vectors.affine(memory, members.iter().cloned(), rows, self.experts)?,
            };
        }
        Ok(self.weight.clone())
    }
}

/// Rows of values with zeros behind each. Only values that are no blocks have odd numbers of
/// columns.
fn filled_up(rows: &[u8], cols: usize, padded: usize, row_bytes: usize) -> Vec<u8> {
    let zeros = vec![0; row_bytes / cols * (padded - cols)];
    rows.chunks_exact(row_bytes).flat_map(|row| row.iter().chain(&zeros)).copied().collect()
}

/// The largest number of rows in a part that is at most `most` and a multiple of an expert's
/// `rows`; `None` if one expert does not fit.
fn whole_experts(most: usize, rows: usize) -> Option<usize> {
    Some(most / rows * rows).filter(|&most| most > 0)
}

/// `InvalidModel` unless the tensor has these dimensions, fastest first; trailing ones are ignored.
pub fn check_shape(info: &TensorInfo, expected: &[usize]) -> Result<()> {
    let mut dims: Vec<usize> = info.dims.iter().map(|&d| d as usize).collect();
    if dims.len() == 4 {
        // RWKV's token shifts are apart from their width
        dims.retain(|&d| d != 1);
    }
    let trimmed = |dims: &[usize]| dims[..dims.iter().rposition(|&d| d != 1).map_or(0, |last| last + 1)].to_vec();
    if trimmed(&dims) == trimmed(expected) {
        return Ok(());
    }
    Err(Error::InvalidModel {
        what: format!("shape of tensor `{}`", info.name),
        expected: format!("{expected:?}"),
        got: format!("{dims:?}"),
    })
}

pub fn missing_tensor(name: &str) -> Error {
    Error::InvalidModel { what: format!("tensor `{name}`"), expected: "one in the file".into(), got: "none".into() }
}
