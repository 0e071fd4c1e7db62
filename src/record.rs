//! Recordings: commands over buffers, and the data of one step.
//!
//! Model code never computes. It records commands over buffers that an engine owns, and the engine
//! replays the recording once per step. A recording has a *capacity* of rows; the [`Step`] says
//! which rows it really has, so that a new token needs no new recording.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use crate::format::block::BlockType;
use crate::format::layout::Layout;
use crate::{Error, Result};

mod kv;
pub(crate) mod kv_format;

pub use kv::{KV_BLOCK, KvCache, NO_STATE, RECENT_INPUTS};
pub use kv_format::KvFormat;

/// A future that need not be `Send`: in the browser an engine never leaves its worker. Futures of
/// an engine do not borrow it, so that several models can use it meanwhile.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A buffer in the memory of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub usize);

impl From<usize> for BufferId {
    fn from(id: usize) -> Self {
        Self(id)
    }
}

/// A row-major f32 buffer of shape (rows, cols). Where rows stand for tokens, `rows` is the
/// capacity, and a step uses the first `min(rows, step.rows.len())` of them: so an operation over
/// one row runs once whatever the step holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The buffer with the values.
    pub buffer: BufferId,
    /// Capacity in rows.
    pub rows: usize,
    /// Values per row.
    pub cols: usize,
}

/// A weight matrix of shape (rows, cols) = (outputs, inputs) in one of the internal layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The buffer with its planes.
    pub buffer: BufferId,
    /// The layout of its rows.
    pub layout: Layout,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
}

/// One row of a step: a token of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The token; `None`: the id that the previous step sampled on the device.
    pub id: Option<u32>,
    /// Its position in the sequence.
    pub position: usize,
    /// Index of its sequence in [`Step::tables`].
    pub sequence: usize,
    /// Whether its logits are wanted; only `pick_rows` reads it.
    pub wanted: bool,
}

/// Rows for consecutive tokens of one sequence, the first at `position`. Only the last one is
/// wanted.
pub fn rows(sequence: usize, position: usize, ids: &[u32]) -> Vec<Row> {
    let row = |(i, &id)| Row { id: Some(id), position: position + i, sequence, wanted: i + 1 == ids.len() };
    ids.iter().enumerate().map(row).collect()
}

/// The input of one replay. A row's results depend only on the recording and the row's sequence,
/// never on the other rows of the step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The tokens to process; those of one sequence next to each other, in order of position.
    pub rows: &'a [Row],
    /// The block table of each sequence: block `table[p / KV_BLOCK]` holds position p.
    pub tables: &'a [&'a [u32]],
    /// Of each sequence the slots that its recurrent state is read from and written to; only
    /// recurrent layers read them. A sequence without positions reads [`NO_STATE`].
    pub states: &'a [[u32; 2]],
    /// The length of each sequence's source text, which is its first positions; 0 for sequences
    /// beyond the end. Only attention to a part of a sequence reads it.
    pub sources: &'a [usize],
    /// 32 uniform random bits, which only `sample` reads.
    pub random: u32,
    /// Position at which the second of two segments begins; only an `embed` of segments reads it.
    pub second: u32,
}

