//! Times of single operations: each is a program of its own, and the engine is waited for after
//! each.

use super::types::OperationTime;
use crate::Result;
use crate::engine::{Engine, ProgramId, now};
use crate::inference::runner::Runner;
use crate::ops::{Command, Recording, RopeAttention};
use crate::record::{Memory, Step};

/// Times so far, and the programs of the stage under way.
#[derive(Default)]
pub(in crate::inference) struct Times {
    pub list: Vec<OperationTime>,
    /// Each with the index of its entry in `list`.
    programs: Vec<(ProgramId, Command, usize)>,
}

impl Times {
    /// Makes a program of each command of a layer, or of the embedding or the output head.
    /// Operations of the same name have one entry.
    pub fn prepare(&mut self, runner: &mut Runner, layer: Option<usize>, recording: Recording) -> Result<()> {
        for command in recording.commands {
            let name = runner.decoder.operation(layer, &command);
            let is_same = |time: &OperationTime| time.layer == layer && time.operation == name;
            let entry = self.list.iter().position(is_same).unwrap_or(self.list.len());
            if entry == self.list.len() {
                self.list.push(OperationTime { operation: name.into(), layer, milliseconds: 0.0, bytes: 0 });
            }
            let alone = Recording { commands: vec![command], ..Recording::default() };
            self.programs.push((runner.engine.prepare(alone)?, command, entry));
        }
        Ok(())
    }

    /// Runs the programs one by one, and adds their times.
    pub async fn run(&mut self, runner: &mut Runner, step: &Step<'_>) -> Result<()> {
        runner.engine.synchronize().await?;
        for (program, command, entry) in &self.programs {
            let start = now();
            runner.engine.run(*program, step)?;
            runner.engine.synchronize().await?;
            let entry = &mut self.list[*entry];
            entry.milliseconds += start.elapsed().as_secs_f64() * 1e3;
            entry.bytes += bytes_read(runner, command, step);
        }
        Ok(())
    }

    /// Gives back the programs.
    pub fn release(&mut self, runner: &mut Runner) {
        self.programs.drain(..).for_each(|(program, ..)| runner.engine.release(program));
    }
}

/// Bytes of weights, and of keys and values, that a command reads.
fn bytes_read(runner: &Runner, command: &Command, step: &Step) -> u64 {
    let engine = &runner.engine;
    // some rows of many
    let share = |bytes: u64, some: usize, all: usize| bytes * some.min(all) as u64 / all.max(1) as u64;
    let rows = step.rows.len();
    match command {
        Command::Embed(op) => share(engine.buffer_bytes(op.table.buffer), rows, op.table.rows),
        Command::Linear(op) => engine.buffer_bytes(op.weight.buffer),
        Command::LinearPair(_) | Command::NormLinear(_) => {
            command.parts().iter().map(|part| bytes_read(runner, part, step)).sum()
        }
        Command::Norm(op) => engine.buffer_bytes(op.weight.buffer),
        Command::ExpertLinear(op) => {
            share(engine.buffer_bytes(op.weight.buffer), rows * op.chosen, op.weight.rows / op.rows)
        }
        Command::Attention(op) | Command::RopeAttention(RopeAttention { attention: op, .. }) => {
            let positions = step.rows.iter().map(|row| op.seen_by(step, row));
            let seen = positions.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).map_or(0, |seen| seen.len());
            (2 * op.kv.heads * op.kv.head_dim * seen * size_of::<f32>()) as u64
        }
        Command::Convolve(op) => engine.buffer_bytes(op.weight.buffer),
        Command::CausalConvolve(op) => engine.buffer_bytes(op.weight.buffer),
        Command::DeltaRule(op) => (op.heads.matrices() * size_of::<f32>()) as u64,
        Command::SelectiveScan(op) => (op.heads.matrices() * size_of::<f32>()) as u64,
        Command::Wkv(op) => (op.heads.matrices() * size_of::<f32>()) as u64,
        Command::Activate(_)
        | Command::AltUp(_)
        | Command::Rescale(_)
        | Command::Sparsify(_)
        | Command::RopeAppend(_)
        | Command::Route(_)
        | Command::Gather(_)
        | Command::Combine(_)
        | Command::PickColumns(_)
        | Command::PickRows(_)
        | Command::Adjust(_)
        | Command::Sample(_)
        | Command::Likely(_) => 0,
    }
}
