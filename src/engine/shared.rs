//! Lets several models use one engine: each has a [`Share`] with its own buffers and programs.

use std::cell::{RefCell, RefMut};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

use super::shapes::Shapes;
use super::{Counters, DeviceSampling, Engine, EngineInfo, Ids, LocalFuture, ProgramId};
use crate::format::block::BlockType;
use crate::format::layout::Layout;
use crate::ops::{Command, Recording};
use crate::record::{BufferId, KvCache, KvFormat, Matrix, Memory, Step};
use crate::{Error, Result};

/// An engine that several models use. It is borrowed for single calls, never across an `await`.
#[derive(Clone)]
pub struct SharedEngine(Rc<RefCell<Box<dyn Engine>>>);

impl From<Box<dyn Engine>> for SharedEngine {
    fn from(engine: Box<dyn Engine>) -> Self {
        Self(Rc::new(RefCell::new(engine)))
    }
}

impl<E: Engine + 'static> From<Box<E>> for SharedEngine {
    fn from(engine: Box<E>) -> Self {
        Self::from(engine as Box<dyn Engine>)
    }
}

impl SharedEngine {
    /// A description of the engine.
    pub fn info(&self) -> EngineInfo {
        self.0.borrow().info()
    }

    /// Memory of all models together in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.0.borrow().memory_bytes()
    }

    /// A share for one more model.
    pub fn share(&self) -> Share {
        Share { engine: self.clone(), buffers: HashSet::new(), programs: HashSet::new() }
    }

    /// Puts another engine in place of one that no model uses yet.
    pub fn replace(&self, engine: Box<dyn Engine>) {
        self.0.replace(engine);
    }

    fn get(&self) -> RefMut<'_, Box<dyn Engine>> {
        self.0.borrow_mut()
    }
}

/// The buffers and programs of one model, which are released on drop.
pub struct Share {
    engine: SharedEngine,
    buffers: HashSet<BufferId>,
    programs: HashSet<ProgramId>,
}

impl Share {
    /// The engine that it is a share of.
    pub fn whole(&self) -> &SharedEngine {
        &self.engine
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut engine = self.engine.get();
        self.programs.drain().for_each(|program| engine.release(program));
        self.buffers.drain().for_each(|buffer| engine.free(buffer));
    }
}

impl Memory for Share {
    fn max_buffer_bytes(&self) -> u64 {
        self.engine.0.borrow().max_buffer_bytes()
    }

    fn buffer_limit(&self) -> String {
        self.engine.0.borrow().buffer_limit()
    }

    /// Memory of this model in bytes.
    fn memory_bytes(&self) -> u64 {
        self.buffers.iter().map(|&buffer| self.buffer_bytes(buffer)).sum()
    }

    fn buffer_bytes(&self, buffer: BufferId) -> u64 {
        self.engine.0.borrow().buffer_bytes(buffer)
    }

    fn create_values(&mut self, label: &str, len: usize) -> Result<BufferId> {
        let buffer = self.engine.get().create_values(label, len)?;
        self.buffers.insert(buffer);
        Ok(buffer)
    }

    fn kv_format(&self, asked: Option<KvFormat>) -> Result<KvFormat> {
        self.engine.0.borrow().kv_format(asked)
    }

    fn create_blocks(&mut self, label: &str, shape: &KvCache, count: usize) -> Result<BufferId> {
        let buffer = self.engine.get().create_blocks(label, shape, count)?;
        self.buffers.insert(buffer);
        Ok(buffer)
    }

