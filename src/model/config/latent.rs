//! Multi-head latent attention (DeepSeek-V2 2024, arXiv 2405.04434): the sizes of its parts.

use super::Config;
use crate::Result;
use crate::model::keys::Keys;
use crate::model::rope::Scaling;

/// The parts of queries, keys and values that are made of latent vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// Values of the latent vector that queries are made of; `None`: they are made of the residual
    /// stream.
    pub query_rank: Option<usize>,
    /// Values of the latent vector that keys and values of all heads are made of.
    pub rank: usize,
    /// Values of a query and of a key that are not rotated.
    pub plain: usize,
    /// Those that are; of a key, all heads have the same ones.
    pub rotated: usize,
    /// Values of a head's value.
    pub value: usize,
}

impl Latent {
    /// `None` for other attention.
    pub(super) fn read(keys: &Keys, hidden: usize, heads: usize) -> Result<Option<Self>> {
        if !keys.architecture.latent {
            return Ok(None);
        }
        let usual = hidden.checked_div(heads).unwrap_or(0);
        // where a file has its keys and values as latent vectors, their widths are in the usual
        // keys
        let width = |of_heads, of_file| {
            let found = keys.opt_count(of_heads)?.map_or_else(|| keys.opt_count(of_file), |width| Ok(Some(width)));
            Ok::<_, crate::Error>(found?.unwrap_or(usual))
        };
        let rotated = keys.count("rope.dimension_count")?;
        Ok(Some(Self {
            query_rank: keys.opt_count("attention.q_lora_rank")?,
            rank: keys.count("attention.kv_lora_rank")?,
            plain: width("attention.key_length_mla", "attention.key_length")?.saturating_sub(rotated),
            rotated,
            value: width("attention.value_length_mla", "attention.value_length")?,
        }))
    }

    /// Values of a query.
    pub fn query(&self) -> usize {
        self.plain + self.rotated
    }

    /// Values of what is kept of a position: what is rotated of its key, and its latent vector.
    pub fn kept(&self) -> usize {
        self.rotated.saturating_add(self.rank)
    }

    /// The width whose root divides scores. YaRN makes them larger, in files by a tenth of its
    /// factor for all values of a key.
    pub(super) fn scaled_width(&self, keys: &Keys, scaling: &Scaling) -> Result<f32> {
        let factor = match (keys.opt_f32("rope.scaling.yarn_log_multiplier")?, scaling) {
            (Some(tenth), Scaling::Yarn { factor, .. }) => 1.0 + tenth * factor.max(1.0).ln(),
            _ => 1.0,
        };
        Ok(self.query() as f32 / factor.powi(4))
    }
}

impl Config {
    pub(super) fn check_latent(&self, latent: &Latent) -> Result<()> {
        let fits = |size: usize, most: usize| (4..=most).contains(&size) && size.is_multiple_of(4);
        let Latent { query_rank, rank, plain, rotated, value } = *latent;
        let expected = "a multiple of 4 up to 16384";
        self.require("attention.q_lora_rank", query_rank.is_none_or(|rank| fits(rank, 16384)), expected, {
            query_rank.unwrap_or(0)
        })?;
        self.require("attention.kv_lora_rank", fits(rank, 512), "a multiple of 4 up to 512", rank)?;
        self.require("rope.dimension_count", fits(rotated, 64), "a multiple of 4 up to 64", rotated)?;
        let expected = "rope.dimension_count and a multiple of 4 up to 1024";
        self.require("attention.key_length", fits(plain, 1024), expected, plain + rotated)?;
        self.require("attention.value_length", fits(value, 1024), "a multiple of 4 up to 1024", value)?;
        // what one dispatch of a GPU can put together
        let widest = [plain + rotated, rank + rotated, value].into_iter().max().unwrap_or(0);
        let fits = self.heads.saturating_mul(widest) <= 1 << 21;
        self.require("attention.head_count", fits, "heads of up to 2097152 values together", self.heads)
    }
}
