//! Stop strings in streamed text, across the borders of pieces.
//!
//! The text ends at the stop string that is *complete* first; among those complete at the same
//! place, the longest counts. (The one that *begins* first would depend on the pieces: with `abcd`
//! and `bc` in `abcd`, it is unknown at `abc` whether `d` follows.) Text is held back only while it
//! could still begin a stop string.
//!
//! Each stop string keeps the length of its prefix that the text ends with (Knuth, Morris and Pratt
//! 1977). A piece thus costs its own length per stop string, however long these are.

use crate::{Error, Result};

/// Limit of the total length of all stop strings, in bytes.
const MAX_BYTES: usize = 1 << 18;

/// Limit of the number of stop strings: each looks at every byte.
const MAX_STOPS: usize = 4096;

/// Watches a stream of text for stop strings.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<Stop>,
    /// Text not emitted yet: a prefix of a stop string.
    pending: String,
    stopped: Option<usize>,
}

/// The result of a piece of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOutcome {
    /// Text that certainly precedes any stop string.
    pub emit: String,
    /// Index of the stop string that ended the text.
    pub stopped: Option<usize>,
}

/// One stop string.
#[derive(Debug, Clone)]
struct Stop {
    text: Vec<u8>,
    /// For each prefix of the text, the length of the longest shorter prefix that it ends with.
    shorter: Vec<u32>,
    /// Length of the prefix that the text so far ends with.
    matched: usize,
}

impl Stop {
    fn new(text: String) -> Self {
        let text = text.into_bytes();
        let mut stop = Self { shorter: vec![0; text.len()], text, matched: 0 };
        for i in 1..stop.text.len() {
            stop.take(stop.text[i]);
            stop.shorter[i] = stop.matched as u32;
        }
        stop.matched = 0;
        stop
    }

    /// Takes the next byte of the text. Returns whether the stop string is complete.
    fn take(&mut self, byte: u8) -> bool {
        while self.matched > 0 && self.text.get(self.matched) != Some(&byte) {
            self.matched = self.shorter[self.matched - 1] as usize;
        }
        self.matched += usize::from(self.text[self.matched] == byte);
        self.matched == self.text.len()
    }
}

impl StopMatcher {
    /// Watches for any of `stops`, possibly none.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an empty stop string, which would end every text at once, and
    /// for too many or too long ones.
    pub fn new(stops: Vec<String>) -> Result<Self> {
        let refused = |name: String, expected: String, got: String| Err(Error::InvalidOption { name, expected, got });
        if let Some(index) = stops.iter().position(String::is_empty) {
            return refused(format!("stop[{index}]"), "strings that are not empty".into(), "\"\"".into());
        }
        if stops.len() > MAX_STOPS {
            return refused("stop".into(), format!("at most {MAX_STOPS} strings"), stops.len().to_string());
        }
        let bytes: usize = stops.iter().map(String::len).sum();
        if bytes > MAX_BYTES {
            return refused("stop".into(), format!("at most {MAX_BYTES} bytes of text in all"), bytes.to_string());
        }
        let stops = stops.into_iter().map(Stop::new).collect();
        Ok(Self { stops, pending: String::new(), stopped: None })
    }

    /// Takes the next piece. After a stop, it is dropped.
    pub fn push(&mut self, piece: &str) -> StopOutcome {
        if self.stopped.is_some() {
            return StopOutcome { emit: String::new(), stopped: self.stopped };
        }
        let before = self.pending.len();
        self.pending.push_str(piece);
        for (at, byte) in (before..).zip(piece.bytes()) {
            let mut complete: Option<(usize, usize)> = None;
            for (index, stop) in self.stops.iter_mut().enumerate() {
                let length = stop.text.len();
                if stop.take(byte) && complete.is_none_or(|(longest, _)| length > longest) {
                    complete = Some((length, index));
                }
            }
            if let Some((length, index)) = complete {
                self.stopped = Some(index);
                let mut emit = std::mem::take(&mut self.pending);
                emit.truncate(at + 1 - length);
                return StopOutcome { emit, stopped: self.stopped };
            }
        }
        let held = self.stops.iter().map(|stop| stop.matched).max().unwrap_or(0);
        let emit = self.pending.drain(..self.pending.len() - held).collect();
        StopOutcome { emit, stopped: None }
    }

