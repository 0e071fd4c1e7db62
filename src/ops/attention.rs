//! `attention`: scaled dot-product attention over the KV cache (Vaswani et al. 2017, arXiv
//! 1706.03762) with grouped queries (Ainslie et al. 2023, arXiv 2305.13245); causal in decoders,
//! bidirectional in encoders. ALiBi (Press et al. 2022, arXiv 2108.12409) lowers each score in
//! proportion to the distance between key and query; T5 (Raffel et al. 2020, arXiv 1910.10683) adds
//! a learned bias for each distance.
//!
//! The keys and values of a sequence are in the blocks that its block table lists (PagedAttention,
//! Kwon et al. 2023, arXiv 2309.06180). The GPU kernels read them in tiles and keep a running
//! maximum and sum, so that no score matrix is stored (FlashAttention, Dao et al. 2022, arXiv
//! 2205.14135). The heads of a single row are too few to occupy a GPU: its positions are split into
//! pieces, which a second dispatch merges (Flash-Decoding, Dao et al. 2023).

mod loads;
mod tile;

pub(super) use loads::Prologue;

use std::ops::Range;

use tile::Tile;

use super::variants::{ATTEND_MANY, ATTEND_ONE, ATTEND_WIDE, AttentionVariant};
use super::{Binding, Kernel, Loads, Op, PieceGrid, Pieces, RowGrid, Variants, ceil_div, dot, ensure};
use crate::Result;
use crate::record::{KV_BLOCK, KvCache, Row, Step, Tensor};

/// y[t][h] = Σ_p softmax_p(q[t][h] · k[p] · scale - slope(h) · |position(t) - p|) v[p], over the
/// positions p of the row's sequence in [`Attention::seen`]. With `bias`, a score also has the one
/// of its head and distance. With `sinks`, softmax goes over one score more, which has no value.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// (rows, cols): the first heads · head_dim values of a row are q, after RoPE.
    pub q: Tensor,
    /// Keys and values; `kv.heads` divides `heads`, and `kv.head_dim` is a multiple of
    /// [`KvFormat::unit`](crate::record::KvFormat::unit) and at most [`WIDEST`].
    pub kv: KvCache,
    /// Query heads.
    pub heads: usize,
    /// Factor of the scores, usually 1 / sqrt(head_dim).
    pub scale: f32,
    /// Logit soft-capping as in Gemma 2: scores become cap · tanh(score / cap).
    pub cap: Option<f32>,
    /// The largest ALiBi bias, see [`Attention::slope`]; `None`: no ALiBi.
    pub alibi: Option<f32>,
    /// Sliding window (Beltagy et al. 2020, arXiv 2004.05150): a row attends to this many
    /// positions, including its own; `None`: all. Without `causal`, the window reaches as far
    /// behind the row.
    pub window: Option<usize>,
    /// Causal mask: a row attends to no later position.
    pub causal: bool,
    /// The part of the sequence that a row attends to.
    pub part: Part,
    /// (1, heads): a score of each head that belongs to no position (Xiao et al. 2023, arXiv
    /// 2309.17453; learned as in gpt-oss).
    pub sinks: Option<Tensor>,
    /// (1, heads · (2 · reach + 1)): for each head, what is added to the score of a key whose
    /// position is -reach … reach from that of the query. Farther ones have the first or last.
    pub bias: Option<Tensor>,
    /// Scaling of queries with their position. Only with `causal`.
    pub temperature: Option<Temperature>,
    /// (rows, heads · head_dim)
    pub y: Tensor,
}

/// The part of a sequence that a row attends to. Where a decoder reads a source text, the first
/// positions of a sequence hold the keys and values of that: see
/// [`Step::sources`](crate::record::Step::sources).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// What is behind the source text. Only without a window.
    Target,
    /// The source text (cross attention), whichever the row's position. Only without a window.
    Source,
}

/// The values of the vectors that attention reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Learned<'a> {
    /// Of [`Attention::sinks`].
    pub sinks: Option<&'a [f32]>,
    /// Of [`Attention::bias`].
    pub bias: Option<&'a [f32]>,
}

/// Queries at a position are multiplied by 1 + scale · ln(1 + ⌊position / length⌋), as in Llama 4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Temperature {
    /// How much the factor grows.
    pub scale: f32,
    /// Positions of a step.
    pub length: usize,
}

