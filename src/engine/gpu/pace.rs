//! How much of a prompt goes in a step, and how much of a program in a submit: by the time that
//! earlier steps took.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use web_time::Instant;

use crate::engine::PROMPT_CHUNK;

/// Longest time for one submit of a prompt's chunk: a busy GPU cannot draw the page. A decode step
/// is short and is one submit.
const SUBMIT_TIME: Duration = Duration::from_millis(100);

/// Longest time for a chunk of up to [`ENOUGH`] tokens, in several submits: two are queued, and a
/// stop takes effect after them.
const CHUNK_TIME: Duration = Duration::from_millis(500);

/// Tokens of a chunk that make the grids of a layer large enough for most GPUs. A larger chunk
/// gains little, and must fit in one submit.
const ENOUGH: usize = 128;

/// Dispatches per submit of a prompt's chunk, until their time has been measured.
const FIRST_DISPATCHES: usize = 16;

/// Most dispatches per submit of a prompt's chunk.
const MOST_DISPATCHES: usize = 1024;

/// Dispatches per submit of a program with room for `capacity` rows, when a chunk is quick.
pub(super) fn per_submit(capacity: usize, dispatches: usize) -> usize {
    if capacity > 1 { MOST_DISPATCHES } else { dispatches.max(1) }
}

/// The speed of a program.
pub(super) struct Pace {
    /// Largest number of rows.
    capacity: usize,
    /// Dispatches of a replay.
    dispatches: usize,
    /// Time of a replay per row; `None` until one was measured.
    row: Cell<Option<Duration>>,
    /// Rows of every replay, and all in one submit, whatever it takes.
    fixed: Option<usize>,
}

impl Pace {
    pub fn new(capacity: usize, dispatches: usize, fixed: Option<usize>) -> Self {
        Self { capacity, dispatches, row: Cell::new(None), fixed }
    }

    /// Rows for the next replay. `shared`: whether others wait for the GPU. A power of two where
    /// the capacity is larger, so that tiles of rows are full.
    pub fn rows(&self, shared: bool) -> usize {
        if let Some(rows) = self.fixed {
            return rows;
        }
        let least = PROMPT_CHUNK.min(self.capacity);
        let Some(row) = self.row.get() else { return least };
        let quick = fitting(SUBMIT_TIME, row);
        let wanted = if shared { quick } else { quick.max(fitting(CHUNK_TIME, row).min(ENOUGH)) };
        wanted.clamp(least, self.capacity)
    }

    /// Dispatches per submit of a replay of so many rows. The replay of a decode step, of one
    /// token, is short and goes in one.
    pub fn per_submit(&self, rows: usize) -> usize {
        if self.capacity <= 1 || self.fixed.is_some() {
            return per_submit(self.capacity, self.dispatches);
        }
        let Some(row) = self.row.get() else { return FIRST_DISPATCHES };
        // fewer rows are hardly quicker: they read the same weights
        let replay = row.as_nanos() * rows.max(PROMPT_CHUNK) as u128;
        let fitting = SUBMIT_TIME.as_nanos() * self.dispatches as u128 / replay.max(1);
        fitting.clamp(1, MOST_DISPATCHES as u128) as usize
    }

    /// A replay of `rows` rows took this time.
    fn took(&self, rows: usize, time: Duration) {
        let row = time / rows as u32;
        let row = match self.row.get() {
            // the rows of a small replay take longer each, which says nothing of a large one
            Some(before) if rows < self.rows(false) && time <= SUBMIT_TIME => before.min(row),
            _ => row,
        };
        self.row.set(Some(row));
    }
}

/// The largest power of two of rows that take at most `time`.
fn fitting(time: Duration, row: Duration) -> usize {
    let rows = time.as_nanos() / row.as_nanos().max(1);
    1 << rows.max(1).ilog2()
}

/// A replay that is queued.
struct Replay {
    pace: Rc<Pace>,
    rows: usize,
    /// When it was queued.
    since: Instant,
}

