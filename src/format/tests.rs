//! The reader on files of the writer: any chunks, shards, and all errors.

use proptest::prelude::*;

use super::*;
use crate::{Error, Result};

/// All calls that a reader made.
#[derive(Debug, Default, PartialEq)]
struct Calls {
    headers: Vec<Header>,
    /// Name and bytes of each tensor, its calls joined.
    tensors: Vec<(String, Vec<u8>)>,
    /// Number of calls of `rows`.
    calls: usize,
}

impl Sink for Calls {
    fn header(&mut self, header: Header) -> Result<()> {
        self.headers.push(header);
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        if first_row == 0 {
            self.tensors.push((tensor.name.clone(), Vec::new()));
        }
        let (name, bytes) = self.tensors.last_mut().unwrap();
        assert_eq!((&*name, bytes.len()), (&tensor.name, first_row * tensor.row_bytes()), "rows come in order");
        assert!(!rows.is_empty() && rows.len().is_multiple_of(tensor.row_bytes()), "rows come whole");
        bytes.extend_from_slice(rows);
        self.calls += 1;
        Ok(())
    }
}

/// Reads a file in chunks.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Calls> {
    let mut calls = Calls::default();
    let mut reader = GgufReader::new();
    for chunk in chunks {
        reader.feed(chunk, &mut calls)?;
    }
    reader.finish()?;
    Ok(calls)
}

/// The error message for `file`.
fn error(file: &[u8]) -> String {
    read([file]).unwrap_err().to_string()
}

/// Rows of 4 · 3 f32 and 2 · 32 Q4_1 values, each padded, and metadata with arrays.
fn small() -> GgufWriter {
    GgufWriter::new()
        .metadata("general.architecture", "llama")
        .metadata("tokens", vec!["a".to_owned(), "bc".to_owned(), String::new()])
        .metadata("scores", vec![1.0f32, 2.0])
        .metadata("none", Array::Bools(Vec::new()))
        .metadata("flags", Array::Bools(vec![true]))
        .tensor_f32("norm", &[3, 4], &[1.0; 12])
        .tensor("q", &[32, 1, 2], BlockType::Q4_1, &(0..40).collect::<Vec<u8>>())
}

#[test]
fn written_files_read_back() {
    let calls = read([small().to_bytes().as_slice()]).unwrap();
    let [header] = calls.headers.as_slice() else { panic!("one header") };
    assert_eq!(header.metadata.str("general.architecture").unwrap(), "llama");
    assert_eq!(header.metadata.strings("tokens").unwrap(), ["a", "bc", ""]);
    assert_eq!(header.metadata.f32s("scores").unwrap(), [1.0, 2.0].as_slice());
    assert_eq!(header.metadata.get("none"), Some(&Array::Bools(vec![]).into()));
    assert_eq!(header.file_bytes, small().to_bytes().len() as u64);
    assert_eq!((header.tensors[1].cols(), header.tensors[1].rows(), header.tensors[1].offset), (32, 2, 64));
    assert_eq!(calls.tensors[1], ("q".to_owned(), (0..40).collect()));
    assert_eq!(calls.calls, 2, "a tensor in one chunk comes in one call");
}

#[test]
fn every_alignment_and_version_2_are_read() {
    for alignment in [8, 32, 256, 65536] {
        let writer = GgufWriter::new().version(2).alignment(alignment).tensor_f32("a", &[3], &[1.0; 3]);
        let file = writer.tensor_f32("b", &[1], &[2.0]).to_bytes();
        let calls = read([file.as_slice()]).unwrap();
        assert_eq!(calls.headers[0].tensors[1].offset, u64::from(alignment).max(16));
        assert_eq!(calls.tensors[1].1, 2.0f32.to_le_bytes());
    }
}

