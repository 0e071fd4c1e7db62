//! Counts what the shaders themselves load, and compares with what the operations say of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use std::collections::{BTreeMap, HashSet};

use support::variant_sets;
use support::walk::{self, Sizes, Source, Words};
use weft_llm::engine::gpu::shader::wgsl;
use weft_llm::format::Layout;
use weft_llm::ops::adjust::RECENT;
use weft_llm::ops::alt_up::{Correction, STREAMS};
use weft_llm::ops::likely;
use weft_llm::ops::variants::MATMUL_NARROW;
use weft_llm::ops::{
    Activate, Activation, Adjust, AltUp, Attention, Binding, CausalConvolve, Combine, Command, Convolve, DeltaHeads,
    DeltaRule, Embed, Epilogue, ExpertGroups, ExpertLinear, Gather, Index, Kernel, Likely, Linear, LinearPair, Loads,
    Norm, NormKind, NormLinear, Op, Part, PickColumns, PickRows, Rescale, RmsNorm, RopeAppend, RopeAttention, RopeKind,
    Route, Sample, ScanHeads, SelectiveScan, Shift, Sparsify, Variants, Weighting, Wkv, WkvHeads,
};
use weft_llm::record::{BufferId, KV_BLOCK, KvCache, KvFormat, Matrix, NO_STATE, Row, Step, Tensor, rows};

/// The buffer of keys and values.
const KV: BufferId = BufferId(99);
/// A buffer of small whole numbers: the experts of tokens, or the values of a chain.
const NUMBERS: BufferId = BufferId(98);
const OTHER: BufferId = BufferId(1);
/// The experts of tokens, in turn, and what `gather` makes of these.
const ROUTE: BufferId = BufferId(97);
const GATHERED: BufferId = BufferId(96);
const EXPERTS: usize = 5;
const CHOSEN: usize = 2;

fn tensor(rows: usize, cols: usize) -> Tensor {
    Tensor { buffer: BufferId(0), rows, cols }
}

fn kv(heads: usize, head_dim: usize, format: KvFormat) -> KvCache {
    KvCache { buffer: KV, heads, head_dim, format, parts: 1 }
}

/// The best logits that are looked at in a draw, as usual.
const TOP_K: u32 = 40;

/// Tokens with a bias or a penalty, as usual.
const CHANGED: u32 = 64;

/// The words of what a shader is bound to, where they decide what it does.
fn words(kernel: &Kernel, step: &Step) -> Words {
    let reach = step.rows.iter().map(|row| row.position + 1).max().unwrap() as u32;
    // a sequence: the length of its source text, the slots of its state, its length, its blocks
    let slots = |sequence: usize| step.states.get(sequence).copied().unwrap_or([NO_STATE; 2]);
    let sequence = |sequence| {
        let [read, write] = slots(sequence);
        let [source, length] = [step.source(sequence), step.length(sequence)].map(|count| count as u32);
        [&[source, read, write, length], step.tables[sequence]].concat()
    };
    let tables: Vec<Vec<u32>> = (0..step.tables.len()).map(sequence).collect();
    let start = |sequence| tables[..sequence].concat().len() as u32 + 3;
    let row = |(i, row): (usize, &Row)| {
        let wanted = step.wanted().nth(i).map_or(u32::MAX, |row| row as u32);
        [row.id.unwrap_or(0), row.position as u32, 0, start(row.sequence), wanted]
    };
    let number = |i: u32| match kernel.shader {
        "sample" => TOP_K,
        // the number of changed tokens, the other counts, and the ids of the tokens
        "adjust" if i == 0 => CHANGED,
        "adjust" if i < 9 => 0,
        "adjust" => (i - 9) * (kernel.params[1] / CHANGED),
        "pick_columns" => i,
        _ => 1,
    };
    let known = kernel.slots().filter_map(|(slot, binding)| match binding {
        Binding::Rows => Some((slot, step.rows.iter().enumerate().flat_map(row).collect())),
        Binding::Tables => Some((slot, tables.concat())),
        Binding::Values(NUMBERS) => Some((slot, (0..256).map(number).collect())),
        Binding::Values(ROUTE) => Some((slot, experts(step.rows.len()).map(|number| number as u32).collect())),
        Binding::Values(GATHERED) => Some((slot, gathered(kernel.params[0] as usize, step.rows.len()))),
        _ => None,
    });
    let header = vec![step.rows.len() as u32, reach, step.random, step.second];
    known.chain([(0, header), (1, kernel.params.clone())]).collect()
}

/// The experts of so many tokens.
fn experts(tokens: usize) -> impl Iterator<Item = usize> {
    (0..tokens * CHOSEN).map(|slot| slot % EXPERTS)
}

/// The words of what `gather` makes of these.
fn gathered(capacity: usize, tokens: usize) -> Vec<u32> {
    let (route, y) = (tensor(capacity, CHOSEN), tensor(1, Gather::len(capacity, CHOSEN, EXPERTS)));
    let numbers: Vec<f32> = experts(tokens).map(|number| number as f32).collect();
    let mut values = vec![0.0; y.cols];
    Gather { route, chosen: CHOSEN, experts: EXPERTS, y }.reference(&numbers, &mut values);
    values.into_iter().map(|value| value as u32).collect()
}

