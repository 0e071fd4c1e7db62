//! Every pipeline that ships is valid WGSL within WebGPU's default limits and agrees with its operation, without a GPU.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, TypeInner};
use weft_llm::engine::gpu::shader::wgsl;
use weft_llm::format::layout::Layout;
use weft_llm::ops::{
    Attention, Embed, Epilogue, Kernel, LastRow, Linear, Op, RmsNorm, RopeAppend, RopeKind, Sample, SwiGlu,
};
use weft_llm::record::{BufferId, Matrix, Tensor};

const LAYOUTS: [Layout; 5] = [Layout::F32, Layout::F16, Layout::Bf16, Layout::Q4, Layout::Q8];

/// One kernel of every pipeline that an operation can ask for.
fn kernels() -> Vec<Kernel> {
    let buffer = BufferId(0);
    let tensor = |rows| Tensor { buffer, rows, cols: 32 };
    let mut kernels = Vec::new();
    for layout in LAYOUTS {
        let weight = Matrix { buffer, layout, rows: 32, cols: 32 };
        kernels.extend(Embed { table: weight, first_row: 0, y: tensor(1) }.kernels());
        for epilogue in [Epilogue::Store, Epilogue::Accumulate, Epilogue::SwiGlu] {
            for bias in [None, Some(tensor(1))] {
                for norm in [None, Some(RmsNorm { weight: tensor(1), eps: 0.0 })] {
                    for rows in [1, 2] {
                        let (x, y) = (tensor(rows), tensor(rows));
                        kernels.extend(Linear { x, norm, weight, bias, epilogue, y_offset: 0, y }.kernels());
                    }
                }
            }
        }
    }
    let (heads, kv_heads, head_dim, context) = (1, 1, 32, 1);
    let (k_cache, v_cache) = (buffer, buffer);
    for kind in [RopeKind::Interleaved, RopeKind::HalfSplit] {
        let (qkv, table) = (tensor(1), tensor(1));
        kernels.extend(RopeAppend { qkv, table, k_cache, v_cache, heads, kv_heads, head_dim, kind }.kernels());
    }
    let (q, y, scale) = (tensor(1), tensor(1), 1.0);
    kernels.extend(Attention { q, k_cache, v_cache, context, heads, kv_heads, head_dim, scale, y }.kernels());
    kernels.extend(SwiGlu { gate_up: q, y }.kernels());
    kernels.extend(LastRow { x: q, y }.kernels());
    kernels.extend(Sample { logits: q, chain: q, maxima: q, y }.kernels());
    kernels
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
            let with = |set: &BTreeSet<_>, define| match define {
                "-" => set.clone(),
                define => set.iter().copied().chain([define]).collect(),
            };
            sets = sets.iter().flat_map(|set| group.split('|').map(move |define| with(set, define))).collect();
        }
        names.extend(sets.iter().map(|set| name(shader, set)));
    }
    names
}

#[test]
fn the_list_is_what_operations_ask_for() {
    let asked: BTreeSet<_> =
        kernels().iter().map(|kernel| name(kernel.shader, &kernel.defines.iter().copied().collect())).collect();
    assert_eq!(permutations(), asked);
}

#[test]
fn every_pipeline_is_valid_and_fits_its_operation() {
    for kernel in kernels() {
        let source = wgsl(kernel.shader, &kernel.defines).unwrap();
        let name = format!("{} {:?}", kernel.shader, kernel.defines);
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
        // `unpack2x16float` is part of WebGPU; naga also serves older interfaces and asks for it
        let info = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32)
            .validate(&module)
            .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&source)));
        check_limits(&name, &module);
        check_bindings(&name, &module, &info, &kernel);
    }
}

/// The limits that every WebGPU adapter has.
fn check_limits(name: &str, module: &Module) {
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

/// The shader uses exactly the bindings that the kernel brings, and `Params` has a word for each parameter.
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
