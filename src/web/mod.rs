//! The JavaScript interface, and the only place that uses wasm-bindgen. It converts and forwards;
//! every decision is made in the layers below.
//!
//! | file | contents |
//! |---|---|
//! | `values` | how values and errors cross |
//! | `loading` | loads a model, or estimates its memory |
//! | `llm` | a loaded model |
//! | `pictures` | its projector, and pictures in prompts |

mod llm;
mod loading;
mod pictures;
mod values;

use sha2::Digest;
use wasm_bindgen::prelude::*;

/// Writes a panic to the console: the trap that follows it has no message.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// The version of the package. What was stored by another version may not fit this one.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// The calling thread computes for the engine that runs on the same memory. Never returns; throws
/// if it crashes.
#[cfg(target_feature = "atomics")]
#[wasm_bindgen]
pub fn join_pool() {
    crate::engine::cpu::pool::join()
}

/// The SHA-256 of a stream. Browsers compute it only for data that is in memory as a whole.
#[wasm_bindgen]
pub struct Sha256(sha2::Sha256);

#[wasm_bindgen]
impl Sha256 {
    /// Starts with no data.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash as 64 lower-case hexadecimal digits.
    pub fn digest(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
