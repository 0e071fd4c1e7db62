//! What each thing costs that is no arithmetic: submits, dispatches, readbacks, uploads, pipelines.

use std::error::Error;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::device::Bare;
use crate::{Args, emit, models, pipelines};

/// How often each is measured.
const TIMES: usize = 200;

/// Dispatches in a long pass and in a short one: their difference has no submit in it.
const DISPATCHES: [u32; 2] = [100, 1100];

/// Bytes of readbacks and uploads.
const SIZES: [u64; 4] = [4, 4 << 10, 512 << 10, 16 << 20];

/// Of many pipelines of a small run one is compiled.
const STRIDE: usize = 40;

/// An invocation that does nothing, and says so where the compiler cannot see it.
const NOTHING: &str = "@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(1) fn main() { if out[0] == 1u { out[1] = 1u; } }";

pub async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let bare = Bare::open().await?;
    let times = if args.small { TIMES / 10 } else { TIMES };
    let empty = || -> Result<(), Box<dyn Error>> {
        bare.queue.submit([bare.device.create_command_encoder(&Default::default()).finish()]);
        bare.wait()
    };
    say("submit and wait, nothing", 0, &measure(times, empty)?)?;
    let queued = || {
        (0..100).for_each(|_| {
            bare.queue.submit([bare.device.create_command_encoder(&Default::default()).finish()]);
        });
        bare.wait()
    };
    say("submit, of 100 queued", 0, &measure(times / 10, queued)?.map(|time| time / 100))?;
    dispatches(&bare, times)?;
    for bytes in SIZES {
        transfers(&bare, bytes, times).await?;
    }
    compilation(&bare, if args.small { STRIDE } else { 1 }).await
}

/// Least, middle and largest time.
fn measure(
    times: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<[Duration; 3], Box<dyn Error>> {
    work()?;
    let mut took = Vec::new();
    for _ in 0..times.max(1) {
        let start = Instant::now();
        work()?;
        took.push(start.elapsed());
    }
    took.sort();
    Ok([took[0], took[took.len() / 2], took[took.len() - 1]])
}

fn say(what: &str, bytes: u64, times: &[Duration; 3]) -> std::io::Result<()> {
    let [least, middle, most] = times.map(|time| time.as_secs_f64() * 1e6);
    emit(&json!({ "what": what, "bytes": bytes, "us": middle, "leastUs": least, "mostUs": most }))
}

fn dispatches(bare: &Bare, times: usize) -> Result<(), Box<dyn Error>> {
    let Bare { device, queue, .. } = bare;
    let pipeline = compile(device, NOTHING).1;
    let buffer = device.create_buffer(&buffer(16, wgpu::BufferUsages::STORAGE));
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    });
    let pass = |count: u32| {
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..count {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        drop(pass);
        let start = Instant::now();
        let commands = encoder.finish();
        let encoded = start.elapsed();
        queue.submit([commands]);
        bare.wait().map(|()| encoded)
    };
    say("submit and wait, one dispatch", 0, &measure(times, || pass(1).map(drop))?)?;
    let mut slopes = Vec::new();
    for _ in 0..times.div_ceil(10) {
        let mut took = [Duration::ZERO; 2];
        for (time, count) in took.iter_mut().zip(DISPATCHES) {
            let start = Instant::now();
            pass(count)?;
            *time = start.elapsed();
        }
        slopes.push(took[1].saturating_sub(took[0]) / (DISPATCHES[1] - DISPATCHES[0]));
    }
    slopes.sort();
    // each reads what the one before could have written, as in a model
    let slopes = [slopes[0], slopes[slopes.len() / 2], slopes[slopes.len() - 1]];
    Ok(say("a dispatch more in a pass, encoding included", 0, &slopes)?)
}

fn buffer(size: u64, usage: wgpu::BufferUsages) -> wgpu::BufferDescriptor<'static> {
    wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false }
}

async fn transfers(bare: &Bare, bytes: u64, times: usize) -> Result<(), Box<dyn Error>> {
    let Bare { device, queue, .. } = bare;
    let times = if bytes > 1 << 20 { times / 10 } else { times };
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let source = device.create_buffer(&buffer(bytes, usage));
    let staging = device.create_buffer(&buffer(bytes, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST));
    let read = || -> Result<(), Box<dyn Error>> {
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&source, 0, &staging, 0, bytes);
        queue.submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        bare.wait()?;
        let view = staging.get_mapped_range(..)?;
        std::hint::black_box(view.to_vec());
        drop(view);
        staging.unmap();
        Ok(())
    };
    say("readback", bytes, &measure(times, read)?)?;
    let data = vec![1; bytes as usize];
    let write = || {
        queue.write_buffer(&source, 0, &data);
        queue.submit([]);
        bare.wait()
    };
    Ok(say("write, submit and wait", bytes, &measure(times, write)?)?)
}

/// The module's time and the pipeline's.
fn compile(device: &wgpu::Device, wgsl: &str) -> ([Duration; 2], wgpu::ComputePipeline) {
    let start = Instant::now();
    let source = wgpu::ShaderSource::Wgsl(wgsl.into());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
    let parsed = start.elapsed();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        // as in src/engine/gpu/pipelines.rs
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    ([parsed, start.elapsed() - parsed], pipeline)
}

/// Every pipeline that a real GPU may compile for our models. One that the driver refuses has
/// `failed`.
async fn compilation(bare: &Bare, stride: usize) -> Result<(), Box<dyn Error>> {
    for pipeline in pipelines::pipelines(&models::recordings()?)?.iter().step_by(stride) {
        let scope = bare.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let ([module, pipeline_time], _) = compile(&bare.device, &pipeline.wgsl);
        if let Some(error) = scope.pop().await {
            let (kind, name) = (&pipeline.kind, &pipeline.name);
            emit(&json!({ "what": "pipeline", "kind": kind, "name": name, "failed": error.to_string() }))?;
            continue;
        }
        let [module, pipeline_time] = [module, pipeline_time].map(|time| time.as_secs_f64() * 1e3);
        emit(&json!({
            "what": "pipeline",
            "kind": pipeline.kind,
            "name": pipeline.name,
            "moduleMs": module,
            "ms": pipeline_time,
        }))?;
    }
    Ok(())
}
