//! Several sequences of one model: their rows in one step, and their blocks of the KV cache.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::support;

use pollster::block_on;
use support::tiny::{HEAD_DIM, KV_HEADS, LAYERS, Tiny, VOCAB};
use support::{Rng, gpu, gpu_with, read, small_gpu, variant_sets};
use weft_llm::engine::cpu::Simd;
use weft_llm::engine::gpu::GpuEngine;
use weft_llm::engine::host::{HostEngine, Kernels, Reference};
use weft_llm::engine::{Engine, ProgramId};
use weft_llm::format::BlockType;
use weft_llm::model::decoder::{Activations, activations};
use weft_llm::model::kv_cache::{Blocks, KvPool};
use weft_llm::model::{Decoder, Network, TensorLoader};
use weft_llm::ops::Recording;
use weft_llm::record::{KV_BLOCK, KvFormat, Memory, Row, Step, Tensor, rows};
use weft_llm::sampling::{Sampler, SamplingOptions};
use weft_llm::{Error, Result};

/// Rows of a step that holds a chunk of a prompt, or several sequences.
const CHUNK: usize = 32;

/// Bytes that a block takes in all layers.
const BLOCK_BYTES: u64 = (LAYERS * 2 * KV_HEADS * KV_BLOCK * HEAD_DIM * size_of::<f32>()) as u64;

/// A GPU that has no room for a layer's keys and values of a context in one buffer.
fn in_parts() -> GpuEngine {
    small_gpu(200 << 10)
}

struct Model<E> {
    engine: E,
    kv: KvPool,
    decoder: Decoder,
    /// A row → its logits.
    decode: Program,
    /// Up to [`CHUNK`] rows → the logits of each.
    chunk: Program,
}

#[derive(Clone)]
struct Program {
    id: ProgramId,
    scratch: Activations,
    logits: Tensor,
}

struct Sequence {
    blocks: Blocks,
    length: usize,
}

impl<E: Engine> Model<E> {
    fn new(mut engine: E) -> Self {
        let tiny = Tiny::new(7, |_| BlockType::Q8_0).meta("llama.context_length", 1024u32);
        let mut loader = TensorLoader::new(None);
        loader.feed(&mut engine, &tiny.bytes()).unwrap();
        let Network::Decoder(decoder) = loader.finish().unwrap().network else { panic!("a decoder") };
        let kv = KvPool::new(&mut engine, &decoder.config, LAYERS, KvFormat::F32, decoder.context).unwrap();
        let mut program = |rows| {
            let scratch = Activations::new(&mut engine, &decoder, rows).unwrap();
            let logits = activations(&mut engine, rows, VOCAB).unwrap();
            let id = engine.prepare(recording(&decoder, &kv, &scratch, logits)).unwrap();
            Program { id, scratch, logits }
        };
        let (decode, chunk) = (program(1), program(CHUNK));
        Self { engine, kv, decoder: *decoder, decode, chunk }
    }

    /// Computes the next tokens of each sequence in one step of `program`; returns the logits of
    /// every row.
    fn step(&mut self, program: &Program, parts: &mut [(&mut Sequence, &[u32])]) -> Result<Vec<Vec<f32>>> {
        let mut all: Vec<Row> = Vec::new();
        for (i, (sequence, ids)) in parts.iter_mut().enumerate() {
            let positions = sequence.length..sequence.length + ids.len();
            block_on(self.kv.grow(&mut self.engine, &mut sequence.blocks, positions))?;
            all.extend(rows(i, sequence.length, ids));
            sequence.length += ids.len();
        }
        let tables: Vec<&[u32]> = parts.iter().map(|(sequence, _)| sequence.blocks.table()).collect();
        program.scratch.write_angles(&mut self.engine, &self.decoder, &all)?;
        self.engine.run(program.id, &Step::new(&all, &tables))?;
        let values = read(&mut self.engine, program.logits.buffer, all.len() * VOCAB);
        Ok(values.chunks(VOCAB).map(<[f32]>::to_vec).collect())
    }

    /// Computes the next tokens of a sequence chunk by chunk, like a prompt. Returns the logits of
    /// the last.
    fn read(&mut self, sequence: &mut Sequence, ids: &[u32]) -> Result<Vec<f32>> {
        let mut last = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            last = self.step(&self.chunk.clone(), &mut [(sequence, chunk)])?.pop().unwrap();
        }
        Ok(last)
    }

    fn decode(&mut self, sequence: &mut Sequence, id: u32) -> Result<Vec<f32>> {
        Ok(self.step(&self.decode.clone(), &mut [(sequence, &[id])])?.remove(0))
    }

    fn sequence(&self) -> Sequence {
        Sequence { blocks: self.kv.sequence(), length: 0 }
    }

    fn fork(&self, sequence: &Sequence, length: usize) -> Sequence {
        Sequence { blocks: sequence.blocks.fork(length), length }
    }

    /// Ends a sequence.
    fn end(&mut self, sequence: Sequence) {
        drop(sequence);
        block_on(self.kv.trim(&mut self.engine)).unwrap();
    }
}

