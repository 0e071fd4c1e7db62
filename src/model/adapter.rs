//! A LoRA adapter (Hu et al. 2021, arXiv 2106.09685) in engine memory: for some projections two
//! thin matrices, whose product with the input is added to the projection's.
//!
//! The A of projections that are one weight (q, k and v; gate and up) are stacked, as the weight
//! is, so that one dispatch computes all of them. Their B are then blocks of one matrix, with zeros
//! where an output does not depend on a rank.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::config::{Config, Widths};
use super::decoder::{Decoder, FeedForward, Layer};
use super::weights::{LowRank, Weight};
use crate::format::adapter::ALPHA;
use crate::format::quantize::{dequantize, quantize_row};
use crate::format::{AdapterReader, BlockType, Header, Layout, Metadata, Planes, Sink, TensorInfo};
use crate::record::{BufferId, Matrix, Memory};
use crate::{Error, Result};

/// Columns of a matrix are a multiple of this.
const UNIT: usize = 4;

/// What is done with another adapter or model.
const OTHER_MODEL: &str = "Load the model that it was trained for.";

/// A weight of the decoder that adapters may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Site {
    Qkv(usize),
    Output(usize),
    GateUp(usize),
    Down(usize),
    Head,
}

/// An adapter in the memory of one engine.
#[derive(Debug)]
pub struct Adapter {
    terms: Vec<(Site, Term)>,
    /// Identifies it: a hash of all its values, and of α / rank.
    pub fingerprint: u64,
    /// The largest rank of a weight: that of its projections together.
    pub rank: usize,
}

/// A and B of a weight, and α / rank.
#[derive(Clone, Copy, Debug)]
struct Term {
    down: Matrix,
    up: Matrix,
    first_row: usize,
    scale: f32,
}

impl Adapter {
    /// Adds `scale` times this adapter to `decoder`. `inner`: see [`LowRank::inner`].
    pub fn apply(&self, decoder: &mut Decoder, scale: f32, inner: BufferId) {
        for &(site, Term { down, up, first_row, scale: own }) in &self.terms {
            if let Some(weight) = weight_of(decoder, site) {
                weight.low_rank.push(LowRank { down, up, first_row, scale: scale * own, inner });
            }
        }
    }

    /// Gives its memory back.
    pub fn free(&self, memory: &mut dyn Memory) {
        for (_, term) in &self.terms {
            [term.down, term.up].iter().for_each(|matrix| memory.free(matrix.buffer));
        }
    }

    /// Number of its weights, zeros included.
    pub fn parameters(&self) -> usize {
        self.terms.iter().flat_map(|(_, term)| [term.down, term.up]).map(|matrix| matrix.rows * matrix.cols).sum()
    }
}

fn weight_of(decoder: &mut Decoder, site: Site) -> Option<&mut Weight> {
    let (Site::Qkv(i) | Site::Output(i) | Site::GateUp(i) | Site::Down(i)) = site else {
        return Some(&mut decoder.lm_head);
    };
    let layer = decoder.layers.get_mut(i)?;
    let mlp = match &mut layer.feed_forward {
        FeedForward::Dense(mlp) => Some(mlp),
        FeedForward::Experts(_) | FeedForward::Absent => None,
    };
    match site {
        Site::Qkv(_) => Some(&mut layer.qkv_proj),
        Site::Output(_) => Some(&mut layer.o_proj),
        Site::GateUp(_) => mlp.map(|mlp| &mut mlp.gate_up_proj),
        Site::Down(_) => mlp.map(|mlp| &mut mlp.down_proj),
        Site::Head => None,
    }
}

