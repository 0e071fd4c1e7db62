//! Runs an operation on every engine with the same random data, and compares with the reference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(dead_code)] // each test program compiles its own copy and uses a part

pub mod agreement;
pub mod chats;
pub mod slow;
pub mod tiny;
pub mod walk;

use std::fmt::Display;
use std::ops::Range;

use half::{bf16, f16};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::gpu::GpuEngine;
use weft_llm::engine::host::{HostEngine, Reference};
use weft_llm::engine::{Engine, EngineInfo, ProgramId};
use weft_llm::format::block::BlockType;
use weft_llm::format::layout::Layout;
use weft_llm::ops::variants::{ATTEND_MANY, ATTEND_ONE, Feature, MATMUL, MATMUL_ROUNDED, MATVEC};
use weft_llm::ops::{Command, Recording, RmsNorm, Variants};
use weft_llm::record::{BufferId, KvCache, KvFormat, Matrix, NO_STATE, Row, Step, Tensor, rows};

/// Largest error allowed, relative to the root mean square of the reference's results: what sums of
/// some hundred f32 products differ by when they are added in another order.
const TOLERANCE: f32 = 3e-5;

/// The same where weights and activations are rounded to f16. An adapter may cut bits off instead
/// of rounding, as lavapipe does: that is up to a 1024th of each, always towards zero.
const TOLERANCE_F16: f32 = 1e-2;

/// The same where the CPU engine rounds queries and weights to 16 bits, since keys and values are
/// bytes.
const TOLERANCE_SHORTS: f32 = 1e-3;

/// An engine, and how its results compared with those of the reference.
struct Compared {
    engine: Box<dyn Engine>,
    tolerance: f32,
    /// The worst error, and the case of it.
    worst: f32,
    case: String,
}

impl Compared {
    fn new(engine: impl Engine + 'static, tolerance: f32) -> Self {
        Self { engine: Box::new(engine), tolerance, worst: 0.0, case: String::new() }
    }

    fn gpu(variants: Variants) -> Self {
        let rounds = variants.needs().contains(&Feature::F16);
        Self::new(gpu_with(variants), if rounds { TOLERANCE_F16 } else { TOLERANCE })
    }

    /// CPU engines, which come first.
    const HOSTS: usize = 2;

    /// The CPU engine with this processor's vectors and with those of every processor, and the GPU
    /// engine with each of these choices of shaders.
    fn all(choices: impl IntoIterator<Item = Variants>) -> Vec<Self> {
        let simd: [Simd; Self::HOSTS] = [Simd::default(), Simd::of_four_lanes()];
        let hosts = simd.map(|simd| Self::new(HostEngine::new(simd), TOLERANCE));
        hosts.into_iter().chain(choices.into_iter().map(Self::gpu)).collect()
    }
}

/// Choices of shaders in which every candidate occurs, those for many tokens over both row-major
/// and tiled weights. The first is exact for many tokens as for one.
pub fn variant_sets() -> Vec<Variants> {
    let choose = |(i, matvec)| Variants {
        matvec_wide: matvec,
        matvec_narrow: matvec,
        attend_one: &ATTEND_ONE[i % ATTEND_ONE.len()],
        attend_many: &ATTEND_MANY[i % ATTEND_MANY.len()],
        ..many(i)
    };
    // the last candidates for one token read row-major weights
    let row_major = (0..MATMUL.len() + MATMUL_ROUNDED.len()).map(many);
    MATVEC.iter().enumerate().map(choose).chain(row_major).collect()
}

/// The i-th choice for many tokens, first of the exact ones.
fn many(i: usize) -> Variants {
    let i = i % (MATMUL.len() + MATMUL_ROUNDED.len());
    let matmul_rounded = i.checked_sub(MATMUL.len()).map(|i| &MATMUL_ROUNDED[i]);
    Variants { matmul: &MATMUL[i % MATMUL.len()], matmul_rounded, ..Variants::PLAIN }
}

/// The GPU engine with a choice of shaders that does not depend on the adapter.
pub fn gpu() -> GpuEngine {
    gpu_with(variant_sets()[0])
}

/// The same, which allows so many bytes for a buffer.
pub fn small_gpu(bytes: u64) -> GpuEngine {
    let mut engine = gpu();
    engine.set_buffer_limit(bytes);
    engine
}

