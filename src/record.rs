//! The vocabulary of recorded work: what a command may refer to.
//!
//! Model code never computes. It records commands over buffers that an engine owns, and an engine
//! replays the recording once a step. A recording is made for a *capacity* of rows; the rows that a
//! step really has come with the [`Step`], so that a token costs no re-recording.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use crate::format::block::BlockType;
use crate::format::layout::Layout;
use crate::{Error, Result};

/// A future that need not be `Send`: in the browser nothing of an engine leaves its worker. What an engine
/// answers later does not borrow it, so that several models can use it meanwhile.
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
    /// Where the values are.
    pub buffer: BufferId,
    /// Capacity in rows.
    pub rows: usize,
    /// Values a row.
    pub cols: usize,
}

/// A weight matrix of shape (rows, cols) = (outputs, inputs), held in one of the internal layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Where the planes are.
    pub buffer: BufferId,
    /// How the rows are stored.
    pub layout: Layout,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
}

/// Positions of a block of the KV cache. In fours, as kernels take positions.
pub const KV_BLOCK: usize = 64;

/// The keys and values of one layer, of all sequences: blocks of shape (2, heads, [`KV_BLOCK`],
/// head_dim), keys before values. A sequence's positions lie in the blocks that its table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvCache {
    /// Made by [`Memory::create_blocks`].
    pub buffer: BufferId,
    /// Key and value heads.
    pub heads: usize,
    /// Values a head.
    pub head_dim: usize,
}

impl KvCache {
    /// Values of a block.
    pub fn block_len(&self) -> usize {
        2 * self.heads * KV_BLOCK * self.head_dim
    }

    /// Where the keys of a head lie in a block, for these of its positions.
    pub fn keys(&self, head: usize, positions: Range<usize>) -> Range<usize> {
        let start = head * KV_BLOCK;
        (start + positions.start) * self.head_dim..(start + positions.end) * self.head_dim
    }

    /// The same for its values.
    pub fn values(&self, head: usize, positions: Range<usize>) -> Range<usize> {
        self.keys(self.heads + head, positions)
    }
}

/// One row of a step: a token of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The token; `None` for the id that the step before sampled on the device.
    pub id: Option<u32>,
    /// Its position in the sequence.
    pub position: usize,
    /// Which of [`Step::tables`] is its sequence's.
    pub sequence: usize,
    /// Whether its logits are wanted; only `pick_rows` reads it.
    pub wanted: bool,
}

/// The rows of consecutive tokens of one sequence, the first at `position`. The last one is wanted.
pub fn rows(sequence: usize, position: usize, ids: &[u32]) -> Vec<Row> {
    let row = |(i, &id)| Row { id: Some(id), position: position + i, sequence, wanted: i + 1 == ids.len() };
    ids.iter().enumerate().map(row).collect()
}

/// What differs from one replay to the next. A row's results depend on the recording and on its own
/// sequence alone, never on which other rows share the step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The tokens to process. Those of one sequence come in order of their positions.
    pub rows: &'a [Row],
    /// For each sequence, the blocks of its positions: block `table[p / KV_BLOCK]` holds position p.
    pub tables: &'a [&'a [u32]],
    /// 32 uniform bits for the draw of a `sample`; nothing else reads them.
    pub random: u32,
    /// Position at which the second of two segments begins; only an `embed` of segments reads it.
    pub second: u32,
}

impl<'a> Step<'a> {
    /// A step of one segment that draws nothing.
    pub fn new(rows: &'a [Row], tables: &'a [&'a [u32]]) -> Self {
        Self { rows, tables, random: 0, second: u32::MAX }
    }

    /// Numbers of the rows whose logits are wanted.
    pub fn wanted(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().enumerate().filter_map(|(number, row)| row.wanted.then_some(number))
    }

    /// Positions of a sequence, those of this step among them.
    pub fn length(&self, sequence: usize) -> usize {
        let ends = self.rows.iter().filter(|row| row.sequence == sequence).map(|row| row.position + 1);
        ends.max().unwrap_or(0)
    }

    /// The block of a row's position, and the position within it.
    pub fn slot(&self, row: &Row) -> (usize, usize) {
        let block = self.tables[row.sequence][row.position / KV_BLOCK];
        (block as usize, row.position % KV_BLOCK)
    }

    /// Whether the tables cover every row, with blocks below `count`. Errors: `Internal`.
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

/// The memory of an engine, as the loader of a model sees it.
pub trait Memory {
    /// Bytes that one plane of a matrix, or one f32 buffer, may have.
    fn max_buffer_bytes(&self) -> u64;

    /// [`Memory::max_buffer_bytes`] in words, and what helps: the end of an `OutOfMemory` error.
    fn buffer_limit(&self) -> String {
        format!("and one buffer may have {}", self.max_buffer_bytes())
    }

    /// Bytes of engine memory in use.
    fn memory_bytes(&self) -> u64;

    /// Bytes of one buffer; 0 where it is not held.
    fn buffer_bytes(&self, buffer: BufferId) -> u64;

    /// A zeroed f32 buffer of `len` values. Errors: `OutOfMemory` above [`Memory::max_buffer_bytes`].
    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId>;

    /// A buffer of `count` zeroed blocks of `len` values each. Errors: `OutOfMemory`.
    fn create_blocks(&mut self, label: &str, len: usize, count: usize) -> Result<BufferId>;

    /// Takes memory for the blocks of these buffers that are `held`, and may free that of all others.
    /// Blocks that stay keep what they hold, and programs stay prepared. Errors: `OutOfMemory`; then
    /// no block was taken or freed.
    fn hold_blocks<'a>(&'a mut self, buffers: &'a [BufferId], held: &'a [bool]) -> LocalFuture<'a, Result<()>>;

    /// Copies a block to another one in each of these buffers, after everything queued.
    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()>;

    /// Writes f32 values from `offset` (in values) on.
    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()>;

    /// A matrix whose rows come by [`Memory::write_rows`].
    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix>;

    /// Repacks whole rows, in the block format of the file, into the matrix, from `first_row` on.
    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()>;

    /// Gives back a buffer, of values or of a matrix. Its id is never given again; one that is unknown is no error.
    fn free(&mut self, buffer: BufferId);
}