impl<'a> Step<'a> {
    /// A step with one segment and no random bits.
    pub fn new(rows: &'a [Row], tables: &'a [&'a [u32]]) -> Self {
        Self { rows, tables, states: &[], sources: &[], random: 0, second: u32::MAX }
    }

    /// The first `capacity` rows, those of one sequence together, and the slots of each state.
    pub fn runs(&self, capacity: usize) -> impl Iterator<Item = (Range<usize>, [u32; 2])> {
        let mut start = 0;
        self.rows[..self.count(capacity)].chunk_by(|a, b| a.sequence == b.sequence).map(move |run| {
            let rows = start..start + run.len();
            start = rows.end;
            (rows, self.states.get(run[0].sequence).copied().unwrap_or([NO_STATE; 2]))
        })
    }

    /// Checks that every sequence writes its state to one of `count` slots. Errors: `Internal`.
    pub fn check_states(&self, count: usize) -> Result<()> {
        let fits = |[read, write]: [u32; 2]| (read == NO_STATE || (read as usize) < count) && (write as usize) < count;
        match self.runs(usize::MAX).find(|&(_, slots)| !fits(slots)) {
            None => Ok(()),
            Some((_, got)) => Err(Error::Internal {
                op: "run",
                expected: format!("slots of states below {count}"),
                got: format!("{got:?}"),
            }),
        }
    }

    /// Rows that an operation with room for `capacity` of them takes.
    pub fn count(&self, capacity: usize) -> usize {
        self.rows.len().min(capacity)
    }

    /// Indices of the rows whose logits are wanted.
    pub fn wanted(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().enumerate().filter_map(|(number, row)| row.wanted.then_some(number))
    }

    /// Number of positions of the source text of a sequence.
    pub fn source(&self, sequence: usize) -> usize {
        self.sources.get(sequence).copied().unwrap_or(0)
    }

    /// Number of positions of a sequence, including those of this step.
    pub fn length(&self, sequence: usize) -> usize {
        let ends = self.rows.iter().filter(|row| row.sequence == sequence).map(|row| row.position + 1);
        ends.max().unwrap_or(0)
    }

    /// The block that holds a row's position, and the position within the block.
    pub fn slot(&self, row: &Row) -> (usize, usize) {
        let block = self.tables[row.sequence][row.position / KV_BLOCK];
        (block as usize, row.position % KV_BLOCK)
    }

    /// Checks that every row has a block in its table, and that all blocks are below `count`.
    /// Errors: `Internal`.
    pub fn check_tables(&self, count: usize) -> Result<()> {
        let covered = |row: &Row| {
            let table = self.tables.get(row.sequence)?.get(..=row.position / KV_BLOCK)?;
            table.iter().all(|&block| (block as usize) < count).then_some(())
        };
        match self.rows.iter().find(|&row| covered(row).is_none()) {
            None => Ok(()),
            Some(row) => Err(Error::Internal {
                op: "run",
                expected: format!("a table of blocks below {count} up to the position of every row"),
                got: format!("{row:?}"),
            }),
        }
    }
}

/// The memory of an engine, as the loader of a model uses it.
pub trait Memory {
    /// Largest size in bytes of one plane of a matrix, or of one f32 buffer.
    fn max_buffer_bytes(&self) -> u64;

    /// [`Memory::max_buffer_bytes`] in words, with the remedy: the end of an `OutOfMemory` error.
    fn buffer_limit(&self) -> String {
        format!("and one buffer may have {}", self.max_buffer_bytes())
    }

    /// Bytes of engine memory in use.
    fn memory_bytes(&self) -> u64;

    /// Bytes of one buffer; 0 where it is not held.
    fn buffer_bytes(&self, buffer: BufferId) -> u64;

    /// Creates a zeroed f32 buffer of `len` values. Errors: `OutOfMemory` above
    /// [`Memory::max_buffer_bytes`].
    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId>;

    /// The format in which keys and values are held, where `asked` is wanted; `None`: the format
    /// that suits this memory best. Errors: `InvalidOption` where there are no kernels for it.
    fn kv_format(&self, _asked: Option<KvFormat>) -> Result<KvFormat> {
        Ok(KvFormat::F32)
    }

    /// Creates a buffer of `count` zeroed blocks of this shape, for its [`KvCache::buffer`]. Its
    /// values are in one order whatever [`KvCache::parts`].
    /// Errors: `OutOfMemory`.
    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId>;

    /// Allocates memory for the blocks of these buffers that are `held`, and may free the memory of
    /// all others. Blocks that were held and still are keep their values, and programs stay valid.
    /// Errors: `OutOfMemory`; no block is then allocated or freed.
    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>>;

    /// Copies one block to another in each of these buffers, after everything queued.
    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()>;

    /// Writes f32 values at `offset`, which counts values. Blocks round them to their format.
    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()>;

    /// Writes a whole block of keys and values, held as these bytes: see [`KvFormat::encode`].
    fn write_block(&mut self, cache: &KvCache, block: usize, bytes: &[u8]) -> Result<()> {
        self.write_values(cache.buffer, block * cache.block_len(), &cache.format.decode(bytes))
    }

    /// Creates a matrix whose rows are written by [`Memory::write_rows`].
    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix>;

    /// Repacks whole rows from the file's block format into the matrix, starting at `first_row`.
    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()>;

    /// Frees a buffer of values or of a matrix. Ids are never reused; an unknown id is no error.
    fn free(&mut self, buffer: BufferId);
}
