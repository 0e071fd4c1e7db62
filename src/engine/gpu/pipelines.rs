//! Compiled pipelines.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::device::Gpu;
use super::shader;
use super::waiting::Waiting;
use crate::Result;
use crate::ops::Kernel;

/// Compiled pipelines by shader, defines and constants.
#[derive(Default)]
pub(super) struct Pipelines {
    by_name: HashMap<String, wgpu::ComputePipeline>,
    /// Those that are being compiled, in the order in which they will be needed.
    begun: Vec<Begun>,
    waiting: Arc<Waiting>,
}

/// A pipeline that is being compiled. wgpu knows no call for that. But a module tells about its
/// compilation when that has ended, and the worker's `pipelines.ts` lets it end with that of the
/// pipeline. Natively the pipeline is compiled when it is made.
struct Begun {
    name: String,
    module: wgpu::ShaderModule,
    compiled: Pin<Box<dyn Future<Output = ()>>>,
}

impl Pipelines {
    /// The pipeline of `kernel`. One that was not begun is compiled before anything that the GPU is
    /// asked later.
    pub fn get(&mut self, gpu: &Gpu, kernel: &Kernel) -> Result<wgpu::ComputePipeline> {
        let name = name(kernel);
        if let Some(pipeline) = self.by_name.get(&name) {
            return Ok(pipeline.clone());
        }
        let pipeline = pipeline(gpu, &name, &module(gpu, &name, kernel)?);
        self.by_name.insert(name, pipeline.clone());
        Ok(pipeline)
    }

    /// Begins to compile the pipeline of `kernel`, unless it was begun before. Returns false if
    /// `most` are being compiled, so that this one has to wait.
    pub fn begin(&mut self, gpu: &Gpu, kernel: &Kernel, most: usize) -> Result<bool> {
        self.take_up(gpu);
        let name = name(kernel);
        if self.by_name.contains_key(&name) || self.begun.iter().any(|begun| begun.name == name) {
            return Ok(true);
        }
        if self.begun.len() >= most {
            return Ok(false);
        }
        let module = module(gpu, &name, kernel)?;
        let info = module.get_compilation_info();
        let compiled = Box::pin(async move { drop(info.await) });
        self.begun.push(Begun { name, module, compiled });
        self.take_up(gpu);
        Ok(true)
    }

    /// Ready when nothing is being compiled.
    pub fn poll(&mut self, gpu: &Gpu, cx: &Context) -> Poll<()> {
        self.take_up(gpu);
        if self.begun.is_empty() { Poll::Ready(()) } else { self.waiting.wait(cx) }
    }

    /// Takes up what is compiled.
    fn take_up(&mut self, gpu: &Gpu) {
        let Self { by_name, begun, waiting } = self;
        let waker = waiting.waker();
        let mut cx = Context::from_waker(&waker);
        begun.retain_mut(|Begun { name, module, compiled }| {
            let is_compiled = compiled.as_mut().poll(&mut cx).is_ready();
            if is_compiled && !by_name.contains_key(name) {
                by_name.insert(name.clone(), pipeline(gpu, name, module));
            }
            !is_compiled
        });
    }

    /// Number of pipelines.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
}

fn module(gpu: &Gpu, name: &str, kernel: &Kernel) -> Result<wgpu::ShaderModule> {
    let source = shader::wgsl(kernel.shader, &kernel.defines, &kernel.constants)?;
    let source = wgpu::ShaderSource::Wgsl(source.into());
    Ok(gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor { label: Some(name), source }))
}

fn pipeline(gpu: &Gpu, name: &str, module: &wgpu::ShaderModule) -> wgpu::ComputePipeline {
    gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: None,
        module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            // WebGPU zeroes workgroup memory by default; every kernel writes it before reading it
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    })
}

/// A name that identifies the kernel's pipeline.
pub(super) fn name(kernel: &Kernel) -> String {
    let mut name = [&[kernel.shader], kernel.defines.as_slice()].concat().join(" ");
    name.extend(kernel.constants.iter().map(|(constant, value)| format!(" {constant}={value}")));
    name
}