/// The GPU engine; a machine without any adapter fails the test, since a skipped test looks like a
/// passed one.
pub fn gpu_with(variants: Variants) -> GpuEngine {
    match pollster::block_on(GpuEngine::with_variants(variants)) {
        Ok(engine) => engine,
        Err(error) => panic!("the tests need a GPU adapter, a software one will do: {error}"),
    }
}

/// A small generator of repeatable numbers (xorshift64*, Marsaglia 2003 and Vigna 2016).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.bits() as usize % n
    }

    /// In (-1, 1), never zero.
    pub fn unit(&mut self) -> f32 {
        ((self.bits() >> 8) as f32 + 0.5) / (1 << 23) as f32 - 1.0
    }

    pub fn units(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.unit()).collect()
    }

    pub fn ids(&mut self, len: usize, vocabulary: usize) -> Vec<u32> {
        (0..len).map(|_| self.below(vocabulary) as u32).collect()
    }

    /// Rows of a file, with values of the order of one.
    pub fn rows(&mut self, block: BlockType, rows: usize, cols: usize) -> Vec<u8> {
        // where a block has halves, and what they are multiplied with
        let halves: &[(usize, f32)] = match block {
            BlockType::F32 | BlockType::Bf16 | BlockType::Mxfp4 | BlockType::Nvfp4 => &[],
            BlockType::F16 => &[(0, 1.0)],
            BlockType::Q4_0 => &[(0, 8.0)],
            BlockType::Q4_1 => &[(0, 16.0), (2, 1.0)],
            BlockType::Q5_0 => &[(0, 16.0)],
            BlockType::Q5_1 => &[(0, 32.0), (2, 1.0)],
            BlockType::Q8_0 | BlockType::Iq4Nl => &[(0, 128.0)],
            BlockType::Q2K => &[(80, 48.0), (82, 16.0)],
            BlockType::Q3K => &[(108, 128.0)],
            BlockType::Q4K => &[(0, 1024.0), (2, 64.0)],
            BlockType::Q5K => &[(0, 2048.0), (2, 64.0)],
            BlockType::Q6K => &[(208, 4096.0)],
            BlockType::Iq4Xs => &[(0, 4096.0)],
            BlockType::Tq1_0 => &[(52, 2.0)],
            BlockType::Tq2_0 => &[(64, 4.0)],
            BlockType::Q1_0 => &[(0, 8.0)],
            BlockType::Iq1S => &[(0, 32.0)],
            BlockType::Iq1M => &[],
            BlockType::Iq2Xxs | BlockType::Iq2Xs | BlockType::Iq2S => &[(0, 256.0)],
            BlockType::Iq3Xxs | BlockType::Iq3S => &[(0, 512.0)],
        };
        let mut bytes = vec![0; rows * block.row_bytes(cols)];
        for bytes in bytes.chunks_exact_mut(block.block_bytes()) {
            let units = [self.unit(), self.unit()];
            match block {
                BlockType::F32 => bytes.copy_from_slice(&units[0].to_le_bytes()),
                BlockType::Bf16 => bytes.copy_from_slice(&bf16::from_f32(units[0]).to_le_bytes()),
                _ => {
                    for (at, byte) in bytes.iter_mut().enumerate() {
                        let is_half = halves.iter().any(|(half, _)| (*half..half + 2).contains(&at));
                        *byte = if is_half { 0 } else { self.bits() as u8 };
                    }
                }
            }
            for ((at, factor), unit) in halves.iter().zip(units) {
                bytes[*at..][..2].copy_from_slice(&f16::from_f32(unit / factor).to_le_bytes());
            }
            if block == BlockType::Mxfp4 {
                bytes[0] = 122 + (bytes[0] & 3); // values of at most 12 · 2^-6 to 12 · 2^-3
            }
            if block == BlockType::Iq1M {
                bytes[55] = bytes[55] & 0x8f | 0x20; // the first bits of the scale: ±2^-7 to ±2^-3
            }
            if block == BlockType::Nvfp4 {
                bytes[..4].iter_mut().for_each(|scale| *scale = 8 + *scale % 24); // at most 6 · 2^-3
            }
        }
        bytes
    }
}

