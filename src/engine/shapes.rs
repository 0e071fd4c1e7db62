//! What the speed of kernels depends on in a model.

use crate::format::layout::Layout;

/// A matrix that activations are multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Of the weights.
    pub layout: Layout,
    /// Rows of the weights.
    pub rows: usize,
    /// Columns of the weights.
    pub cols: usize,
}

/// The shapes of a model that kernels are chosen for, see [`Engine::tune`](super::Engine::tune).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shapes {
    /// Where most weights are read for one token; `None` if each matrix has few rows.
    pub wide: Option<Product>,
    /// The largest matrix of few rows, see [`WIDE`](crate::ops::variants::WIDE).
    pub narrow: Option<Product>,
    /// Whether a layer's gate and up projections are one matrix; those of experts are not.
    pub gated: bool,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Values of a head.
    pub head_dim: usize,
}

impl Shapes {
    /// Two models with this key are as one to a tuner.
    pub fn key(&self) -> String {
        let product = |product: Option<Product>| match product {
            Some(Product { layout, rows, cols }) => format!("{} {rows}x{cols}", layout.name()),
            None => "none".into(),
        };
        let Self { wide, narrow, gated, heads, kv_heads, head_dim } = self;
        let experts = if *gated { "" } else { ", experts" };
        format!("{}, {}, {heads}/{kv_heads}x{head_dim}{experts}", product(*wide), product(*narrow))
    }
}

/// Those of Llama 3.2 3B. The narrow one is of Qwen3 0.6B, since a larger model seldom has one.
impl Default for Shapes {
    fn default() -> Self {
        let product = |rows, cols| Some(Product { layout: Layout::Q4, rows, cols });
        let (wide, narrow) = (product(16_384, 3072), product(1024, 3072));
        Self { wide, narrow, gated: true, heads: 24, kv_heads: 8, head_dim: 128 }
    }
}
