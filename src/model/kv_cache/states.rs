//! The recurrent states of a sequence.
//!
//! A slot has the state behind the first positions of a text. A step reads it from one slot and
//! writes it to the same, or to another where the one that it reads is to stay: because another
//! sequence has it too, or as a place to go on from later. So nothing is ever copied.

use std::ops::Range;

use super::pool::{Held, Pool};
use crate::record::{Memory, NO_STATE};
use crate::{Error, Result};

/// Positions after which a state stays. The larger, the less memory, and the more tokens are
/// computed again for a text that leaves another.
pub(super) const STAYS_EVERY: usize = 1024;

/// Most slots of a sequence of so many positions: those that stay, the one at the end of its
/// prompt, and that of its end.
pub(super) fn most(positions: usize) -> usize {
    positions / STAYS_EVERY + 2
}

/// The slots of a sequence, in order of position.
#[derive(Debug)]
pub struct States {
    /// How many positions each is behind of.
    ends: Vec<usize>,
    slots: Held,
    /// A slot that the next step is to write.
    next: Option<Held>,
    /// Rows of the step that wrote the last state.
    rows: usize,
}

impl States {
    /// Without positions; `none`: no slots of the pool.
    pub fn new(none: Held) -> Self {
        Self { ends: Vec::new(), slots: none, next: None, rows: 0 }
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The last of the first `positions` that a state is behind of; 0 if there is none.
    pub fn latest(&self, positions: usize) -> usize {
        self.ends.iter().rev().find(|&&end| end <= positions).copied().unwrap_or(0)
    }

    /// Those behind some of these positions, counted from the first of them.
    pub fn some(&self, positions: Range<usize>) -> Self {
        let start = self.ends.partition_point(|&end| end <= positions.start);
        let end = self.ends.partition_point(|&end| end <= positions.end);
        let ends = self.ends[start..end].iter().map(|end| end - positions.start).collect();
        Self { ends, slots: self.slots.some(start..end), next: None, rows: 0 }
    }

    /// Appends those of another sequence, which comes behind so many positions.
    pub fn extend(&mut self, positions: usize, other: &Self) {
        self.ends.extend(other.ends.iter().map(|end| positions + end));
        self.slots.extend(&other.slots);
    }

    /// Gives back the states behind more than `positions`.
    pub fn truncate(&mut self, positions: usize) {
        let kept = self.ends.partition_point(|&end| end <= positions);
        if kept < self.ends.len() {
            self.ends.truncate(kept);
            self.slots.truncate(kept);
            (self.next, self.rows) = (None, 0);
        }
    }

    /// Takes the slot that a step at these positions writes, if it is not that of the last state.
    /// Errors: `OutOfMemory`; `Internal` if no state is behind the positions before.
    pub async fn grow(&mut self, memory: &mut dyn Memory, slots: &mut Pool, positions: Range<usize>) -> Result<()> {
        let last = self.ends.last().copied().unwrap_or(0);
        // a step that was grown for has already been given its slots
        if last == positions.end {
            return Ok(());
        }
        if last != positions.start {
            let expected = format!("a state behind the {} positions before", positions.start);
            return Err(Error::Internal { op: "grow", expected, got: last.to_string() });
        }
        let stays = self.stays(positions.len()) || !self.slots.owns(self.len().wrapping_sub(1));
        if stays && self.next.is_none() {
            self.next = Some(slots.take(memory, 1).await?);
        }
        Ok(())
    }

    /// Whether the last state stays when a step of so many rows follows: far enough behind the one
    /// before it, or at the end of a prompt.
    fn stays(&self, rows: usize) -> bool {
        match *self.ends {
            [.., before, last] if last - before >= STAYS_EVERY => true,
            [last] if last >= STAYS_EVERY => true,
            _ => self.rows > 1 && rows == 1,
        }
    }

    /// See [`Blocks::advance`](super::Blocks::advance).
    pub fn advance(&mut self, positions: Range<usize>) -> [u32; 2] {
        let stays = self.stays(positions.len());
        let read = self.slots.ids().last().copied().unwrap_or(NO_STATE);
        let write = match self.next.take() {
            None => {
                self.ends.pop();
                read
            }
            Some(mut next) => {
                // what does not stay belongs to others alone, or will be written by nobody before
                // this step has read it
                if !stays && self.ends.pop().is_some() {
                    self.slots.remove(self.ends.len());
                }
                let write = next.ids()[0];
                self.slots.append(&mut next, 0);
                write
            }
        };
        // the end of an earlier prompt makes room for that of a later one
        if let [.., first, second, last] = *self.ends
            && second - first < STAYS_EVERY
            && last - second < STAYS_EVERY
        {
            self.ends.remove(self.len() - 2);
            self.slots.remove(self.len() - 1);
        }
        self.ends.push(positions.end);
        self.rows = positions.len();
        [read, write]
    }
}
