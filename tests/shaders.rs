//! Checks without a GPU that every shipped pipeline is valid WGSL within WebGPU's default limits
//! and fits its operation.
#![allow(clippy::expect_used, clippy::panic)]

use crate::support;

use std::collections::{BTreeMap, BTreeSet};

use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, TypeInner};
use weft_llm::engine::gpu::shader::wgsl;
use weft_llm::format::layout::Layout;
use weft_llm::ops::adjust::RECENT;
use weft_llm::ops::alt_up::{Correction, STREAMS};
use weft_llm::ops::{
    Activate, Activation, Adjust, AltUp, Attention, CausalConvolve, Combine, Command, Convolve, DeltaHeads, DeltaRule,
    Embed, Epilogue, ExpertGroups, ExpertLinear, Function, Gather, Index, Kernel, Likely, Linear, LinearPair, Norm,
    NormKind, NormLinear, Op, Part, PickColumns, PickRows, Rescale, RmsNorm, RopeAppend, RopeAttention, RopeKind,
    Route, Sample, ScanHeads, SelectiveScan, Shift, Sparsify, Variants, Weighting, Wkv, WkvHeads,
};
use weft_llm::record::{BufferId, KvCache, KvFormat, Matrix, Tensor};

const PLAIN_GELU: Activation = Activation { function: Function::Gelu, gated: false };

/// One kernel of every pipeline that an operation can use.
fn kernels() -> Vec<Kernel> {
    support::variant_sets().iter().flat_map(kernels_of).collect()
}