impl Temperature {
    /// The factor of a query.
    pub fn at(self, position: usize) -> f32 {
        1.0 + self.scale * (1.0 + (position / self.length) as f32).ln()
    }
}

impl Part {
    fn define(self) -> Option<&'static str> {
        match self {
            Self::Whole => None,
            Self::Target => Some("TARGET"),
            Self::Source => Some("SOURCE"),
        }
    }
}

impl Op for Attention {
    fn check(&self) -> Result<()> {
        let KvCache { heads: kv_heads, head_dim, .. } = self.kv;
        let width = self.heads * head_dim;
        ensure(self.q.cols >= width && self.y.cols == width, "attention", "y.cols = heads · head_dim ≤ q.cols", self)?;
        ensure(self.q.cols.is_multiple_of(4), "attention", "q.cols in fours", self.q.cols)?;
        ensure(self.window != Some(0), "attention", "a window of 1 or more", self.window)?;
        ensure(self.cap.is_none_or(|cap| cap > 0.0), "attention", "a bound above 0", self.cap)?;
        ensure(self.alibi.is_none_or(|bias| bias > 0.0), "attention", "a bias above 0", self.alibi)?;
        let has_sinks = self.sinks.is_none_or(|sinks| (sinks.rows, sinks.cols) == (1, self.heads));
        ensure(has_sinks, "attention", "a sink of each head", self.sinks)?;
        let fits = |bias: Tensor| (bias.rows, bias.cols) == (1, self.heads * (2 * self.reach() + 1));
        let has_biases = self.bias.is_none_or(|bias| fits(bias) && self.alibi.is_none());
        ensure(has_biases, "attention", "an odd number of biases of each head, without ALiBi", self.bias)?;
        let tempered = self.temperature.is_none_or(|t| t.scale >= 0.0 && t.length > 0 && self.causal);
        ensure(tempered, "attention", "a temperature that grows, only where it is causal", self.temperature)?;
        let parted = self.part == Part::Whole || (self.window.is_none() && self.causal);
        ensure(parted, "attention", "a part only where it is causal, without a window", self)?;
        let grouped = kv_heads > 0 && self.heads.is_multiple_of(kv_heads);
        ensure(grouped, "attention", "kv.heads divides heads", self)?;
        ensure(kv_heads.is_multiple_of(self.kv.parts), "attention", "equal parts of kv.heads", self.kv)?;
        let whole = head_dim.is_multiple_of(self.kv.format.unit());
        ensure(whole && head_dim <= WIDEST, "attention", "head_dim ≤ 576, in units of its format", self.kv)
    }

    fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
        let KvCache { heads: kv_heads, head_dim, format, parts: kv_parts, .. } = self.kv;
        let (rows, part_heads) = (self.y.rows, self.kv.part_heads());
        let variant = self.variant(variants);
        let &AttentionVariant { shader, split, lanes, .. } = variant;
        let pieces = self.pieces(variant);
        let constants = [
            ("HEADS", self.heads as u32),
            ("HEAD_DIM", head_dim as u32),
            ("KV_BLOCK", KV_BLOCK as u32),
            ("CAUSAL", self.causal.into()),
        ];
        // of these, layers of a model may differ
        let seen = [
            self.window.map_or(u32::MAX, |window| window as u32),
            split as u32,
            pieces.map_or(1, |pieces| pieces.most as u32),
        ];
        let mut own = vec![
            ("Q_COLS", self.q.cols as u32),
            ("KV_HEADS", kv_heads as u32),
            ("PART_HEADS", part_heads as u32),
            ("WORKGROUP", lanes as u32),
        ];
        let (workgroups, along, dimension, each) = if shader == "attention_tile" {
            let tile = Tile::new(self, variant);
            own.extend(tile.constants());
            (
                [(part_heads * tile.parts) as u32, 1, tile.count(rows) as u32],
                RowGrid { dimension: 2, each: tile.tokens },
                1,
                1,
            )
        } else if shader == "attention" {
            let (together, parts) = self.together();
            own.extend([("TOGETHER", together as u32), ("PARTS", parts as u32)]);
            ([(part_heads * parts) as u32, 1, rows as u32], RowGrid::along(2), 1, 1)
        } else if split > 0 {
            ([1, part_heads as u32, rows as u32], RowGrid::along(2), 0, lanes)
        } else {
            ([ceil_div(rows, lanes), part_heads as u32, 1], RowGrid { dimension: 0, each: lanes }, 0, lanes)
        };
        let partial = pieces.map(|pieces| Binding::Pieces { len: rows * self.heads * (head_dim + 4), pieces });
        // whoever divides by the sum of weights adds the sink's
        let (walk_sinks, merge_sinks) = if partial.is_some() { (None, self.sinks) } else { (self.sinks, None) };
        let defines = [
            pieces.map(|_| "PARTIAL"),
            self.cap.map(|_| "CAP"),
            self.alibi.map(|_| "ALIBI"),
            walk_sinks.map(|_| "SINKS"),
            self.bias.map(|_| "BIAS"),
            self.temperature.map(|_| "TEMPERATURE"),
            self.part.define(),
            format.define(),
        ];
        let factors = [self.scale, self.cap.unwrap_or(0.0), self.alibi.unwrap_or(0.0)].map(f32::to_bits);
        let tempered = self.temperature.map(|Temperature { scale, length }| [scale.to_bits(), length as u32]);
        let tempered = tempered.as_slice();
        let reach = self.bias.map(|_| self.reach() as u32);
        let walk = |part: usize| Kernel {
            shader,
            defines: defines.into_iter().flatten().collect(),
            constants: [&constants[..], &own].concat(),
            bindings: [
                Binding::Rows,
                Binding::Tables,
                self.q.into(),
                self.kv.part(part),
                partial.unwrap_or(self.y.into()),
            ]
            .into_iter()
            .chain(walk_sinks.map(Binding::from))
            .chain(self.bias.map(Binding::from))
            .collect(),
            params: [
                &[rows as u32],
                &seen[..],
                &factors,
                &[(part * part_heads) as u32],
                tempered.as_flattened(),
                reach.as_slice(),
            ]
            .concat(),
            workgroups,
            rows: along,
            pieces: pieces.map(|pieces| PieceGrid { dimension, each, pieces }),
        };
        let mut kernels: Vec<Kernel> = (0..kv_parts).map(walk).collect();
        kernels.extend(partial.map(|partial| {
            Kernel {
                shader: "attention_merge",
                defines: merge_sinks.map(|_| "SINKS").into_iter().chain(self.part.define()).collect(),
                constants: [&constants[..], &[("MERGE_WORKGROUP", self.merge_lanes() as u32)]].concat(),
                bindings: [Binding::Rows, Binding::Tables, partial, self.y.into()]
                    .into_iter()
                    .chain(merge_sinks.map(Binding::from))
                    .collect(),
                params: [&[rows as u32], &seen[..]].concat(),
                workgroups: [self.heads as u32, rows as u32, 1],
                rows: RowGrid::along(1),
                pieces: None,
            }
        }));
        kernels
    }

    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
        let variant = self.variant(variants);
        let mut loads = vec![self.walk_loads(variant, step); self.kv.parts];
        loads.extend(self.pieces(variant).map(|_| self.merge_loads(variant, step)));
        loads
    }
}

/// Most values of a head: the 512 of a latent vector and 64 that are rotated, as in DeepSeek-V2.
pub const WIDEST: usize = 576;

/// Of wider heads, a workgroup of `attention` has not an invocation for each quad.
const MOST_IN_ONE: usize = 512;

/// Workgroups that occupy a large GPU. A row has so many if its positions are cut into enough
/// pieces, which are kept few otherwise, since their results are written and read again.
const WORKGROUPS: usize = 512;
const FEWEST_PIECES: usize = 16;
const MOST_PIECES: usize = 64;

/// Fewer rows leave most of a tile of queries empty; also, they are of several sequences.
const FEWEST_ROWS: usize = 16;

/// The same at least: [`MOST_PIECES`] or more.
const MERGE_WORKGROUP: usize = 64;

/// Heads of a workgroup of the shader `attention`: what it keeps of each must fit registers, and
/// their queries 4 KiB of its memory.
const MOST_TOGETHER: usize = 8;
const MOST_QUERIES: usize = 1024;

/// Values of the queries of an invocation of `attention_lane`, which is unrolled for them: for
/// more, compilers take minutes.
const MOST_UNROLLED: usize = 1024;

impl Attention {
    /// Invocations of a workgroup that merges pieces: one for each four values of a head at least.
    fn merge_lanes(&self) -> usize {
        MERGE_WORKGROUP.max((self.kv.head_dim / 4).next_power_of_two())
    }

