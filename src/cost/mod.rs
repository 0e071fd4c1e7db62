//! What a step costs on a GPU: bytes, multiply-adds, dispatches. Counted from the recording, the
//! step and the shaders; nothing is run, and nothing is known of time.
//!
//! | file | contents |
//! |---|---|
//! | here | the cost of recorded commands |
//! | [`families`] | GPUs as browsers name them |
//! | [`profiles`] | named choices of shaders |
//! | [`roofs`] | what named GPUs can do at most |
//! | [`synthetic`] | headers of published models |

pub mod families;
pub mod profiles;
pub mod roofs;
pub mod synthetic;

use std::collections::HashSet;
use std::iter::Sum;
use std::ops::Add;

use crate::ops::{Command, Kernel, Loads, Op, Variants};
use crate::record::Step;

/// What commands cost in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Kernels started.
    pub dispatches: u64,
    /// Workgroups of their grids, also those that find nothing to do.
    pub workgroups: u64,
    /// Fewest workgroups that a dispatch with a matrix keeps busy; `None` without such a dispatch.
    pub least_workgroups: Option<u64>,
    /// What they load and compute.
    pub loads: Loads,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let least = [self.least_workgroups, other.least_workgroups];
        Self {
            dispatches: self.dispatches + other.dispatches,
            workgroups: self.workgroups + other.workgroups,
            least_workgroups: least.into_iter().flatten().min(),
            loads: self.loads + other.loads,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// The cost of each command in a step. Experts are taken to be chosen equally often.
pub fn of(commands: &[Command], step: &Step, variants: &Variants) -> Vec<Cost> {
    let reach = step.rows.iter().map(|row| row.position + 1).max().unwrap_or(0);
    commands.iter().map(|command| of_command(command, step, variants, reach)).collect()
}

fn of_command(command: &Command, step: &Step, variants: &Variants, reach: usize) -> Cost {
    let has_matrix = matches!(
        command,
        Command::Linear(_) | Command::LinearPair(_) | Command::NormLinear(_) | Command::ExpertLinear(_)
    );
    let dispatch = |(kernel, loads): (Kernel, Loads)| {
        let is_product = has_matrix && loads.weights > 0;
        Cost {
            dispatches: 1,
            workgroups: kernel.grid(step.rows.len(), reach).iter().map(|&count| u64::from(count)).product(),
            least_workgroups: is_product.then_some(loads.workgroups),
            loads,
        }
    };
    command.kernels(variants).into_iter().zip(command.loads(variants, step)).map(dispatch).sum()
}

/// Number of pipelines that these kernels need.
pub fn pipelines<'a>(kernels: impl IntoIterator<Item = &'a Kernel>) -> usize {
    let of = |kernel: &'a Kernel| (kernel.shader, &kernel.defines, &kernel.constants);
    kernels.into_iter().map(of).collect::<HashSet<_>>().len()
}