fn kernels_of(variants: &Variants) -> Vec<Kernel> {
    let buffer = BufferId(0);
    let tensor = |rows| Tensor { buffer, rows, cols: 32 };
    let (heads, head_dim) = (2, 8);
    let caches = KvFormat::OF_GPUS.map(|format| KvCache { buffer, heads: 1, head_dim, format, parts: 1 });
    let rope = |qkv: Tensor, kind, kv| {
        let angles = Tensor { cols: head_dim, ..qkv };
        RopeAppend { qkv, angles, kv, heads, kind, behind: None }
    };
    let mut commands: Vec<Command> = Vec::new();
    for layout in Layout::ALL {
        let cols = layout.quantised().map_or(32, |quantised| quantised.unit());
        let tensor = |rows| Tensor { buffer, rows, cols };
        let weight = Matrix { buffer, layout, rows: cols, cols };
        for index in [Index::Id, Index::Position, Index::Segment] {
            commands.push(Embed { table: weight, first_row: 0, index, scale: 1.0, y: tensor(1) }.into());
        }
        for (slot_inputs, norm) in [(false, None), (false, Some(RmsNorm { weight: tensor(1), eps: 0.0 })), (true, None)]
        {
            let (rows, first_expert, chosen, y_offset) = (cols / 4, 0, 2, 0);
            let x = Tensor { cols: if slot_inputs { 2 * cols } else { cols }, ..tensor(1) };
            let (route, y, all_experts) = (tensor(1), tensor(1), 4);
            for affine in [None, Some(tensor(2))] {
                for gathered in [None, Some(tensor(1))] {
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
                    commands.push(op.into());
                }
            }
        }
        // a token, few tokens, and many
        for rows in [1, 2, 64] {
            let epilogues = [
                Epilogue::Store,
                Epilogue::ACCUMULATE,
                Epilogue::Activate(Activation::SWIGLU),
                Epilogue::Activate(PLAIN_GELU),
                Epilogue::Cap { scale: 1.0, cap: Some(30.0) },
            ];
            for epilogue in epilogues {
                for affine in [None, Some(tensor(2))] {
                    for norm in [None, Some(RmsNorm { weight: tensor(1), eps: 0.0 })] {
                        let (x, y) = (tensor(rows), tensor(rows));
                        commands.push(Linear { x, norm, weight, affine, epilogue, y_offset: 0, y }.into());
                    }
                }
            }
        }
    }
    for affine in [None, Some(Tensor { buffer, rows: 2, cols: 512 })] {
        for norm in [None, Some(RmsNorm { weight: Tensor { buffer, rows: 1, cols: 256 }, eps: 0.0 })] {
            let (x, y) = (Tensor { buffer, rows: 1, cols: 256 }, Tensor { buffer, rows: 1, cols: 512 });
            let of = |layout, y_offset| {
                let weight = Matrix { buffer, layout, rows: 256, cols: 256 };
                Linear { x, norm, weight, affine, epilogue: Epilogue::Store, y_offset, y }
            };
            let (head, tail) = (of(Layout::Q4K32, 0), of(Layout::Q6K16, 256));
            commands.push(LinearPair { head, tail }.into());
        }
    }
    // the most columns that workgroup memory holds beside the sums of four rows
    for layout in Layout::ALL {
        let of = |buffer, cols| Tensor { buffer: BufferId(buffer), rows: 1, cols };
        let (cols, eps, bias, kind) = (2816, 1e-6, None, NormKind::Rms);
        let (x, y, add, weight) = (of(1, cols), of(2, cols), Some(of(3, cols)), of(4, cols));
        let norm = Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add, y, scale: None };
        let next = Some(RmsNorm { weight, eps });
        let weight = Matrix { buffer, layout, rows: 64, cols };
        let cap = Epilogue::Cap { scale: 1.0, cap: Some(30.0) };
        for epilogue in [Epilogue::Store, Epilogue::Activate(PLAIN_GELU), Epilogue::Activate(Activation::SWIGLU), cap] {
            let linear = Linear { x: y, norm: next, weight, affine: None, epilogue, y_offset: 0, y: of(5, 64) };
            commands.push(NormLinear { norm, linear, tail: None }.into());
        }
        if layout == Layout::Q4K32 {
            let (weight, affine, epilogue) = (Matrix { rows: 512, ..weight }, None, Epilogue::Store);
            let linear = Linear { x: y, norm: next, weight, affine, epilogue, y_offset: 0, y: of(5, 1024) };
            let tail = Linear { weight: Matrix { layout: Layout::Q6K16, ..weight }, y_offset: 512, ..linear };
            commands.push(NormLinear { norm, linear, tail: Some(tail) }.into());
        }
    }
    // rows that are not whole blocks
    let weight = Matrix { buffer, layout: Layout::F32, rows: 32, cols: 4 };
    let (x, y) = (Tensor { buffer, rows: 1, cols: 4 }, tensor(1));
    commands.push(Linear { x, norm: None, weight, affine: None, epilogue: Epilogue::Store, y_offset: 0, y }.into());
    for kv in caches {
        for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
            commands.push(rope(tensor(1), kind, kv).into());
        }
        // a decode step; a few rows; tiles of queries, cut into pieces and not
        for rows in [1, 2, 16, 16_384] {
            for (cap, alibi, has_biases, part) in [
                (None, None, false, Part::Whole),
                (Some(50.0), None, false, Part::Whole),
                (None, Some(8.0), false, Part::Whole),
                (Some(50.0), Some(8.0), false, Part::Whole),
                (None, None, true, Part::Whole),
                (None, None, true, Part::Target),
                (None, None, false, Part::Source),
            ] {
                // of one head of keys, and the most that the heads of a workgroup may need
                for (heads, head_dim) in [(heads, head_dim), (8, 128), (8, 256), (8, 512), (16, 576)] {
                    let cols = heads * head_dim;
                    let q = Tensor { buffer, rows, cols: cols + 2 * head_dim };
                    let (y, kv) = (Tensor { buffer, rows, cols }, KvCache { head_dim, ..kv });
                    let (scale, window, causal) = (1.0, (part == Part::Whole).then_some(9), true);
                    let attention = Attention {
                        q,
                        kv,
                        heads,
                        scale,
                        cap,
                        alibi,
                        window,
                        causal,
                        sinks: None,
                        bias: has_biases.then_some(Tensor { buffer, rows: 1, cols: 5 * heads }),
                        part,
                        temperature: None,
                        y,
                    };
                    for (kind, normed) in [
                        (RopeKind::Interleaved, false),
                        (RopeKind::Interleaved, true),
                        (RopeKind::HalfSplit, false),
                        (RopeKind::HalfSplit, true),
                    ] {
                        let rope = RopeAppend {
                            qkv: q,
                            angles: Tensor { cols: head_dim, ..q },
                            kv,
                            heads,
                            kind,
                            behind: None,
                        };
                        let (groups, bias, add) = (heads + 1, None, None);
                        let weight = Tensor { buffer, rows: 1, cols: groups * head_dim };
                        let (first_col, kind, eps) = (0, NormKind::Rms, 1e-5);
                        let norm = Norm { x: q, first_col, groups, weight, bias, kind, eps, add, y: q, scale: None };
                        let norm = normed.then_some(norm);
                        // keys of a source text are there already
                        if part != Part::Source {
                            commands.push(RopeAttention { norm, rope, attention }.into());
                        }
                    }
                    commands.push(attention.into());
                }
            }
        }
    }
    for activation in [Activation::SWIGLU, PLAIN_GELU] {
        commands.push(Activate { activation, multiplies: false, x: tensor(1), y: tensor(1), up: None }.into());
    }
    commands.push(
        Activate {
            activation: Activation::SWIGLU,
            multiplies: false,
            x: tensor(1),
            y: tensor(1),
            up: Some((tensor(1), 0)),
        }
        .into(),
    );
    for (kind, bias) in [(NormKind::Rms, None), (NormKind::Layer, None), (NormKind::Layer, Some(tensor(1)))] {
        let (x, weight, eps) = (tensor(1), tensor(1), 1e-5);
        let elsewhere = Tensor { buffer: BufferId(1), ..x };
        let other = Tensor { buffer: BufferId(2), ..x };
        for (y, add) in [(x, None), (elsewhere, None), (elsewhere, Some(elsewhere)), (elsewhere, Some(other))] {
            commands.push(Norm { x, first_col: 0, groups: 1, weight, bias, kind, eps, add, y, scale: None }.into());
        }
        let scale = Some(Tensor { rows: 1, cols: 1, ..other });
        for add in [elsewhere, other].into_iter().filter(|_| kind == NormKind::Rms) {
            let (y, add, groups) = (elsewhere, Some(add), 1);
            commands.push(Norm { x, first_col: 0, groups, weight, bias, kind, eps, add, y, scale }.into());
        }
    }
    let (route, y) = (tensor(1), tensor(1));
    commands.push(Gather { route, chosen: 2, experts: 4, y }.into());
    let (logits, y) = (tensor(1), Tensor { cols: 5, ..tensor(1) });
    let (weighting, groups) = (Weighting::Softmax, None);
    commands.push(Route { logits, bias: None, chosen: 2, weighting, groups, shared: true, y }.into());
    let (bias, y) = (Some(logits), Tensor { cols: 4, ..tensor(1) });
    for bias in [None, bias] {
        for groups in [None, Some(ExpertGroups { count: logits.cols / 4, chosen: 3 })] {
            let weighting = Weighting::Sigmoid;
            commands.push(Route { logits, bias, chosen: 2, weighting, groups, shared: false, y }.into());
        }
    }
    for others in [None, Some([y, logits])] {
        let columns = Tensor { cols: 40, ..tensor(1) };
        commands.push(PickColumns { x, others, columns, y: Tensor { cols: 40, ..tensor(1) } }.into());
    }
    let (x, route) = (Tensor { cols: 64, ..tensor(1) }, Tensor { cols: 4, ..tensor(1) });
    for accumulate in [false, true] {
        commands.push(Combine { x, route, chosen: 2, scale: 1.0, accumulate, y: tensor(1) }.into());
    }
    for rows in [1, 2] {
        let (x, weight) = (Tensor { cols: 96, ..tensor(rows) }, Tensor { cols: 96, ..tensor(1) });
        commands.push(Convolve { x, weight, state: KvCache::of_inputs(32), y: tensor(rows) }.into());
    }
    let activation = Activation { function: Function::Sigmoid, gated: false };
    commands.push(Activate { activation, multiplies: true, x: tensor(1), y: tensor(1), up: None }.into());
    let (x, weight, state) = (tensor(1), Tensor { cols: 128, ..tensor(1) }, KvCache::of_state(1000));
    let y = Tensor { cols: 32, ..tensor(1) };
    commands.push(CausalConvolve { x, first_col: 0, weight, biased: false, state, first: 0, shift: None, y }.into());
    let shift = Some(Shift { first_weight: 32, keeps: true });
    commands.push(CausalConvolve { x, first_col: 0, weight, biased: false, state, first: 5, shift, y }.into());
    let heads = DeltaHeads { key: 1, value: 2, key_dim: 8, value_dim: 12, tiled: true };
    let of = |cols| Tensor { cols, ..tensor(1) };
    let (qkv, gates, weights, y) = (of(heads.qkv()), of(heads.qkv() + 28), of(16), of(24));
    commands.push(DeltaRule { qkv, gates, weights, state, first: 120, heads, eps: 1e-6, y }.into());
    for (groups, columns) in [(2, false), (1, true)] {
        let heads = ScanHeads { count: 4, groups, head_dim: 8, state_dim: 12, columns };
        let (xbc, gates, weights, y) = (of(heads.xbc()), of(heads.projected()), of(heads.weights()), of(32));
        commands.push(SelectiveScan { xbc, gates, weights, state, first: 120, heads, y }.into());
    }
    let heads = WkvHeads { count: 2, dim: 12 };
    let (projected, first_values, weights, y) = (of(168), of(24), of(192), of(24));
    commands.push(Wkv { projected, first_values, weights, state, first: 120, heads, y }.into());
    let (first, late, routed) = (of(32), of(32), of(STREAMS));
    let weights = of(STREAMS.pow(3) + STREAMS.pow(2));
    let (others, correction) = (Some(of(96)), Some(Correction { x: of(32), corrected: of(STREAMS) }));
    commands.push(AltUp { first, late, routed, weights, others, correction: None, y: of(32) }.into());
    commands.push(AltUp { first, late, routed, weights, others: None, correction, y: of(96) }.into());
    let apart = |number| Tensor { buffer: BufferId(number), ..of(32) };
    let plain = Rescale::of(apart(1), 1.0, apart(2));
    let like = Some(apart(3));
    commands.extend(
        [
            plain,
            Rescale { weight: Some(of(32)), ..plain },
            Rescale { add: like, ..plain },
            Rescale { like, ..Rescale::of(apart(2), 1.0, apart(2)) },
            Rescale { like, add: Some(apart(2)), ..plain },
        ]
        .map(Command::from),
    );
    commands.push(Sparsify { cols: 20, deviations: 1.6, y: of(32) }.into());
    commands.push(PickRows { x: tensor(1), y: tensor(1) }.into());
    let (logits, changes) = (tensor(1), Tensor { cols: Adjust::room(tensor(1).cols), ..tensor(1) });
    let mask = Tensor { cols: Adjust::mask_words(logits.cols), ..tensor(1) };
    let recent = Tensor { cols: RECENT, ..tensor(1) };
    commands.push(Adjust { logits, changes, mask, recent, y: tensor(1) }.into());
    let (logits, chain, maxima, y) = (tensor(1), tensor(1), tensor(1), tensor(1));
    commands.push(Sample { logits, chain, maxima, y }.into());
    commands.push(Likely { logits, maxima, sums: maxima, id: y, y }.into());
    commands.iter().flat_map(|command| command.kernels(variants)).collect()
}