/// The weight that a projection is part of, by its name in GGUF without `.weight`, its rows there,
/// and the number of its inputs.
fn place(decoder: &Decoder, tensor: &str, name: &str) -> Result<(Site, Range<usize>, usize)> {
    let Config { hidden, heads, architecture, .. } = decoder.config;
    let wrong = |expected: &str, remedy| {
        let (expected, got) = (expected.into(), "another one".into());
        Err(Error::InvalidAdapter { what: format!("tensor `{tensor}`"), expected, got, remedy })
    };
    let Some((layer, part)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return match name {
            "output" if decoder.config.scales.logits_cap.is_some() => {
                wrong("a projection of a layer, as this model bounds its logits", "Train without the output head.")
            }
            "output" => Ok((Site::Head, 0..decoder.vocab, hidden)),
            _ => wrong("a projection, no embedding", "Train without embeddings, or merge it and load the whole model."),
        };
    };
    let Some(layer) = layer.parse::<usize>().ok().filter(|&layer| layer < decoder.layers.len()) else {
        return wrong(&format!("one of the {} layers of the model", decoder.layers.len()), OTHER_MODEL);
    };
    let Widths { head_dim, ffn, .. } = decoder.config.widths[layer];
    let (q, kv) = (heads * head_dim, decoder.config.own_kv_heads(layer) * head_dim);
    const MERGE: &str = "Merge it and load the model.";
    if decoder.config.experts.is_some() && part.starts_with("ffn_") {
        let remedy = match decoder.config.latent {
            Some(_) => MERGE,
            None => "Train without experts, or merge it and load the model.",
        };
        return wrong("a projection of attention, no expert", remedy);
    }
    let Layer { convolution, latent, wkv, feed_forward, .. } = &decoder.layers[layer];
    if convolution.is_some() && part.starts_with("attn_") {
        return wrong("a projection of a layer that has it, as this one has no attention", OTHER_MODEL);
    }
    if wkv.is_some() && (part.starts_with("attn_") || part.starts_with("ffn_")) {
        return wrong("a projection of a layer that has it, as those of RWKV are others", OTHER_MODEL);
    }
    if latent.is_some() && part.starts_with("attn_") {
        let remedy = match decoder.config.experts {
            Some(_) => MERGE,
            None => "Train without attention, or merge it and load the model.",
        };
        return wrong("a projection of the feed-forward block, as this attention is over latent vectors", remedy);
    }
    if matches!(feed_forward, FeedForward::Absent) && part.starts_with("ffn_") {
        return wrong("a projection of a layer that has it, as this one has no feed-forward block", OTHER_MODEL);
    }
    if decoder.layers[layer].gate_proj.is_some() && ["attn_q", "attn_qkv"].contains(&part) {
        return wrong(
            "a projection without gates, as these queries have",
            "Train without q, or merge it and load the model.",
        );
    }
    let gate = if decoder.config.activation().gated { ffn } else { 0 };
    Ok(match part {
        "attn_q" => (Site::Qkv(layer), 0..q, hidden),
        "attn_k" | "attn_v" if kv == 0 => {
            return wrong("a projection of a layer that has it, as this one reads the keys of another", OTHER_MODEL);
        }
        "attn_k" => (Site::Qkv(layer), q..q + kv, hidden),
        "attn_v" => (Site::Qkv(layer), q + kv..q + 2 * kv, hidden),
        "attn_qkv" => (Site::Qkv(layer), 0..q + 2 * kv, hidden),
        "attn_output" => (Site::Output(layer), 0..hidden, q),
        "ffn_gate" if gate > 0 => (Site::GateUp(layer), 0..ffn, hidden),
        "ffn_up" if architecture.fused_gate_up => (Site::GateUp(layer), 0..2 * ffn, hidden),
        "ffn_up" => (Site::GateUp(layer), gate..gate + ffn, hidden),
        "ffn_down" => (Site::Down(layer), 0..hidden, ffn),
        _ => return wrong("a projection: q, k, v, o, gate, up, down or the output head", "Train only these."),
    })
}

/// A or B of a projection as the header describes it, and what it becomes.
struct Member {
    site: Site,
    /// Rows of the weight.
    rows: Range<usize>,
    rank: usize,
    /// Its first rank among those of the weight.
    first_rank: usize,
    scale: f32,
    /// Their types: of A, of B.
    blocks: [BlockType; 2],
}