impl Replay {
    /// Its share of the work, to divide the time of several replays.
    fn weight(&self) -> f64 {
        (self.rows * self.pace.dispatches) as f64
    }
}

#[derive(Default)]
struct Queued {
    /// Oldest first.
    replays: VecDeque<Replay>,
    /// Number of replays before these.
    done: u64,
    /// Numbers of replays up to which somebody waits, in order.
    waits: VecDeque<u64>,
    /// When the GPU was last known to be done with something.
    last: Option<Instant>,
}

impl Queued {
    /// Takes those up to this number of replays.
    fn take(&mut self, begun: u64) -> Vec<Replay> {
        let count = begun.saturating_sub(self.done).min(self.replays.len() as u64);
        self.done += count;
        self.replays.drain(..count as usize).collect()
    }
}

/// The replays of prompt chunks that are queued.
#[derive(Clone, Default)]
pub(super) struct Paces(Rc<RefCell<Queued>>);

impl Paces {
    /// A replay of `rows` rows is about to be queued.
    pub fn begin(&self, pace: &Rc<Pace>, rows: usize, since: Instant) {
        if pace.capacity > 1 && rows > 0 {
            self.0.borrow_mut().replays.push_back(Replay { pace: pace.clone(), rows, since });
        }
    }

    /// Number of replays so far, to be given to [`Paces::done`] once these have ended, unless
    /// nobody waits for that any more.
    pub fn begun(&self) -> u64 {
        let mut queued = self.0.borrow_mut();
        let begun = queued.done + queued.replays.len() as u64;
        if queued.waits.back() != Some(&begun) {
            queued.waits.push_back(begun);
        }
        begun
    }

