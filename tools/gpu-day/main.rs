//! Measures on a machine with a GPU: `docs/GPU-DAY.md`. Prints a line of JSON for each figure, at
//! once, so that what was measured is kept if the time runs out.
#![allow(clippy::disallowed_methods)] // never built for the browser

mod cases;
mod device;
mod kernels;
mod latencies;
#[path = "../gpu-stats/models.rs"]
mod models;
#[path = "../gpu-stats/pipelines.rs"]
mod pipelines;
mod tuner;

use std::error::Error;
use std::io::Write;

use clap::{Parser, ValueEnum};
use pollster::block_on;
use serde_json::Value;

/// Measures a GPU and our kernels on it.
#[derive(Parser)]
pub struct Args {
    /// What to measure.
    section: Section,
    /// Few and small: for a software adapter.
    #[arg(long)]
    small: bool,
    /// The name of the GPU whose roofs count, as in docs/COST.md; that of the adapter by default.
    #[arg(long)]
    gpu: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Section {
    /// Adapter, driver, features, limits.
    Device,
    /// Submits, dispatches, readbacks, uploads, compilation.
    Latencies,
    /// Every candidate of the tuner at the shapes of models.
    Kernels,
    /// What the tuner chooses, beside the order by the GPU's clock.
    Tuner,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    block_on(async {
        match args.section {
            Section::Device => device::run().await,
            Section::Latencies => latencies::run(&args).await,
            Section::Kernels => kernels::run(&args).await,
            Section::Tuner => tuner::run(&args).await,
        }
    })
}

/// Prints a line. A closed pipe is an error.
fn emit(line: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush())
}
