//! A race between candidates whose single runs are too short to be timed.
//!
//! A submit and the wait for its end take a browser 20 to 60 µs, and many kernels of a real GPU
//! take 3 to 9. So candidates are timed by rows of replays, each row in one submit: the difference
//! between a long row and a short one is the time of the replays alone, whatever a submit costs.
//!
//! A race ends when its time is over: whatever was not timed by then has lost to the favourite.

use std::time::Duration;

use crate::Result;

/// A long row takes at least this much longer than a short one. Browsers' clocks tick every 0.1 ms
/// where a page is not isolated.
const SPAN: Duration = Duration::from_millis(2);

/// Replays in a long row at most.
const MOST_REPLAYS: u32 = 1 << 12;

/// How often each candidate is timed; they take turns. The shortest times count, since other
/// programs use the GPU too.
const ROUNDS: usize = 3;

/// A candidate that is this many times as slow as the favourite is out before its first long row.
const SLOW: f64 = 1.5;

/// The favourite wins unless another one is faster by this factor: what is known of a kind of GPU
/// is worth more than a small difference on one day.
const MARGIN: f64 = 1.1;

/// What runs the candidates of a race.
pub(super) trait Course {
    /// Time from the submit of so many replays of a candidate to their end. Errors: those of the
    /// engine.
    async fn time(&mut self, candidate: usize, replays: u32) -> Result<Duration>;

    /// Whether the time of the race is over.
    fn is_over(&self) -> bool;
}

/// Shares out the time of a tuner among its races: what one leaves is for those behind it. Times
/// are those of one clock.
pub(super) struct Budget {
    ends: Duration,
    races: u32,
}

impl Budget {
    /// For so many races until `ends`.
    pub fn new(ends: Duration, races: u32) -> Self {
        Self { ends, races }
    }

    /// When the race must end that begins now.
    pub fn next(&mut self, now: Duration) -> Duration {
        let share = self.ends.saturating_sub(now) / self.races.max(1);
        self.races = self.races.saturating_sub(1);
        now + share
    }
}

/// The outcome of a race.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finish {
    /// Index of the winner.
    pub winner: usize,
    /// Seconds that one replay of the winner takes.
    pub seconds: f64,
}

/// Races candidates 0 to `count - 1`, at least one, of which the first is the favourite.
pub(super) async fn race(course: &mut impl Course, count: usize) -> Result<Finish> {
    let mut row = 1;
    let favourite = loop {
        let times = Times::of(course, 0, row).await?;
        if times.difference() >= SPAN || row >= MOST_REPLAYS || course.is_over() {
            break times;
        }
        row *= 4;
    };
    let mut field: Vec<(usize, Option<Times>)> = vec![(0, Some(favourite))];
    for candidate in 1..count {
        if course.is_over() {
            break;
        }
        // hopeless after a single replay
        if course.time(candidate, 1).await? > favourite.short.mul_f64(SLOW) + SPAN {
            continue;
        }
        let trial = row.div_ceil(8);
        if Times::of(course, candidate, trial).await?.seconds(trial) <= favourite.seconds(row) * SLOW {
            field.push((candidate, None));
        }
    }
    for _ in 0..ROUNDS {
        for (candidate, best) in &mut field {
            if course.is_over() {
                break;
            }
            let times = Times::of(course, *candidate, row).await?;
            *best = Some(best.map_or(times, |best| best.least(times)));
        }
    }
    let finish = |(winner, times): &(usize, Option<Times>)| Finish {
        winner: *winner,
        seconds: times.map_or(f64::INFINITY, |times| times.seconds(row)),
    };
    let first = finish(&field[0]);
    let best = field.iter().map(finish).min_by(|a, b| a.seconds.total_cmp(&b.seconds)).unwrap_or(first);
    Ok(if best.seconds * MARGIN < first.seconds { best } else { first })
}

/// Times of a short row, of one replay, and of a row that is longer by some replays.
#[derive(Clone, Copy)]
struct Times {
    short: Duration,
    long: Duration,
}

impl Times {
    async fn of(course: &mut impl Course, candidate: usize, replays: u32) -> Result<Self> {
        let short = course.time(candidate, 1).await?;
        Ok(Self { short, long: course.time(candidate, 1 + replays).await? })
    }

    fn least(self, other: Self) -> Self {
        Self { short: self.short.min(other.short), long: self.long.min(other.long) }
    }

    fn difference(self) -> Duration {
        self.long.saturating_sub(self.short)
    }

