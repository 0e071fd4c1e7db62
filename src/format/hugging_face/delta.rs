//! Linear attention in `config.json` (Qwen 3.5, Qwen3-Next).

use serde_json::Value;

use super::config::{MOST, Object, ParsedConfig, invalid, unsupported};
use super::order::DeltaHeads;
use crate::Result;

impl ParsedConfig {
    /// Reads the sizes of linear attention, and which layers have it.
    pub(super) fn delta(&mut self, config: &Object) -> Result<()> {
        let count = |name: &str| {
            let count = config.count(&[name])?.filter(|&count| count > 0 && count as usize <= MOST);
            count.ok_or_else(|| invalid(name, "an integer from 1 to 65536", format!("{:?}", config.get(name))))
        };
        let (keys, values) = (count("linear_num_key_heads")?, count("linear_num_value_heads")?);
        let (key_dim, value_dim) = (count("linear_key_head_dim")?, count("linear_value_head_dim")?);
        if !values.is_multiple_of(keys) {
            return Err(invalid("linear_num_value_heads", "a multiple of linear_num_key_heads", values.to_string()));
        }
        self.put("ssm.conv_kernel", count("linear_conv_kernel_dim")?);
        self.put("ssm.state_size", key_dim);
        self.put("ssm.group_count", keys);
        self.put("ssm.time_step_rank", values);
        self.put("ssm.inner_size", values.saturating_mul(value_dim));
        let [keys, values, key_dim, value_dim] = [keys, values, key_dim, value_dim].map(|count| count as usize);
        self.heads.delta = DeltaHeads { keys, values, key_dim, value_dim };
        let types = config.get("layer_types").and_then(Value::as_array);
        let first = types.and_then(|types| types.iter().position(|kind| kind == "full_attention"));
        let interval = match (types, first) {
            (Some(_), Some(first)) => first + 1,
            (Some(types), None) => types.len() + 1,
            (None, _) => config.count(&["full_attention_interval"])?.unwrap_or(4).max(1) as usize,
        };
        for (layer, kind) in types.into_iter().flatten().enumerate() {
            let attends = (layer + 1).is_multiple_of(interval);
            let expected = if attends { "full_attention" } else { "linear_attention" };
            if kind != expected {
                return Err(unsupported(&format!("layer_types[{layer}]"), &kind.to_string(), expected));
            }
        }
        self.put("full_attention_interval", interval as u32);
        Ok(())
    }
}