    fn hold_blocks(&mut self, buffers: &[BufferId], held: &[bool]) -> LocalFuture<'static, Result<()>> {
        self.engine.get().hold_blocks(buffers, held)
    }

    fn copy_block(&mut self, buffers: &[BufferId], from: usize, to: usize) -> Result<()> {
        self.engine.get().copy_block(buffers, from, to)
    }

    fn write_values(&mut self, buffer: BufferId, offset: usize, values: &[f32]) -> Result<()> {
        self.engine.get().write_values(buffer, offset, values)
    }

    fn write_block(&mut self, cache: &KvCache, block: usize, bytes: &[u8]) -> Result<()> {
        self.engine.get().write_block(cache, block, bytes)
    }

    fn create_matrix(&mut self, label: &str, layout: Layout, rows: usize, cols: usize) -> Result<Matrix> {
        let matrix = self.engine.get().create_matrix(label, layout, rows, cols)?;
        self.buffers.insert(matrix.buffer);
        Ok(matrix)
    }

    fn write_rows(&mut self, matrix: &Matrix, first_row: usize, block: BlockType, rows: &[u8]) -> Result<()> {
        self.engine.get().write_rows(matrix, first_row, block, rows)
    }

    fn free(&mut self, buffer: BufferId) {
        if self.buffers.remove(&buffer) {
            self.engine.get().free(buffer);
        }
    }
}

impl Engine for Share {
    fn info(&self) -> EngineInfo {
        self.engine.info()
    }

    fn tuning(&self) -> Option<String> {
        self.engine.0.borrow().tuning()
    }

    fn tune(&mut self, shapes: &Shapes) -> LocalFuture<'static, Result<()>> {
        self.engine.get().tune(shapes)
    }

    fn compile(&mut self, command: &Command, now: bool) -> Result<bool> {
        self.engine.get().compile(command, now)
    }

    fn compiled(&mut self) -> LocalFuture<'static, Result<()>> {
        self.engine.get().compiled()
    }

    fn self_test(&mut self, commands: Vec<Command>) -> LocalFuture<'static, Result<()>> {
        self.engine.get().self_test(commands)
    }

    fn throttle(&mut self) -> LocalFuture<'static, Result<()>> {
        self.engine.get().throttle()
    }

    fn prepare(&mut self, recording: Recording) -> Result<ProgramId> {
        let program = self.engine.get().prepare(recording)?;
        self.programs.insert(program);
        Ok(program)
    }

    fn release(&mut self, program: ProgramId) {
        if self.programs.remove(&program) {
            self.engine.get().release(program);
        }
    }

    fn run(&mut self, program: ProgramId, step: &Step) -> Result<()> {
        self.engine.get().run(program, step)
    }

    fn read_ranges(&mut self, buffer: BufferId, ranges: Vec<Range<usize>>) -> LocalFuture<'static, Result<Vec<f32>>> {
        self.engine.get().read_ranges(buffer, ranges)
    }

    fn synchronize(&mut self) -> LocalFuture<'static, Result<()>> {
        self.engine.get().synchronize()
    }

    fn counters(&self) -> Counters {
        self.engine.0.borrow().counters()
    }

    fn prompt_rows(&self) -> usize {
        self.engine.0.borrow().prompt_rows()
    }

    fn prompt_chunk(&self, program: ProgramId, shared: bool) -> usize {
        self.engine.0.borrow().prompt_chunk(program, shared)
    }

    fn prompt_depth(&self) -> usize {
        self.engine.0.borrow().prompt_depth()
    }

    fn device_sampling(&mut self) -> Option<&mut dyn DeviceSampling> {
        let samples = self.engine.get().device_sampling().is_some();
        if samples { Some(self) } else { None }
    }
}

impl DeviceSampling for Share {
    fn depth(&self) -> usize {
        self.engine.get().device_sampling().map_or(1, |device| device.depth())
    }

    fn run_fed(&mut self, program: ProgramId, step: &Step, feeds: &[BufferId]) -> Result<()> {
        self.engine.get().device_sampling().ok_or_else(no_sampling)?.run_fed(program, step, feeds)
    }

    fn queue(
        &mut self,
        programs: &[ProgramId],
        step: &Step,
        ids: &Ids,
    ) -> Result<LocalFuture<'static, Result<Vec<u32>>>> {
        self.engine.get().device_sampling().ok_or_else(no_sampling)?.queue(programs, step, ids)
    }
}

fn no_sampling() -> Error {
    Error::Internal { op: "sample", expected: "an engine that samples".into(), got: "none".into() }
}