    /// Of one replay, where the long row is longer by `replays`.
    fn seconds(self, replays: u32) -> f64 {
        self.difference().as_secs_f64() / f64::from(replays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollster::block_on;

    /// A GPU with a known cost of a submit and of each kernel, in µs. The clock ticks every 100 µs
    /// and begins anywhere within a tick; a submit costs up to as much again.
    struct Fake {
        submit: f64,
        kernels: &'static [f64],
        random: u32,
        spent: f64,
        /// µs after which the race is over.
        budget: f64,
    }

    impl Fake {
        fn new(submit: f64, kernels: &'static [f64], seed: u32) -> Self {
            Self { submit, kernels, random: seed, spent: 0.0, budget: f64::INFINITY }
        }

        fn unit(&mut self) -> f64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 17;
            self.random ^= self.random << 5;
            f64::from(self.random) / 2f64.powi(32)
        }
    }

    impl Course for Fake {
        async fn time(&mut self, candidate: usize, replays: u32) -> Result<Duration> {
            let took = self.submit * (1.0 + self.unit()) + self.kernels[candidate] * f64::from(replays);
            self.spent += took;
            let ticks = (took / 100.0 + self.unit()).floor();
            Ok(Duration::from_micros((ticks * 100.0) as u64))
        }

        fn is_over(&self) -> bool {
            self.spent >= self.budget
        }
    }

    /// Submits cost 60 µs and kernels differ by 2: timed one submit at a time, all are alike.
    #[test]
    fn the_winner_wins_although_a_submit_costs_ten_kernels() {
        for seed in 1..200 {
            let mut gpu = Fake::new(60.0, &[5.0, 4.7, 9.0, 3.0, 40.0, 3.6], seed);
            let finish = block_on(race(&mut gpu, 6)).unwrap();
            assert_eq!(finish.winner, 3, "{seed}");
            assert!((finish.seconds / 3e-6 - 1.0).abs() < 0.15, "{seed}: {finish:?}");
            assert!(gpu.spent < 100e3, "{seed}: {} µs", gpu.spent);
        }
    }

    #[test]
    fn the_favourite_is_overruled_only_by_a_clear_difference() {
        for seed in 1..200 {
            assert_eq!(block_on(race(&mut Fake::new(30.0, &[5.0, 4.9, 5.1], seed), 3)).unwrap().winner, 0, "{seed}");
        }
    }

    /// As a real GPU runs a kernel of few invocations, or as a software adapter runs any.
    #[test]
    fn a_slow_favourite_and_a_hopeless_candidate_cost_little() {
        let mut gpu = Fake::new(50.0, &[4000.0, 2500.0, 90_000.0], 7);
        assert_eq!(block_on(race(&mut gpu, 3)).unwrap().winner, 1);
        assert!(gpu.spent < 300e3, "{} µs", gpu.spent);
    }

    #[test]
    fn one_candidate_wins() {
        assert_eq!(block_on(race(&mut Fake::new(50.0, &[8.0], 1), 1)).unwrap().winner, 0);
    }

    #[test]
    fn a_kernel_that_takes_no_time_ends_the_search_for_a_length() {
        let mut gpu = Fake::new(50.0, &[0.0, 1.0], 3);
        assert_eq!(block_on(race(&mut gpu, 2)).unwrap().winner, 0);
    }

    /// The last kernel is far faster, and nobody has time to find that out.
    #[test]
    fn the_favourite_wins_when_the_time_is_over() {
        for seed in 1..200 {
            let mut gpu = Fake { budget: 4e3, ..Fake::new(60.0, &[50.0, 60.0, 55.0, 3.0], seed) };
            let finish = block_on(race(&mut gpu, 4)).unwrap();
            assert_eq!(finish.winner, 0, "{seed}");
            assert!(finish.seconds < 1e-4, "{seed}: {finish:?}");
            // what had begun in time ends
            assert!(gpu.spent < 10e3, "{seed}: {} µs", gpu.spent);
        }
    }

    #[test]
    fn a_race_that_ends_early_prefers_what_was_clearly_faster_by_then() {
        for seed in 1..200 {
            let mut gpu = Fake { budget: 60e3, ..Fake::new(60.0, &[50.0, 20.0, 55.0], seed) };
            assert_eq!(block_on(race(&mut gpu, 3)).unwrap().winner, 1, "{seed}");
            assert!(gpu.spent < 70e3, "{seed}: {} µs", gpu.spent);
        }
    }

    #[test]
    fn what_a_race_leaves_is_for_those_behind_it() {
        let ms = Duration::from_millis;
        let mut budget = Budget::new(ms(300), 3);
        assert_eq!(budget.next(ms(0)), ms(100));
        assert_eq!(budget.next(ms(40)), ms(170));
        // a slow pipeline may take longer than its race had
        assert_eq!(budget.next(ms(310)), ms(310));
        assert_eq!(budget.next(ms(320)), ms(320));
    }
}
