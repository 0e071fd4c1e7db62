//! The reader on files that other programs wrote.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use weft_llm::Result;
use weft_llm::format::{
    Array, BlockType, GgufReader, Header, Layout, Planes, Sink, TensorInfo, Value, dequantize_row, quantize_row, repack,
};

/// Collects every tensor, decoded to f32.
#[derive(Default)]
struct Decoded {
    header: Option<Header>,
    /// Name, block type and values.
    tensors: Vec<(String, BlockType, Vec<f32>)>,
}

impl Sink for Decoded {
    fn header(&mut self, header: Header) -> Result<()> {
        self.header = Some(header);
        Ok(())
    }

    fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
        if first_row == 0 {
            self.tensors.push((tensor.name.clone(), tensor.block, Vec::new()));
        }
        let layout = Layout::for_block(tensor.block);
        let values = &mut self.tensors.last_mut().unwrap().2;
        let mut out = vec![f32::NAN; tensor.cols()];
        for row in rows.chunks_exact(tensor.row_bytes()) {
            let mut planes = Planes::default();
            repack(tensor.block, tensor.cols(), row, &mut planes);
            dequantize_row(layout, &planes.quants, &planes.scales, &mut out);
            values.extend_from_slice(&out);
        }
        Ok(())
    }
}

/// Reads `file` and compares its values with `expected`, little-endian f32. Returns the types of
/// its tensors.
fn compare(file: &[u8], expected: &[u8]) -> Vec<BlockType> {
    let mut decoded = Decoded::default();
    let mut reader = GgufReader::new();
    reader.feed(file, &mut decoded).unwrap();
    reader.finish().unwrap();
    assert_eq!(reader.total_bytes(), Some(file.len() as u64));
    let mut expected = expected.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    for (name, _, values) in &decoded.tensors {
        for (i, value) in values.iter().enumerate() {
            let expected = expected.next().unwrap();
            // equal bits, except for the sign of a zero (weft decodes Q4_0 as d · q − 8 d) and for
            // NaN and infinity
            let equal = *value == expected || !value.is_finite() && !expected.is_finite();
            assert!(equal, "{name}[{i}]: {value} != {expected}");
        }
    }
    assert_eq!(expected.next(), None);
    decoded.tensors.iter().map(|(_, block, _)| *block).collect()
}

#[test]
fn quantised_values_decode_as_in_gguf_py() {
    compare(include_bytes!("fixtures/block_types.gguf"), include_bytes!("fixtures/block_types.f32"));
}

#[test]
fn random_blocks_decode_as_in_gguf_py() {
    let blocks = compare(include_bytes!("fixtures/formats/blocks.gguf"), include_bytes!("fixtures/formats/blocks.f32"));
    for block in BlockType::ALL.into_iter().filter(|block| block.block_len() > 1) {
        assert!(blocks.contains(&block), "{}", block.name());
    }
}

#[test]
fn values_are_quantised_as_in_gguf_py() {
    let floats = include_bytes!("fixtures/formats/quantized.f32").as_chunks::<4>().0;
    let values: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut expected = include_bytes!("fixtures/formats/quantized.bin").as_slice();
    for block in [BlockType::Q8_0, BlockType::Q4_0, BlockType::Q4_1, BlockType::Q5_0, BlockType::Q5_1] {
        for (i, values) in values.chunks_exact(96).enumerate() {
            let mut quantized = Vec::new();
            quantize_row(block, values, &mut quantized);
            let (row, rest) = expected.split_at(block.row_bytes(96));
            assert_eq!(quantized, row, "row {i} in {}", block.name());
            expected = rest;
        }
    }
    assert!(expected.is_empty());
}

#[test]
fn metadata_of_every_type_is_read() {
    let mut decoded = Decoded::default();
    GgufReader::new().feed(include_bytes!("fixtures/block_types.gguf"), &mut decoded).unwrap();
    let header = decoded.header.unwrap();
    let expected: [(&str, Value); 16] = [
        ("test.u8", 200u8.into()),
        ("test.i8", (-100i8).into()),
        ("test.u16", 60000u16.into()),
        ("test.i16", (-30000i16).into()),
        ("test.u32", 4_000_000_000u32.into()),
        ("test.i32", (-2_000_000_000i32).into()),
        ("test.u64", (1u64 << 63).into()),
        ("test.i64", (-(1i64 << 62)).into()),
        ("test.f32", 0.1f32.into()),
        ("test.f64", 0.1f64.into()),
        ("test.bool", true.into()),
        ("test.string", "Grüße, 世界".into()),
        ("test.strings", vec!["a".to_owned(), String::new(), "ẞ".to_owned()].into()),
        ("test.i32s", vec![1, -2, 3].into()),
        ("test.f32s", vec![0.5f32, -1.5].into()),
        ("test.bools", Array::Bools(vec![true, false]).into()),
    ];
    for (key, value) in expected {
        assert_eq!(header.metadata.get(key), Some(&value), "{key}");
    }
    assert_eq!((header.version, header.alignment), (3, 32));
}

/// Counts tensors and bytes of a published model.
#[test]
#[ignore = "needs the model: `npm test` fetches it and runs this"]
fn a_real_model_is_read_completely() {
    #[derive(Default)]
    struct Count {
        expected: Vec<(String, u64)>,
        got: Vec<(String, u64)>,
    }
    impl Sink for Count {
        fn header(&mut self, header: Header) -> Result<()> {
            self.expected.extend(header.tensors.iter().map(|tensor| (tensor.name.clone(), tensor.bytes())));
            Ok(())
        }
        fn rows(&mut self, tensor: &TensorInfo, first_row: usize, rows: &[u8]) -> Result<()> {
            if first_row == 0 {
                self.got.push((tensor.name.clone(), 0));
            }
            let (_, bytes) = self.got.last_mut().unwrap();
            assert_eq!(*bytes, (first_row * tensor.row_bytes()) as u64);
            *bytes += rows.len() as u64;
            Ok(())
        }
    }
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/SmolLM2-135M-Instruct.Q4_1.gguf")).unwrap();
    for chunk in [1 << 16, 1001] {
        let mut count = Count::default();
        let mut reader = GgufReader::new();
        for chunk in file.chunks(chunk) {
            reader.feed(chunk, &mut count).unwrap();
        }
        reader.finish().unwrap();
        assert_eq!(count.got, count.expected);
        assert_eq!(reader.total_bytes(), Some(file.len() as u64));
    }
}
