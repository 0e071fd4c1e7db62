//! Bytes of a folder's safetensors files → headers and rows under GGUF's names.
//!
//! The files come one after the other, in the order of [`Folder::shards`]. A row is passed on as
//! soon as it is complete, with its index in GGUF, so the rows of a tensor may come out of order.

use std::collections::{BTreeMap, HashSet};

use super::config::ParsedConfig;
use super::experts::{Experts, Held};
use super::names::{Target, target};
use super::order::{Heads, Order};
use super::ternary::{self, PACKED, Ternary};
use super::values::{Part, Place, Values, bytes_of};
use super::{Folder, WEIGHTS};
use crate::format::header::{check_dims, invalid};
use crate::format::safetensors::{Entry, HeaderParser, SafetensorsHeader};
use crate::format::{BlockType, Header, Sink, TensorInfo};
use crate::{Error, Result};

/// Residual streams of Gemma 3n beside the first.
const OTHER_STREAMS: usize = 3;

/// Reads a folder's weights from bytes that arrive in chunks.
#[derive(Debug)]
pub struct FolderReader {
    model: ParsedConfig,
    weight_map: BTreeMap<String, String>,
    files: Vec<String>,
    /// Number of headers read.
    read: usize,
    /// Bytes of the files whose headers were read.
    bytes: u64,
    /// Names of the tensors in the files so far.
    names: HashSet<String>,
    /// Names of the tensors in GGUF so far.
    made: HashSet<String>,
    stacks: BTreeMap<String, Stack>,
    /// Tensors of GGUF of which the files so far have only a half: its name in the file, and the
    /// tensor.
    halves: BTreeMap<String, (String, TensorInfo)>,
    held: Held,
    state: State,
}

/// A tensor of GGUF that consists of several of the file, such as experts.
#[derive(Debug)]
struct Stack {
    /// Name of the first of them, for errors.
    like: String,
    /// Shape of each of them.
    dims: Vec<u64>,
    block: BlockType,
    seen: Vec<bool>,
}

#[derive(Debug)]
enum State {
    Header(HeaderParser),
    Values(Values),
    /// All files were read.
    End,
    Failed(Error),
}

impl FolderReader {
    /// Creates a reader at the beginning of the first file.
    pub fn new(folder: Folder) -> Self {
        let files = folder.shards();
        let Folder { model, weight_map, .. } = folder;
        Self {
            model,
            weight_map,
            files,
            read: 0,
            bytes: 0,
            names: HashSet::new(),
            made: HashSet::new(),
            stacks: BTreeMap::new(),
            halves: BTreeMap::new(),
            held: Held::new(),
            state: State::Header(HeaderParser::default()),
        }
    }