#[test]
fn tensors_come_in_the_order_of_their_data() {
    let mut file = GgufWriter::new().tensor_f32("a", &[8], &[1.0; 8]).tensor_f32("b", &[8], &[2.0; 8]).to_bytes();
    // swap the offsets 0 and 32: a description is length, name, n_dims, dims, type, offset
    let (first, second) = (24 + 8 + 1 + 4 + 8 + 4, 24 + 33 + 8 + 1 + 4 + 8 + 4);
    (file[first], file[second]) = (32, 0);
    let calls = read([file.as_slice()]).unwrap();
    let names: Vec<_> = calls.tensors.iter().map(|(name, bytes)| (name.as_str(), bytes[3])).collect();
    assert_eq!(names, [("b", 0x3f), ("a", 0x40)]);
}

#[test]
fn every_truncation_is_reported() {
    let file = small().to_bytes();
    let last_byte = file.len() - 24; // 40 bytes of `q`, padded to 64
    for len in 0..last_byte {
        match read([&file[..len]]).unwrap_err() {
            Error::TruncatedFile { field, needed, got } => {
                assert!(needed > got && !field.is_empty(), "{len}: {field} {needed} {got}");
            }
            other => panic!("{len}: {other}"),
        }
    }
    for len in last_byte..=file.len() {
        read([&file[..len]]).unwrap();
    }
    assert!(error(&file[..last_byte - 3]).contains("tensor `q` has 40 bytes, and 37 came"));
    assert!(error(&file[..130]).contains("metadata"), "{}", error(&file[..130]));
    assert!(error(&file[..280]).contains("description of tensor `q`"), "{}", error(&file[..280]));
    assert!(GgufReader::new().finish().unwrap_err().to_string().contains("has 24 bytes, and 0 came"));
}

#[test]
fn a_failed_reader_stays_failed() {
    let mut reader = GgufReader::new();
    let first = reader.feed(b"not a model at all, whatever", &mut Calls::default()).unwrap_err().to_string();
    let again = reader.feed(&small().to_bytes(), &mut Calls::default()).unwrap_err().to_string();
    assert_eq!((&again, &reader.finish().unwrap_err().to_string()), (&first, &first));
}