    /// Heads of a workgroup of the shader `attention`, of those that share keys and values, and the
    /// number of workgroups for these.
    fn together(&self) -> (usize, usize) {
        let group = self.heads / self.kv.heads;
        let parts = group.div_ceil(MOST_TOGETHER.min(MOST_QUERIES / self.kv.head_dim));
        (group.div_ceil(parts), parts)
    }

    /// Whether the dispatch over keys and values can also do what comes before: see
    /// [`RopeAttention`](super::RopeAttention). Of wider heads, it has not an invocation for each
    /// quad of a key and a value.
    pub(super) fn takes_prologue(&self, variants: &Variants) -> bool {
        let (variant, fits) = (self.variant(variants), self.kv.head_dim <= 256);
        variant.shader == "attention" && variant.split > 0 && self.together().1 == 1 && fits
    }

    /// The pieces of the positions of a row; `None`: a row is done in one.
    fn pieces(&self, variant: &AttentionVariant) -> Option<Pieces> {
        let most = match variant.queries {
            0 => (WORKGROUPS / self.kv.heads).clamp(FEWEST_PIECES, MOST_PIECES),
            _ => Tile::new(self, variant).most_pieces(self),
        };
        let window = self.window.map(|window| if self.causal { window } else { 2 * window - 1 });
        (variant.split > 0 && most > 1).then_some(Pieces { shortest: variant.split, most, window })
    }

    fn variant(&self, variants: &Variants) -> &'static AttentionVariant {
        if self.kv.head_dim > MOST_IN_ONE {
            return &ATTEND_WIDE;
        }
        let (variant, plain) = match self.y.rows {
            1 => (variants.attend_one, &ATTEND_ONE[0]),
            rows if rows < FEWEST_ROWS && variants.attend_many.queries > 0 => (&ATTEND_MANY[0], &ATTEND_MANY[0]),
            _ => (variants.attend_many, &ATTEND_MANY[0]),
        };
        let unrolled = self.heads / self.kv.heads * self.kv.head_dim;
        if variant.shader == "attention_lane" && unrolled > MOST_UNROLLED { plain } else { variant }
    }

    /// The positions that a row at `position` attends to, in a sequence of `length` (see
    /// [`Step::length`]) whose first `source` are those of its source text.
    pub fn seen(&self, position: usize, length: usize, source: usize) -> Range<usize> {
        let window = self.window.unwrap_or(length);
        let end = if self.causal { position + 1 } else { length.min(position + window) };
        match self.part {
            Part::Whole => (position + 1).saturating_sub(window)..end,
            Part::Target => source..end,
            Part::Source => 0..source,
        }
    }

    /// The same of a row of a step.
    pub fn seen_by(&self, step: &Step, row: &Row) -> Range<usize> {
        self.seen(row.position, step.length(row.sequence), step.source(row.sequence))
    }

    /// ALiBi's slope of a head: 2^-x. With n the largest power of two up to the number of heads, x
    /// rises in n equal steps to `alibi`; heads past n lie halfway between the first steps. 0
    /// without ALiBi.
    pub fn slope(&self, head: usize) -> f32 {
        let Some(most) = self.alibi else { return 0.0 };
        let whole = 1 << self.heads.ilog2();
        let half_steps = if head < whole { 2 * head + 2 } else { 2 * (head - whole) + 1 };
        (-most * half_steps as f32 / (2 * whole) as f32).exp2()
    }

    /// The largest distance that has a bias of its own.
    fn reach(&self) -> usize {
        self.bias.map_or(0, |bias| bias.cols / self.heads / 2)
    }

    /// The factor of the scores of a row at `position`.
    pub fn scale_at(&self, position: usize) -> f32 {
        self.scale * self.temperature.map_or(1.0, |temperature| temperature.at(position))
    }

    /// The weights of the positions `seen` for a head and its query of the row at `position`:
    /// softmax_p(q · k[p] · scale - slope · distance + bias).
    pub fn weights<'a>(
        &self,
        head: usize,
        position: usize,
        seen: Range<usize>,
        q: &[f32],
        key: impl Fn(usize) -> &'a [f32],
        learned: Learned,
    ) -> Vec<f32> {
        let bounded = |score: f32| self.cap.map_or(score, |cap| cap * (score / cap).tanh());
        let (slope, scale) = (self.slope(head), self.scale_at(position));
        let reach = self.reach();
        let biases = learned.bias.map(|bias| &bias[head * (2 * reach + 1)..]);
        let bias = |p: usize| biases.map_or(0.0, |biases| biases[(p + reach).saturating_sub(position).min(2 * reach)]);
        let score = |p| bounded(dot(q, key(p)) * scale) - slope * position.abs_diff(p) as f32 + bias(p);
        let mut weights: Vec<f32> = seen.map(score).collect();
        softmax(&mut weights, learned.sinks.map(|sinks| sinks[head]));
        weights
    }

    /// `q`: (rows, q.cols); `blocks`: those of `kv`, each of [`KvCache::block_len`]; `y`: (rows,
    /// heads · head_dim).
    pub fn reference(&self, step: &Step, q: &[f32], blocks: &[Vec<f32>], learned: Learned, y: &mut [f32]) {
        let d = self.kv.head_dim;
        let group = self.heads / self.kv.heads;
        let rows = q.chunks_exact(self.q.cols).zip(y.chunks_exact_mut(self.y.cols));
        for (row, (q, y)) in step.rows.iter().zip(rows) {
            let seen = self.seen_by(step, row);
            let table = step.tables[row.sequence];
            let at = |p: usize| (&blocks[table[p / KV_BLOCK] as usize], p % KV_BLOCK..p % KV_BLOCK + 1);
            for (h, (q, y)) in q.chunks_exact(d).zip(y.chunks_exact_mut(d)).enumerate() {
                let key = |p| {
                    let (block, position) = at(p);
                    &block[self.kv.keys(h / group, position)]
                };
                let weights = self.weights(h, row.position, seen.clone(), q, key, learned);
                y.fill(0.0);
                for (weight, p) in weights.iter().zip(seen.clone()) {
                    let (block, position) = at(p);
                    let value = &block[self.kv.values(h / group, position)];
                    y.iter_mut().zip(value).for_each(|(y, v)| *y += weight * v);
                }
            }
        }
    }
}