/// Feeds on the bytes of an adapter, and writes them to engine memory as they come.
pub struct AdapterLoader {
    reader: AdapterReader,
    assembly: Assembly,
}

#[derive(Default)]
struct Assembly {
    /// By the projection's name.
    members: BTreeMap<String, Member>,
    /// Of each weight: its matrices, the type that values have there, and whether α / rank of a
    /// projection is part of its B.
    terms: BTreeMap<Site, (Term, BlockType, bool)>,
    fingerprint: u64,
    has_header: bool,
}

impl AdapterLoader {
    /// A loader of what `reader` reads.
    pub fn new(reader: AdapterReader) -> Self {
        Self { reader, assembly: Assembly::default() }
    }

    /// Takes the next bytes. After an error the memory must be given back with
    /// [`AdapterLoader::discard`]. Errors: those of [`AdapterReader::feed`], `InvalidAdapter`
    /// naming the tensor, `OutOfMemory`.
    pub fn feed(&mut self, memory: &mut dyn Memory, decoder: &Decoder, bytes: &[u8]) -> Result<()> {
        let mut sink = Destination { assembly: &mut self.assembly, memory, decoder };
        self.reader.feed(bytes, &mut sink)
    }

    /// Checks that the last byte came. Errors: `TruncatedFile`, `InvalidAdapter` without a tensor.
    pub fn check_end(&self) -> Result<()> {
        self.reader.finish()?;
        if self.assembly.terms.is_empty() {
            let (what, expected, got) = ("its tensors".into(), "A and B of a projection".into(), "none".into());
            return Err(Error::InvalidAdapter { what, expected, got, remedy: "Use another file." });
        }
        Ok(())
    }

    /// The adapter, after [`AdapterLoader::check_end`].
    pub fn finish(self) -> Adapter {
        let Assembly { terms, fingerprint, .. } = self.assembly;
        let terms: Vec<(Site, Term)> = terms.into_iter().map(|(site, (term, ..))| (site, term)).collect();
        let rank = terms.iter().map(|(_, term)| term.down.rows).max().unwrap_or(0);
        Adapter { terms, fingerprint, rank }
    }

    /// Gives its memory back.
    pub fn discard(self, memory: &mut dyn Memory) {
        self.finish().free(memory);
    }
}

struct Destination<'a> {
    assembly: &'a mut Assembly,
    memory: &'a mut dyn Memory,
    decoder: &'a Decoder,
}

impl Sink for Destination<'_> {
    fn header(&mut self, header: Header) -> Result<()> {
        let Header { metadata, tensors, .. } = header;
        check_kind(&metadata, self.decoder)?;
        if std::mem::replace(&mut self.assembly.has_header, true) {
            return Err(wrong("split.count", "an adapter in one file", "several", "Merge the files."));
        }
        let Assembly { members: all, fingerprint, .. } = &mut *self.assembly;
        *all = members(&metadata, &tensors, self.decoder)?;
        for (name, member) in all {
            *fingerprint ^= hash(name.bytes().chain(member.scale.to_le_bytes()));
        }
        self.place()
    }

    fn rows(&mut self, info: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        let Some((name, is_b)) = split(&info.name) else { return Ok(()) };
        let Assembly { members, terms, fingerprint, .. } = &mut *self.assembly;
        let Some(member) = members.get(name) else { return Ok(()) };
        let Some(&(Term { down, up, first_row: first_up, .. }, block, scales)) = terms.get(&member.site) else {
            return Ok(());
        };
        let (matrix, first, offset, scale) = match is_b {
            false => (down, member.first_rank, 0, 1.0),
            true => (up, member.rows.start - first_up, member.first_rank, if scales { member.scale } else { 1.0 }),
        };
        let (cols, size) = (info.cols(), block.row_bytes(1));
        let (mut planes, mut values, mut out) = (Planes::default(), vec![0.0; cols], Vec::new());
        for (i, row) in rows.chunks_exact(info.row_bytes()).enumerate() {
            *fingerprint ^= hash(info.name.bytes().chain((first_row + i).to_le_bytes()).chain(row.iter().copied()));
            out.resize(out.len() + offset * size, 0);
            if info.block == block && scale == 1.0 {
                out.extend(row);
            } else {
                dequantize(info.block, row, &mut planes, &mut values);
                values.iter_mut().for_each(|value| *value *= scale);
                quantize_row(block, &values, &mut out);
            }
            out.resize(out.len().next_multiple_of(matrix.cols * size), 0);
        }
        self.memory.write_rows(&matrix, first + first_row, block, &out)
    }
}

