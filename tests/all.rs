//! The integration tests as one program: it links once, and its tests run side by side. Run the
//! tests of one file with `cargo test --test all FILE::`.
//!
//! Three files stay programs of their own (Cargo.toml): layering.rs, which `npm test -- --quick`
//! runs; format_robustness.rs, which replaces the allocator; and speed.rs, which compares times.

mod adapters;
mod ahead;
mod architectures;
mod attention;
mod chat_memory;
mod chat_templates;
mod chunks;
mod command;
mod context;
mod conversations;
mod cost;
mod drafts;
mod encoders;
mod forced;
mod format_golden;
mod generations;
mod golden;
mod gpu;
mod hugging_face;
mod ids;
mod inspect;
mod limits;
mod loading;
mod loads;
mod model;
mod models;
mod needle;
mod norm_linear;
mod ops;
mod pipelines;
mod prefixes;
mod recurrent;
mod resume;
mod rounding;
mod sample;
mod self_test;
mod sequences;
mod shaders;
mod shared_engine;
mod speculate;
mod states;
mod support;
mod tokenizer;
mod vision;
