//! What the tuner chooses and how long it takes, beside the same candidates by the GPU's clock.

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};
use weft_llm::engine::Engine;
use weft_llm::engine::gpu::{GpuEngine, Timing};
use weft_llm::engine::shapes::Shapes;
use weft_llm::engine::trial::Trial;
use weft_llm::format::layout::Layout;
use weft_llm::record::KvFormat;

use crate::cases::Case;
use crate::kernels::Bench;
use crate::{Args, emit};

pub async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let mut engine = GpuEngine::open().await?;
    let timing = Timing::of(&engine);
    for time in ["first", "second"] {
        let start = Instant::now();
        engine.tune_by(&Shapes::default(), None, timing).await?;
        let chosen: Value = engine.tuning().map_or(Ok(Value::Null), |json| serde_json::from_str(&json))?;
        let chosen = &chosen[0];
        emit(&json!({
            "what": "tuner",
            "time": time,
            "seconds": start.elapsed().as_secs_f64(),
            "chosen": chosen,
            "notes": engine.info().notes,
        }))?;
    }
    // its own heats, see src/engine/gpu/tuner.rs
    let (ffn, narrow, cols) = if args.small { (512, 512, 512) } else { (8192, 1024, 3072) };
    let product = |heat: &str, trial: Trial, rows: usize| {
        Case::product("tuner", heat.into(), trial, Layout::Q4, (rows, cols), vec![])
    };
    let attention = |heat: &str, tokens| {
        let trial = Trial::attention(tokens, 200, KvFormat::F16);
        Case::attention("tuner", heat.into(), trial, (9, 3, 64), 200, vec![])
    };
    let cases = [
        product("matvecWide", Trial::gate_up(1, Layout::Q4, ffn, cols), 2 * ffn),
        product("matvecNarrow", Trial::down(1, Layout::Q4, narrow, cols), narrow),
        product("matmul", Trial::gate_up(32, Layout::Q4, ffn, cols), 2 * ffn),
        attention("attendOne", 1),
        attention("attendMany", 16),
    ];
    let mut bench = Bench::new(engine, args);
    for case in cases {
        bench.run(case).await?;
    }
    Ok(())
}
