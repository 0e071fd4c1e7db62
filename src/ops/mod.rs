//! The operations that models are recorded in. One file per operation: its shapes and their check,
//! its GPU dispatch, and the plain reference implementation, which every test compares with.
//!
//! Operations are coarse, with prologues and epilogues: a decoder layer needs five of them, and up
//! to ten in some architectures. To add one, write `ops/<op>.rs` and `shaders/<op>.wgsl`, name it
//! in [`Command`], and give it a method in `engine::host::Kernels`.

pub mod activate;
pub mod adjust;
pub mod alt_up;
pub mod attention;
pub mod causal_convolve;
pub mod combine;
pub mod convolve;
pub mod delta_rule;
mod dot;
pub mod embed;
pub mod expert_linear;
pub mod gather;
mod kernel;
pub mod likely;
pub mod linear;
pub mod linear_pair;
pub mod loads;
pub mod norm;
pub mod norm_linear;
pub mod pick_columns;
pub mod pick_rows;
pub mod rescale;
pub mod rms_norm;
pub mod rope_append;
pub mod rope_attention;
pub mod route;
pub mod sample;
pub mod selective_scan;
pub mod sparsify;
pub mod variants;
pub mod wkv;

pub use activate::{Activate, Activation, Function};
pub use adjust::Adjust;
pub use alt_up::{AltUp, AltUpInputs};
pub use attention::{Attention, Part};
pub use causal_convolve::{CausalConvolve, Shift};
pub use combine::Combine;
pub use convolve::Convolve;
pub use delta_rule::{DeltaHeads, DeltaRule};
pub use dot::dot;
pub use embed::{Embed, Index};
pub use expert_linear::ExpertLinear;
pub use gather::Gather;
pub use kernel::{Binding, Kernel, MatrixView, PieceGrid, Pieces, RowGrid, ceil_div};
pub use likely::Likely;
pub use linear::{Affine, Epilogue, Linear};
pub use linear_pair::LinearPair;
pub use loads::Loads;
pub use norm::{Norm, NormKind};
pub use norm_linear::NormLinear;
pub use pick_columns::PickColumns;
pub use pick_rows::PickRows;
pub use rescale::Rescale;
pub use rms_norm::RmsNorm;
pub use rope_append::{RopeAppend, RopeKind};
pub use rope_attention::RopeAttention;
pub use route::{ExpertGroups, Route, Weighting};
pub use sample::Sample;
pub use selective_scan::{ScanHeads, SelectiveScan};
pub use sparsify::Sparsify;
pub use variants::Variants;
pub use wkv::{Wkv, WkvHeads};

use crate::Result;
use crate::record::Step;

/// The interface of an operation.
pub trait Op {
    /// Checks the shapes. Errors: [`crate::Error::Internal`], since weft's own model code makes
    /// recordings.
    fn check(&self) -> Result<()>;
    /// The GPU dispatches, in order.
    fn kernels(&self, variants: &Variants) -> Vec<Kernel>;
    /// What each of [`Op::kernels`] loads in a step.
    fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads>;
}

macro_rules! commands {
    ($($op:ident),+) => {
        /// One recorded operation, as plain data.
        #[derive(Clone, Copy, Debug)]
        pub enum Command {
            $(#[doc = concat!("[`", stringify!($op), "`]")] $op($op),)+
        }

        impl Op for Command {
            fn check(&self) -> Result<()> {
                match self { $(Self::$op(op) => op.check(),)+ }
            }

            fn kernels(&self, variants: &Variants) -> Vec<Kernel> {
                match self { $(Self::$op(op) => op.kernels(variants),)+ }
            }

            fn loads(&self, variants: &Variants, step: &Step) -> Vec<Loads> {
                match self { $(Self::$op(op) => op.loads(variants, step),)+ }
            }
        }

        $(impl From<$op> for Command {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        })+
    };
}

commands!(
    Embed,
    Norm,
    Linear,
    LinearPair,
    NormLinear,
    Activate,
    RopeAppend,
    Attention,
    RopeAttention,
    Convolve,
    CausalConvolve,
    DeltaRule,
    SelectiveScan,
    Wkv,
    AltUp,
    Rescale,
    Sparsify,
    Route,
    Gather,
    ExpertLinear,
    Combine,
    PickColumns,
    PickRows,
    Adjust,
    Sample,
    Likely
);

impl Command {
    /// The operations that it is made of, where these can also be done one after the other; else
    /// itself.
    pub fn parts(&self) -> Vec<Self> {
        match self {
            Self::LinearPair(op) => op.parts(),
            Self::NormLinear(op) => op.parts(),
            Self::RopeAttention(op) => op.parts(),
            other => vec![*other],
        }
    }
}

/// A list of commands, run in order.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The commands.
    pub commands: Vec<Command>,
    /// Whether several rows must give what each gives alone, up to the order of sums: no
    /// activations are rounded.
    pub exact: bool,
}

impl Recording {
    /// Checks an operation's shapes and appends it; a projection joins the norm before it, see
    /// [`NormLinear`].
    pub fn push(&mut self, op: impl Into<Command>) -> Result<()> {
        self.push_command(op.into())
    }

    /// Once for all operations, as it is compiled for each type that it is called with.
    fn push_command(&mut self, command: Command) -> Result<()> {
        command.check()?;
        let command = match (self.commands.pop(), command) {
            (Some(Command::Norm(norm)), Command::Linear(linear)) if NormLinear::takes(&norm, &linear) => {
                NormLinear { norm, linear, tail: None }.into()
            }
            (Some(Command::Norm(norm)), Command::LinearPair(LinearPair { head, tail }))
                if NormLinear::takes(&norm, &head) =>
            {
                NormLinear { norm, linear: head, tail: Some(tail) }.into()
            }
            (before, command) => {
                self.commands.extend(before);
                command
            }
        };
        self.commands.push(command);
        Ok(())
    }

    /// The same with [`Command::parts`]: what lies between them is then in memory.
    pub fn in_parts(&self) -> Self {
        Self { commands: self.commands.iter().flat_map(Command::parts).collect(), exact: self.exact }
    }
}

/// [`crate::Error::Internal`] unless `ok`.
fn ensure(ok: bool, op: &'static str, expected: &str, got: impl std::fmt::Debug) -> Result<()> {
    if ok { Ok(()) } else { Err(unfit(op, expected, &got)) }
}

/// The same for all types, as it is compiled for each otherwise.
#[cold]
fn unfit(op: &'static str, expected: &str, got: &dyn std::fmt::Debug) -> crate::Error {
    crate::Error::Internal { op, expected: expected.into(), got: format!("{got:?}") }
}