fn recording(decoder: &Decoder, kv: &KvPool, scratch: &Activations, logits: Tensor) -> Recording {
    let mut recording = Recording::default();
    decoder.record_layers(&mut recording, kv, scratch).unwrap();
    decoder.record_logits(&mut recording, scratch, logits).unwrap();
    recording
}

/// A prompt, and how its answer is sampled.
struct Talk {
    prompt: Vec<u32>,
    sampler: Sampler,
    answer: Vec<u32>,
}

impl Talk {
    /// A long prompt that is answered greedily, and a short one whose answer is drawn with a seed.
    fn two() -> [Self; 2] {
        let talk = |length, options, seed| Self {
            prompt: Rng::new(seed).ids(length, VOCAB),
            sampler: Sampler::new(options, seed).unwrap(),
            answer: Vec::new(),
        };
        [talk(100, SamplingOptions::greedy(), 1), talk(9, SamplingOptions::default(), 2)]
    }

    fn draw(&mut self, logits: &[f32]) {
        let said = [self.prompt.clone(), self.answer.clone()].concat();
        self.answer.push(self.sampler.sample(logits, &said).unwrap());
    }

    fn last(&self) -> u32 {
        *self.answer.last().unwrap()
    }
}

const ANSWER: usize = 40;

fn answers(talks: [Talk; 2]) -> [Vec<u32>; 2] {
    talks.map(|talk| talk.answer)
}

fn alone<E: Engine>(model: &mut Model<E>) -> [Vec<u32>; 2] {
    let mut talks = Talk::two();
    for talk in &mut talks {
        let mut sequence = model.sequence();
        talk.draw(&model.read(&mut sequence, &talk.prompt).unwrap());
        while talk.answer.len() < ANSWER {
            talk.draw(&model.decode(&mut sequence, talk.last()).unwrap());
        }
        model.end(sequence);
    }
    answers(talks)
}

fn in_turns<E: Engine>(model: &mut Model<E>) -> [Vec<u32>; 2] {
    let mut talks = Talk::two();
    let mut sequences = [model.sequence(), model.sequence()];
    for (talk, sequence) in talks.iter_mut().zip(&mut sequences) {
        talk.draw(&model.read(sequence, &talk.prompt).unwrap());
    }
    while talks[1].answer.len() < ANSWER {
        for (talk, sequence) in talks.iter_mut().zip(&mut sequences) {
            talk.draw(&model.decode(sequence, talk.last()).unwrap());
        }
    }
    sequences.into_iter().for_each(|sequence| model.end(sequence));
    answers(talks)
}

/// The second prompt shares a step with decode rows of the first sequence, and both are decoded in
/// one step.
fn together<E: Engine>(model: &mut Model<E>) -> [Vec<u32>; 2] {
    let mut talks = Talk::two();
    let [first, second] = &mut talks;
    let (mut a, mut b) = (model.sequence(), model.sequence());
    first.draw(&model.read(&mut a, &first.prompt).unwrap());
    let mut prompt = second.prompt.chunks(4);
    let mut last = Vec::new();
    for part in prompt.by_ref() {
        let logits = model.step(&model.chunk.clone(), &mut [(&mut b, part), (&mut a, &[first.last()])]).unwrap();
        first.draw(&logits[part.len()]);
        last = logits[part.len() - 1].clone();
    }
    second.draw(&last);
    while second.answer.len() < ANSWER {
        let ids = [[first.last()], [second.last()]];
        let logits = model.step(&model.chunk.clone(), &mut [(&mut a, &ids[0]), (&mut b, &ids[1])]).unwrap();
        first.draw(&logits[0]);
        second.draw(&logits[1]);
    }
    first.answer.truncate(ANSWER);
    model.end(a);
    model.end(b);
    answers(talks)
}

fn say_the_same<E: Engine>(engine: E) -> [Vec<u32>; 2] {
    let mut model = Model::new(engine);
    let expected = alone(&mut model);
    let (mut turns, together) = (in_turns(&mut model), together(&mut model));
    turns[0].truncate(ANSWER);
    assert_eq!(turns, expected, "in turns");
    assert_eq!(together, expected, "in one step");
    assert_eq!(model.kv.held(), 0);
    expected
}

