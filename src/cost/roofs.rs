//! What named GPUs can do at most. The sources are in docs/COST.md.

use serde::Serialize;

/// What a GPU can do in a second, by its published figures.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Bytes of memory that it reads.
    pub bytes_per_second: f64,
    /// Operations on f32; a multiply-add is two.
    pub flops: f64,
}

impl Rates {
    /// The rates of so many GB/s and TFLOP/s.
    pub const fn published(gigabytes: f64, teraflops: f64) -> Self {
        Self { bytes_per_second: gigabytes * 1e9, flops: teraflops * 1e12 }
    }

    /// The roofs of so much work.
    pub fn roof(&self, dispatches: u64, bytes: u64, multiply_adds: u64) -> Roof {
        Roof {
            memory_seconds: bytes as f64 / self.bytes_per_second,
            arithmetic_seconds: 2.0 * multiply_adds as f64 / self.flops,
            dispatch_seconds: dispatches as f64 * DISPATCH_SECONDS,
        }
    }
}

/// Time between two dispatches of a pass. Assumed, not published, and the same for all, for want
/// of a measurement.
const DISPATCH_SECONDS: f64 = 5e-6;

/// The GPUs of the tables.
pub static GPUS: &[(&str, Rates)] = &[
    ("NVIDIA RTX 4060 Laptop", Rates::published(256.0, 14.6)),
    ("NVIDIA H200", Rates::published(4800.0, 67.0)),
    ("Apple M2", Rates::published(100.0, 3.6)),
    ("Intel Iris Xe (96 EU)", Rates::published(68.3, 2.1)),
    ("Snapdragon X Elite", Rates::published(135.0, 4.6)),
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
