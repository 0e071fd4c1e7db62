//! How much of a program goes in a submit.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use web_time::Instant;

use crate::engine::now;

/// Longest time for one submit of a prompt's chunk: a busy GPU cannot draw the page. A decode step
/// is short and is one submit.
const SUBMIT_TIME: Duration = Duration::from_millis(100);

/// Dispatches per submit of a prompt's chunk, until their time has been measured.
const FIRST_DISPATCHES: usize = 16;

/// Most dispatches per submit of a prompt's chunk.
const MOST_DISPATCHES: usize = 1024;

/// Dispatches per submit of a program with room for `capacity` rows, when a chunk is quick.
pub(super) fn per_submit(capacity: usize, dispatches: usize) -> usize {
    if capacity > 1 { MOST_DISPATCHES } else { dispatches.max(1) }
}

/// How many dispatches of a program a submit may hold.
pub(super) struct Pace {
    per_submit: Cell<usize>,
    /// Whether replays are cut into submits by their measured time.
    is_measured: bool,
    /// Dispatches of a replay.
    dispatches: usize,
    /// When the replay under way was queued.
    since: Cell<Option<Instant>>,
}

impl Pace {
    /// A decode step, of one token, is short and goes in one.
    pub fn new(capacity: usize, dispatches: usize) -> Self {
        let is_measured = capacity > 1;
        let per_submit = if is_measured { FIRST_DISPATCHES } else { per_submit(capacity, dispatches) };
        Self { per_submit: Cell::new(per_submit), is_measured, dispatches, since: Cell::new(None) }
    }

    pub fn per_submit(&self) -> usize {
        self.per_submit.get()
    }
}

/// The replays of prompt chunks that are queued.
#[derive(Clone, Default)]
pub(super) struct Paces(Rc<RefCell<Vec<Rc<Pace>>>>);

impl Paces {
    /// A replay is about to be queued.
    pub fn begin(&self, pace: &Rc<Pace>) {
        if pace.is_measured && pace.since.get().is_none() {
            pace.since.set(Some(now()));
            self.0.borrow_mut().push(pace.clone());
        }
    }

    /// To be called when everything queued is done: the time of a replay determines the size of its
    /// next submits.
    pub fn done(&self) {
        for pace in self.0.borrow_mut().drain(..) {
            let Some(since) = pace.since.take() else { continue };
            let dispatch = since.elapsed().as_micros() / pace.dispatches.max(1) as u128;
            pace.per_submit.set((SUBMIT_TIME.as_micros() / dispatch.max(1)).clamp(1, MOST_DISPATCHES as u128) as usize);
        }
    }
}