    /// Everything up to this number of replays was done at `at`. Their time determines the size of
    /// the next ones, and of their submits.
    pub fn done(&self, begun: u64, at: Instant) {
        let mut queued = self.0.borrow_mut();
        // the end of some was not waited for after all, perhaps long ago: they tell nothing
        let passed = queued.waits.iter().take_while(|&&wait| wait < begun).last().copied().unwrap_or(0);
        queued.waits.retain(|&wait| wait > begun);
        drop(queued.take(passed));
        let (replays, last) = (queued.take(begun), queued.last);
        queued.last = last.max(Some(at));
        let Some(first) = replays.first() else { return };
        // they could not begin before what was queued earlier was done
        let begin = last.map_or(first.since, |last| last.max(first.since));
        let time = at.saturating_duration_since(begin);
        let all: f64 = replays.iter().map(Replay::weight).sum();
        for replay in &replays {
            replay.pace.took(replay.rows, time.mul_f64(replay.weight() / all.max(1.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::now;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn pace() -> Pace {
        Pace::new(512, 200, None)
    }

    #[test]
    fn a_chunk_grows_to_what_a_submit_takes() {
        let pace = pace();
        assert_eq!((pace.rows(false), pace.per_submit(32)), (32, FIRST_DISPATCHES));
        for (rows, time, next) in [
            // 100 rows in 100 ms, then more than fit
            (32, ms(32), 128),
            (128, ms(64), 128),
            (128, ms(40), 256),
            (256, ms(40), 512),
            (512, ms(90), 512),
            // something else keeps the GPU busy
            (512, ms(300), 128),
            (128, ms(400), 128),
            (128, ms(600), 64),
            (64, ms(1000), 32),
            (32, ms(9000), 32),
            (32, ms(1), 512),
        ] {
            pace.took(rows, time);
            assert_eq!(pace.rows(false), next, "{rows} rows took {time:?}");
        }
    }

    #[test]
    fn beside_others_a_chunk_is_one_submit() {
        let pace = pace();
        for (rows, time, next) in [(32, ms(110), 32), (32, ms(50), 64), (64, ms(50), 128), (128, ms(20), 512)] {
            pace.took(rows, time);
            assert_eq!(pace.rows(true), next, "{rows} rows took {time:?}");
            assert!(pace.rows(false) >= 128 && pace.rows(false) >= next);
        }
    }

    /// The last chunk of a prompt may have two rows.
    #[test]
    fn a_small_chunk_makes_no_other_smaller() {
        let pace = pace();
        pace.took(32, ms(6));
        assert_eq!(pace.rows(false), 512);
        pace.took(2, ms(5));
        assert_eq!(pace.rows(false), 512);
        // unless even that takes long
        pace.took(2, ms(101));
        assert_eq!(pace.rows(false), 32);
    }

    #[test]
    fn a_chunk_has_as_many_rows_as_there_is_room() {
        for (capacity, least) in [(2, 2), (20, 20), (100, 32)] {
            let pace = Pace::new(capacity, 200, None);
            assert_eq!(pace.rows(false), least);
            pace.took(least, ms(1));
            assert_eq!(pace.rows(false), capacity);
            pace.took(capacity, ms(60_000));
            assert_eq!(pace.rows(false), least);
        }
    }

    #[test]
    fn a_slow_chunk_is_several_submits() {
        let pace = pace();
        pace.took(128, ms(400));
        assert_eq!([2, 32, 128, 512].map(|rows| pace.per_submit(rows)), [200, 200, 50, 12]);
        pace.took(128, Duration::ZERO);
        assert_eq!(pace.per_submit(128), MOST_DISPATCHES);
        // a decode step is one
        assert_eq!(Pace::new(1, 300, None).per_submit(1), 300);
        let fixed = Pace::new(512, 200, Some(64));
        fixed.took(64, ms(9000));
        assert_eq!((fixed.rows(false), fixed.per_submit(64)), (64, MOST_DISPATCHES));
    }

    #[test]
    fn the_time_of_a_chunk_begins_when_the_one_before_is_done() {
        let (paces, pace, start) = (Paces::default(), Rc::new(pace()), now());
        paces.begin(&pace, 32, start);
        let first = paces.begun();
        paces.begin(&pace, 32, start);
        let second = paces.begun();
        paces.done(first, start + ms(64));
        assert_eq!(pace.row.get(), Some(ms(2)));
        paces.done(second, start + ms(96));
        assert_eq!(pace.row.get(), Some(ms(1)));
        // idle since then
        paces.begin(&pace, 32, start + ms(5000));
        paces.done(paces.begun(), start + ms(5128));
        assert_eq!(pace.row.get(), Some(ms(4)));
        // nothing was queued meanwhile
        paces.done(paces.begun(), start + ms(9000));
        assert_eq!(pace.row.get(), Some(ms(4)));
    }

    /// A stop once let the next chunk seem to have taken as long as the pause after it.
    #[test]
    fn a_chunk_that_nobody_waited_for_tells_nothing() {
        let (paces, pace, start) = (Paces::default(), Rc::new(pace()), now());
        paces.begin(&pace, 32, start);
        let (_, dropped) = (paces.begun(), paces.begun());
        paces.begin(&pace, 32, start + ms(60_000));
        paces.done(paces.begun(), start + ms(60_032));
        assert_eq!(pace.row.get(), Some(ms(1)));
        // it may end late too
        paces.done(dropped, start + ms(90_000));
        assert_eq!(pace.row.get(), Some(ms(1)));
    }

    #[test]
    fn replays_that_end_together_share_the_time() {
        let (paces, start) = (Paces::default(), now());
        let (layers, head) = (Rc::new(Pace::new(512, 300, None)), Rc::new(Pace::new(512, 20, None)));
        paces.begin(&layers, 32, start);
        paces.begin(&head, 32, start);
        // one token is not measured
        paces.begin(&Rc::new(Pace::new(1, 5, None)), 1, start);
        assert_eq!(paces.begun(), 2);
        paces.done(paces.begun(), start + ms(320));
        assert_eq!([&layers, &head].map(|pace| pace.row.get()), [Some(ms(300) / 32), Some(ms(20) / 32)]);
    }
}
