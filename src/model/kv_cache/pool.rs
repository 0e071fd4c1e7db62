//! Which blocks of a pool are held, and by how many.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use crate::record::{BufferId, Memory};
use crate::{Error, Result};

/// Blocks with a part in each of some buffers.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Vec<BufferId>,
    /// Shared with those that hold some.
    blocks: Rc<RefCell<Vec<Block>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// How often it is held.
    holders: u32,
    /// Whether it has memory in the engine.
    backed: bool,
}

/// Blocks in order, which are given back when it is dropped.
#[derive(Debug)]
pub struct Held {
    ids: Vec<u32>,
    pool: Rc<RefCell<Vec<Block>>>,
}

impl Pool {
    /// A pool without blocks.
    pub fn new(buffers: Vec<BufferId>) -> Self {
        Self { buffers, blocks: Rc::default() }
    }

    /// The buffers.
    pub fn buffers(&self) -> &[BufferId] {
        &self.buffers
    }

    /// No blocks of it.
    pub fn none(&self) -> Held {
        Held { ids: Vec::new(), pool: self.blocks.clone() }
    }

    /// Number of blocks that are held.
    pub fn held(&self) -> usize {
        self.blocks.borrow().iter().filter(|block| block.holders > 0).count()
    }

    /// Takes free blocks and gives them memory. Errors: `OutOfMemory`; none is then taken.
    pub async fn take(&mut self, memory: &mut dyn Memory, count: usize) -> Result<Held> {
        let pool = self.blocks.borrow().clone();
        let mut free: Vec<usize> = (0..pool.len()).filter(|&block| pool[block].holders == 0).collect();
        // blocks with memory first, then the lowest, so that the end of the pool becomes free
        free.sort_by_key(|&block| !pool[block].backed);
        free.extend((pool.len()..).take(count.saturating_sub(free.len())));
        free.truncate(count);
        let most = free.iter().max().map_or(0, |last| last + 1).max(pool.len());
        let is_backed = |&block: &usize| pool.get(block).is_some_and(|block| block.backed);
        if !free.iter().all(is_backed) {
            let mut held: Vec<bool> = (0..most).map(|block| is_backed(&block)).collect();
            free.iter().for_each(|&block| held[block] = true);
            memory.hold_blocks(&self.buffers, &held).await?;
        }
        let mut pool = self.blocks.borrow_mut();
        pool.resize(most, Block::default());
        free.iter().for_each(|&block| pool[block] = Block { holders: 1, backed: true });
        Ok(Held { ids: free.into_iter().map(|block| block as u32).collect(), pool: self.blocks.clone() })
    }

    /// Frees the memory of blocks that nobody holds; nothing where there is no memory for a copy.
    pub async fn trim(&mut self, memory: &mut dyn Memory) -> Result<()> {
        let held: Vec<bool> = {
            let pool = self.blocks.borrow();
            if pool.iter().all(|block| block.holders > 0 || !block.backed) {
                return Ok(());
            }
            pool.iter().map(|block| block.holders > 0).collect()
        };
        match memory.hold_blocks(&self.buffers, &held).await {
            Ok(()) => {
                let mut pool = self.blocks.borrow_mut();
                pool.iter_mut().zip(held).for_each(|(block, held)| block.backed = held);
                Ok(())
            }
            Err(Error::OutOfMemory { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Held {
    /// The blocks.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether nobody else holds the block at `index`.
    pub fn owns(&self, index: usize) -> bool {
        self.ids.get(index).is_some_and(|&block| self.pool.borrow()[block as usize].holders == 1)
    }

    /// Holds some of the blocks too.
    pub fn some(&self, range: Range<usize>) -> Self {
        let mut some = Self { ids: Vec::new(), pool: self.pool.clone() };
        some.hold(&self.ids[range]);
        some
    }

    /// Holds those of `other` too, behind its own.
    pub fn extend(&mut self, other: &Self) {
        self.hold(&other.ids);
    }

    /// Exchanges two blocks.
    pub fn swap(&mut self, index: usize, other: &mut Self, other_index: usize) {
        std::mem::swap(&mut self.ids[index], &mut other.ids[other_index]);
    }

    /// Takes the blocks of `other` from this one on, behind its own.
    pub fn append(&mut self, other: &mut Self, from: usize) {
        self.ids.extend(other.ids.drain(from..));
    }

    /// Gives back the blocks past the first `count`.
    pub fn truncate(&mut self, count: usize) {
        let mut pool = self.pool.borrow_mut();
        self.ids.drain(count.min(self.ids.len())..).for_each(|block| pool[block as usize].holders -= 1);
    }

    /// Gives back the block at `index`.
    pub fn remove(&mut self, index: usize) {
        let block = self.ids.remove(index);
        self.pool.borrow_mut()[block as usize].holders -= 1;
    }

    fn hold(&mut self, ids: &[u32]) {
        let mut pool = self.pool.borrow_mut();
        ids.iter().for_each(|&block| pool[block as usize].holders += 1);
        self.ids.extend(ids);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.truncate(0);
    }
}
