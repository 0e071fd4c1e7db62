//! The thread pool that shares the work of a kernel.
//!
//! A token runs about 150 short parallel loops with very short pauses between them. So a helper
//! thread spins for a moment before it sleeps, and a loop costs two atomic counters and no
//! allocation. Each process has one pool, which starts without helpers: a thread that calls
//! [`join`] becomes one. In the browser only JavaScript can start threads, and it need not wait for
//! them. A build without atomics has none, and the same code runs every loop on the caller.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError, TryLockError};

/// Number of times that a helper reads the epoch before it sleeps: about a tenth of a millisecond,
/// far longer than the pauses within a token, since waking takes as long as a whole loop.
/// WebAssembly has no pause instruction for spin loops.
const SPINS: u32 = if cfg!(target_arch = "wasm32") { 200_000 } else { 5_000 };

/// A running loop: its body, and the number of calls.
#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    count: usize,
}

struct Pool {
    /// Odd while a job is open to helpers.
    epoch: AtomicU32,
    /// Written only by the caller, while no job is open and no helper is inside.
    job: UnsafeCell<Option<Job>>,
    /// The next free index.
    next: AtomicUsize,
    /// Number of helpers that may read the job.
    inside: AtomicUsize,
    /// Number of helpers.
    helpers: AtomicUsize,
    /// Number of helpers that sleep or are about to.
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    /// Held by the thread that runs a job.
    caller: Mutex<()>,
}

// SAFETY: only `job` is not Sync by itself; its comment says who writes it when. The body that it
// points to is Sync and outlives the job: `run` closes the job and waits until no helper is inside.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool {
    epoch: AtomicU32::new(0),
    job: UnsafeCell::new(None),
    next: AtomicUsize::new(0),
    inside: AtomicUsize::new(0),
    helpers: AtomicUsize::new(0),
    sleepers: AtomicUsize::new(0),
    sleep: Mutex::new(()),
    wake: Condvar::new(),
    caller: Mutex::new(()),
};

/// Number of threads that share a loop, the caller included.
pub fn threads() -> usize {
    1 + POOL.helpers.load(SeqCst)
}

/// Makes the calling thread a helper. Never returns.
pub fn join() -> ! {
    POOL.helpers.fetch_add(1, SeqCst);
    let mut done = 0;
    loop {
        done = POOL.wait_for_job(done);
        POOL.inside.fetch_add(1, SeqCst);
        // The job may be closed by now. If not, it stays open until this thread leaves.
        if POOL.epoch.load(SeqCst) == done {
            // SAFETY: nobody writes to an open job
            if let Some(job) = unsafe { *POOL.job.get() } {
                POOL.work(job);
            }
        }
        POOL.inside.fetch_sub(1, SeqCst);
    }
}

/// Starts native threads until `count` share a loop. They end with the process.
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::disallowed_methods)] // never in wasm
pub fn start(count: usize) -> std::io::Result<()> {
    let wanted = count.saturating_sub(threads());
    for _ in 0..wanted {
        let before = threads();
        std::thread::Builder::new().name("weft".into()).spawn(|| join())?;
        while threads() == before {
            std::thread::yield_now();
        }
    }
    Ok(())
}

/// Calls `body` with every number below `count`, on all threads of the pool. Returns after all
/// calls.
///
/// If another caller uses the pool, all calls run on this thread: no thread waits for another's
/// job.
pub fn run(count: usize, body: impl Fn(usize) + Sync) {
    let free = match POOL.caller.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    if count <= 1 || free.is_none() || POOL.helpers.load(SeqCst) == 0 {
        return (0..count).for_each(body);
    }
    POOL.run(count, &body);
}

/// Calls `body` with ranges that together are `0..count`: a large one per thread, then small ones
/// for the threads that finish first.
///
/// Neighbours in memory thus stay with one thread: it profits from prefetching, and no cache line
/// moves back and forth.
pub fn run_ranges(count: usize, body: impl Fn(Range<usize>) + Sync) {
    let threads = threads();
    if threads == 1 {
        return body(0..count);
    }
    let large = (count * 3 / 4 / threads).max(1);
    let small = (large / 6).max(1).next_multiple_of(2);
    let rest = count.saturating_sub(large * threads);
    run(threads + rest.div_ceil(small), |i| {
        let (start, len) =
            if i < threads { (i * large, large) } else { (threads * large + (i - threads) * small, small) };
        body(start.min(count)..(start + len).min(count));
    });
}

