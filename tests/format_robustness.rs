//! What reading model files takes. Damaged ones: reading never panics, and memory grows only with
//! the bytes that arrive, whatever numbers they claim. Files of gigabytes: they pass through.
#![allow(clippy::unwrap_used, missing_docs)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{File, remove_file};
use std::io::Read;

use proptest::prelude::*;
use weft_llm::cost::profiles;
use weft_llm::cost::synthetic::{self, Mixture};
use weft_llm::engine::gpu::planned::Planned;
use weft_llm::format::{Array, BlockType, GgufFile, GgufReader, GgufWriter, Header, Sink, TensorInfo, Value};
use weft_llm::model::TensorLoader;
use weft_llm::record::Memory;
use weft_llm::{Error, Result};

/// Counts the bytes that each thread has allocated, so that parallel tests do not disturb each
/// other.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let live = LIVE.get() + bytes;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Keeps the headers, as a model would, and checks that rows are whole.
#[derive(Default)]
struct Keep(Vec<Header>);

impl Sink for Keep {
    fn header(&mut self, header: Header) -> Result<()> {
        self.0.push(header);
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        assert_eq!(rows.len() % tensor.row_bytes(), 0);
        assert!(first_row + rows.len() / tensor.row_bytes() <= tensor.rows());
        Ok(())
    }
}

fn read(file: &[u8], chunk: usize) -> Result<()> {
    let mut keep = Keep::default();
    let mut reader = GgufReader::new();
    for chunk in file.chunks(chunk) {
        reader.feed(chunk, &mut keep)?;
    }
    reader.finish()
}

/// The result of reading `file`, and the peak of its memory in bytes.
fn measured(file: &[u8], chunk: usize) -> (Result<()>, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = read(file, chunk);
    (result, (PEAK.get() - before) as usize)
}

/// Memory that reading `bytes` bytes may take. Two costs multiply: an empty string takes 8 bytes in
/// a file and 24 in memory, and a growing vector briefly holds three times its old length. The rest
/// is the reader itself and messages.
fn allowed(bytes: usize) -> usize {
    16 * bytes + 8192
}

/// A model with every kind of item in its header.
fn model() -> Vec<u8> {
    GgufWriter::new()
        .metadata("general.architecture", "llama")
        .metadata("llama.block_count", 2u32)
        .metadata("a.float", 1e-5f32)
        .metadata("a.bool", true)
        .metadata("a.wide", 1u64 << 40)
        .metadata("tokens", (0..40).map(|i| format!("token{i}")).collect::<Vec<_>>())
        .metadata("scores", vec![0.5f32; 30])
        .metadata("types", vec![1i32; 30])
        .metadata("flags", Array::Bools(vec![false, true]))
        .tensor_f32("norm", &[5, 3], &[1.0; 15])
        .tensor("half", &[6], BlockType::F16, &[1; 12])
        .tensor("q4", &[64, 2], BlockType::Q4_0, &[7; 4 * 18])
        .tensor("q8", &[32, 2, 2], BlockType::Q8_0, &[7; 4 * 34])
        .tensor("q5", &[32, 3], BlockType::Q5_1, &[7; 3 * 24])
        .tensor("q6_k", &[256, 2], BlockType::Q6K, &[7; 2 * 210])
        .to_bytes()
}

