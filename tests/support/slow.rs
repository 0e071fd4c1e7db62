//! An engine whose results are never there at once, as in a browser.

use std::ops::Range;
use std::task::{Context, Poll, Waker};

use weft_llm::Result;
use weft_llm::engine::{Counters, Engine, EngineInfo, LocalFuture, ProgramId};
use weft_llm::format::{BlockType, Layout};
use weft_llm::ops::Recording;
use weft_llm::record::{BufferId, KvCache, KvFormat, Matrix, Memory, Step};

pub struct Slow(pub Box<dyn Engine>);

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
        self.0.max_buffer_bytes()
    }

    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.0.buffer_bytes(buffer)
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        self.0.create_values(label, len)
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> KvFormat {
        self.0.kv_format(asked)
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        self.0.create_blocks(label, shape, count)
    }

    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>> {
        late(self.0.hold_blocks(buffers, held))
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.0.copy_block(buffers, from, to)
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        self.0.write_values(buffer, offset, values)
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        self.0.create_matrix(label, layout, rows, cols)
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        self.0.write_rows(matrix, first_row, block, rows)
    }

    fn free(&mut self, buffer: BufferId) {
        self.0.free(buffer);
    }
}

impl Engine for Slow {
    fn info(&self) -> EngineInfo {
        self.0.info()
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        self.0.prepare(recording)
    }

    fn release(&mut self, program: ProgramId) {
        self.0.release(program);
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        self.0.run(program, step)
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>> {
        late(self.0.read_ranges(buffer, ranges))
    }

    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>> {
        late(self.0.synchronize())
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }
}
