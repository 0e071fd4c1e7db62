//! The KV cache: keys and values of all past tokens, so that a new token attends to them without computing them again.

use crate::Result;
use crate::model::Config;
use crate::record::{BufferId, Memory};

/// Keys and values of one layer.
#[derive(Clone, Copy, Debug)]
pub struct KvCache {
    /// (kv_heads, context, head_dim)
    pub k: BufferId,
    /// (kv_heads, context, head_dim)
    pub v: BufferId,
}

impl KvCache {
    /// Memory for `context` tokens of one layer.
    pub fn new(memory: &mut dyn Memory, config: &Config, context: usize) -> Result<Self> {
        let len = config.kv_heads * context * config.head_dim;
        let label = format!("KV cache for {context} tokens");
        Ok(Self { k: memory.create_values(&label, len)?, v: memory.create_values(&label, len)? })
    }
}

/// Positions that two token sequences share from the start: what a new prompt need not compute again.
pub fn shared_prefix(cached: &[u32], prompt: &[u32]) -> usize {
    cached.iter().zip(prompt).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::shared_prefix;

    #[test]
    fn prefix_ends_at_the_first_difference() {
        assert_eq!(shared_prefix(&[1, 2, 3], &[1, 2, 4, 5]), 2);
        assert_eq!(shared_prefix(&[1, 2, 3], &[1, 2, 3, 4]), 3);
        assert_eq!(shared_prefix(&[], &[1]), 0);
        assert_eq!(shared_prefix(&[7], &[1]), 0);
    }
}