/// `sink`: one score more, whose weight is left out.
fn softmax(scores: &mut [f32], sink: Option<f32>) {
    let max = scores.iter().copied().chain(sink).fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|s| *s = (*s - max).exp());
    let sum = scores.iter().sum::<f32>() + sink.map_or(0.0, |sink| (sink - max).exp());
    scores.iter_mut().for_each(|s| *s /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BufferId, KvFormat};

    #[test]
    fn softmax_sums_to_one_and_survives_large_scores() {
        let mut scores = [1000.0, 999.0, -1000.0];
        softmax(&mut scores, None);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[0] / scores[1] - std::f32::consts::E).abs() < 1e-4);
        // a sink takes as much as a position with its score
        let (mut three, mut two) = ([1.0, 2.0, 3.0], [1.0, 2.0]);
        softmax(&mut three, None);
        softmax(&mut two, Some(3.0));
        assert!((two[0] - three[0]).abs() < 1e-7 && (two[1] - three[1]).abs() < 1e-7);
    }

    /// Values computed by the paper's code.
    #[test]
    fn slopes_are_those_of_the_paper() {
        let buffer = BufferId(0);
        let nowhere = Tensor { buffer, rows: 1, cols: 4 };
        let attention = |heads, alibi| Attention {
            q: nowhere,
            kv: KvCache { buffer, heads, head_dim: 4, format: KvFormat::F32, parts: 1 },
            heads,
            scale: 1.0,
            cap: None,
            alibi,
            window: None,
            causal: true,
            sinks: None,
            bias: None,
            part: Part::Whole,
            temperature: None,
            y: nowhere,
        };
        let exponents = |heads, alibi| -> Vec<f32> {
            let attention = attention(heads, Some(alibi));
            (0..heads).map(|head| -attention.slope(head).log2()).collect()
        };
        assert_eq!(exponents(1, 8.0), [8.0]);
        assert_eq!(exponents(3, 8.0), [4.0, 8.0, 2.0]);
        assert_eq!(exponents(8, 8.0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(exponents(4, 16.0), [4.0, 8.0, 12.0, 16.0]);
        let twelve = exponents(12, 8.0);
        for (got, expected) in twelve[8..].iter().zip([0.5, 1.5, 2.5, 3.5]) {
            assert!((got - expected).abs() < 1e-6, "{twelve:?}");
        }
        assert_eq!(attention(5, None).slope(4), 0.0);
    }
}