/// The bytes of the planes of a kernel's matrices. Invocations past the last row look behind them.
fn planes(command: &Command, kernel: &Kernel, variants: &Variants) -> Sizes {
    let matrices = match command {
        Command::Linear(op) => vec![op.weight],
        Command::LinearPair(op) => vec![op.head.weight, op.tail.weight],
        Command::NormLinear(op) => [Some(op.linear), op.tail].iter().flatten().map(|part| part.weight).collect(),
        Command::ExpertLinear(op) => vec![op.weight],
        _ => vec![],
    };
    let is_tail = kernel.defines.contains(&"TAIL");
    let own = matrices.iter().filter(|matrix| is_tail || kernel.defines.contains(&matrix.layout.name()));
    let of_matrix = |matrix: &Matrix| {
        let rows = matrix.rows.next_multiple_of(variants.row_tile(matrix.rows));
        let Matrix { layout, cols, .. } = *matrix;
        // whole granules and words
        let (quants, scales) = (layout.quants_row_bytes(cols), layout.scales_row_bytes(cols));
        let planes = [quants.next_multiple_of(16), scales.next_multiple_of(4)].map(|row| rows * row);
        let book = layout.quantised().and_then(|quantised| quantised.code()).map_or(0, |code| code.book().len());
        [planes[0], planes[1] + book]
    };
    (8..).zip(own.flat_map(of_matrix).filter(|&bytes| bytes > 0)).collect()
}

/// What a dispatch loads, by a walk through its shader.
fn counted(kernel: &Kernel, step: &Step, planes: &Sizes) -> Loads {
    let source = wgsl(kernel.shader, &kernel.defines, &kernel.constants).unwrap();
    let module = naga::front::wgsl::parse_str(&source).unwrap();
    let words = words(kernel, step);
    let reach = step.rows.iter().map(|row| row.position + 1).max().unwrap();
    let [x, y, z] = kernel.grid(step.rows.len(), reach);
    let mut loads = Loads::default();
    for id in (0..x * y * z).map(|i| [i % x, i / x % y, i / x / y]) {
        let mut busy = false;
        let is_look = |source| match source {
            Source::Binding(slot) => kernel.slots().any(|(other, binding)| {
                other == slot && matches!(binding, Binding::Values(ROUTE) | Binding::Values(GATHERED))
            }),
            Source::Workgroup(_) => false,
        };
        for (source, once, each) in walk::workgroup(&module, id, &words, planes) {
            let figure = match source {
                // not activations
                Source::Workgroup("weight_scales") => continue,
                Source::Workgroup("weights") if kernel.shader.starts_with("linear") => continue,
                Source::Workgroup(_) if ["sample", "likely"].contains(&kernel.shader) => continue,
                Source::Workgroup(_) => None,
                Source::Binding(0 | 1) => continue,
                Source::Binding(slot) => match kernel.slots().find(|(other, _)| *other == slot).unwrap().1 {
                    Binding::Rows | Binding::Tables => continue,
                    Binding::Quants(_) | Binding::Scales(_) => Some(&mut loads.weights),
                    Binding::KeysValues { .. } | Binding::States(_) => Some(&mut loads.keys_values),
                    Binding::Values(_) | Binding::Pieces { .. } | Binding::Intermediate { .. } => None,
                },
            };
            // where the expert is in another part, or a tile has no slots, there is nothing to do
            busy |= !is_look(source);
            match figure {
                Some(figure) => *figure += once,
                None => {
                    loads.activations += once;
                    loads.lane_activations += each;
                }
            }
        }
        loads.workgroups += u64::from(busy);
    }
    loads
}

/// The kernels that were counted, by shader.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, usize>);

impl Seen {
    /// Compares each kernel that any choice of shaders makes of a command.
    fn compare(&mut self, name: &str, command: impl Into<Command>, step: &Step) {
        self.compare_with(&variant_sets(), name, command, step);
    }

    fn compare_with(&mut self, sets: &[Variants], name: &str, command: impl Into<Command>, step: &Step) {
        let command = command.into();
        command.check().unwrap();
        let mut done = HashSet::new();
        for variants in sets {
            let loads = command.loads(variants, step);
            let kernels = command.kernels(variants);
            assert_eq!(loads.len(), kernels.len(), "{name}");
            for (kernel, loads) in kernels.iter().zip(loads) {
                if !done.insert((
                    kernel.shader,
                    kernel.defines.clone(),
                    kernel.constants.clone(),
                    kernel.params.clone(),
                )) {
                    continue;
                }
                let planes = planes(&command, kernel, variants);
                let counted = Loads { multiply_adds: loads.multiply_adds, ..counted(kernel, step, &planes) };
                let (rows, reach) = (step.rows.len(), step.length(0));
                let about = format!("{name}, {rows} rows up to {reach}: {} {:?}", kernel.shader, kernel.constants);
                // the walk knows neither where the logits of a choice are, nor which are kept so
                // far that the largest distance matters
                let (once, each) = match kernel.shader {
                    "sample" if kernel.params[2] == 0 => (4 * (32 * TOP_K + 1), 4 * TOP_K),
                    // nor which logit is that of the id
                    "likely" => (4 * (32 * likely::MOST as u32 + 1), 0),
                    _ => (0, 0),
                };
                let loads = Loads {
                    activations: loads.activations - u64::from(once),
                    lane_activations: loads.lane_activations - u64::from(each),
                    ..loads
                };
                assert_eq!(loads, counted, "{about}");
                *self.0.entry(kernel.shader).or_default() += 1;
            }
        }
    }

