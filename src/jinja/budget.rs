//! The cost of a rendering, as one count of units.

use std::cell::Cell;

use super::text::Text;
use super::{Fault, Res};

/// Units per rendering. A step of the interpreter takes about 50 ns on a fast computer, so the
/// worst template ends within seconds. A conversation of 10,000 messages takes about a twentieth.
const UNITS: u64 = 20_000_000;

/// Bytes that an operation may read per unit.
const READ_BYTES: usize = 32;

/// Bytes that an operation may produce per unit; 160 MB in total.
const MADE_BYTES: usize = 8;

/// The units left of a rendering.
pub(super) struct Budget {
    left: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(UNITS)
    }
}

impl Budget {
    /// A budget of this many units.
    pub(super) fn of(units: u64) -> Self {
        Self { left: units.into() }
    }

    /// A tenth of the usual budget.
    pub(super) fn trial() -> Self {
        Self::of(UNITS / 10)
    }

    /// Pays for steps.
    pub(super) fn spend(&self, units: u64) -> Res<()> {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(Fault::new("rendering took too many steps or made too much text; does the template end?"))
            }
        }
    }

    /// Pays for bytes to be read.
    pub(super) fn read(&self, bytes: usize) -> Res<()> {
        self.spend((bytes / READ_BYTES) as u64)
    }

    /// Pays for bytes before they are produced.
    pub(super) fn make(&self, bytes: usize) -> Res<()> {
        self.spend((bytes / MADE_BYTES) as u64)
    }

    /// Pays for text that is processed character by character.
    pub(super) fn characters(&self, text: &Text) -> Res<()> {
        self.spend(text.len() as u64)
    }

    /// Pays for a text before it is copied.
    pub(super) fn copy(&self, text: &Text) -> Res<()> {
        self.make(text.size())
    }

    /// Pays for elements before they are put into a list.
    pub(super) fn elements(&self, count: usize) -> Res<()> {
        self.make(count.saturating_mul(size_of::<super::Value>()))
    }
}
