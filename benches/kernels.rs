//! Checks each kernel on random data against the reference, then times it.
//! `cargo bench --bench kernels -- --help`
//!
//! The candidates take turns, round by round, so that a slow phase of the machine affects all of
//! them. A round queues about 20 ms of runs; the median over the rounds counts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::time::Duration;

use clap::{Parser, ValueEnum};
use pollster::block_on;
use weft_llm::engine::Engine;
use weft_llm::engine::cpu::{Simd, pool};
use weft_llm::engine::gpu::GpuEngine;
use weft_llm::engine::host::HostEngine;
use weft_llm::engine::trial::{Trial, relative_error};
use weft_llm::format::layout::Layout;
use weft_llm::ops::Variants;
use weft_llm::ops::variants::{ATTEND_MANY, ATTEND_ONE, Feature, MATMUL, MATMUL_ROUNDED, MATVEC};
use weft_llm::record::KvFormat;

/// Largest difference from the reference, relative to the root mean square.
const TOLERANCE: f32 = 1e-3;

/// The same where weights are rounded to f16.
const TOLERANCE_F16: f32 = 1e-2;

const ROUND: Duration = Duration::from_millis(20);

#[derive(Parser)]
struct Args {
    /// The engine whose kernels run.
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    device: Device,
    /// Threads of the CPU engine.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Number of rounds.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Only trials whose name contains this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Passed by Cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Device {
    Cpu,
    Gpu,
}

/// Name, engine and tolerance.
type Candidate = (&'static str, Box<dyn Engine>, f32);

/// Creates the candidates of a trial; they are dropped after it.
type Open = Box<dyn Fn() -> Vec<Candidate>>;

fn main() {
    let args = Args::parse();
    pool::start(args.threads).expect("threads");
    for (trial, candidates) in trials(args.device) {
        if trial.name.contains(&args.filter) {
            race(&trial, candidates(), args.rounds);
        }
    }
}

/// Trials with the shapes of a model with 135 M weights.
fn trials(device: Device) -> Vec<(Trial, Open)> {
    let mut trials: Vec<(Trial, Open)> = Vec::new();
    let plain = Variants::PLAIN;
    if device == Device::Cpu {
        for layout in Layout::ALL {
            let hidden = hidden(layout);
            for tokens in [1, 32] {
                trials.push((Trial::gate_up(tokens, layout, 1536, hidden), Box::new(cpu)));
                trials.push((Trial::down(tokens, layout, hidden, 1536), Box::new(cpu)));
            }
        }
        for (tokens, position) in [(1, 40), (1, 300), (32, 200)] {
            trials.push((Trial::attention(tokens, position, KvFormat::F32), Box::new(cpu)));
        }
        return trials;
    }
    for layout in Layout::ALL.into_iter().filter(|layout| layout.quantised().is_some()) {
        let hidden = hidden(layout);
        let wide = move || gpus(MATVEC.iter().map(|v| (v.name, Variants { matvec_wide: v, ..plain })));
        trials.push((Trial::gate_up(1, layout, 1536, hidden), Box::new(wide)));
        let narrow = move || gpus(MATVEC.iter().map(|v| (v.name, Variants { matvec_narrow: v, ..plain })));
        trials.push((Trial::gate_up(1, layout, 480, hidden), Box::new(narrow)));
        trials.push((Trial::down(1, layout, hidden, 1536), Box::new(narrow)));
        let many = move || {
            let exact = MATMUL.iter().map(|v| (v.name, Variants { matmul: v, ..plain }));
            let rounded = MATMUL_ROUNDED.iter().map(|v| (v.name, Variants { matmul_rounded: Some(v), ..plain }));
            gpus(exact.chain(rounded))
        };
        for tokens in [32, 512] {
            trials.push((Trial::gate_up(tokens, layout, 1536, hidden), Box::new(many)));
            trials.push((Trial::down(tokens, layout, hidden, 1536), Box::new(many)));
        }
    }
    for format in KvFormat::OF_GPUS {
        for position in [100, 2000] {
            let one = move || gpus(ATTEND_ONE.iter().map(|v| (v.name, Variants { attend_one: v, ..plain })));
            trials.push((Trial::attention(1, position, format), Box::new(one)));
            trials.push((Trial::attention_of((24, 8, 128), 1, position, format), Box::new(one)));
        }
        let many = move || gpus(ATTEND_MANY.iter().map(|v| (v.name, Variants { attend_many: v, ..plain })));
        trials.push((Trial::attention(32, 200, format), Box::new(many)));
    }
    trials
}

/// 576, or for layouts with groups of 256 the nearest multiple.
fn hidden(layout: Layout) -> usize {
    layout.quantised().map_or(576, |quantised| if quantised.unit() > 32 { 512 } else { 576 })
}

fn cpu() -> Vec<Candidate> {
    vec![
        ("widest", Box::new(HostEngine::new(Simd::default())), TOLERANCE),
        ("four lanes", Box::new(HostEngine::new(Simd::of_four_lanes())), TOLERANCE),
    ]
}

/// The candidates that this adapter can run.
fn gpus(variants: impl Iterator<Item = (&'static str, Variants)>) -> Vec<Candidate> {
    let open = |(name, variants): (&'static str, Variants)| match block_on(GpuEngine::with_variants(variants)) {
        Ok(engine) => {
            let rounds_weights = variants.needs().contains(&Feature::F16);
            let tolerance = if rounds_weights { TOLERANCE_F16 } else { TOLERANCE };
            Some((name, Box::new(engine) as Box<dyn Engine>, tolerance))
        }
        Err(error) => {
            println!("{name}: {error}");
            None
        }
    };
    variants.filter_map(open).collect()
}

fn race(trial: &Trial, candidates: Vec<Candidate>, rounds: usize) {
    let on = candidates.first().map(|(_, engine, _)| engine.info().description).unwrap_or_default();
    println!("{}, on {on}", trial.name);
    let expected = block_on(trial.expected()).unwrap();
    let mut field = Vec::new();
    for (name, mut engine, tolerance) in candidates {
        let (program, got) = block_on(trial.run(engine.as_mut())).unwrap();
        let error = relative_error(&got, &expected);
        if error > tolerance {
            println!("  {name}: WRONG, off by {error:.1e}");
            continue;
        }
        let once = block_on(trial.time(engine.as_mut(), program, 2)).unwrap();
        let runs = (ROUND.as_micros() / once.as_micros().max(1)).clamp(1, 1000) as u32;
        println!("  {name}: right within {error:.1e}");
        field.push((name, engine, program, runs, Vec::new()));
    }
    for _ in 0..rounds {
        for (_, engine, program, runs, times) in &mut field {
            times.push(block_on(trial.time(engine.as_mut(), *program, *runs)).unwrap());
        }
    }
    for (name, _, _, _, times) in &mut field {
        times.sort();
        let median = times[times.len() / 2];
        let spread = (times[times.len() - 1] - times[0]).as_secs_f64() / median.as_secs_f64();
        let speed = trial.multiply_adds as f64 / median.as_secs_f64() / 1e9;
        println!("  {name}: {:.1} µs, {speed:.2} GMAC/s, spread {:.0} %", median.as_secs_f64() * 1e6, spread * 100.0);
    }
}
