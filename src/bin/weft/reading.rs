//! How fast threads read memory: the bound of decoding, which reads every weight a token.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// Words that each thread reads, 256 MiB: more than a share of the caches.
const WORDS: usize = 32 << 20;

/// Words that are loaded into sums that do not wait for each other.
const SUMS: usize = 16;

/// An odd number, whose median is one of them.
const ROUNDS: usize = 9;

/// Bytes a second that `threads` threads read together, each its own: the median of the rounds.
pub fn speed(threads: usize) -> f64 {
    let barrier = Barrier::new(threads + 1);
    let mut speeds = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // pages that were never written are all the same one
                let words = vec![1u64; WORDS];
                for _ in 0..ROUNDS {
                    barrier.wait();
                    black_box(sum(&words));
                    barrier.wait();
                }
            });
        }
        let round = |_| {
            barrier.wait();
            let start = Instant::now();
            barrier.wait();
            (threads * WORDS * size_of::<u64>()) as f64 / start.elapsed().as_secs_f64()
        };
        (0..ROUNDS).map(round).collect::<Vec<_>>()
    });
    speeds.sort_by(f64::total_cmp);
    speeds[ROUNDS / 2]
}

fn sum(words: &[u64]) -> u64 {
    let mut sums = [0; SUMS];
    for words in words.as_chunks::<SUMS>().0 {
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum ^= word;
        }
    }
    sums.into_iter().fold(0, |all, sum| all ^ sum)
}