    fn are(&self, shaders: &[&str]) {
        assert_eq!(self.0.keys().copied().collect::<Vec<_>>(), shaders);
    }
}

/// A step of a sequence, of tokens from `position` on.
fn at(position: usize, tokens: usize, then: impl FnOnce(&Step)) {
    let table: Vec<u32> = (0..(position + tokens).div_ceil(KV_BLOCK) as u32).rev().collect();
    then(&Step {
        second: 2,
        sources: &[position * 2 / 3],
        ..Step::new(&rows(0, position, &vec![3; tokens]), &[&table])
    });
}

/// Tokens of a step, and room for them.
const TOKENS: [(usize, usize); 3] = [(1, 1), (5, 7), (35, 40)];

fn matrix(layout: Layout, rows: usize) -> Matrix {
    let cols = layout.quantised().map_or(64, |quantised| quantised.unit().max(64));
    Matrix { buffer: BufferId(2), layout, rows, cols }
}

#[test]
fn linear() {
    let mut seen = Seen::default();
    let gated = Epilogue::Activate(Activation::SWIGLU);
    for (tokens, capacity) in TOKENS {
        for (i, layout) in Layout::ALL.into_iter().enumerate() {
            for (j, epilogue) in [Epilogue::Store, Epilogue::ACCUMULATE, gated].into_iter().enumerate() {
                let weight = matrix(layout, 96 * epilogue.inputs());
                let norm = (i + j) % 2 == 0;
                let norm = norm.then_some(RmsNorm { weight: tensor(1, weight.cols), eps: 0.0 });
                let affine = (j != 1).then_some(tensor(2, weight.rows));
                let (x, y) = (tensor(capacity, weight.cols), tensor(capacity, 96));
                // of many tokens a few, since the plain shader takes each anew
                let skipped = match tokens {
                    1 => i % 3 != j,
                    // those of codebooks take longest, and differ only in how they are read
                    5 => !(3..=14).contains(&i) || i % 2 == 0 || i % 3 != j,
                    _ => i != 3 || j == 1,
                };
                if skipped {
                    continue;
                }
                let op = Linear { x, norm, weight, affine, epilogue, y_offset: 0, y };
                at(0, tokens, |step| seen.compare(&format!("{layout:?}"), op, step));
            }
        }
        // rows that are not whole blocks
        let weight = Matrix { cols: 36, ..matrix(Layout::F16, 30) };
        let (x, y) = (tensor(capacity, 36), tensor(capacity, 30));
        let op = Linear { x, norm: None, weight, affine: None, epilogue: Epilogue::Store, y_offset: 0, y };
        at(0, tokens, |step| seen.compare("odd columns", op, step));
    }
    seen.are(&[
        "linear",
        "linear_block",
        "linear_block_int8",
        "linear_rows",
        "linear_rows_tile",
        "linear_split",
        "linear_subgroup",
        "round_f16",
        "round_int8",
    ]);
}

/// As one dispatch, and as two.
#[test]
fn norm_linear() {
    let mut seen = Seen::default();
    let gated = Epilogue::Activate(Activation::SWIGLU);
    for (cols, tokens, capacity) in [(96, 1, 1), (256, 1, 1), (1056, 1, 1), (4096, 1, 1), (96, 3, 4)] {
        for epilogue in [Epilogue::Store, gated] {
            let of = |buffer, cols| Tensor { buffer: BufferId(buffer), ..tensor(capacity, cols) };
            let (x, add, y) = (of(3, cols), Some(of(4, cols)), of(5, cols));
            let (weight, bias, kind, eps) = (tensor(1, cols), None, NormKind::Rms, 0.0);
            let norm = Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add, y, scale: None };
            let next = Some(RmsNorm { weight, eps });
            let weight = Matrix { cols, ..matrix(Layout::Q4, 192) };
            let linear = Linear {
                x: y,
                norm: next,
                weight,
                affine: None,
                epilogue,
                y_offset: 0,
                y: of(6, 192 / epilogue.inputs()),
            };
            at(0, tokens, |step| seen.compare("norm_linear", NormLinear { norm, linear, tail: None }, step));
            if cols == 256 && epilogue == Epilogue::Store {
                let weight = Matrix { cols, ..matrix(Layout::Q4K32, 256) };
                let linear = Linear { weight, y: of(6, 352), ..linear };
                let weight = Matrix { cols, ..matrix(Layout::Q6K16, 96) };
                let tail = Some(Linear { weight, y_offset: 256, ..linear });
                at(0, tokens, |step| seen.compare("norm_linear", NormLinear { norm, linear, tail }, step));
            }
        }
    }
    assert!(seen.0["norm"] > 0 && seen.0["linear_split"] > 0 && seen.0["linear_subgroup"] > 0, "{:?}", seen.0);
}

