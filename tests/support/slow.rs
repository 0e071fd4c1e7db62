//! An engine whose results are never there at once, as in a browser.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use weft_llm::Result;
use weft_llm::engine::shapes::Shapes;
use weft_llm::engine::{Counters, Engine, EngineInfo, LocalFuture, ProgramId};
use weft_llm::format::{BlockType, Layout};
use weft_llm::ops::Recording;
use weft_llm::record::{BufferId, KvCache, KvFormat, Matrix, Memory, Step};

pub struct Slow {
    pub engine: Box<dyn Engine>,
    /// How it reads prompts; `None`: as the engine does.
    pub chunks: Option<Rc<Chunks>>,
    /// What is found when it is tuned, while it has so many bytes in memory.
    pub tunes: Option<Tunes>,
}

type Tunes = Box<dyn FnMut(&Shapes, u64) -> Result<()>>;

impl From<Box<dyn Engine>> for Slow {
    fn from(engine: Box<dyn Engine>) -> Self {
        Self { engine, chunks: None, tunes: None }
    }
}

/// Chunks of a prompt, two of which are queued at once, as on a GPU.
pub struct Chunks {
    /// Tokens of the next one.
    pub tokens: Cell<usize>,
    /// Those that are queued at once.
    pub depth: Cell<usize>,
    /// Waits for queued work that have not ended, and the most of these at a time.
    pub queued: Cell<usize>,
    pub most: Cell<usize>,
    /// The rows of each step that ran with a sequence.
    pub steps: RefCell<Vec<usize>>,
}

impl Chunks {
    pub fn of(tokens: usize) -> Self {
        let (tokens, depth, steps) = (Cell::new(tokens), Cell::new(2), RefCell::default());
        Self { tokens, depth, queued: Cell::default(), most: Cell::default(), steps }
    }
}

/// A wait that has not ended.
struct Queued(Rc<Chunks>);

impl Queued {
    fn new(chunks: Rc<Chunks>) -> Self {
        chunks.queued.update(|queued| queued + 1);
        chunks.most.set(chunks.most.get().max(chunks.queued.get()));
        Self(chunks)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.queued.update(|queued| queued - 1);
    }
}

/// Waits once, then for the future.
fn late<T: 'static>(future: LocalFuture<'static, T>) -> LocalFuture<'static, T> {
    let mut asked = false;
    Box::pin(async move {
        std::future::poll_fn(move |cx| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        future.await
    })
}

/// Lets a future go on to where it next waits.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl Memory for Slow {
    fn max_buffer_bytes(&self) -> u64 {
        self.engine.max_buffer_bytes()
    }

    fn memory_bytes(&self) -> u64 {
        self.engine.memory_bytes()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.engine.buffer_bytes(buffer)
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        self.engine.create_values(label, len)
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> Result<KvFormat> {
        self.engine.kv_format(asked)
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        self.engine.create_blocks(label, shape, count)
    }

    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>> {
        late(self.engine.hold_blocks(buffers, held))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.engine.copy_block(buffers, from, to)
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        self.engine.write_values(buffer, offset, values)
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        self.engine.create_matrix(label, layout, rows, cols)
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        self.engine.write_rows(matrix, first_row, block, rows)
    }

    fn free(&mut self, buffer: BufferId) {
        self.engine.free(buffer);
    }
}

impl Engine for Slow {
    fn info(&self) -> EngineInfo {
        self.engine.info()
    }

    fn tune(&mut self, shapes: &Shapes) -> LocalFuture<'static, Result<()>> {
        let bytes = self.memory_bytes();
        let tuned = self.tunes.as_mut().map_or(Ok(()), |tunes| tunes(shapes, bytes));
        late(Box::pin(std::future::ready(tuned)))
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        self.engine.prepare(recording)
    }

    fn release(&mut self, program: ProgramId) {
        self.engine.release(program);
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        if let (Some(chunks), false) = (&self.chunks, step.tables.is_empty()) {
            chunks.steps.borrow_mut().push(step.rows.len());
        }
        self.engine.run(program, step)
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>> {
        late(self.engine.read_ranges(buffer, ranges))
    }

    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>> {
        let (done, queued) = (late(self.engine.synchronize()), self.chunks.clone().map(Queued::new));
        Box::pin(async move {
            let done = done.await;
            drop(queued);
            done
        })
    }

    fn prompt_rows(&self) -> usize {
        self.chunks.as_ref().map_or(self.engine.prompt_rows(), |_| 512)
    }

    fn prompt_chunk(&self, program: ProgramId, shared: bool) -> usize {
        self.chunks.as_ref().map_or(self.engine.prompt_chunk(program, shared), |chunks| chunks.tokens.get())
    }

    fn prompt_depth(&self) -> usize {
        self.chunks.as_ref().map_or(self.engine.prompt_depth(), |chunks| chunks.depth.get())
    }

    fn counters(&self) -> Counters {
        self.engine.counters()
    }
}