impl Destination<'_> {
    /// Takes memory for all weights that the adapter changes, and writes what stays zero.
    fn place(&mut self) -> Result<()> {
        let Assembly { members, terms, .. } = &mut *self.assembly;
        let mut sites: BTreeMap<Site, Vec<&mut Member>> = BTreeMap::new();
        members.values_mut().for_each(|member| sites.entry(member.site).or_default().push(member));
        for (site, mut members) in sites {
            members.sort_by_key(|member| member.rows.start);
            let mut rank = 0;
            for member in &mut members {
                member.first_rank = rank;
                rank += member.rank;
            }
            let same = |pair: &[&mut Member]| pair[0].blocks == pair[1].blocks && pair[0].scale == pair[1].scale;
            let (first, scales) = (&members[0], !members.windows(2).all(same));
            let block = match first.blocks {
                [a, b] if a == b && !scales && Layout::for_block(a).quantised().is_none() => a,
                _ => BlockType::F32,
            };
            let rows = first.rows.start..members[members.len() - 1].rows.end;
            let inputs = inputs_of(self.decoder, site);
            let padded = rank.next_multiple_of(UNIT);
            let layout = Layout::for_block(block);
            let down = self.memory.create_matrix("adapter", layout, padded, inputs)?;
            let up = match self.memory.create_matrix("adapter", layout, rows.len(), padded) {
                Ok(up) => up,
                Err(error) => {
                    self.memory.free(down.buffer);
                    return Err(error);
                }
            };
            let scale = if scales { 1.0 } else { first.scale };
            terms.insert(site, (Term { down, up, first_row: rows.start, scale }, block, scales));
            let mut zeros = |matrix: &Matrix, rows: Range<usize>| {
                let bytes = vec![0; rows.len() * block.row_bytes(matrix.cols)];
                self.memory.write_rows(matrix, rows.start, block, &bytes)
            };
            zeros(&down, rank..padded)?;
            for pair in members.windows(2) {
                zeros(&up, pair[0].rows.end - rows.start..pair[1].rows.start - rows.start)?;
            }
        }
        Ok(())
    }
}

fn inputs_of(decoder: &Decoder, site: Site) -> usize {
    let Config { hidden, heads, ref widths, .. } = decoder.config;
    match site {
        Site::Qkv(_) | Site::GateUp(_) | Site::Head => hidden,
        Site::Output(layer) => heads * widths[layer].head_dim,
        Site::Down(layer) => widths[layer].ffn,
    }
}

/// `InvalidAdapter` unless it is a LoRA adapter of the decoder's architecture.
fn check_kind(metadata: &Metadata, decoder: &Decoder) -> Result<()> {
    let kind = metadata.opt_str("general.type")?.unwrap_or("model");
    if kind != "adapter" {
        return Err(wrong("general.type", "adapter", kind, "Load it as a model, or use an adapter's file."));
    }
    let kind = metadata.opt_str("adapter.type")?.unwrap_or("none");
    if kind != "lora" {
        return Err(wrong("adapter.type", "lora", kind, "Use an adapter of that kind."));
    }
    let (architecture, own) = (metadata.str("general.architecture")?, decoder.config.architecture.name);
    if architecture != own {
        return Err(wrong("general.architecture", own, architecture, OTHER_MODEL));
    }
    let key = "adapter.alora.invocation_tokens";
    if metadata.get(key).is_some() {
        return Err(wrong(key, "none", "some", "An adapter holds for a whole text here: use one without them."));
    }
    Ok(())
}