/// As one dispatch, and as two.
#[test]
fn linear_pair() {
    let mut seen = Seen::default();
    for (tokens, capacity) in [(1, 1), (5, 7)] {
        for (i, rows) in [(256, 96), (64, 32)].into_iter().enumerate() {
            let width = rows.0 + rows.1;
            let (x, y) = (tensor(capacity, 256), tensor(capacity, width));
            let norm = (i == 0).then_some(RmsNorm { weight: tensor(1, 256), eps: 0.0 });
            let affine = (tokens == 1).then_some(tensor(2, width));
            let of = |layout, rows, y_offset| {
                let weight = matrix(layout, rows);
                Linear { x, norm, weight, affine, epilogue: Epilogue::Store, y_offset, y }
            };
            let (head, tail) = (of(Layout::Q4K32, rows.0, 0), of(Layout::Q6K16, rows.1, rows.0));
            at(0, tokens, |step| seen.compare("pair", LinearPair { head, tail }, step));
        }
    }
    assert!(seen.0["linear_rows"] > 0 && seen.0["linear_subgroup"] > 0, "{:?}", seen.0);
}

/// One to eight groups of the tokens of a tile, and a few tokens of the next one.
#[test]
fn linear_of_large_tiles() {
    let mut seen = Seen::default();
    let is_tile = |variants: &Variants| variants.matmul_rounded.unwrap_or(variants.matmul).tokens > 8;
    let narrow = Variants { matmul: &MATMUL_NARROW, ..Variants::PLAIN };
    let sets: Vec<Variants> = variant_sets().into_iter().filter(is_tile).chain([narrow]).collect();
    for (tokens, layout) in [(60, Layout::Q4), (120, Layout::Q4K32), (135, Layout::Q8), (300, Layout::Q6K16)] {
        let (capacity, normed) = (512, tokens != 120);
        // a tile and a half, in whole groups of interleaved rows
        let weight = matrix(layout, 96);
        let norm = normed.then_some(RmsNorm { weight: tensor(1, weight.cols), eps: 0.0 });
        let (x, y) = (tensor(capacity, weight.cols), tensor(capacity, 96));
        let op = Linear { x, norm, weight, affine: None, epilogue: Epilogue::Store, y_offset: 0, y };
        at(0, tokens, |step| seen.compare_with(&sets, &format!("{layout:?}"), op, step));
    }
    seen.are(&["linear_block", "linear_block_int8", "round_f16", "round_int8"]);
}

#[test]
fn rope_append() {
    let mut seen = Seen::default();
    for &(tokens, capacity) in &TOKENS[..2] {
        for (head_dim, rotary_dim, kind) in [
            (16, 16, RopeKind::Interleaved),
            (96, 64, RopeKind::Interleaved),
            (32, 24, RopeKind::HalfSplit),
            (256, 256, RopeKind::HalfSplit),
        ] {
            let format = KvFormat::OF_GPUS[1 + tokens / 5].of_heads(head_dim);
            let (kv, heads) = (KvCache { parts: 1 + head_dim / 32 % 2, ..kv(2, head_dim, format) }, 4);
            let (qkv, angles) = (tensor(capacity, 8 * head_dim), tensor(capacity, rotary_dim));
            let behind = (head_dim == 256).then(|| tensor(1, 6 * head_dim));
            at(9, tokens, |step| seen.compare("rope", RopeAppend { qkv, angles, kv, heads, kind, behind }, step));
        }
    }
    seen.are(&["rope_append"]);
}

/// As one dispatch, and one after the other.
#[test]
fn rope_attention() {
    let mut seen = Seen::default();
    let shapes = [(16, 16, 4, 2), (16, 8, 4, 2), (80, 80, 3, 1), (128, 0, 2, 2), (256, 256, 4, 1), (64, 64, 9, 1)];
    for (i, (head_dim, rotary_dim, heads, kv_heads)) in shapes.into_iter().enumerate() {
        for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
            for (normed, position, tokens, capacity) in [(false, 0, 1, 1), (true, 130, 1, 1), (true, 70, 3, 4)] {
                let parts = if normed { kv_heads } else { 1 };
                let format = KvFormat::OF_GPUS[i % 3].of_heads(head_dim);
                let kv = KvCache { parts, ..kv(kv_heads, head_dim, format) };
                let qkv = tensor(capacity, (heads + 2 * kv_heads) * head_dim);
                let rope = RopeAppend { qkv, angles: tensor(capacity, rotary_dim), kv, heads, kind, behind: None };
                let (groups, bias, add, window) = (heads + kv_heads, None, None, (i == 0).then_some(5));
                let (first_col, eps, kind) = (0, 1e-5, NormKind::Rms);
                let weight = tensor(1, groups * head_dim);
                let norm = Norm { x: qkv, first_col, groups, weight, bias, kind, eps, add, y: qkv, scale: None };
                let (scale, cap, alibi, causal, y) = (1.0, None, None, true, tensor(capacity, heads * head_dim));
                let attention = Attention {
                    q: qkv,
                    kv,
                    heads,
                    scale,
                    cap,
                    alibi,
                    window,
                    causal,
                    sinks: None,
                    bias: None,
                    part: Part::Whole,
                    temperature: None,
                    y,
                };
                let op = RopeAttention { norm: normed.then_some(norm), rope, attention };
                at(position, tokens, |step| seen.compare(&format!("{head_dim}, {rotary_dim}"), op, step));
            }
        }
    }
    seen.are(&["attention", "attention_lane", "attention_merge", "norm", "rope_append"]);
}

