//! What named GPUs can do at most. The sources are in docs/COST.md.

use serde::Serialize;

/// A GPU by its published figures.
#[derive(Clone, Copy, Debug)]
pub struct Gpu {
    /// Its name.
    pub name: &'static str,
    /// Bytes of memory that it can read in a second.
    pub bytes_per_second: f64,
    /// Operations on f32 that it can do in a second; a multiply-add is two.
    pub flops: f64,
    /// Time between two dispatches of a pass. Assumed, not published.
    pub dispatch_seconds: f64,
}

const fn gpu(name: &'static str, gigabytes: f64, teraflops: f64) -> Gpu {
    Gpu { name, bytes_per_second: gigabytes * 1e9, flops: teraflops * 1e12, dispatch_seconds: DISPATCH_SECONDS }
}

/// The same for all, for want of a measurement.
const DISPATCH_SECONDS: f64 = 5e-6;

/// The GPUs.
pub static GPUS: &[Gpu] = &[
    gpu("NVIDIA RTX 4060 Laptop", 256.0, 14.6),
    gpu("NVIDIA H200", 4800.0, 67.0),
    gpu("Apple M2", 100.0, 3.6),
    gpu("Intel Iris Xe (96 EU)", 68.3, 2.1),
    gpu("Snapdragon X Elite", 135.0, 4.6),
];

/// Seconds that work takes at least on a GPU, for each of three reasons.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Roof {
    /// Were every byte of weights, keys and values loaded from memory; caches make it less.
    pub memory_seconds: f64,
    /// In f32.
    pub arithmetic_seconds: f64,
    /// To start the dispatches.
    pub dispatch_seconds: f64,
}

impl Gpu {
    /// The roofs of so much work.
    pub fn roof(&self, dispatches: u64, bytes: u64, multiply_adds: u64) -> Roof {
        Roof {
            memory_seconds: bytes as f64 / self.bytes_per_second,
            arithmetic_seconds: 2.0 * multiply_adds as f64 / self.flops,
            dispatch_seconds: dispatches as f64 * self.dispatch_seconds,
        }
    }
}