fn name(shader: &str, defines: &BTreeSet<&str>) -> String {
    defines.iter().fold(shader.to_string(), |name, define| name + " " + define)
}

/// The combinations in `shaders/permutations`.
fn permutations() -> BTreeSet<String> {
    let lines = include_str!("../shaders/permutations").lines().filter(|line| !line.starts_with('#'));
    let mut names = BTreeSet::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let shader = words.next().expect("a shader's name in every line");
        let mut sets = vec![BTreeSet::new()];
        for group in words {
            let with = |set: &BTreeSet<_>, define: &&'static str| match *define {
                "-" => set.clone(),
                define => set.iter().copied().chain([define]).collect(),
            };
            let layouts = Layout::ALL.into_iter();
            let group: Vec<&str> = match group {
                "LAYOUT" => layouts.map(Layout::name).collect(),
                "QUANTISED" => layouts.filter(|layout| layout.quantised().is_some()).map(Layout::name).collect(),
                group => group.split('|').collect(),
            };
            sets = sets.iter().flat_map(|set| group.iter().map(move |define| with(set, define))).collect();
        }
        names.extend(sets.iter().map(|set| name(shader, set)));
    }
    names
}

#[test]
fn the_list_has_exactly_the_variants_that_operations_use() {
    let asked: BTreeSet<_> =
        kernels().iter().map(|kernel| name(kernel.shader, &kernel.defines.iter().copied().collect())).collect();
    let listed = permutations();
    let differing: Vec<_> = listed.symmetric_difference(&asked).collect();
    assert!(differing.is_empty(), "either listed or asked for, but not both: {differing:#?}");
}