#[test]
fn route() {
    let mut seen = Seen::default();
    for (experts, chosen) in [(8, 2), (70, 6), (300, 3)] {
        let all = [Weighting::Softmax, Weighting::Renormalised, Weighting::SparseMixer, Weighting::Sigmoid];
        for weighting in all.into_iter().chain([Weighting::PlainSigmoid]) {
            let shared = experts == 70;
            let cols = usize::from(shared);
            let (logits, y) = (tensor(4, experts + cols), tensor(4, 2 * chosen + cols));
            for has_bias in [false, weighting != Weighting::SparseMixer] {
                let bias = has_bias.then(|| tensor(1, experts));
                let groups = (experts == 300 && has_bias).then_some(ExpertGroups { count: 20, chosen: 7 });
                let op = Route { logits, bias, chosen, weighting, groups, shared, y };
                at(0, 3, |step| seen.compare("route", op, step));
            }
        }
    }
    seen.are(&["route"]);
}

#[test]
fn expert_linear() {
    let mut seen = Seen::default();
    for slot_inputs in [false, true] {
        for (tokens, capacity, rows, gathers) in [(5, 7, 128, false), (3, 40, 70, true), (90, 96, 70, true)] {
            // few of these, since a walk takes long
            if slot_inputs && tokens == 90 {
                continue;
            }
            let (chosen, all_experts) = (CHOSEN, EXPERTS);
            // the last three of all
            let experts = 3;
            let (weight, first_expert) = (matrix(Layout::Q4K32, experts * rows), all_experts - experts);
            let x = tensor(capacity, if slot_inputs { chosen * weight.cols } else { weight.cols });
            let norm = (!slot_inputs).then_some(RmsNorm { weight: tensor(1, weight.cols), eps: 0.0 });
            let affine = slot_inputs.then_some(tensor(2, weight.rows));
            let route = Tensor { buffer: ROUTE, ..tensor(capacity, chosen) };
            let gathered = gathers.then_some(Tensor { buffer: GATHERED, ..tensor(1, 1000) });
            let (y_offset, y) = (0, tensor(capacity, chosen * rows));
            let op = ExpertLinear {
                x,
                norm,
                weight,
                affine,
                rows,
                first_expert,
                all_experts,
                route,
                chosen,
                gathered,
                y_offset,
                y,
            };
            // slots that are gathered have shaders of their own
            let mut sets = variant_sets();
            sets.retain(|variants| !gathers || variants.gathered(&weight).is_some());
            at(0, tokens, |step| seen.compare_with(&sets, "experts", op, step));
        }
    }
    seen.are(&["linear", "linear_gathered", "linear_gathered_int8", "linear_rows", "linear_split", "linear_subgroup"]);
}

#[test]
fn gather() {
    let mut seen = Seen::default();
    for (tokens, capacity) in TOKENS {
        let (route, y) = (Tensor { buffer: ROUTE, ..tensor(capacity, CHOSEN) }, tensor(1, 1000));
        let op = Gather { route, chosen: CHOSEN, experts: EXPERTS, y };
        at(0, tokens, |step| seen.compare("gather", op, step));
    }
    seen.are(&["gather"]);
}

#[test]
fn attention() {
    let mut seen = Seen::default();
    for (head_dim, heads, kv_heads) in [(16, 4, 2), (80, 3, 1), (128, 2, 2), (256, 5, 1)] {
        for (window, causal) in [(None, true), (Some(90), true), (Some(5), true), (None, false)] {
            if head_dim > 16 && window != Some(90) {
                continue;
            }
            let steps = [(0, 1, 1), (70, 1, 1), (300, 1, 1), (0, 5, 6), (130, 9, 9)];
            let steps = &steps[..if head_dim == 256 { 4 } else { 5 }];
            for (i, (position, tokens, capacity)) in steps.iter().copied().enumerate() {
                let format = KvFormat::OF_GPUS[(i + heads) % 3].of_heads(head_dim);
                let (q, y) = (tensor(capacity, heads * head_dim + 4), tensor(capacity, heads * head_dim));
                let parts = if position == 70 || tokens == 9 { kv_heads } else { 1 };
                let (kv, scale, cap, alibi) = (KvCache { parts, ..kv(kv_heads, head_dim, format) }, 1.0, None, None);
                let op = Attention {
                    q,
                    kv,
                    heads,
                    scale,
                    cap,
                    alibi,
                    window,
                    causal,
                    sinks: None,
                    bias: None,
                    part: Part::Whole,
                    temperature: None,
                    y,
                };
                at(position, tokens, |step| seen.compare(&format!("{window:?}"), op, step));
            }
        }
    }
    seen.are(&["attention", "attention_lane", "attention_merge"]);
}

