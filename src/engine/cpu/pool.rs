//! The threads that share the work of a kernel.
//!
//! A token is some 150 short parallel loops with hardly anything between them, so a helper spins for a moment before it
//! sleeps, and a loop costs two atomic counters and no allocation. There is one pool a process, which starts without helpers:
//! a thread that enters [`join`] is one. In the browser only JavaScript can start threads, and it need not wait for them; a
//! build without atomics has none, and the same code then runs every loop on the caller.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError, TryLockError};

/// Looks at the epoch before a helper sleeps: some tens of microseconds, longer than the pauses within a token.
const SPINS: u32 = 20_000;

/// A loop that is under way: its body, and how often to call it.
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
    /// The next index that nobody has taken.
    next: AtomicUsize,
    /// Helpers that may look at the job.
    inside: AtomicUsize,
    /// Helpers in all.
    helpers: AtomicUsize,
    /// Helpers that sleep or are about to.
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    /// Held by whoever runs a job.
    caller: Mutex<()>,
}

// SAFETY: `job` is the only field that is not Sync by itself; who writes it and when is said there. The body that it points
// to is Sync, and outlives the job: `run` closes it and waits until nobody is inside.
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

/// Threads that a loop is shared by, the caller included.
pub fn threads() -> usize {
    1 + POOL.helpers.load(SeqCst)
}

/// Makes the calling thread a helper, for ever.
pub fn join() -> ! {
    POOL.helpers.fetch_add(1, SeqCst);
    let mut done = 0;
    loop {
        done = POOL.wait_for_job(done);
        POOL.inside.fetch_add(1, SeqCst);
        // The job may have been closed since. If not, it stays until we leave.
        if POOL.epoch.load(SeqCst) == done {
            // SAFETY: an open job is not written
            if let Some(job) = unsafe { *POOL.job.get() } {
                POOL.work(job);
            }
        }
        POOL.inside.fetch_sub(1, SeqCst);
    }
}

/// Starts native threads until a loop is shared by `count`. They end with the process.
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

/// Calls `body` with every number below `count`, on all threads of the pool. Returns when all calls have.
///
/// Where another caller has the pool, this one does without: no thread waits for a job that is not its own.
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

impl Pool {
    fn run(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes; `Closer` keeps the job from outliving this call, even if `body` panics
        let body = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync)>(body) };
        let job = Job { body, count };
        // SAFETY: no job is open, and nobody is inside
        unsafe { *self.job.get() = Some(job) };
        self.next.store(0, SeqCst);
        self.epoch.fetch_add(1, SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
            // The lock, so that none is between its last look at the epoch and its sleep.
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
            // SAFETY: the job is open, or we are its caller
            unsafe { (*job.body)(index) };
        }
    }

    /// Waits for an open job other than that of epoch `done`, and returns its epoch.
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

/// Closes the job and waits for the helpers to leave it.
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

/// A slice whose elements several threads write, each its own.
pub struct Shared<T> {
    start: *mut T,
    len: usize,
}

// SAFETY: the elements may be sent, and `slice` leaves it to the caller that no two threads have the same ones.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Borrows the slice for as long as the caller keeps it from being used elsewhere.
    pub fn new(slice: &mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len() }
    }

    /// Elements `start .. start + len`.
    ///
    /// # Safety
    /// While the result lives, nobody else may use these elements, and the slice must.
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
    fn every_index_is_visited_once_whoever_calls() {
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
    fn sleepers_wake() {
        start(2).unwrap();
        for _ in 0..3 {
            // far longer than a helper spins
            #[allow(clippy::disallowed_methods)] // never in wasm
            std::thread::sleep(std::time::Duration::from_millis(30));
            let arrived = AtomicUsize::new(0);
            run(2, |_| {
                arrived.fetch_add(1, SeqCst);
                // where another test has the pool, this thread makes both calls
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
