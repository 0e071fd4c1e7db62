//! What a dispatch loads in a step: the figures of the cost model, which follow from the structure
//! of the shaders. `tests/loads.rs` counts the loads of the shaders themselves and compares.

use std::iter::Sum;
use std::ops::{Add, Mul};

/// What one dispatch loads in a step, in bytes, and what it computes. A byte that a workgroup needs
/// counts once in each workgroup, whatever memory or cache it then comes from. The rows, the block
/// tables and the parameters of a step, a few bytes, are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    /// Of weights: both planes of a matrix.
    pub weights: u64,
    /// Of keys and values.
    pub keys_values: u64,
    /// Of other values: activations, and the vectors of norms and biases.
    pub activations: u64,
    /// Of these, by every invocation: a byte counts each time that an invocation loads it, from a
    /// buffer (then mostly from a cache) or from workgroup memory.
    pub lane_activations: u64,
    /// Products of matrices and of attention that are added up, for the rows of the step.
    pub multiply_adds: u64,
    /// Workgroups with something to do; the grid, made for a recording's capacity, may have more.
    pub workgroups: u64,
}

impl Add for Loads {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

/// The same many times.
impl Mul<usize> for Loads {
    type Output = Self;

    fn mul(self, count: usize) -> Self {
        self.share((count as u64, 1))
    }
}

impl Sum for Loads {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl Loads {
    /// Each figure, with the same of another.
    fn with(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            weights: of(self.weights, other.weights),
            keys_values: of(self.keys_values, other.keys_values),
            activations: of(self.activations, other.activations),
            lane_activations: of(self.lane_activations, other.lane_activations),
            multiply_adds: of(self.multiply_adds, other.multiply_adds),
            workgroups: of(self.workgroups, other.workgroups),
        }
    }

    /// A fraction of each figure.
    pub fn share(self, (part, whole): (u64, u64)) -> Self {
        self.with(self, |figure, _| (u128::from(figure) * u128::from(part) / u128::from(whole)) as u64)
    }

    /// Of f32 values only, each loaded by one invocation of one workgroup.
    pub(super) fn once(values: usize, workgroups: usize) -> Self {
        let bytes = f32s(values);
        let workgroups = workgroups as u64;
        Self { activations: bytes, lane_activations: bytes, workgroups, ..Self::default() }
    }
}

/// Bytes of f32 values.
pub(super) fn f32s(values: usize) -> u64 {
    (values * size_of::<f32>()) as u64
}