/// Of so many rows that queries are taken in tiles.
#[test]
fn attention_in_tiles() {
    let mut seen = Seen::default();
    let (scale, cap, alibi) = (1.0, None, None);
    for (head_dim, heads, kv_heads, window, causal) in [
        (8, 71, 1, None, true),
        (16, 4, 2, None, false),
        (16, 4, 2, Some(40), true),
        (80, 3, 1, Some(90), true),
        (256, 5, 1, None, true),
        (576, 5, 1, None, true),
    ] {
        // some rows of several sequences
        let row = |sequence, position| Row { id: Some(0), position, sequence, wanted: true };
        let several = [&rows(0, 40, &[0; 9])[..], &[row(1, 7)], &rows(2, 90, &[0; 7])].concat();
        let (q, y) = (tensor(18, heads * head_dim + 4), tensor(18, heads * head_dim));
        let parts = if causal { kv_heads } else { 1 };
        let kv = KvCache { parts, ..kv(kv_heads, head_dim, KvFormat::Q8.of_heads(head_dim)) };
        let name = format!("{window:?}");
        let op = Attention {
            q,
            kv,
            heads,
            scale,
            cap,
            alibi,
            window,
            causal,
            sinks: None,
            bias: None,
            part: Part::Whole,
            temperature: None,
            y,
        };
        match head_dim {
            16 => at(200, 18, |step| seen.compare(&name, op, step)),
            80 => at(150, 17, |step| seen.compare(&name, op, step)),
            _ => seen.compare(&name, op, &Step::new(&several, &[&[0], &[1], &[2, 3]])),
        }
    }
    assert!(seen.0["attention_tile"] >= 10 && seen.0["attention_merge"] > 0, "{:?}", seen.0);
}

/// So many positions that pieces grow.
#[test]
fn attention_of_longer_pieces() {
    let mut seen = Seen::default();
    at(1100, 1, |step| seen.compare("longer pieces", plain_attention(1), step));
}

/// Of one head, over all before.
fn plain_attention(tokens: usize) -> Attention {
    let (kv, heads, scale, cap, alibi) = (kv(1, 8, KvFormat::F16), 1, 1.0, None, None);
    let (sinks, temperature) = (None, None);
    let (window, causal) = (None, true);
    Attention {
        q: tensor(tokens, 8),
        kv,
        heads,
        scale,
        cap,
        alibi,
        window,
        causal,
        part: Part::Whole,
        sinks,
        bias: None,
        temperature,
        y: tensor(tokens, 8),
    }
}

/// What is behind a source text, and the text.
#[test]
fn attention_of_parts() {
    let mut seen = Seen::default();
    for (tokens, position) in [(1, 1100), (40, 130)] {
        for part in [Part::Target, Part::Source] {
            let name = format!("{part:?}, {tokens} tokens at {position}");
            let op = Attention { part, ..plain_attention(tokens) };
            at(position, tokens, |step| seen.compare(&name, op, step));
        }
    }
}

/// A row for each of several sequences, as when generations run together.
#[test]
fn attention_of_sequences() {
    let mut seen = Seen::default();
    let row = |sequence, position| Row { id: Some(0), position, sequence, wanted: true };
    let rows = [row(0, 40), row(0, 41), row(1, 7), row(2, 90), row(2, 91)];
    let (q, y) = (tensor(6, 32), tensor(6, 32));
    let (kv, heads, scale, cap, alibi) = (kv(1, 16, KvFormat::F16), 2, 1.0, None, None);
    let op = Attention {
        q,
        kv,
        heads,
        scale,
        cap,
        alibi,
        window: None,
        causal: true,
        sinks: None,
        bias: None,
        part: Part::Whole,
        temperature: None,
        y,
    };
    seen.compare("sequences", op, &Step::new(&rows, &[&[0], &[1], &[2, 3]]));
}

#[test]
fn embed() {
    let mut seen = Seen::default();
    for layout in Layout::ALL {
        for (index, tokens) in [(Index::Id, 1), (Index::Id, 3), (Index::Position, 3), (Index::Segment, 3)] {
            let table = Matrix { cols: 512, ..matrix(layout, 8) };
            let op = Embed { table, first_row: 0, index, scale: 1.0, y: tensor(4, 512) };
            at(2, tokens, |step| seen.compare(&format!("{layout:?}"), op, step));
        }
    }
    // a part that holds none of the ids
    let op = Embed { table: matrix(Layout::Q4, 8), first_row: 8, index: Index::Id, scale: 1.0, y: tensor(4, 64) };
    at(0, 3, |step| assert_eq!(op.loads(&variant_sets()[0], step)[0].weights, 0));
    seen.are(&["embed"]);
}