/// Makes the operands of a case, the same on every engine.
pub struct Setup<'a> {
    engine: &'a mut dyn Engine,
    rng: Rng,
    /// Blocks of a KV cache.
    blocks: usize,
    outputs: Vec<Output>,
}

/// What a command writes: these columns of a tensor are compared.
pub struct Output {
    tensor: Tensor,
    cols: Range<usize>,
    /// What its values are rounded to.
    format: KvFormat,
    /// Whether the CPU engine may be off by [`TOLERANCE_SHORTS`].
    of_bytes: bool,
}

impl Setup<'_> {
    /// Random values of shape (rows, cols).
    pub fn tensor(&mut self, rows: usize, cols: usize) -> Tensor {
        let values = self.rng.units(rows * cols);
        self.tensor_of(rows, cols, &values)
    }

    /// The given values of shape (rows, cols).
    pub fn tensor_of(&mut self, rows: usize, cols: usize, values: &[f32]) -> Tensor {
        let buffer = self.engine.create_values("case", rows * cols).unwrap();
        self.engine.write_values(buffer, 0, values).unwrap();
        Tensor { buffer, rows, cols }
    }

    /// Random values of shape (rows, cols) that 8 bits hold exactly, block by block: an engine that
    /// quantises its activations agrees on these as well as one that does not.
    pub fn tensor_of_bytes(&mut self, rows: usize, cols: usize) -> Tensor {
        let mut values = Vec::with_capacity(rows * cols);
        while values.len() < rows * cols {
            let scale = self.rng.unit() / 127.0;
            let block = 32.min(rows * cols - values.len());
            let largest = self.rng.below(16);
            values.extend((0..block).map(|i| {
                let quant = if i % 16 == largest { 127.0 } else { self.rng.below(255) as f32 - 127.0 };
                scale * quant
            }));
        }
        self.tensor_of(rows, cols, &values)
    }

    /// Weights of a norm that keep what [`Setup::tensor_of_bytes`] has made: equal within a block.
    pub fn norm(&mut self, cols: usize) -> RmsNorm {
        let blocks = self.rng.units(cols.div_ceil(32));
        let values: Vec<f32> = (0..cols).map(|i| blocks[i / 32]).collect();
        RmsNorm { weight: self.tensor_of(1, cols, &values), eps: 1e-5 }
    }

    /// A random tensor which the operation writes to: all of it is compared, so also that the rest
    /// is left alone.
    pub fn output(&mut self, rows: usize, cols: usize) -> Tensor {
        let tensor = self.tensor(rows, cols);
        self.compare(tensor, 0..cols);
        tensor
    }

    /// A KV cache of random values, which has the blocks of every table. Some are in parts.
    pub fn cache(&mut self, heads: usize, head_dim: usize, format: KvFormat) -> KvCache {
        let parts: Vec<usize> = (1..=heads).filter(|&parts| heads.is_multiple_of(parts)).collect();
        let parts = parts[self.rng.below(parts.len())];
        self.cache_in(KvCache { buffer: BufferId(0), heads, head_dim, format, parts })
    }

    fn cache_in(&mut self, cache: KvCache) -> KvCache {
        let buffer = self.engine.create_blocks("case", &cache, self.blocks).unwrap();
        let values = self.rng.units(self.blocks * cache.block_len());
        self.engine.write_values(buffer, 0, &values).unwrap();
        KvCache { buffer, ..cache }
    }

    /// The state of a convolution, of random values; all of it is compared.
    pub fn output_state(&mut self, cols: usize) -> KvCache {
        let state = self.cache_in(KvCache::of_inputs(cols));
        self.compare_cache(state);
        state
    }

    /// Recurrent states of random values, likewise.
    pub fn output_slots(&mut self, len: usize) -> KvCache {
        let state = self.cache_in(KvCache::of_state(len));
        self.compare_cache(state);
        state
    }

    /// The same, and all of it is compared.
    pub fn output_cache(&mut self, heads: usize, head_dim: usize, format: KvFormat) -> KvCache {
        let cache = self.cache(heads, head_dim, format);
        self.compare_cache(cache);
        cache
    }

    /// Compares all of a cache.
    pub fn compare_cache(&mut self, cache: KvCache) {
        let (rows, cols) = (self.blocks, cache.block_len());
        let tensor = Tensor { buffer: cache.buffer, rows, cols };
        self.outputs.push(Output { tensor, cols: 0..cols, format: cache.format, of_bytes: false });
    }

    /// Compares these columns.
    pub fn compare(&mut self, tensor: Tensor, cols: Range<usize>) {
        self.outputs.push(Output { tensor, cols, format: KvFormat::F32, of_bytes: false });
    }

    /// A random matrix, written in two parts.
    pub fn matrix(&mut self, block: BlockType, rows: usize, cols: usize) -> Matrix {
        let matrix = self.engine.create_matrix("case", Layout::for_block(block), rows, cols).unwrap();
        let data = self.rng.rows(block, rows, cols);
        let (first, second) = data.split_at(rows / 2 * block.row_bytes(cols));
        self.engine.write_rows(&matrix, rows / 2, block, second).unwrap();
        self.engine.write_rows(&matrix, 0, block, first).unwrap();
        matrix
    }
}