/// A way to damage a file.
#[derive(Clone, Debug)]
enum Damage {
    Byte(usize, u8),
    /// Replaces a length, count, dimension or offset by another number, possibly absurd. Fields
    /// start at any byte.
    U64(usize, u64),
    U32(usize, u32),
    Truncate(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let numbers = prop_oneof![
        any::<u64>(),
        (0u32..64).prop_map(|bit| 1 << bit),
        (0u32..64).prop_map(|bit| (1 << bit) - 1),
        0u64..200
    ];
    let at = 0usize..4096;
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (at.clone(), numbers).prop_map(|(at, number)| Damage::U64(at, number)),
        (at.clone(), 0u32..40).prop_map(|(at, number)| Damage::U32(at, number)),
        at.clone().prop_map(Damage::Truncate),
        (at.clone(), 1usize..40).prop_map(|(at, len)| Damage::Remove(at, len)),
        (at, 1usize..40).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

impl Damage {
    fn apply(&self, file: &mut Vec<u8>) {
        if file.is_empty() {
            return;
        }
        let len = file.len();
        let mut write = |at: usize, bytes: &[u8]| {
            for (i, byte) in bytes.iter().enumerate() {
                file[(at + i) % len] = *byte;
            }
        };
        match *self {
            Self::Byte(at, byte) => write(at, &[byte]),
            Self::U64(at, number) => write(at, &number.to_le_bytes()),
            Self::U32(at, number) => write(at, &number.to_le_bytes()),
            Self::Truncate(at) => file.truncate(at % len),
            Self::Remove(at, count) => drop(file.drain(at % len..(at % len + count).min(len))),
            Self::Repeat(at, count) => {
                let copy = file[at % len..(at % len + count).min(len)].to_vec();
                file.splice(at % len..at % len, copy);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn damaged_files_end_in_errors_and_bounded_memory(
        damages in proptest::collection::vec(damage(), 1..4),
        chunk in 1usize..2000,
    ) {
        let mut file = model();
        for damage in &damages {
            damage.apply(&mut file);
        }
        let (result, peak) = measured(&file, chunk);
        prop_assert!(peak <= allowed(file.len()), "{} bytes took {peak}", file.len());
        if let Err(error) = result {
            prop_assert!(!matches!(error, Error::Internal { .. }), "{error}");
        }
    }

    #[test]
    fn any_bytes_after_the_magic_give_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        pairs in 0u64..5,
    ) {
        let head = [b"GGUF".as_slice(), &3u32.to_le_bytes(), &1u64.to_le_bytes(), &pairs.to_le_bytes()].concat();
        let file = [head, bytes].concat();
        let (_, peak) = measured(&file, 64);
        prop_assert!(peak <= allowed(file.len()));
    }
}

/// Every number of a header enlarged, one at a time: at every place, to sizes near every limit.
#[test]
fn enlarged_counts_reserve_no_memory() {
    let file = model();
    for at in 4..file.len() - 8 {
        for number in
            [u64::MAX, 1 << 63, i64::MAX as u64, 1 << 60, 1 << 40, 1 << 32, u64::from(u32::MAX), 1 << 25, 1 << 20]
        {
            let mut file = file.clone();
            file[at..at + 8].copy_from_slice(&number.to_le_bytes());
            let (_, peak) = measured(&file, 1000);
            assert!(peak <= allowed(file.len()), "{number} at byte {at}: {} bytes took {peak}", file.len());
        }
    }
}

/// The header that takes most memory for its length: a vocabulary of empty strings. Weights are not
/// kept.
#[test]
fn memory_grows_with_the_header_and_not_with_the_weights() {
    let strings = GgufWriter::new().metadata("tokens", vec![String::new(); 200_000]).to_bytes();
    let (result, peak) = measured(&strings, 1 << 16);
    result.unwrap();
    assert!(peak <= 10 * strings.len(), "{} bytes took {peak}", strings.len());

    let cols = 256;
    let weights = vec![1; 4 * cols * 10_000]; // 10 MB
    let file = GgufWriter::new().tensor("w", &[cols as u64, 10_000], BlockType::F32, &weights).to_bytes();
    for chunk in [1000, 1 << 16, file.len()] {
        let (result, peak) = measured(&file, chunk);
        result.unwrap();
        assert!(peak <= 4 * cols + 4096, "chunks of {chunk} took {peak}");
    }
}

/// Bytes that a page gives the loader at once.
const PIECE: usize = 4 << 20;

/// Tokens of Llama 3.
const VOCAB: usize = 128_256;

/// What streaming takes at most, with the piece at hand.
const STREAMING: usize = 64 << 20;

/// Loads Llama 3.1 8B in Q4_K_M, cut after so many layers, into the memory of a GPU that forgets
/// what it is given. The file is a hole behind its header, with a vocabulary as large as the
/// model's. Returns its length, and the peaks of memory: up to the end of the header, and beyond
/// what was live then.
fn streamed(layers: usize) -> (u64, [usize; 2]) {
    let path = std::env::temp_dir().join(format!("weft-{}-{layers}.gguf", std::process::id()));
    let mut keep = Keep::default();
    let header = synthetic::named("llama-8b").unwrap().with_layers(layers).header(Mixture::Q4KM);
    GgufReader::new().feed(&header, &mut keep).unwrap();
    let Header { mut metadata, tensors, .. } = keep.0.remove(0);
    let tokens: Vec<String> = ["<unk>", "<s>", "</s>"]
        .map(String::from)
        .into_iter()
        .chain((0..256).map(|byte| format!("<0x{byte:02X}>")))
        .chain((259..VOCAB).map(|id| format!("token{id:06}")))
        .collect();
    let types: Vec<i32> = [2, 3, 3].into_iter().chain([6; 256]).chain([1].repeat(VOCAB - 259)).collect();
    metadata.insert("tokenizer.ggml.model", "llama");
    metadata.insert("tokenizer.ggml.tokens", Value::from(tokens));
    metadata.insert("tokenizer.ggml.scores", vec![0f32; VOCAB]);
    metadata.insert("tokenizer.ggml.token_type", types);
    GgufFile::create(File::create(&path).unwrap(), "a file", &metadata, &tensors).unwrap().finish().unwrap();
    drop((metadata, tensors, header));

    let mut file = File::open(&path).unwrap();
    remove_file(&path).unwrap();
    let bytes = file.metadata().unwrap().len();
    let before = LIVE.get();
    PEAK.set(before);
    let mut memory = Planned::new(profiles::named("core").unwrap().variants, 128 << 20);
    let (mut loader, mut piece) = (TensorLoader::new(None), vec![0; PIECE]);
    let mut of_header = None;
    loop {
        let read = file.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        loader.feed(&mut memory, &piece[..read]).unwrap();
        if of_header.is_none() && loader.network().is_some() {
            of_header = Some((PEAK.get() - before, LIVE.get()));
            PEAK.set(LIVE.get());
        }
    }
    let (header, live) = of_header.unwrap();
    let peaks = [header as usize, (PEAK.get() - live) as usize];
    loader.finish().unwrap();
    // norms and factors of RoPE are values, and every matrix is whole
    assert_eq!(memory.written(), memory.memory_bytes());
    (bytes, peaks)
}

fn check_streaming(layers: usize, least_bytes: u64) {
    let (bytes, [header, weights]) = streamed(layers);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    println!("{bytes} bytes: {:.1} MiB with the header, then {:.1} MiB more", mib(header), mib(weights));
    assert!(bytes >= least_bytes, "{bytes}");
    assert!(weights <= STREAMING, "{weights} bytes");
}

#[test]
fn weights_of_a_large_file_pass_through() {
    check_streaming(1, 800_000_000);
}

/// For minutes in a debug build.
#[test]
#[ignore = "reads 5 GB"]
fn weights_of_a_file_of_5_gb_pass_through() {
    check_streaming(32, 4_900_000_000);
}
