//! WGSL → SPIR-V as wgpu's Vulkan backend does it on RADV, for the pipelines of
//! `src/engine/gpu/pipelines.rs`.

use std::error::Error;

use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, ShaderStage};

/// The entry point of every shader.
pub const ENTRY_POINT: &str = "main";

/// A compute shader.
pub struct Shader {
    /// The SPIR-V.
    pub words: Vec<u32>,
    /// Its bindings in group 0.
    pub bindings: Vec<Binding>,
}

/// A buffer that a shader uses.
#[derive(Clone, Copy)]
pub struct Binding {
    /// Its number.
    pub number: u32,
    /// Uniform or storage buffer.
    pub uniform: bool,
}

/// Compiles WGSL. Errors: those of naga, with the place in the source.
pub fn compile(wgsl: &str) -> Result<Shader, Box<dyn Error>> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32 | Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(ShaderStages::COMPUTE)
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    let entry_point = info.get_entry_point(0);
    let used = module.global_variables.iter().filter(|(handle, _)| !entry_point[*handle].is_empty());
    let bindings = used.filter_map(|(_, variable)| {
        let number = variable.binding?.binding;
        Some(Binding { number, uniform: variable.space == AddressSpace::Uniform })
    });
    let bindings = bindings.collect();
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: ENTRY_POINT.into() };
    let words = spv::write_vec(&module, &info, &options(), Some(&pipeline))?;
    Ok(Shader { words, bindings })
}

fn options() -> spv::Options<'static> {
    spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS,
        // RADV has all that our shaders can ask for
        capabilities: None,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            // the device does this, see vulkan.rs
            buffer: BoundsCheckPolicy::Unchecked,
            ..BoundsCheckPolicies::default()
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: true,
        emit_int_div_checks: true,
        ..spv::Options::default()
    }
}