impl Pool {
    fn run(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes; `Closer` ends the job before this call returns, even
        // if `body` panics
        let body = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync)>(body) };
        let job = Job { body, count };
        // SAFETY: no job is open, and no helper is inside
        unsafe { *self.job.get() = Some(job) };
        self.next.store(0, SeqCst);
        self.epoch.fetch_add(1, SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
            // Taking the lock ensures that no helper is between its last look at the epoch and its
            // sleep.
            drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
            self.wake.notify_all();
        }
        let _closer = Closer(self);
        self.work(job);
    }

    /// Takes indices until none is left.
    fn work(&self, job: Job) {
        loop {
            let index = self.next.fetch_add(1, SeqCst);
            if index >= job.count {
                return;
            }
            // SAFETY: the job is open, or this thread is its caller
            unsafe { (*job.body)(index) };
        }
    }

    /// Waits for an open job other than that of epoch `done`. Returns its epoch.
    fn wait_for_job(&self, done: u32) -> u32 {
        let fresh = |epoch: u32| epoch % 2 == 1 && epoch != done;
        for _ in 0..SPINS {
            let epoch = self.epoch.load(SeqCst);
            if fresh(epoch) {
                return epoch;
            }
            std::hint::spin_loop();
        }
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, SeqCst);
        let epoch = loop {
            let epoch = self.epoch.load(SeqCst);
            if fresh(epoch) {
                break epoch;
            }
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, SeqCst);
        epoch
    }
}

/// On drop, closes the job and waits for helpers to leave it.
struct Closer<'a>(&'a Pool);

impl Drop for Closer<'_> {
    fn drop(&mut self) {
        let Self(pool) = self;
        pool.epoch.fetch_add(1, SeqCst);
        while pool.inside.load(SeqCst) > 0 {
            std::hint::spin_loop();
        }
    }
}

/// A slice that several threads write, each its own elements.
pub struct Shared<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: the elements may be sent, and callers of `slice` ensure that no two threads have the same
// ones.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Wraps `slice`. The caller must not use the slice in other ways while the result is in use.
    pub fn new(slice: &mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// Elements `start .. start + len`.
    ///
    /// # Safety
    /// While the result is in use, the slice must live and nobody else may use these elements.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start + len <= self.len, "{start} + {len} of {}", self.len);
        // SAFETY: within the slice; exclusive by contract
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_visited_once_with_several_callers() {
        start(4).unwrap();
        assert!(threads() >= 4);
        std::thread::scope(|scope| {
            for caller in 0..3 {
                scope.spawn(move || {
                    for round in 0..2000 {
                        let count = (round * 7 + caller) % 23;
                        let visits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                        run(count, |i| _ = visits[i].fetch_add(1, SeqCst));
                        assert!(visits.iter().all(|v| v.load(SeqCst) == 1));
                    }
                });
            }
        });
    }

    #[test]
    fn ranges_cover_the_whole() {
        start(3).unwrap();
        for count in [0, 1, 2, 3, 7, 50, 72, 6144] {
            let visits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            run_ranges(count, |range| range.for_each(|i| _ = visits[i].fetch_add(1, SeqCst)));
            assert!(visits.iter().all(|v| v.load(SeqCst) == 1), "{count}");
        }
    }

    #[test]
    fn sleepers_wake() {
        start(2).unwrap();
        for _ in 0..3 {
            // far longer than a helper spins
            #[allow(clippy::disallowed_methods)] // never in wasm
            std::thread::sleep(std::time::Duration::from_millis(30));
            let arrived = AtomicUsize::new(0);
            run(2, |_| {
                arrived.fetch_add(1, SeqCst);
                // while another test uses the pool, this thread makes both calls
                let alone = || POOL.epoch.load(SeqCst).is_multiple_of(2);
                let mut patience = 10_000_000;
                while arrived.load(SeqCst) < 2 && !alone() && patience > 0 {
                    std::thread::yield_now();
                    patience -= 1;
                }
                assert!(patience > 0, "nobody came");
            });
            assert_eq!(arrived.load(SeqCst), 2);
        }
    }
}