/// Records one command on an engine. Gives the program, and what it writes. KV caches have this
/// many `blocks`.
pub fn prepare<C: Into<Command>>(
    engine: &mut dyn Engine,
    seed: u64,
    blocks: usize,
    record: impl FnOnce(&mut Setup) -> C,
) -> (ProgramId, Vec<Output>) {
    let mut setup = Setup { engine, rng: Rng::new(seed), blocks, outputs: Vec::new() };
    let mut recording = Recording::default();
    let command = record(&mut setup).into();
    let of_integers = |format| matches!(format, KvFormat::Q8 | KvFormat::Q4);
    let of_bytes = match &command {
        Command::Attention(op) => of_integers(op.kv.format),
        Command::RopeAttention(op) => of_integers(op.attention.kv.format),
        _ => false,
    };
    recording.push(command).unwrap();
    let Setup { engine, mut outputs, .. } = setup;
    outputs.iter_mut().for_each(|output| output.of_bytes = of_bytes);
    (engine.prepare(recording).unwrap(), outputs)
}

/// The blocks of the sequences that cases have, out of order as in a pool that has been in use.
pub const TABLES: [[u32; 3]; 3] = [[4, 0, 7], [2, 6, 1], [8, 3, 5]];

/// The cases of one operation.
pub struct Suite {
    engines: Vec<Compared>,
    /// Whether each case runs on every GPU engine.
    everywhere: bool,
    cases: u64,
}

impl Suite {
    /// A GPU engine compiles shaders for each case: so each case runs on the CPU and one of them,
    /// in turn.
    pub fn new() -> Self {
        Self { engines: Compared::all(variant_sets()), everywhere: false, cases: 0 }
    }

    /// Each case runs on the CPU and with these variants of attention.
    pub fn of_attention(variants: Range<usize>) -> Self {
        let choose = |i| Variants {
            attend_one: &ATTEND_ONE[i % ATTEND_ONE.len()],
            attend_many: &ATTEND_MANY[i % ATTEND_MANY.len()],
            ..Variants::PLAIN
        };
        Self { engines: Compared::all(variants.map(choose)), everywhere: true, cases: 0 }
    }

    /// Runs the command that `record` makes, on every engine, for tokens `ids` from `position` on.
    pub fn case<C: Into<Command>>(
        &mut self,
        name: impl Display,
        position: usize,
        ids: &[u32],
        record: impl Fn(&mut Setup) -> C,
    ) {
        self.case_of_rows(name, &rows(0, position, ids), record);
    }

    /// The same for rows of several sequences.
    pub fn case_of_rows<C: Into<Command>>(
        &mut self,
        name: impl Display,
        rows: &[Row],
        record: impl Fn(&mut Setup) -> C,
    ) {
        self.case_of_tables(name, rows, &TABLES.each_ref().map(|table| &table[..]), record);
    }

