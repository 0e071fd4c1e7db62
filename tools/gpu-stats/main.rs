//! What a real GPU's compiler makes of our pipelines, on a machine without that GPU.
//!
//! `gpu-stats OUT.json [FILE.wgsl …]` writes the driver, and for each pipeline what the compiler
//! says of it: of our pipelines, or of those in the files. `npm run gpu:stats` runs this program
//! with the environment that it needs, see `scripts/lib/gpu-stats.mjs`.

mod models;
mod pipelines;
mod spirv;
mod vulkan;

use std::error::Error;
use std::path::Path;
use std::{env, fs, thread};

use pipelines::Pipeline;
use serde_json::{Value, json};
use vulkan::Compiler;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [out, files @ ..] = &args[..] else { return Err("usage: gpu-stats OUT.json [FILE.wgsl …]".into()) };
    let pipelines = if files.is_empty() {
        pipelines::pipelines(&models::recordings()?)?
    } else {
        files.iter().map(|file| of_file(file)).collect::<Result<_, _>>()?
    };
    let compiler = Compiler::open()?;
    let results = compile(&compiler, &pipelines)?;
    let text = json!({ "gpu": compiler.name, "driver": compiler.driver, "pipelines": results }).to_string();
    Ok(fs::write(out, text)?)
}

/// The pipeline of a file.
fn of_file(file: &str) -> Result<Pipeline, Box<dyn Error>> {
    let wgsl = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let name = Path::new(file).file_stem().map_or(file.into(), |stem| stem.to_string_lossy().to_string());
    Ok(Pipeline { kind: name, name: file.into(), wgsl })
}

/// Compiles on all cores; results are in order.
fn compile(compiler: &Compiler, pipelines: &[Pipeline]) -> Result<Vec<Value>, Box<dyn Error>> {
    let cores = thread::available_parallelism().map_or(1, |count| count.get());
    let share = pipelines.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let of_share = |share: &[Pipeline]| -> Result<Vec<Value>, String> {
            share.iter().map(|pipeline| of_pipeline(compiler, pipeline)).collect()
        };
        let workers: Vec<_> = pipelines.chunks(share).map(|share| scope.spawn(move || of_share(share))).collect();
        let mut results = Vec::new();
        for worker in workers {
            results.extend(worker.join().map_err(|_| "a thread has panicked")??);
        }
        Ok(results)
    })
}

fn of_pipeline(compiler: &Compiler, pipeline: &Pipeline) -> Result<Value, String> {
    let Pipeline { kind, name, wgsl } = pipeline;
    let statistics = spirv::compile(wgsl).and_then(|shader| compiler.statistics(&shader));
    let statistics = statistics.map_err(|error| format!("{name}: {error}"))?;
    Ok(json!({ "kind": kind, "name": name, "statistics": statistics }))
}