#[test]
fn other_files_are_recognised() {
    for (start, expected) in [
        (b"<!DOCTYPE html><html lang=en>".as_slice(), "web page"),
        (b"\n <html>", "web page"),
        (b"PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ZIP"),
        (b"\x60\x12\0\0\0\0\0\0{\"__metadata__\":{}}", "safetensors"),
        (b"tjgg\x03\0\0\0aaaaaaaaaaaaaaaaaaaaaaaaa", "before GGUF"),
        (b"lmgg", "before GGUF"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS"),
        (b"{\"error\":\"not found\"}", "JSON"),
        (b"\x1f\x8baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "compressed"),
        (b"\0\0\0\0", "another kind of file"),
    ] {
        let message = error(start);
        assert!(message.contains("magic") && message.contains(expected), "{message}");
    }
    assert!(error(&GgufWriter::new().version(1).to_bytes()).contains("`1`; weft runs versions 2 and 3"));
    assert!(error(&GgufWriter::new().version(3 << 24).to_bytes()).contains("`3, big-endian`"));
}

/// `file` with `bytes` overwritten at `at`.
fn patched(mut file: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn a_tensor_without_dimensions_is_a_number() {
    let file = GgufWriter::new().tensor_f32("blk.0.attn_q.scale", &[], &[0.5]).to_bytes();
    let calls = read([file.as_slice()]).unwrap();
    assert_eq!(calls.headers[0].tensors[0].dims, [1]);
    assert_eq!(calls.tensors[0].1, 0.5f32.to_le_bytes());
}

#[test]
fn wrong_fields_are_named() {
    let huge = (1u64 << 60).to_le_bytes();
    let one_pair = |value: Value| GgufWriter::new().metadata("key", value).to_bytes();
    let value = 24 + 8 + 3 + 4; // where the value of `key` begins
    let one_tensor = |dims: &[u64]| GgufWriter::new().tensor_f32("t", dims, &[0.0; 8]).to_bytes();
    // position of the number of dimensions of `t`; dimension, type and offset follow
    let n_dims = 24 + 8 + 1;
    let strings = || one_pair(vec!["a".to_owned()].into());
    for (file, expected) in [
        (patched(one_pair(1u8.into()), 8, &huge), "tensor_count: expected a header of at most"),
        (patched(one_pair(1u8.into()), 16, &huge), "metadata_kv_count: expected a header of at most"),
        (patched(one_pair(1u8.into()), 24, &huge), "key of metadata pair 1: expected 1 to 65535 bytes"),
        (patched(one_pair(1u8.into()), 24, &[0]), "key of metadata pair 1: expected 1 to 65535 bytes, got 0"),
        (patched(one_pair(1u8.into()), 32, &[0xff]), "key of metadata pair 1: expected UTF-8 text, got the byte 0xff"),
        (patched(one_pair(1u8.into()), value - 4, &[13]), "`key`: expected a value type from 0 to 12, got 13"),
        (patched(one_pair(true.into()), value, &[2]), "`key`: expected a bool, 0 or 1, got 2"),
        (patched(one_pair("text".into()), value, &huge), "metadata key `key`: expected a header of at most"),
        (patched(one_pair("text".into()), value + 9, &[0xff]), "`key`: expected UTF-8 text, got the byte 0xff at 1"),
        (patched(strings(), value, &[9]), "`key`: expected an array of numbers, bools or strings, got arrays"),
        (patched(strings(), value + 4, &huge), "`key`: expected a header of at most"),
        (patched(strings(), value + 12, &huge), "`key`, element 1 of 1: expected a header of at most"),
        (patched(strings(), value + 20, &[0xc3]), "`key`, element 1: expected UTF-8 text"),
        (one_tensor(&[1; 5]), "n_dims of tensor `t`: expected 0 to 4, got 5"),
        (one_tensor(&[8, 0]), "dimensions of tensor `t`: expected no dimension of 0, got [8, 0]"),
        (one_tensor(&[1 << 40]), "dimensions of tensor `t`: expected rows of at most"),
        (one_tensor(&[u64::MAX]), "dimensions of tensor `t`: expected rows of at most"),
        (one_tensor(&[1, 1 << 33, 1 << 33]), "dimensions of tensor `t`: expected a tensor that"),
        (one_tensor(&[1, 1 << 62]), "dimensions of tensor `t`: expected a tensor that"),
        (one_tensor(&[1, 1 << 61]), "end of tensor `t`: expected less than 2^63 bytes"),
        (patched(one_tensor(&[8]), n_dims + 12, &[8]), "`t`: expected rows of whole Q8_0 blocks of 32, got [8]"),
        (patched(one_tensor(&[96]), n_dims + 12, &[12]), "`t`: expected rows of whole Q4_K blocks of 256, got [96]"),
        (patched(one_tensor(&[8]), n_dims + 12, &[15]), "`t` is stored as Q8_K, which weft cannot read; it reads"),
        (patched(one_tensor(&[8]), n_dims + 12, &[9]), "Use another quantisation of the model, such as Q4_K_M or"),
        (patched(one_tensor(&[8]), n_dims + 16, &[32]), "offset of tensor `t`: expected 0"),
        (patched(one_tensor(&[8]), n_dims + 16, &[0xff; 8]), "offset of tensor `t`: expected 0"),
        (one_pair(1u8.into()).into_iter().chain([0]).collect(), "end of the file: expected nothing after"),
        ([small().to_bytes(), small().to_bytes()].concat(), "end of the file: expected nothing after"),
    ] {
        let message = error(&file);
        assert!(message.contains(expected), "`{message}` does not contain `{expected}`");
    }
    for alignment in [0u32, 4, 48, 1 << 20] {
        let file = GgufWriter::new().metadata("general.alignment", alignment).to_bytes();
        assert!(error(&file).contains("general.alignment: expected a power of two"));
    }
    let twice = GgufWriter::new().metadata("a", 1u8).metadata("b", 2u8).to_bytes();
    assert!(error(&patched(twice, 24 + 14 + 8, b"a")).contains("metadata key `a`: expected each key once"));
    let twice = GgufWriter::new().tensor_f32("a", &[8], &[0.0; 8]).tensor_f32("a", &[8], &[0.0; 8]);
    assert!(error(&twice.to_bytes()).contains("tensor `a`: expected each tensor once"));
}

/// Shard `number` of `count`, with one tensor of its own.
fn shard(number: u16, count: u16, total: i32) -> Vec<u8> {
    GgufWriter::new()
        .metadata("split.no", number)
        .metadata("split.count", count)
        .metadata("split.tensors.count", total)
        .tensor_f32(&format!("t{number}"), &[3], &[f32::from(number); 3])
        .to_bytes()
}

#[test]
fn shards_come_as_one_stream() {
    let stream: Vec<u8> = (0..3).flat_map(|number| shard(number, 3, 3)).collect();
    let calls = read(stream.chunks(7)).unwrap();
    assert_eq!(calls.headers.len(), 3);
    let names: Vec<_> = calls.tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["t0", "t1", "t2"]);

    let mut reader = GgufReader::new();
    let (early, late) = stream.split_at(stream.len() / 2);
    let mut calls = Calls::default();
    reader.feed(early, &mut calls).unwrap();
    assert_eq!(reader.total_bytes(), None, "the last shard's header has not come");
    reader.feed(late, &mut calls).unwrap();
    assert_eq!(reader.total_bytes(), Some(stream.len() as u64));

    // a shard without the padding at its end (12 bytes of weights, 20 of padding)
    let unpadded = [&shard(0, 2, 2)[..shard(0, 2, 2).len() - 20], &shard(1, 2, 2)].concat();
    read([unpadded.as_slice()]).unwrap();
}

#[test]
fn wrong_shards_are_refused() {
    assert!(error(&shard(0, 2, 2)).contains("split.count: expected all 2 files of the model, in order, got 1"));
    assert!(error(&shard(1, 2, 2)).contains("split.no: expected 0: give all 2 files of the model, in order, got 1"));
    assert!(error(&[shard(0, 2, 2), shard(0, 2, 2)].concat()).contains("split.no: expected 1"));
    assert!(error(&[shard(0, 2, 2), shard(1, 3, 2)].concat()).contains("split.count: expected 2"));
    assert!(
        error(&[shard(0, 2, 5), shard(1, 2, 5)].concat()).contains("split.tensors.count: expected 2 tensors, got 5")
    );
    assert!(error(&[shard(0, 2, 2), b"<html>".to_vec()].concat()).contains("web page"));
    assert!(error(&[shard(0, 2, 2), vec![0; 40]].concat()).contains("magic"));
}

#[test]
fn a_sink_can_stop_the_reader() {
    struct Full;
    impl Sink for Full {
        fn header(&mut self, _: Header) -> Result<()> {
            Ok(())
        }
        fn rows(&mut self, tensor: &TensorInfo, _: usize, _: &[u8]) -> Result<()> {
            Err(Error::OutOfMemory { what: tensor.name.clone(), needed: tensor.bytes(), limit: "none left".into() })
        }
    }
    let error = GgufReader::new().feed(&small().to_bytes(), &mut Full).unwrap_err();
    assert_eq!(error.code(), "OUT_OF_MEMORY");
}

proptest! {
    /// Chunks of any size, single bytes and empty ones included, give the same.
    #[test]
    fn chunks_of_any_size_give_the_same(cuts in proptest::collection::vec(0usize..700, 0..40), single in any::<bool>()) {
        let stream = [shard(0, 2, 4).as_slice(), &{
            let second = small().metadata("split.no", 1u8).metadata("split.count", 2u8);
            second.tensor_f32("last", &[1], &[0.0]).to_bytes()
        }].concat();
        let whole = read([stream.as_slice()]).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = match single {
            true => stream.chunks(1).collect(),
            false => cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect(),
        };
        let cut = read(chunks).unwrap();
        prop_assert_eq!((cut.headers, cut.tensors), (whole.headers, whole.tensors));
    }
}