    /// The same for sequences with these block tables.
    pub fn case_of_tables<C: Into<Command>>(
        &mut self,
        name: impl Display,
        rows: &[Row],
        tables: &[&[u32]],
        record: impl Fn(&mut Setup) -> C,
    ) {
        self.cases += 1;
        let seed = self.cases;
        let run = |engine: &mut dyn Engine| {
            let blocks = tables.iter().map(|table| table.len()).sum();
            let (program, outputs) = prepare(engine, seed, blocks, &record);
            let second = rows[0].position as u32 + 2;
            // states stay or go elsewhere in turns, and begin with the first position
            let slots = |(sequence, table): (usize, &&[u32])| {
                let begins = rows.iter().any(|row| (row.sequence, row.position) == (sequence, 0));
                let write = table[sequence % 2 % table.len()];
                [if begins { NO_STATE } else { table[0] }, write]
            };
            let states: Vec<_> = tables.iter().enumerate().map(slots).collect();
            // a source text behind which the rows are
            let source =
                |sequence| rows.iter().find(|row| row.sequence == sequence).map_or(0, |row| row.position * 2 / 3);
            let sources: Vec<_> = (0..tables.len()).map(source).collect();
            let step = Step { second, states: &states, sources: &sources, ..Step::new(rows, tables) };
            engine.run(program, &step).unwrap();
            let read = |Output { tensor, cols, format, of_bytes }: Output| {
                let values = read(engine, tensor.buffer, tensor.rows * tensor.cols);
                let values = values.chunks(tensor.cols).flat_map(|row| &row[cols.clone()]).copied();
                (values.collect::<Vec<f32>>(), (format, of_bytes))
            };
            outputs.into_iter().map(read).collect::<Vec<_>>()
        };
        let expected = run(&mut HostEngine::new(Reference));
        let (on_host, gpus) = self.engines.split_at_mut(Compared::HOSTS);
        let (count, everywhere) = (gpus.len() as u64, self.everywhere);
        let has_turn = |i: usize| everywhere || i as u64 == seed % count;
        let turns = gpus.iter_mut().enumerate().filter(|(i, _)| has_turn(*i)).map(|(_, gpu)| gpu);
        for Compared { engine, tolerance, worst, case } in on_host.iter_mut().chain(turns) {
            for (i, ((got, (format, of_bytes)), (expected, _))) in run(&mut **engine).iter().zip(&expected).enumerate()
            {
                let error = relative_error(got, expected, *format);
                let EngineInfo { kind, description, .. } = engine.info();
                let tolerance = if *of_bytes && kind == "cpu" { TOLERANCE_SHORTS } else { *tolerance };
                assert!(error <= tolerance, "{name}, output {i}: {kind} {description} is off by {error:.1e}");
                if error > *worst {
                    (*worst, *case) = (error, name.to_string());
                }
            }
        }
    }

    /// Prints the worst error of each engine.
    pub fn report(self, op: &str) {
        for Compared { engine, worst, case, .. } in self.engines {
            let EngineInfo { kind, description, .. } = engine.info();
            println!("{op}: {} cases, worst error {worst:.1e} on {kind} {description}: {case}", self.cases);
        }
    }
}

pub fn read(engine: &mut dyn Engine, buffer: BufferId, len: usize) -> Vec<f32> {
    pollster::block_on(engine.read_values(buffer, len)).unwrap()
}

/// Largest difference, relative to the root mean square of `expected` (at least 1e-20, where
/// results are as good as zero); infinite where one is not a number. Where values are rounded, they
/// may be neighbours among what they are rounded to: a small difference can decide what is nearest.
pub fn relative_error(got: &[f32], expected: &[f32], format: KvFormat) -> f32 {
    let rms = (expected.iter().map(|v| v * v).sum::<f32>() / expected.len() as f32).sqrt().max(1e-20);
    let step = |i: usize| match format {
        KvFormat::F32 => 0.0,
        KvFormat::F16 => expected[i].abs() / 1024.0,
        KvFormat::Q8 | KvFormat::Q4 => {
            let group = &expected[i / 32 * 32..][..32];
            let most = group.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
            most / if format == KvFormat::Q8 { 127.0 } else { 8.0 }
        }
    };
    let difference = |i: usize| {
        let (a, b) = (got[i], expected[i]);
        if a == b { 0.0 } else { ((a - b).abs() - step(i)) / rms }
    };
    let differences = (0..expected.len()).map(difference);
    differences.fold(0.0, |worst, d| if d.is_nan() { f32::INFINITY } else { worst.max(d) })
}