    /// Ends the stream. Returns the text held back, which no stop string completed.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Emitted text and stop for `pieces`.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, Option<usize>) {
        let mut matcher = StopMatcher::new(stops.iter().map(|s| s.to_string()).collect()).unwrap();
        let mut text = String::new();
        let mut stopped = None;
        for piece in pieces {
            let outcome = matcher.push(piece);
            text.push_str(&outcome.emit);
            stopped = outcome.stopped;
        }
        text.push_str(&matcher.flush());
        (text, stopped)
    }

    #[test]
    fn a_stop_string_across_pieces_ends_the_text_before_it() {
        assert_eq!(run(&["\nUser:"], &["Hi\n", "Us", "er", ": x"]), ("Hi".into(), Some(0)));
        assert_eq!(run(&["\nUser:"], &["Hi\n", "Us", "ed: x"]), ("Hi\nUsed: x".into(), None));
        assert_eq!(run(&["END"], &["EEN", "EN", "D", "more"]), ("EEN".into(), Some(0)));
        assert_eq!(run(&[], &["a", "b"]), ("ab".into(), None));
    }

    #[test]
    fn holds_back_only_what_could_begin_a_stop_string() {
        let mut matcher = StopMatcher::new(vec!["abac".into(), "é!".into()]).unwrap();
        assert_eq!(matcher.push("xabab").emit, "xab");
        assert_eq!(matcher.push("é").emit, "ab");
        assert_eq!(matcher.push("?").emit, "é?");
        assert_eq!(matcher.flush(), "");
    }

    #[test]
    fn the_first_complete_one_wins_then_the_longest() {
        assert_eq!(run(&["abcd", "bc"], &["abcd"]), ("a".into(), Some(1)));
        assert_eq!(run(&["c", "bc"], &["abc"]), ("a".into(), Some(1)));
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        let error = StopMatcher::new(vec!["a".into(), String::new()]).unwrap_err();
        assert!(matches!(&error, Error::InvalidOption { name, .. } if name == "stop[1]"), "{error}");
    }

    #[test]
    fn stop_strings_are_bounded_and_cost_the_same_at_any_length() {
        for (stops, expected) in [(vec!["a".repeat(10 << 20)], "got 10485760"), (vec!["a".into(); 5000], "got 5000")] {
            let error = StopMatcher::new(stops).unwrap_err().to_string();
            assert!(error.contains("`stop`") && error.contains(expected), "{error}");
        }
        // each piece undoes most of the match: quadratic if every prefix were tried
        let mut matcher = StopMatcher::new(vec!["a".repeat(MAX_BYTES - 1) + "b"]).unwrap();
        let mut emitted = 0;
        for _ in 0..MAX_BYTES {
            emitted += matcher.push("aa").emit.len();
        }
        assert_eq!(emitted, MAX_BYTES + 1);
        assert_eq!(matcher.push("b"), StopOutcome { emit: String::new(), stopped: Some(0) });
    }

    proptest! {
        /// The pieces change neither text nor stop, and both agree with a naive search.
        #[test]
        fn any_cut_into_pieces_gives_the_same(
            text in "[abé]{0,24}",
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            cuts in prop::collection::vec(any::<bool>(), 24),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let mut pieces = vec![String::new()];
            for (c, cut) in text.chars().zip(cuts) {
                if cut {
                    pieces.push(String::new());
                }
                pieces.last_mut().unwrap().push(c);
            }
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();

            let ends = (0..=text.len()).filter(|&end| text.is_char_boundary(end));
            let complete = ends.map(|end| &text[..end]).find_map(|begin| {
                let ending = stops.iter().enumerate().filter(|(_, stop)| begin.ends_with(**stop));
                let (index, stop) = ending.max_by_key(|(index, stop)| (stop.len(), usize::MAX - index))?;
                Some((begin[..begin.len() - stop.len()].to_owned(), Some(index)))
            });
            prop_assert_eq!(run(&stops, &pieces), complete.unwrap_or((text.clone(), None)));
        }
    }
}
