//! `bindgen IN.wasm OUT_DIR NAME` writes `OUT_DIR/NAME.js`, `NAME.d.ts` and `NAME_bg.wasm` from a
//! wasm module that uses wasm-bindgen. It replaces the command `wasm-bindgen --target web`: as a
//! library in a locked crate of this repository, it needs no installed tool, and its version always
//! matches that of the module.

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, out_dir, name] = &args[..] else { bail!("usage: bindgen IN.wasm OUT_DIR NAME") };
    Bindgen::new()
        .input_path(input)
        .web(true)?
        .typescript(true)
        .out_name(name)
        .generate(out_dir)
        .with_context(|| format!("wasm-bindgen could not process {input}"))
}