#[test]
fn norm() {
    let mut seen = Seen::default();
    for (kind, bias) in [(NormKind::Rms, None), (NormKind::Layer, None), (NormKind::Layer, Some(tensor(1, 600)))] {
        let (x, weight, eps) = (tensor(4, 600), tensor(1, 600), 1e-5);
        let elsewhere = Tensor { buffer: OTHER, ..x };
        let other = Tensor { buffer: NUMBERS, ..x };
        for (y, add, groups) in
            [(x, None, 2), (elsewhere, None, 1), (elsewhere, Some(elsewhere), 4), (elsewhere, Some(other), 4)]
        {
            let scale = (groups == 1).then_some(Tensor { buffer: BufferId(95), ..tensor(1, 1) });
            let op = Norm { x, first_col: 0, groups, weight, bias, kind, eps, add, y, scale };
            at(0, 3, |step| seen.compare("norm", op, step));
        }
    }
    seen.are(&["norm"]);
}

/// Heads of Mamba-2, and columns of Mamba: from the beginning, and from a state.
#[test]
fn selective_scan() {
    let mut seen = Seen::default();
    for (count, groups, head_dim, state_dim, columns) in
        [(2, 1, 12, 20, false), (4, 2, 64, 8, false), (3, 1, 8, 5, true), (2, 1, 32, 16, true)]
    {
        let heads = ScanHeads { count, groups, head_dim, state_dim, columns };
        let op = |capacity| SelectiveScan {
            xbc: tensor(capacity, heads.xbc()),
            gates: tensor(capacity, heads.projected() + 2),
            weights: tensor(1, heads.weights()),
            state: KvCache { buffer: KV, ..KvCache::of_state(heads.matrices() + 3) },
            first: 3,
            heads,
            y: tensor(capacity, heads.inner()),
        };
        of_states(|capacity, step| seen.compare("selective_scan", op(capacity), step));
    }
    seen.are(&["selective_scan"]);
}

#[test]
fn delta_rule() {
    let mut seen = Seen::default();
    for (key, value, key_dim, value_dim, tiled) in
        [(2, 4, 8, 12, true), (1, 3, 20, 64, false), (2, 2, 128, 128, true), (1, 1, 16, 200, false)]
    {
        let heads = DeltaHeads { key, value, key_dim, value_dim, tiled };
        let op = |capacity| DeltaRule {
            qkv: tensor(capacity, heads.qkv()),
            gates: tensor(capacity, heads.qkv() + heads.values() + 2 * value + 3),
            weights: tensor(1, 2 * value + value_dim),
            state: KvCache { buffer: KV, ..KvCache::of_state(heads.matrices() + 3) },
            first: 3,
            heads,
            eps: 1e-6,
            y: tensor(capacity, heads.values()),
        };
        of_states(|capacity, step| seen.compare("delta_rule", op(capacity), step));
    }
    seen.are(&["delta_rule"]);
}

#[test]
fn wkv() {
    let mut seen = Seen::default();
    for (count, dim) in [(1, 4), (3, 12), (2, 64), (1, 200)] {
        let heads = WkvHeads { count, dim };
        let op = |capacity| Wkv {
            projected: tensor(capacity, 7 * heads.width()),
            first_values: tensor(capacity, heads.width()),
            weights: tensor(1, 8 * heads.width()),
            state: KvCache { buffer: KV, ..KvCache::of_state(heads.matrices() + 3) },
            first: 3,
            heads,
            y: tensor(capacity, heads.width()),
        };
        of_states(|capacity, step| seen.compare("wkv", op(capacity), step));
    }
    seen.are(&["wkv"]);
}

#[test]
fn causal_convolve() {
    let mut seen = Seen::default();
    let shift = Some(Shift { first_weight: 7, keeps: true });
    for (cols, width, biased, shift) in
        [(65, 3, true, None), (160, 4, false, None), (36, 1, false, None), (100, 2, false, shift)]
    {
        let weights = if shift.is_some() { cols + 9 } else { cols * (width + usize::from(biased)) };
        let op = |capacity| CausalConvolve {
            x: tensor(capacity, cols + 5),
            first_col: 2,
            weight: tensor(1, weights),
            biased,
            state: KvCache { buffer: KV, ..KvCache::of_state((width - 1) * cols + 3) },
            first: 3,
            shift,
            y: tensor(capacity, cols),
        };
        of_states(|capacity, step| seen.compare("causal_convolve", op(capacity), step));
    }
    seen.are(&["causal_convolve"]);
}

/// A token and a few, of a new sequence and of one that has a state.
fn of_states(mut then: impl FnMut(usize, &Step)) {
    for (tokens, capacity) in [(1, 1), (3, 4)] {
        for states in [[NO_STATE, 1], [1, 1]] {
            at(9, tokens, |step| then(capacity, &Step { states: &[states], ..*step }));
        }
    }
}