    /// Takes the next bytes and calls `sink` with what they complete. After an error, every further
    /// call returns the same error.
    ///
    /// # Errors
    /// `InvalidFile`, `UnsupportedTensorType`, `UnsupportedModel` and `InvalidModel`, each naming
    /// the tensor, and the errors of `sink`.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) -> Result<()> {
        let result = self.advance(bytes, sink);
        if let Err(error) = &result {
            self.state = State::Failed(error.clone());
        }
        result
    }

    fn advance(&mut self, mut input: &[u8], sink: &mut dyn Sink) -> Result<()> {
        loop {
            match &mut self.state {
                State::Header(parser) => {
                    let Some(header) = parser.feed(&mut input)? else { return Ok(()) };
                    self.state = State::Values(self.header(header, sink)?);
                }
                State::Values(values) => {
                    if !values.feed(&mut input, sink)? {
                        return Ok(());
                    }
                    self.held = std::mem::take(&mut values.held);
                    self.state = self.next_file();
                }
                State::End if input.is_empty() => return Ok(()),
                State::End => {
                    let got = format!("{} bytes or more", input.len());
                    return Err(invalid("end of the weights", "nothing after the last tensor", got));
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    fn next_file(&self) -> State {
        if self.read == self.files.len() { State::End } else { State::Header(HeaderParser::default()) }
    }

    /// Skips the values of the current file, for callers that need only the headers.
    pub fn skip_rows(&mut self) {
        if matches!(self.state, State::Values(_)) {
            self.state = self.next_file();
        }
    }

    /// Call at the end of each file, before bytes of the next. Errors: `TruncatedFile` naming file
    /// and tensor.
    pub fn end_file(&self) -> Result<()> {
        let file = |read: usize| self.files.get(read).map_or(WEIGHTS, String::as_str);
        match &self.state {
            State::Header(parser) if parser.has_begun() => Err(self.truncated(parser, file(self.read))),
            State::Values(values) => values.truncated(file(self.read - 1)),
            State::Header(_) | State::End => Ok(()),
            State::Failed(error) => Err(error.clone()),
        }
    }

    /// Call at the end of the last file. Errors: `TruncatedFile` naming file and tensor.
    pub fn finish(&self) -> Result<()> {
        match &self.state {
            State::Header(parser) => Err(self.truncated(parser, &self.files[self.read])),
            _ => self.end_file(),
        }
    }

    /// The error for a header that ends too early; of a model that weft does not know, that it does
    /// not.
    fn truncated(&self, parser: &HeaderParser, file: &str) -> Error {
        self.model.unknown.as_ref().map_or_else(|| parser.truncated(file), |unknown| unknown.plain())
    }

    /// Bytes of all files, after the last header.
    pub fn total_bytes(&self) -> Option<u64> {
        (self.read == self.files.len()).then_some(self.bytes)
    }

    /// Checks a file's header against the configuration and the earlier files, and passes it on.
    fn header(&mut self, header: SafetensorsHeader, sink: &mut dyn Sink) -> Result<Values> {
        if let Some(unknown) = &self.model.unknown {
            let names = self.weight_map.keys().chain(header.entries.iter().map(|entry| &entry.name));
            return Err(unknown.refused(names.map(String::as_str), sink));
        }
        let first = self.read == 0;
        self.read += 1;
        self.bytes = self.bytes.saturating_add(header.file_bytes);
        let mut tensors = Vec::new();
        let mut parts = Vec::new();
        // a module of its own, such as a projection behind pooling
        let module = self.files[self.read - 1].rsplit_once('/').map(|(module, _)| module.to_owned());
        for mut entry in header.entries {
            if let Some(module) = &module {
                entry.name = format!("{module}.{}", entry.name);
            }
            let place = self.place(&entry, &mut tensors)?;
            let (name, bytes) = (entry.name, entry.end - entry.begin);
            parts.push(Part { name, bytes, place });
        }
        if self.read == self.files.len() {
            self.check_complete()?;
        }
        let mut vectors = Vec::new();
        if first {
            for (name, values) in std::mem::take(&mut self.model.vectors) {
                let info = vector(name.into(), values.len());
                check_dims(&info)?;
                tensors.push(info.clone());
                vectors.push((info, values));
            }
        }
        sink.header(Header {
            version: 3,
            metadata: std::mem::take(&mut self.model.metadata),
            tensors,
            alignment: 1,
            header_bytes: header.header_bytes,
            data_offset: header.header_bytes,
            file_bytes: header.file_bytes,
        })?;
        for (info, values) in vectors {
            sink.rows(&info, 0, &bytes_of(&values))?;
        }
        Ok(Values::new(self.model.heads, parts, std::mem::take(&mut self.held)))
    }

    /// Destination of a tensor; `None` if it is dropped. Adds each new tensor of GGUF to `tensors`.
    fn place(&mut self, entry: &Entry, tensors: &mut Vec<TensorInfo>) -> Result<Option<Place>> {
        if !self.names.insert(entry.name.clone()) {
            return Err(invalid(format!("tensor `{}`", entry.name), "each tensor once", "a duplicate"));
        }
        let family = self.model.family;
        let unsupported = || Error::UnsupportedModel {
            what: "one of its tensors".into(),
            found: entry.name.clone(),
            known: format!("{} models without it", family.model_types.join(" or ")),
        };
        let found = target(family, &entry.name).ok_or_else(unsupported)?;
        let Target::Tensor { mut name, stem, layer, index } = found else { return Ok(None) };
        if layer.is_some_and(|layer| layer >= self.model.layers) {
            // DeepSeek's layers behind the last draft further tokens
            return if family.architecture == "deepseek2" { Ok(None) } else { Err(unsupported()) };
        }
        let class = self.model.class.as_str();
        match stem {
            "output" if self.model.tied && name == "output.weight" => return Ok(None),
            "cls" | "cls.norm" if class.ends_with("ForMaskedLM") && family.architecture == "modern-bert" => {
                name = name.replace("cls.norm", "mlm_transform_norm").replace("cls.", "mlm_transform.");
            }
            "cls" if !class.ends_with("ForSequenceClassification") => return Ok(None),
            "cls.output" if class.ends_with("ForTokenClassification") => name = name.replace(stem, "token_cls"),
            "ssm_a" | "ssm_d" => name = name.replace(".weight", ""),
            "altup_correct_scale" => name = format!("{}.weight", name.trim_end_matches(".scale")),
            // without experts, the block beside them is that of the layer
            "ffn_gate_up_shexp" | "ffn_down_shexp" if self.model.experts == 0 => name = name.replace("_shexp", ""),
            _ => {}
        }
        let order = family.order_of(stem);
        if let Order::Experts { interleaved } = order {
            return self.experts(entry, &name, stem, interleaved, tensors).map(Some);
        }
        let order = match (self.model.skipped_positions, self.model.ternary) {
            (skipped, _) if skipped > 0 && stem == "position_embd" => Order::Behind(skipped),
            (_, None) if entry.name.ends_with(".weight_scale") => return Err(unsupported()),
            (_, Some(ternary)) if entry.name.ends_with(".weight_scale") => match ternary {
                Ternary::Packed { divides: true } => Order::Reciprocal,
                _ => Order::Kept,
            },
            _ => order,
        };
        // of three values: those in bytes, or the matrices of layers that were trained to be
        let of_layer = layer.is_some() && entry.shape.len() == 2;
        let ternary = self.model.ternary.filter(|ternary| match ternary {
            Ternary::Packed { .. } => entry.dtype == "U8",
            Ternary::Trained => of_layer,
        });
        let packed = matches!(ternary, Some(Ternary::Packed { .. }));
        let block = if packed { BlockType::Bf16 } else { entry.block()? };
        // GGUF stores a matrix of one row as a vector
        let shape: Vec<u64> = entry.shape.iter().copied().skip_while(|&dim| dim == 1).collect();
        let mut dims: Vec<u64> = if shape.is_empty() { vec![1] } else { shape.iter().rev().copied().collect() };
        if matches!(stem, "shortconv.conv" | "ssm_conv1d") && dims.len() > 1 {
            // a convolution of each column by itself has one input
            dims.retain(|&dim| dim != 1);
        }
        let is_vector = dims.len() == 1;
        if ternary.is_some() && (is_vector || index.is_some() || !matches!(order, Order::Kept | Order::Pairs)) {
            return Err(unsupported());
        }
        if packed {
            dims[1] = dims[1].saturating_mul(PACKED as u64);
        }
        // saturating: with a dimension of 0, the others may be any number
        let rows = dims[1..].iter().fold(1u64, |rows, &dim| rows.saturating_mul(dim)) as usize;
        // a matrix whose values are computed is read as one row
        let is_computed = !is_vector && matches!(order, Order::Decay { .. });
        let cols = if is_computed { rows.saturating_mul(dims[0] as usize) } else { dims[0] as usize };
        let ordered = if is_vector || order == Order::ValueColumns { cols } else { rows };
        if let Some(expected) = order.expected(self.model.heads, ordered).filter(|&expected| expected != ordered) {
            let what = if order == Order::ValueColumns { "columns" } else { "rows" };
            return Err(wrong_shape(&entry.name, &format!("{expected} {what}"), &entry.shape));
        }
        let order = if is_vector && order == Order::Transposed { Order::Kept } else { order };
        match order {
            Order::Transposed => dims.reverse(),
            Order::Behind(skipped) if rows > skipped => dims[1] -= skipped as u64,
            Order::Behind(skipped) => {
                return Err(wrong_shape(&entry.name, &format!("more than {skipped} rows"), &entry.shape));
            }
            _ => {}
        }
        let stored = match ternary {
            Some(_) => ternary::block_of(cols),
            None if is_vector || is_computed => BlockType::F32,
            None => block,
        };
        let scale = (ternary == Some(Ternary::Trained)).then(|| vector(name.replace(".weight", ".scale"), 1));
        let rest = (order == Order::KeyHeads).then(|| {
            let qkv = self.model.heads.delta.qkv() as u64;
            let gates = dims[1] - qkv;
            dims[1] = qkv;
            let name = name.replace(stem, "attn_gate");
            TensorInfo { name, dims: vec![dims[0], gates], block: stored, offset: 0 }
        });
        let rest = rest.or(scale);
        if let Some(rest) = &rest {
            self.made.insert(rest.name.clone());
            tensors.push(rest.clone());
        }
        // GGUF says so what belongs together: a value a head, the values of a group
        let (together, apart) = match stem {
            _ if self.model.groups == 0 || !is_vector => (0, 0),
            "ssm_a" | "ssm_d" => (1, dims[0]),
            "ssm_norm" => (dims[0] / self.model.groups as u64, self.model.groups as u64),
            _ => (0, 0),
        };
        if together * apart > 0 && together * apart == dims[0] {
            dims = vec![together, apart];
        }
        let mut info = TensorInfo { name, dims, block: stored, offset: 0 };
        check_dims(&info)?;
        let first_row = match index {
            None if self.made.insert(info.name.clone()) => {
                tensors.push(info.clone());
                0
            }
            None => return Err(invalid(format!("tensor `{}`", entry.name), "one tensor of this kind", "a second one")),
            Some(index) => {
                let rows = info.rows();
                let count = self.stack(entry, stem, &info, index)?;
                info.dims.push(count as u64);
                check_dims(&info)?;
                if self.made.insert(info.name.clone()) {
                    tensors.push(info.clone());
                }
                index * rows
            }
        };
        let whole = is_vector || is_computed || order == Order::Transposed || ternary == Some(Ternary::Trained);
        Ok(Some(Place { info, first_row, order, block, cols, whole, rest, experts: None, ternary }))
    }

    /// Destination of a tensor of all experts.
    fn experts(
        &mut self,
        entry: &Entry,
        name: &str,
        stem: &str,
        interleaved: bool,
        tensors: &mut Vec<TensorInfo>,
    ) -> Result<Place> {
        let (path, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
        let is_merged = stem.starts_with("ffn_gate_up");
        let count = if stem.ends_with("_exps") { self.model.experts } else { 1 };
        let fits = |experts: &Experts| experts.experts == count && (experts.is_even() || !is_merged);
        let found = Experts::new(entry, suffix, interleaved)?.filter(fits);
        let mut experts = found.ok_or_else(|| {
            let expected = format!("outputs of each of {} experts", self.model.experts);
            wrong_shape(&entry.name, &expected, &entry.shape)
        })?;
        let suffix = if suffix == "bias" { "bias" } else { "weight" };
        let named = |stem_of_one: &str| format!("{}.{suffix}", path.replace("ffn_gate_up", stem_of_one));
        let info = experts.info(named("ffn_gate"), is_merged);
        let mut infos = vec![info.clone()];
        if is_merged {
            let up = experts.info(named("ffn_up"), true);
            infos.push(up.clone());
            experts.merged(up, interleaved);
        }
        let is_second = match self.halves.remove(&info.name) {
            Some((other, first)) if !experts.is_half() || first != info => {
                return Err(wrong_shape(&entry.name, &format!("what fits to `{other}`"), &entry.shape));
            }
            Some(_) => true,
            None => false,
        };
        if experts.is_half() && !is_second {
            self.halves.insert(info.name.clone(), (entry.name.clone(), info.clone()));
        }
        for info in infos.iter().filter(|_| !is_second) {
            check_dims(info)?;
            if !self.made.insert(info.name.clone()) {
                return Err(invalid(format!("tensor `{}`", entry.name), "one tensor of this kind", "a second one"));
            }
            tensors.push(info.clone());
        }
        let (order, block, cols, whole) = (Order::Kept, experts.block, info.cols(), experts.is_half());
        Ok(Place { info, first_row: 0, order, block, cols, whole, rest: None, experts: Some(experts), ternary: None })
    }

    /// Registers a part of a stack. Returns the number of parts of the whole stack.
    fn stack(&mut self, entry: &Entry, stem: &str, part: &TensorInfo, index: usize) -> Result<usize> {
        let Heads { heads, kv_heads, .. } = self.model.heads;
        let count = match stem {
            "attn_q_norm" => heads,
            "attn_k_norm" => kv_heads,
            "altup_proj" | "altup_unembd_proj" => OTHER_STREAMS,
            _ => self.model.experts,
        };
        if index >= count {
            let expected = format!("a number below {count}, as config.json has it");
            return Err(invalid(format!("tensor `{}`", entry.name), expected, index.to_string()));
        }
        let stack = self.stacks.entry(part.name.clone()).or_insert_with(|| Stack {
            like: entry.name.clone(),
            dims: part.dims.clone(),
            block: part.block,
            seen: vec![false; count],
        });
        if (&stack.dims, stack.block) != (&part.dims, part.block) {
            let expected = format!("the shape and type of `{}`", stack.like);
            return Err(wrong_shape(&entry.name, &expected, &entry.shape));
        }
        stack.seen[index] = true;
        Ok(count)
    }

    /// Checks, with the last header, that all tensors of the index and all parts of stacks are
    /// present.
    fn check_complete(&self) -> Result<()> {
        let missing =
            |what: String| Err(Error::InvalidModel { what, expected: "one in the folder".into(), got: "none".into() });
        for (name, file) in &self.weight_map {
            if !self.names.contains(name) {
                return missing(format!("tensor `{name}` in {file}"));
            }
        }
        for Stack { like, seen, .. } in self.stacks.values() {
            if let Some(number) = seen.iter().position(|seen| !seen) {
                return missing(format!("number {number} of the tensors like `{like}`"));
            }
        }
        if let Some((name, _)) = self.halves.values().next() {
            return missing(format!("the other half of `{name}`, numbers (`_blocks`) or scales (`_scales`)"));
        }
        Ok(())
    }
}

fn vector(name: String, len: usize) -> TensorInfo {
    TensorInfo { name, dims: vec![len as u64], block: BlockType::F32, offset: 0 }
}

fn wrong_shape(name: &str, expected: &str, got: &[u64]) -> Error {
    Error::InvalidModel {
        what: format!("shape of tensor `{name}`"),
        expected: expected.into(),
        got: format!("{got:?}"),
    }
}
