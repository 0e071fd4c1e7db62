//! Files that lack what their architecture needs, or have it in another shape: errors name it.

use super::support::tiny::Tiny;
use super::{ENGINES, open};

fn fixture(name: &str) -> Tiny {
    let path = format!("{}/tests/fixtures/architectures/{name}/model.gguf", env!("CARGO_MANIFEST_DIR"));
    Tiny::read(&std::fs::read(path).unwrap())
}

#[test]
fn what_is_missing_or_has_a_wrong_length_is_named() {
    let refused = |file: Tiny, expected: &str| {
        let (_, make) = ENGINES[0];
        let error = open(make(), &file.bytes(), None).map(|_| ()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let lacks = |name: &str, tensor: &str| refused(fixture(name).without(tensor), tensor);
    lacks("gpt-oss", "blk.1.attn_sinks.weight");
    lacks("gpt-oss", "blk.0.post_attention_norm.weight");
    lacks("gpt-oss-mxfp4", "blk.1.ffn_up_exps.weight");
    lacks("olmo2", "blk.0.post_ffw_norm.weight");
    lacks("olmo2", "blk.1.attn_k_norm.weight");
    lacks("exaone4", "blk.1.post_attention_norm.weight");
    lacks("glm4", "blk.0.post_ffw_norm.weight");
    lacks("granitemoe", "blk.0.ffn_gate_inp.weight");
    lacks("ernie4_5-moe", "blk.1.ffn_up_shexp.weight");
    lacks("ernie4_5-moe", "blk.2.ffn_gate.weight");
    for part in ["attn_q_a", "attn_q_a_norm", "attn_q_b", "attn_kv_a_mqa", "attn_kv_a_norm", "attn_k_b", "attn_v_b"] {
        lacks("deepseek2", &format!("blk.1.{part}.weight"));
    }
    lacks("deepseek2", "blk.2.ffn_down_shexp.weight");
    lacks("deepseek2-lite", "blk.1.attn_q.weight");
    // one of either form will do
    refused(fixture("deepseek2-v2").without("blk.1.attn_kv_b.weight"), "blk.1.attn_k_b.weight");
    refused(fixture("minicpm3").without("blk.2.attn_kv_b.weight"), "blk.2.attn_k_b.weight");
    lacks("gemma-embedding", "dense_2.weight");
    lacks("gemma-embedding", "dense_3.weight");
    lacks("gemma-embedding", "blk.1.attn_q_norm.weight");
    // without a gate, the other tensor has to hold both
    refused(fixture("nomic-bert").without("blk.1.ffn_gate.weight"), "blk.1.ffn_up.weight");
    for tensor in ["attn_rel_b", "attn_o", "attn_norm", "ffn_up"] {
        lacks("t5encoder", &format!("enc.blk.0.{tensor}.weight"));
    }
    lacks("t5encoder", "enc.blk.1.ffn_gate.weight");
    lacks("t5encoder", "enc.output_norm.weight");
    for tensor in ["cross_attn_norm", "cross_attn_q", "cross_attn_k", "cross_attn_v", "cross_attn_o", "attn_q"] {
        lacks("t5", &format!("dec.blk.2.{tensor}.weight"));
    }
    for tensor in ["enc.blk.1.attn_k", "enc.output_norm", "dec.output_norm", "dec.blk.0.attn_rel_b"] {
        lacks("t5", &format!("{tensor}.weight"));
    }
    lacks("t5-umt5", "enc.blk.0.attn_rel_b.weight");
    let mut startless = fixture("t5");
    startless.metadata.retain(|(key, _)| key != "t5.decoder_start_token_id");
    refused(startless, "t5.decoder_start_token_id");
    refused(fixture("t5").meta("t5.decoder_start_token_id", 64u32), "t5.decoder_start_token_id");
    // without the first gate, no layer may have one
    refused(fixture("t5encoder").without("enc.blk.0.ffn_gate.weight"), "enc.blk.1.ffn_gate.weight");
    lacks("qwen3-reranker", "cls.output.weight");
    lacks("nomic-bert", "blk.0.attn_output_norm.weight");
    lacks("nomic-bert-moe", "blk.1.ffn_up_exps.weight");
    lacks("jina-bert-v2", "blk.0.layer_output_norm.weight");
    lacks("modern-bert", "blk.1.attn_norm.weight");
    lacks("modern-bert", "output_norm.weight");
    lacks("modern-bert-sequence-classification", "cls.weight");
    for tensor in ["per_layer_token_embd", "per_layer_proj_norm", "blk.3.inp_gate", "blk.0.post_norm", "blk.0.attn_v"] {
        lacks("gemma4", &format!("{tensor}.weight"));
    }
    let of_scan =
        ["ssm_conv1d.weight", "ssm_a", "ssm_dt.bias", "ssm_d", "ssm_norm.weight", "ssm_in.weight", "ssm_out.weight"];
    of_scan.into_iter().for_each(|part| lacks("mamba2", &format!("blk.2.{part}")));
    let of_columns = [
        "ssm_conv1d.weight",
        "ssm_a",
        "ssm_dt.bias",
        "ssm_d",
        "ssm_in.weight",
        "ssm_x.weight",
        "ssm_dt.weight",
        "ssm_out.weight",
    ];
    of_columns.into_iter().for_each(|part| lacks("mamba", &format!("blk.2.{part}")));
    let of_mixing = [
        "time_mix_lerp_fused.weight",
        "time_mix_w0.weight",
        "time_mix_a1.weight",
        "time_mix_v2.weight",
        "time_mix_g1.weight",
        "time_mix_r_k.weight",
        "time_mix_receptance.weight",
        "time_mix_key.weight",
        "time_mix_ln.bias",
        "time_mix_output.weight",
        "channel_mix_lerp_k.weight",
        "channel_mix_value.weight",
        "attn_norm_2.weight",
    ];
    of_mixing.into_iter().for_each(|part| lacks("rwkv7", &format!("blk.2.{part}")));
    lacks("rwkv7", "blk.0.time_mix_v1.weight");
    lacks("rwkv7", "token_embd_norm.weight");
    lacks("bitnet", "blk.1.attn_sub_norm.weight");
    lacks("bitnet", "blk.0.ffn_sub_norm.weight");
    lacks("smallthinker", "blk.2.ffn_gate_inp.weight");
    lacks("smallthinker", "blk.4.ffn_up_exps.weight");
    lacks("granitehybrid", "blk.2.ssm_d");
    lacks("granitehybrid", "blk.1.attn_q.weight");
    lacks("granitehybrid", "blk.0.ffn_up_shexp.weight");
    for tensor in
        ["ffn_gate_inp.scale", "pre_ffw_norm_2.weight", "post_ffw_norm_1.weight", "ffn_gate.weight", "attn_k.weight"]
    {
        lacks("gemma4-experts", &format!("blk.1.{tensor}"));
    }
    for tensor in
        ["altup_proj", "altup_unembd_proj", "blk.1.altup_router", "blk.4.laurel_r", "blk.0.altup_predict_coef"]
    {
        lacks("gemma3n", &format!("{tensor}.weight"));
    }
    let wrong = |name: &str, tensor: &str| refused(fixture(name).vector(tensor, &[0.5; 3]), tensor);
    wrong("gpt-oss", "blk.1.attn_sinks.weight");
    wrong("gpt-oss", "blk.0.ffn_down_exps.bias");
    wrong("gpt-oss", "blk.0.ffn_gate_inp.bias");
    wrong("ernie4_5-moe", "blk.3.exp_probs_b.bias");
    for tensor in ["laurel_post_norm", "altup_correct_scale", "altup_correct_coef", "altup_router_norm"] {
        wrong("gemma3n", &format!("blk.2.{tensor}.weight"));
    }
    wrong("deepseek2", "blk.1.exp_probs_b.bias");
    wrong("deepseek2", "blk.0.attn_k_b.weight");
    wrong("deepseek2-v2", "blk.0.attn_kv_b.weight");
    wrong("minicpm3", "blk.1.attn_kv_a_norm.weight");
    wrong("jina-bert-v2", "blk.0.ffn_up.weight");
    wrong("t5encoder", "enc.blk.0.attn_rel_b.weight");
    wrong("t5", "dec.blk.1.cross_attn_norm.weight");
    wrong("t5encoder-umt5", "enc.blk.1.attn_rel_b.weight");
    wrong("bert-xlm-roberta", "cls.output.bias");
    let parts = ["ssm_conv1d.weight", "ssm_conv1d.bias", "ssm_a", "ssm_dt.bias", "ssm_d", "ssm_norm.weight"];
    parts.into_iter().for_each(|part| wrong("mamba2", &format!("blk.1.{part}")));
    let parts = ["ssm_conv1d.weight", "ssm_conv1d.bias", "ssm_a", "ssm_dt.bias", "ssm_d", "ssm_x.weight"];
    parts.into_iter().for_each(|part| wrong("mamba", &format!("blk.1.{part}")));
    for part in ["time_mix_lerp_fused", "time_mix_w0", "time_mix_v1", "time_mix_k_a", "time_mix_ln", "channel_mix_key"]
    {
        wrong("rwkv7", &format!("blk.1.{part}.weight"));
    }
    wrong("bitnet", "blk.1.ffn_sub_norm.weight");
    wrong("bitnet-packed", "blk.1.ffn_up.scale");
    // a norm that only the layers behind the first have, and one of Jina's model for code
    refused(fixture("modern-bert").vector("blk.0.attn_norm.weight", &[0.5; 36]), "blk.0.attn_norm.weight");
    refused(fixture("jina-bert-v2").vector("blk.0.attn_norm_2.weight", &[0.5; 36]), "blk.0.attn_norm_2.weight");
    refused(fixture("gemma-embedding").meta("gemma-embedding.dense_2_feat_out", 44u32), "dense_2.weight");
    let pooling = fixture("modern-bert-sequence-classification").meta("modern-bert.classifier.pooling", "max");
    refused(pooling, "modern-bert.classifier.pooling");
    // a norm of inputs, which the architecture does not have
    refused(fixture("olmo2").vector("blk.0.attn_norm.weight", &[0.5; 48]), "blk.0.attn_norm.weight");
    // a sink in an architecture without them
    refused(fixture("llama").vector("blk.0.attn_sinks.weight", &[0.5; 4]), "blk.0.attn_sinks.weight");
    let key = |name: &str, key: &str, value: f32| refused(fixture(name).meta(key, value), key);
    key("mistral3", "mistral3.attention.temperature_scale", f32::NAN);
    key("mistral3", "mistral3.attention.temperature_scale", -1.0);
    key("minicpm", "minicpm.residual_scale", f32::INFINITY);
    wrong("gemma4", "blk.2.layer_output_scale.weight");
    let counts = |key: &str, value: &[i32]| {
        let key = format!("gemma4.{key}");
        let file = fixture("gemma4");
        refused(if let [one] = value { file.meta(&key, *one) } else { file.meta(&key, value.to_vec()) }, &key);
    };
    // no layer without a window is left before those that share
    counts("attention.shared_kv_layers", &[5]);
    counts("attention.head_count_kv", &[2, 2, 2, 3, 2, 2]);
    // the fifth layer reads keys of the third
    counts("attention.head_count_kv", &[2, 2, 2, 2, 4, 2]);
    counts("attention.key_length_swa", &[6]);
    counts("rope.dimension_count_swa", &[10]);
    counts("feed_forward_length", &[24, 24, 24]);
    counts("embedding_length_per_layer_input", &[7]);
    refused(fixture("gemma3n").meta("gemma3n.altup.num_inputs", 3u32), "gemma3n.altup.num_inputs");
    let pattern = fixture("gemma3n").meta("gemma3n.activation_sparsity_scale", vec![0.5f32; 3]);
    refused(pattern, "gemma3n.activation_sparsity_scale");
    let sizes = |name: &str, key: &str, value: u32| refused(fixture(name).meta(key, value), key);
    sizes("t5encoder", "t5encoder.attention.relative_buckets_count", 7);
    sizes("t5encoder", "t5encoder.attention.relative_buckets_count", 2048);
    sizes("t5encoder", "t5encoder.attention.key_length", 10);
    sizes("t5", "t5.attention.head_count_kv", 2);
    sizes("t5", "t5.attention.relative_buckets_count", 7);
    sizes("t5", "t5.decoder_block_count", 2000);
    sizes("mamba2", "mamba2.ssm.conv_kernel", 5);
    sizes("deepseek2", "deepseek2.attention.kv_lora_rank", 1024);
    sizes("deepseek2", "deepseek2.rope.dimension_count", 0);
    sizes("deepseek2", "deepseek2.expert_group_count", 5);
    sizes("deepseek2", "deepseek2.expert_group_used_count", 5);
    sizes("deepseek2", "deepseek2.expert_gating_func", 3);
    sizes("minicpm3", "minicpm3.attention.q_lora_rank", 18);
    sizes("minicpm3", "minicpm3.attention.value_length", 2);
    refused(fixture("deepseek2").meta("deepseek2.attention.key_length_mla", 8u32), "deepseek2.attention.key_length");
    sizes("mamba2", "mamba2.ssm.inner_size", 50);
    sizes("mamba2", "mamba2.ssm.state_size", 260);
    sizes("granitehybrid", "granitehybrid.ssm.conv_kernel", 0);
    sizes("mamba", "mamba.ssm.conv_kernel", 5);
    sizes("mamba", "mamba.ssm.inner_size", 54);
    sizes("mamba", "mamba.ssm.state_size", 260);
    sizes("mamba", "mamba.ssm.time_step_rank", 57);
    refused(fixture("mamba").meta("mamba.ssm.time_step_rank", 4u32), "blk.0.ssm_dt.weight");
    sizes("rwkv7", "rwkv7.wkv.head_size", 20);
    sizes("rwkv7", "rwkv7.wkv.head_size", 0);
    sizes("rwkv7", "rwkv7.attention.gate_lora_rank", 6);
    sizes("rwkv7", "rwkv7.attention.decay_lora_rank", 52);
    refused(fixture("rwkv7").meta("rwkv7.attention.iclr_lora_rank", 16u32), "blk.0.time_mix_a1.weight");
    // a third way of weighing
    sizes("smallthinker", "smallthinker.expert_gating_func", 3);
    // heads that its groups do not divide; a convolution over another number of positions
    refused(fixture("mamba2").meta("mamba2.ssm.group_count", 4u32), "mamba2.ssm.time_step_rank");
    refused(fixture("mamba2").meta("mamba2.ssm.group_count", 0u32), "mamba2.ssm.group_count");
    refused(fixture("mamba2").meta("mamba2.ssm.conv_kernel", 3u32), "blk.0.ssm_conv1d.weight");
    let heads = fixture("granitehybrid").meta("granitehybrid.attention.head_count_kv", vec![0, 2, 1]);
    refused(heads, "granitehybrid.attention.head_count_kv");
}
