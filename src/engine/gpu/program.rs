//! A recording made ready: pipelines compiled, parameters uploaded and bind groups made once, so that a replay writes one
//! small buffer and encodes a list.

use std::collections::HashMap;

use super::device::Gpu;
use super::{GpuBuffer, shader};
use crate::ops::{Binding, Kernel, Op, Recording, Variants};
use crate::record::Step;
use crate::{Error, Result};

/// Dispatches a submit of a prompt's chunk. Prompts take long, and a GPU that is busy with one submit cannot draw the page
/// meanwhile. A decode step is short and goes in one.
const DISPATCHES_PER_SUBMIT: usize = 64;

/// Where the ids of a step begin in its buffer, in bytes: after the uniform header, at the largest alignment that WebGPU
/// lets an adapter ask for.
const IDS_OFFSET: usize = 256;

/// Bytes of the header that shaders see as the uniform `Step`.
const STEP_BYTES: u64 = 16;

/// Compiled pipelines by shader, defines and constants.
#[derive(Default)]
pub(super) struct Pipelines {
    by_name: HashMap<String, wgpu::ComputePipeline>,
}

impl Pipelines {
    fn get(&mut self, gpu: &Gpu, kernel: &Kernel) -> Result<wgpu::ComputePipeline> {
        let mut name = [&[kernel.shader], kernel.defines.as_slice()].concat().join(" ");
        name.extend(kernel.constants.iter().map(|(constant, value)| format!(" {constant}={value}")));
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
                // WebGPU zeroes workgroup memory at the start; every kernel writes what it reads
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        self.by_name.insert(name, pipeline.clone());
        Ok(pipeline)
    }
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// A recording ready to be replayed.
pub(super) struct Program {
    /// Tokens that operations have rows for; more are ignored, as [`Tensor`](crate::record::Tensor) has it.
    capacity: usize,
    /// The uniform `Step`, then the ids.
    step: wgpu::Buffer,
    /// What is written to `step`.
    header: Vec<u8>,
    dispatches: Vec<Dispatch>,
}

impl Program {
    /// Compiles what is new, and binds. Errors: `Internal` for a recording that cannot run, `OutOfMemory`.
    pub fn new(
        gpu: &mut Gpu,
        pipelines: &mut Pipelines,
        variants: &Variants,
        buffers: &[GpuBuffer],
        recording: &Recording,
    ) -> Result<Self> {
        let kernels: Vec<Kernel> = recording.commands.iter().flat_map(|command| command.kernels(variants)).collect();
        let capacity = kernels.iter().filter_map(|kernel| kernel.params.first()).max().map_or(0, |&rows| rows as usize);

        let step_bytes = IDS_OFFSET + capacity * size_of::<u32>();
        let step_usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let step = gpu.create_buffer("step", step_bytes as u64, step_usage)?;

        // the parameters of all dispatches, a slot each
        let words = kernels.iter().map(|kernel| kernel.params.len()).max().unwrap_or(0);
        let slot = (words * size_of::<u32>()).next_multiple_of(gpu.limits.min_uniform_buffer_offset_alignment as usize);
        let mut slots = vec![0; slot * kernels.len()];
        for (kernel, slot) in kernels.iter().zip(slots.chunks_exact_mut(slot.max(1))) {
            slot[..size_of_val(kernel.params.as_slice())].copy_from_slice(bytemuck::cast_slice(&kernel.params));
        }
        let params_usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let params = gpu.create_buffer("params", slots.len() as u64, params_usage)?;
        gpu.queue.write_buffer(&params, 0, &slots);

        let scratch_len = kernels.iter().flat_map(|kernel| &kernel.bindings).map(|binding| match binding {
            Binding::Scratch(len) => *len,
            _ => 0,
        });
        let scratch_bytes = scratch_len.max().unwrap_or(0) * size_of::<f32>();
        let scratch = gpu.create_buffer("scratch", scratch_bytes as u64, wgpu::BufferUsages::STORAGE)?;

        let mut dispatches = Vec::with_capacity(kernels.len());
        for (i, kernel) in kernels.iter().enumerate() {
            let limit = gpu.limits.max_compute_workgroups_per_dimension;
            if kernel.workgroups.iter().any(|&count| count > limit) {
                return Err(Error::Internal {
                    op: kernel.shader,
                    expected: format!("a grid of at most {limit} workgroups a dimension"),
                    got: format!("{:?}", kernel.workgroups),
                });
            }
            let pipeline = pipelines.get(gpu, kernel)?;
            let part = |buffer, offset: usize, size| {
                let size = wgpu::BufferSize::new(size);
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: offset as u64, size })
            };
            let mut entries = vec![
                wgpu::BindGroupEntry { binding: 0, resource: part(&step, 0, STEP_BYTES) },
                wgpu::BindGroupEntry { binding: 1, resource: part(&params, i * slot, slot as u64) },
            ];
            for (slot, binding) in kernel.slots() {
                let resource = match binding {
                    Binding::Ids => part(&step, IDS_OFFSET, 0),
                    Binding::Scratch(_) => scratch.as_entire_binding(),
                    Binding::Values(id) | Binding::Quants(id) => buffers[id.0].main.as_entire_binding(),
                    Binding::Scales(id) => {
                        let scales = buffers[id.0].scales.as_ref().ok_or_else(|| Error::Internal {
                            op: kernel.shader,
                            expected: "a layout with scales".into(),
                            got: format!("buffer {} without", id.0),
                        })?;
                        scales.as_entire_binding()
                    }
                };
                entries.push(wgpu::BindGroupEntry { binding: slot, resource });
            }
            let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(kernel.shader),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            dispatches.push(Dispatch { pipeline, bind_group, workgroups: kernel.workgroups });
        }
        Ok(Self { capacity, step, header: vec![0; IDS_OFFSET], dispatches })
    }

    /// Dispatches of a replay.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Queues a replay, and returns the number of submits. Errors: `Internal` for a step without tokens.
    pub fn run(&mut self, gpu: &Gpu, step: &Step) -> Result<usize> {
        if step.ids.is_empty() {
            return Err(Error::Internal { op: "run", expected: "at least one token".into(), got: "none".into() });
        }
        self.header.truncate(IDS_OFFSET);
        let uniform = [step.ids.len() as u32, step.position as u32];
        self.header[..size_of_val(&uniform)].copy_from_slice(bytemuck::bytes_of(&uniform));
        self.header.extend_from_slice(bytemuck::cast_slice(&step.ids[..step.ids.len().min(self.capacity)]));
        gpu.queue.write_buffer(&self.step, 0, &self.header);

        let per_submit = if self.capacity == 1 { self.dispatches.len() } else { DISPATCHES_PER_SUBMIT };
        let batches = self.dispatches.chunks(per_submit.max(1));
        let submits = batches.len();
        for batch in batches {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for Dispatch { pipeline, bind_group, workgroups: [x, y, z] } in batch {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bind_group, &[]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
            drop(pass);
            gpu.queue.submit([encoder.finish()]);
        }
        Ok(submits)
    }
}
