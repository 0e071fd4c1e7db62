//! A recording made ready: pipelines compiled, parameters uploaded and bind groups made once, so that a replay writes one
//! small buffer and encodes a list.

use std::collections::HashMap;
use std::time::Duration;

use web_time::Instant;

use super::device::Gpu;
use super::{GpuBuffer, shader};
use crate::engine::now;
use crate::ops::{Binding, Kernel, Op, Recording, Variants};
use crate::record::Step;
use crate::{Error, Result};

/// What one submit of a prompt's chunk may take: a GPU that is busy with it cannot draw the page meanwhile. A decode step is
/// short and goes in one.
const SUBMIT_TIME: Duration = Duration::from_millis(100);

/// Dispatches of a prompt's chunk a submit, until their time is known.
const FIRST_DISPATCHES: usize = 16;

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
    /// The pipeline of `kernel`. A browser compiles it after this has returned, before anything that it is told later.
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
                // WebGPU zeroes workgroup memory at the start; every kernel writes what it reads
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        });
        self.by_name.insert(name, pipeline.clone());
        Ok(pipeline)
    }

    /// Whether it is compiled, or being compiled.
    pub fn has(&self, kernel: &Kernel) -> bool {
        self.by_name.contains_key(&name(kernel))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// What tells its pipeline from others.
pub(super) fn name(kernel: &Kernel) -> String {
    let mut name = [&[kernel.shader], kernel.defines.as_slice()].concat().join(" ");
    name.extend(kernel.constants.iter().map(|(constant, value)| format!(" {constant}={value}")));
    name
}

struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
}

/// The way of a sampled id: into the next step, and to the host.
pub(super) struct Feedback<'a> {
    /// Where the program leaves it; a step without ids begins with what the last program left there.
    pub id: &'a wgpu::Buffer,
    /// Gets a copy.
    pub staging: &'a wgpu::Buffer,
}

/// What a replay handed to the queue.
pub(super) struct Submits {
    pub count: usize,
    pub last: Option<wgpu::SubmissionIndex>,
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
    /// Dispatches a submit.
    per_submit: usize,
    /// When the replay under way was queued.
    since: Option<Instant>,
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
        let per_submit = if capacity == 1 { dispatches.len().max(1) } else { FIRST_DISPATCHES };
        Ok(Self { capacity, step, header: vec![0; IDS_OFFSET], dispatches, per_submit, since: None })
    }

    /// Dispatches of a replay.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Everything queued is done: from what it took follows how much the next submit may hold.
    pub fn done(&mut self) {
        if let Some(since) = self.since.take() {
            let dispatch = since.elapsed().as_micros() / self.dispatches.len().max(1) as u128;
            self.per_submit = (SUBMIT_TIME.as_micros() / dispatch.max(1)).clamp(1, 1024) as usize;
        }
    }

    /// Queues a replay. Errors: `Internal` for a step without ids, unless the GPU has one.
    pub fn run(&mut self, gpu: &Gpu, step: &Step, feedback: Option<Feedback>) -> Result<Submits> {
        let fed = if step.ids.is_empty() { feedback.as_ref() } else { None };
        if step.ids.is_empty() && fed.is_none() {
            return Err(Error::Internal { op: "run", expected: "at least one token".into(), got: "none".into() });
        }
        self.header.truncate(IDS_OFFSET);
        let uniform = [step.ids.len().max(1) as u32, step.position as u32, step.random, step.second];
        self.header[..size_of_val(&uniform)].copy_from_slice(bytemuck::bytes_of(&uniform));
        self.header.extend_from_slice(bytemuck::cast_slice(&step.ids[..step.ids.len().min(self.capacity)]));
        gpu.queue.write_buffer(&self.step, 0, &self.header);

        if self.capacity > 1 {
            self.since.get_or_insert_with(now);
        }
        let batches = self.dispatches.chunks(self.per_submit);
        let mut submits = Submits { count: 0, last: None };
        let count = batches.len();
        for batch in batches {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            if let (Some(fed), 0) = (fed, submits.count) {
                let bytes = size_of::<u32>() as u64;
                encoder.copy_buffer_to_buffer(fed.id, 0, &self.step, IDS_OFFSET as u64, bytes);
            }
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for Dispatch { pipeline, bind_group, workgroups: [x, y, z] } in batch {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bind_group, &[]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
            drop(pass);
            submits.count += 1;
            if let Some(feedback) = feedback.as_ref().filter(|_| submits.count == count) {
                encoder.copy_buffer_to_buffer(feedback.id, 0, feedback.staging, 0, size_of::<u32>() as u64);
            }
            submits.last = Some(gpu.queue.submit([encoder.finish()]));
        }
        Ok(submits)
    }
}