#[test]
fn sequences_in_turns_and_in_one_step_answer_as_each_alone() {
    let expected = say_the_same(HostEngine::new(Reference));
    assert_eq!(say_the_same(gpu()), expected);
    assert_eq!(say_the_same(in_parts()), expected);
    // rounds its activations
    say_the_same(HostEngine::new(Simd::default()));
}

/// The logits of three rows of a sequence of 90 tokens: alone, or between rows of two other
/// sequences.
fn rows_in_company<E: Engine>(engine: E) {
    let mut model = Model::new(engine);
    let ids = Rng::new(3).ids(90, VOCAB);
    let mut logits = Vec::new();
    for in_company in [false, true] {
        let mut sequences = [model.sequence(), model.sequence(), model.sequence()];
        let [a, b, c] = &mut sequences;
        model.read(b, &ids[..87]).unwrap();
        if in_company {
            model.read(a, &ids[5..70]).unwrap();
            let parts = &mut [(&mut *a, &ids[8..9]), (&mut *b, &ids[87..]), (&mut *c, &ids[3..20])];
            logits.push(model.step(&model.chunk.clone(), parts).unwrap()[1..4].to_vec());
        } else {
            logits.push(model.step(&model.chunk.clone(), &mut [(b, &ids[87..])]).unwrap());
        }
        sequences.into_iter().for_each(|sequence| model.end(sequence));
    }
    assert!(logits[0] == logits[1], "{}", model.engine.info().description);
}

#[test]
fn a_row_has_the_same_bits_beside_any_other_rows() {
    rows_in_company(HostEngine::new(Reference));
    rows_in_company(HostEngine::new(Simd::default()));
    for variants in variant_sets().into_iter().take(4) {
        rows_in_company(gpu_with(variants));
    }
}

fn forks<E: Engine>(engine: E) {
    let mut model = Model::new(engine);
    let ids = Rng::new(4).ids(510, VOCAB);
    for length in [1, 63, 64, 65, 500] {
        let [mut first, mut fresh] = [model.sequence(), model.sequence()];
        model.read(&mut first, &ids[..length]).unwrap();
        let held = model.kv.held();
        let mut second = model.fork(&first, length);
        assert_eq!(model.kv.held(), held, "a fork takes no block");
        // both go on, each in its own way, the first into the block that the second still holds
        let continued = [[9, 200, 31], [77, 9, 4]];
        let first_says = model.read(&mut first, &continued[0]).unwrap();
        let second_says = model.read(&mut second, &continued[1]).unwrap();
        // full blocks are shared, and of the last one each has its own
        let before = length / KV_BLOCK;
        assert_eq!(model.kv.held(), 2 * (length + 3).div_ceil(KV_BLOCK) - before);
        assert_eq!(first.blocks.table()[..before], second.blocks.table()[..before]);
        for (says, continued) in [(first_says, continued[0]), (second_says, continued[1])] {
            model.read(&mut fresh, &ids[..length]).unwrap();
            assert!(says == model.read(&mut fresh, &continued).unwrap(), "a fork after {length} tokens");
            fresh.blocks.truncate(0);
            fresh.length = 0;
        }
        [first, second, fresh].into_iter().for_each(|sequence| model.end(sequence));
        assert_eq!(model.kv.held(), 0);
    }
}

#[test]
fn forks_share_blocks_until_one_writes() {
    forks(HostEngine::new(Reference));
    forks(HostEngine::new(Simd::default()));
    forks(gpu());
    forks(in_parts());
}

fn come_and_go<E: Engine>(engine: E) {
    let mut model = Model::new(engine);
    let mut rng = Rng::new(5);
    let ids = rng.ids(200, VOCAB);
    let mut resident = model.sequence();
    model.read(&mut resident, &ids[..70]).unwrap();
    let before = model.engine.memory_bytes();
    let mut open: Vec<Sequence> = Vec::new();
    for i in 0..200 {
        let mut sequence = match i % 3 {
            0 => model.fork(&resident, 1 + rng.below(70)),
            _ => model.sequence(),
        };
        model.read(&mut sequence, &ids[..1 + rng.below(150)]).unwrap();
        open.push(sequence);
        if open.len() == 4 {
            let ended = open.remove(rng.below(4));
            model.end(ended);
        }
    }
    assert!(model.engine.memory_bytes() > before);
    open.into_iter().for_each(|sequence| model.end(sequence));
    assert_eq!((model.engine.memory_bytes(), model.kv.held()), (before, 2));
    let mut fresh = model.sequence();
    model.read(&mut fresh, &ids[..70]).unwrap();
    assert!(model.decode(&mut resident, 9).unwrap() == model.decode(&mut fresh, 9).unwrap(), "the resident's blocks");
}