/// A token, a few, and so many that their inputs take each other's places, in two blocks.
#[test]
fn convolve() {
    let mut seen = Seen::default();
    for (capacity, position, tokens) in [(1, 0, 1), (1, 70, 1), (4, 1, 3), (20, 63, 17), (20, 50, 20)] {
        for (cols, width) in [(96, 3), (40, 1), (64, 4)] {
            let (x, weight, y) = (tensor(capacity, 3 * cols), tensor(1, cols * width), tensor(capacity, cols));
            let state = KvCache { buffer: KV, ..KvCache::of_inputs(cols) };
            at(position, tokens, |step| seen.compare("convolve", Convolve { x, weight, state, y }, step));
        }
    }
    seen.are(&["convolve"]);
}

#[test]
fn small_operations() {
    let mut seen = Seen::default();
    for (activation, inputs) in [(Activation::SWIGLU, 2), (Activation { gated: false, ..Activation::SWIGLU }, 1)] {
        let (x, y) = (tensor(4, inputs * 96), tensor(4, 96));
        for multiplies in [false, true].into_iter().filter(|multiplies| inputs == 1 || !multiplies) {
            let op = Activate { activation, multiplies, x, y, up: None };
            at(0, 3, |step| seen.compare("activate", op, step));
        }
    }
    let up = Some((Tensor { buffer: OTHER, ..tensor(4, 300) }, 7));
    let op = Activate { activation: Activation::SWIGLU, multiplies: false, x: tensor(4, 96), y: tensor(4, 96), up };
    at(0, 3, |step| seen.compare("activate", op, step));
    for accumulate in [false, true] {
        let (x, route, y) = (tensor(4, 2 * 96), Tensor { buffer: OTHER, ..tensor(4, 4) }, tensor(4, 96));
        let op = Combine { x, route, chosen: 2, scale: 1.0, accumulate, y };
        at(0, 3, |step| seen.compare("combine", op, step));
    }
    let (others, y) = (Tensor { buffer: OTHER, ..tensor(4, 60) }, tensor(4, 96));
    let columns = Tensor { buffer: NUMBERS, ..tensor(1, 96) };
    for (x, others) in [(tensor(4, 30), Some([others, tensor(4, 50)])), (tensor(4, 110), None)] {
        let op = PickColumns { x, others, columns, y };
        at(0, 3, |step| seen.compare("pick_columns", op, step));
    }
    at(0, 3, |step| seen.compare("pick_rows", PickRows { x: tensor(4, 96), y: tensor(2, 96) }, step));
    let of = |number, cols| Tensor { buffer: BufferId(number), ..tensor(4, cols) };
    let (first, late, routed) = (of(1, 96), of(2, 96), of(3, STREAMS));
    let weights = of(4, STREAMS.pow(3) + STREAMS.pow(2));
    let (others, correction) = (Some(of(5, 288)), Some(Correction { x: of(6, 96), corrected: of(7, STREAMS) }));
    let before = AltUp { first, late, routed, weights, others, correction: None, y: of(8, 96) };
    let behind = AltUp { others: None, correction, y: of(5, 288), ..before };
    for op in [before, behind] {
        at(0, 3, |step| seen.compare("alt_up", op, step));
    }
    let plain = Rescale { first_col: 96, ..Rescale::of(of(1, 288), 0.5, of(2, 96)) };
    let in_place = Rescale { groups: 3, like: Some(of(3, 96)), ..Rescale::of(of(2, 288), 0.5, of(2, 288)) };
    let sum = Rescale { like: Some(of(3, 96)), add: Some(plain.y), ..plain };
    for op in [plain, Rescale { weight: Some(of(3, 96)), ..plain }, Rescale { add: Some(late), ..plain }, in_place, sum]
    {
        at(0, 3, |step| seen.compare("rescale", op, step));
    }
    at(0, 3, |step| seen.compare("sparsify", Sparsify { cols: 300, deviations: 1.6, y: of(1, 600) }, step));
    seen.are(&["activate", "alt_up", "combine", "pick_columns", "pick_rows", "rescale", "sparsify"]);
}

#[test]
fn adjust() {
    let mut seen = Seen::default();
    for vocab in [100, 3_205] {
        let [mask, recent, y] = [Adjust::mask_words(vocab), RECENT, vocab].map(|cols| tensor(1, cols));
        let changes = Tensor { buffer: NUMBERS, ..tensor(1, Adjust::room(vocab)) };
        let op = Adjust { logits: tensor(1, vocab), changes, mask, recent, y };
        at(0, 1, |step| seen.compare("adjust", op, step));
    }
    seen.are(&["adjust"]);
}

#[test]
fn sample() {
    let vocab = 3200;
    let chain = Tensor { buffer: NUMBERS, ..tensor(1, 4) };
    let op = Sample { logits: tensor(1, vocab), chain, maxima: tensor(1, Sample::blocks(vocab)), y: tensor(1, 1) };
    let mut seen = Seen::default();
    at(0, 1, |step| seen.compare("sample", op, step));
    let (id, sums, y) = (op.y, op.maxima, tensor(1, likely::WORDS));
    let op = Likely { logits: op.logits, maxima: op.maxima, sums, id, y };
    at(0, 1, |step| seen.compare("likely", op, step));
    seen.are(&["likely", "likely_blocks", "sample"]);
}
