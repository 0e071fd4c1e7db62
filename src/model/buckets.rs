//! Buckets of distances, each with a bias of its own (Raffel et al. 2020, arXiv 1910.10683).

use std::ops::Range;

/// How the distances of keys from a query are put into buckets: near ones each into its own, others
/// by the logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buckets {
    /// Number of buckets.
    pub count: usize,
    /// Distance from which on all are in the last one.
    pub farthest: usize,
    /// Whether keys behind the query have half of the buckets.
    pub both: bool,
}

impl Buckets {
    /// Buckets of the keys on one side.
    fn of_side(&self) -> usize {
        if self.both { self.count / 2 } else { self.count }
    }

    /// Whether there are enough of them, and distances that are not near.
    pub fn fit(&self) -> bool {
        let counts = (4..=1024).contains(&self.count) && self.count.is_multiple_of(2);
        counts && (self.of_side() / 2 + 1..=1 << 16).contains(&self.farthest)
    }

    /// The bucket of a key that is this far behind the query; before it, if `distance` is negative.
    fn of(&self, distance: isize) -> usize {
        let (side, near) = (self.of_side(), self.of_side() / 2);
        let (first, distance) = match (self.both, distance > 0) {
            (true, true) => (side, distance.unsigned_abs()),
            (false, true) => (0, 0),
            (_, false) => (0, distance.unsigned_abs()),
        };
        if distance < near {
            return first + distance;
        }
        // rounded as in the trained models' code
        let ln = |distance: usize| (distance as f64 / near as f64).ln() as f32;
        let above = ln(distance) / ln(self.farthest) * (side - near) as f32;
        first + (near + above as usize).min(side - 1)
    }

    /// All distances from -farthest to farthest, counted from 0: those with a bucket together.
    pub fn runs(&self) -> Vec<(usize, Range<usize>)> {
        let mut runs: Vec<(usize, Range<usize>)> = Vec::new();
        for place in 0..=2 * self.farthest {
            let bucket = self.of(place as isize - self.farthest as isize);
            match runs.last_mut() {
                Some((last, run)) if *last == bucket => run.end = place + 1,
                _ => runs.push((bucket, place..place + 1)),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values computed by transformers' `_relative_position_bucket`.
    #[test]
    fn buckets_are_those_of_transformers() {
        let of = |both, distances: &[isize]| -> Vec<usize> {
            let buckets = Buckets { count: 32, farthest: 128, both };
            distances.iter().map(|&distance| buckets.of(distance)).collect()
        };
        let distances = [-1000, -128, -127, -91, -90, -64, -63, -32, -16, -12, -11, -8, -7, -1, 0, 1, 8, 45, 46, 300];
        assert_eq!(of(true, &distances), [15, 15, 15, 15, 14, 14, 13, 12, 10, 9, 8, 8, 7, 1, 0, 17, 24, 28, 29, 31]);
        assert_eq!(of(false, &distances), [31, 31, 31, 29, 29, 26, 26, 21, 16, 12, 11, 8, 7, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn runs_hold_each_distance_once() {
        for (count, farthest, both) in [(32, 128, true), (32, 128, false), (6, 9, true), (4, 2, true)] {
            let buckets = Buckets { count, farthest, both };
            assert!(buckets.fit());
            let places: Vec<usize> = buckets.runs().into_iter().flat_map(|(_, run)| run).collect();
            assert_eq!(places, (0..=2 * farthest).collect::<Vec<_>>());
            assert_eq!(buckets.of(-(farthest as isize)), buckets.of(-(farthest as isize) * 9));
        }
    }
}