#[test]
fn every_pipeline_is_valid_and_fits_its_operation() {
    let mut seen = BTreeSet::new();
    for kernel in kernels() {
        let source = wgsl(kernel.shader, &kernel.defines, &kernel.constants).unwrap();
        if !seen.insert(source.clone()) {
            continue;
        }
        let name = format!("{} {:?}", kernel.shader, kernel.defines);
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
        // `unpack2x16float` is part of WebGPU; naga requires a capability for it, since it also
        // serves older interfaces
        let capabilities =
            Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
        let info = Validator::new(ValidationFlags::all(), capabilities)
            .subgroup_stages(ShaderStages::COMPUTE)
            .subgroup_operations(SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
        check_limits(&name, &module);
        check_bindings(&name, &module, &info, &kernel);
    }
}

/// Checks the limits that every WebGPU adapter guarantees.
pub fn check_limits(name: &str, module: &Module) {
    let [x, y, z] = module.entry_points[0].workgroup_size;
    assert!(x * y * z <= 256, "{name}: {} invocations a workgroup", x * y * z);
    let size = |variable: &naga::GlobalVariable| module.types[variable.ty].inner.size(module.to_ctx());
    let in_workgroup = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let bytes: u32 = in_workgroup.map(|(_, variable)| size(variable)).sum();
    assert!(bytes <= 16384, "{name}: {bytes} bytes of workgroup memory");
    let is_storage = |variable: &naga::GlobalVariable| matches!(variable.space, AddressSpace::Storage { .. });
    let storage = module.global_variables.iter().filter(|(_, variable)| is_storage(variable)).count();
    assert!(storage <= 8, "{name}: {storage} storage buffers");
}

/// Checks that the shader uses exactly the bindings of the kernel, and that `Params` has a word per
/// parameter.
fn check_bindings(name: &str, module: &Module, info: &ModuleInfo, kernel: &Kernel) {
    let mut used = BTreeMap::new();
    for (handle, variable) in module.global_variables.iter() {
        if let Some(binding) = &variable.binding {
            assert_eq!(binding.group, 0, "{name}");
            assert!(!info.get_entry_point(0)[handle].is_empty(), "{name}: binding {} is not used", binding.binding);
            used.insert(binding.binding, variable.ty);
        }
    }
    let brought: BTreeSet<u32> = kernel.slots().map(|(slot, _)| slot).chain([0, 1]).collect();
    assert_eq!(used.keys().copied().collect::<BTreeSet<_>>(), brought, "{name}: bindings");
    let TypeInner::Struct { members, .. } = &module.types[used[&1]].inner else { panic!("{name}: no Params") };
    assert_eq!(members.len(), kernel.params.len(), "{name}: params");
}
