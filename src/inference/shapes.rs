//! The shapes of a model that an engine is tuned to, from its first header.

use std::collections::BTreeMap;

use crate::engine::shapes::{Product, Shapes};
use crate::format::TensorInfo;
use crate::format::layout::Layout;
use crate::model::Config;
use crate::ops::variants::WIDE;

/// Matrices that are one in memory if their layouts agree.
const TOGETHER: [&[&str]; 3] =
    [&["attn_q", "attn_k", "attn_v"], &["ffn_gate", "ffn_up"], &["ffn_gate_shexp", "ffn_up_shexp"]];

/// The shapes of a model with these tensors, or with the usual ones if the header has none.
pub(super) fn shapes(config: &Config, tensors: &[TensorInfo]) -> Shapes {
    let mut products: BTreeMap<(&str, &str), Product> = BTreeMap::new();
    for tensor in tensors {
        let Some((part, product)) = product(config, tensor) else { continue };
        // those of other layers may have another layout, as some have in a mixed quantisation
        products.entry((part, product.layout.name())).or_insert(product);
    }
    let mut whole: BTreeMap<(&str, &str), Product> = BTreeMap::new();
    for ((part, layout), product) in products {
        let first = TOGETHER.iter().find(|parts| parts.contains(&part)).map_or(part, |parts| parts[0]);
        let rows = product.rows;
        whole.entry((first, layout)).and_modify(|whole| whole.rows += rows).or_insert(product);
    }
    let largest = |fits: &dyn Fn(&Product) -> bool| {
        whole.values().filter(|product| fits(product)).max_by_key(|product| product.rows * product.cols).copied()
    };
    let (wide, narrow) = (largest(&|product| product.rows >= WIDE), largest(&|product| product.rows < WIDE));
    let usual = Shapes::default();
    let (wide, narrow) = if whole.is_empty() { (usual.wide, usual.narrow) } else { (wide, narrow) };
    let Config { heads, kv_heads, head_dim, .. } = *config;
    Shapes { wide, narrow, gated: config.experts.is_none(), heads, kv_heads, head_dim }
}

/// The part of a layer that a tensor is, and the product that one token makes of it; `None` for
/// what is not multiplied with in each layer.
fn product<'a>(config: &Config, tensor: &'a TensorInfo) -> Option<(&'a str, Product)> {
    let part = tensor.name.strip_suffix(".weight")?.strip_prefix("blk.")?.split_once('.')?.1;
    let (layout, cols) = (Layout::for_block(tensor.block), tensor.cols());
    let rows = match (&*tensor.dims, &config.experts) {
        (&[_, rows], _) => rows as usize,
        // of the chosen experts only
        (&[_, rows, _], Some(experts)) => rows as usize * experts.chosen,
        _ => return None,
    };
    Some((part, Product { layout, rows, cols }))
}