#[test]
fn two_hundred_sequences_give_back_their_memory() {
    come_and_go(HostEngine::new(Simd::default()));
    come_and_go(gpu());
    come_and_go(in_parts());
}

/// A chat of 300 tokens takes the same memory in a context of any length.
#[test]
fn a_sequence_takes_memory_for_its_tokens_alone() {
    let mut model = Model::new(HostEngine::new(Simd::default()));
    let before = model.engine.memory_bytes();
    let mut sequence = model.sequence();
    model.read(&mut sequence, &Rng::new(6).ids(300, VOCAB)).unwrap();
    assert_eq!(model.engine.memory_bytes() - before, 5 * BLOCK_BYTES);
    // a GPU makes room for an eighth more at most
    let mut model = Model::new(gpu());
    let before = model.engine.memory_bytes();
    let mut sequence = model.sequence();
    model.read(&mut sequence, &Rng::new(6).ids(700, VOCAB)).unwrap();
    let taken = model.engine.memory_bytes() - before;
    // a buffer of no block has a few bytes
    assert!((11 * BLOCK_BYTES - 64..=12 * BLOCK_BYTES).contains(&taken), "{taken}");
}

fn one_runs_out<E: Engine>(engine: E, limit: impl Fn(&mut E, u64)) {
    let mut model = Model::new(engine);
    let ids = Rng::new(8).ids(130, VOCAB);
    let expected = {
        let mut sequence = model.sequence();
        model.read(&mut sequence, &ids[..60]).unwrap();
        let expected: Vec<_> = ids[60..70].iter().map(|&id| model.decode(&mut sequence, id).unwrap()).collect();
        model.end(sequence);
        expected
    };
    let [mut stays, mut ends] = [model.sequence(), model.sequence()];
    model.read(&mut stays, &ids[..60]).unwrap();
    model.read(&mut ends, &ids[..60]).unwrap();
    // room for one more block in all layers but the last, so that growth fails half-way
    let most = model.engine.memory_bytes() + BLOCK_BYTES - 1;
    limit(&mut model.engine, most);
    let before = (model.engine.memory_bytes(), model.kv.held());
    let error = model.read(&mut ends, &ids[60..92]).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert_eq!((model.engine.memory_bytes(), model.kv.held()), before, "nothing is half taken");
    // the other sequence goes on to the end of its block
    for (id, expected) in ids[60..64].iter().zip(&expected) {
        assert!(model.decode(&mut stays, *id).unwrap() == *expected);
    }
    model.decode(&mut stays, ids[64]).unwrap_err();
    // and further once there is memory
    model.end(ends);
    for (id, expected) in ids[64..70].iter().zip(&expected[4..]) {
        assert!(model.decode(&mut stays, *id).unwrap() == *expected);
    }
}

#[test]
fn a_sequence_without_memory_leaves_another_running() {
    fn host<K: Kernels>(engine: &mut HostEngine<K>, bytes: u64) {
        engine.memory_limit = bytes;
    }
    one_runs_out(HostEngine::new(Reference), host);
    one_runs_out(HostEngine::new(Simd::default()), host);
    // the layers one after the other, so that some have grown when one cannot
    for (mut engine, resized) in [(gpu(), u64::MAX), (gpu(), 1), (in_parts(), 1)] {
        engine.set_resize_limit(resized);
        one_runs_out(engine, |engine: &mut GpuEngine, bytes| engine.set_memory_limit(bytes));
    }
}

/// An error inside a run emptied the program, and the next run of it did nothing and succeeded.
#[test]
fn a_program_runs_again_after_an_error() {
    fn check<E: Engine>(engine: E) {
        let mut model = Model::new(engine);
        let mut sequence = model.sequence();
        let expected = model.decode(&mut sequence, 9).unwrap();
        let Program { id: program, logits, .. } = model.decode.clone();
        let row = rows(0, 0, &[9]);
        for table in [&[][..], &[1 << 20]] {
            let error = model.engine.run(program, &Step::new(&row, &[table])).unwrap_err();
            assert!(error.to_string().contains("table"), "{error}");
        }
        model.engine.run(program, &Step::new(&rows(0, 0, &[8]), &[sequence.blocks.table()])).unwrap();
        assert!(read(&mut model.engine, logits.buffer, VOCAB) != expected);
        model.engine.run(program, &Step::new(&row, &[sequence.blocks.table()])).unwrap();
        assert!(read(&mut model.engine, logits.buffer, VOCAB) == expected);
    }
    check(HostEngine::new(Reference));
    check(HostEngine::new(Simd::default()));
    check(gpu());
}