/// The projections of a header, each with A and B.
fn members(metadata: &Metadata, tensors: &[TensorInfo], decoder: &Decoder) -> Result<BTreeMap<String, Member>> {
    let mut pairs: BTreeMap<&str, [Option<&TensorInfo>; 2]> = BTreeMap::new();
    for info in tensors {
        let (name, is_b) = split(&info.name).ok_or_else(|| {
            let remedy = "Adapt projections only: merge what else it changes, and load the whole model.";
            wrong(format!("tensor `{}`", info.name), "a name that ends in .lora_a or .lora_b", "another one", remedy)
        })?;
        pairs.entry(name).or_default()[usize::from(is_b)] = Some(info);
    }
    let of_all = metadata.opt_f32(ALPHA)?.filter(|&alpha| alpha != 0.0);
    let mut members = BTreeMap::new();
    let mut taken: HashMap<Site, Vec<Range<usize>>> = HashMap::new();
    for (name, pair) in pairs {
        let (a, b) = match pair {
            [Some(a), Some(b)] => (a, b),
            [a, b] => {
                let (there, missing) = if a.is_some() { (a, "lora_b") } else { (b, "lora_a") };
                let what = format!("tensor `{name}.{missing}`");
                let got = there.map_or("none", |_| "none beside the other one");
                return Err(wrong(what, "one in the file", got, "Download it again."));
            }
        };
        let (site, rows, inputs) = place(decoder, &a.name, name.strip_suffix(".weight").unwrap_or(name))?;
        let rank = a.rows();
        let most = inputs.max(rows.len());
        let is_shape = |info: &TensorInfo, cols: usize, rows: usize| {
            let matrix = info.dims.len() == 2 || (info.dims.len() == 1 && rows == 1);
            (matrix && info.cols() == cols && info.rows() == rows)
                .then_some(())
                .ok_or_else(|| wrong_shape(info, &format!("[{cols}, {rows}]")))
        };
        if !(1..=most).contains(&rank) {
            return Err(wrong_shape(a, &format!("[{inputs}, a rank of 1 to {most}]")));
        }
        is_shape(a, inputs, rank)?;
        is_shape(b, rank, rows.len())?;
        let alpha = metadata.opt_f32(&format!("{ALPHA}.{name}"))?.or(of_all);
        let scale = alpha.map_or(1.0, |alpha| alpha / rank as f32);
        if !scale.is_finite() {
            return Err(wrong(ALPHA, "a number", scale.to_string(), "Download it again."));
        }
        let others = taken.entry(site).or_default();
        if others.iter().any(|other| other.start < rows.end && rows.start < other.end) {
            let what = format!("tensor `{}`", a.name);
            return Err(wrong(what, "each projection once", "q, k or v apart and together", "Download it again."));
        }
        others.push(rows.clone());
        let member = Member { site, rows, rank, first_rank: 0, scale, blocks: [a.block, b.block] };
        members.insert(name.to_string(), member);
    }
    Ok(members)
}

/// The projection's name, and whether the tensor is its B.
fn split(tensor: &str) -> Option<(&str, bool)> {
    let of = |end| tensor.strip_suffix(end);
    of(".lora_a").map(|name| (name, false)).or_else(|| of(".lora_b").map(|name| (name, true)))
}

fn wrong(what: impl Into<String>, expected: &str, got: impl Into<String>, remedy: &'static str) -> Error {
    Error::InvalidAdapter { what: what.into(), expected: expected.into(), got: got.into(), remedy }
}

fn wrong_shape(info: &TensorInfo, expected: &str) -> Error {
    wrong(format!("shape of tensor `{}`", info.name), expected, format!("{:?}", info.dims), OTHER_MODEL)
}

/// 64-bit FNV-1a.
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}
