//! Checks each kernel that a model will run on this GPU: once, on small data, against the
//! reference.
//!
//! The tuner measures its candidates on one kind of weights, but a driver may compile the same
//! shader correctly for one layout or epilogue and wrongly for another. A wrong variant is replaced
//! by the next correct one; the layout of weights does not change.

use std::collections::HashSet;

use super::GpuEngine;
use super::pipelines::name;
use super::tuner::run_checked;
use crate::engine::trial::Trial;
use crate::ops::{Command, Kernel, Op, Variants};
use crate::{Error, Result};

/// Checks `commands`, which are reduced: see [`crate::engine::trial::small`]. `engine` must have no
/// buffers, and has none afterwards. Errors: `GpuUnavailable` if no correct kernel is left.
pub(super) async fn check(engine: &mut GpuEngine, commands: &[Command]) -> Result<()> {
    let (mut right, mut wrong) = (HashSet::new(), HashSet::new());
    let mut todo = commands.iter();
    while let Some(command) = todo.next() {
        let kernels = command.kernels(&engine.variants());
        if right.contains(&dispatches(&kernels)) {
            continue;
        }
        let trial = Trial::of(command);
        match run(engine, &trial).await {
            Ok(()) => {
                right.insert(dispatches(&kernels));
            }
            Err(error) if engine.recover(&error) => {
                wrong.insert(names(&kernels));
                let other = other(engine, command, &wrong)
                    .ok_or_else(|| Error::GpuUnavailable(format!("wrong results for {}: {error}", trial.name)))?;
                let shaders: Vec<&str> = kernels.iter().map(|kernel| kernel.shader).collect();
                engine.note(format!("`{}` is not used, for {}: {error}", shaders.join(", "), trial.name));
                engine.set_variants(other);
                // other commands use the new one too
                todo = commands.iter();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The next choice for `command` that the adapter can run and that has not been wrong.
fn other(engine: &GpuEngine, command: &Command, wrong: &HashSet<Vec<String>>) -> Option<Variants> {
    let suits = |variants: &Variants| variants.suits(engine.gpu.is_software(), &engine.gpu.features);
    let mut others = engine.variants().others(command).into_iter();
    others.find(|variants| suits(variants) && !wrong.contains(&names(&command.kernels(variants))))
}

/// Runs a trial. Keeps only compiled pipelines.
async fn run(engine: &mut GpuEngine, trial: &Trial) -> Result<()> {
    let expected = trial.expected().await?;
    let result = run_checked(engine, trial, &expected).await;
    engine.clear();
    result.map(|_| ())
}

/// Pipelines with their parameters: a pipeline may be right for one shape and wrong for another.
fn dispatches(kernels: &[Kernel]) -> Vec<(String, Vec<u32>)> {
    kernels.iter().map(|kernel| (name(kernel), kernel.params.clone())).collect()
}

fn names(kernels: &[Kernel]) -> Vec<String> {
    kernels.iter().map(name).collect()
}
