//! Compiled pipelines.

use std::collections::HashMap;

use super::device::Gpu;
use super::shader;
use crate::Result;
use crate::ops::Kernel;

/// Compiled pipelines by shader, defines and constants.
#[derive(Default)]
pub(super) struct Pipelines {
    by_name: HashMap<String, wgpu::ComputePipeline>,
}

impl Pipelines {
    /// The pipeline of `kernel`. A browser compiles it asynchronously, before anything it is asked
    /// later.
    pub fn get(&mut self, gpu: &Gpu, kernel: &Kernel) -> Result<wgpu::ComputePipeline> {
        let name = name(kernel);
        if let Some(pipeline) = self.by_name.get(&name) {
            return Ok(pipeline.clone());
        }
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&name),
            source: wgpu::ShaderSource::Wgsl(shader::wgsl(kernel.shader, &kernel.defines, &kernel.constants)?.into()),
        });
        let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&name),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // WebGPU zeroes workgroup memory by default; every kernel writes it before reading
                // it
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        self.by_name.insert(name, pipeline.clone());
        Ok(pipeline)
    }

    /// Whether it has been compiled or is being compiled.
    pub fn has(&self, kernel: &Kernel) -> bool {
        self.by_name.contains_key(&name(kernel))
    }

    /// Number of pipelines.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// A name that identifies the kernel's pipeline.
pub(super) fn name(kernel: &Kernel) -> String {
    let mut name = [&[kernel.shader], kernel.defines.as_slice()].concat().join(" ");
    name.extend(kernel.constants.iter().map(|(constant, value)| format!(" {constant}={value}")));
    name
}
