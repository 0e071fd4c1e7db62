//! Stop strings in streamed text, wherever the pieces are cut.
//!
//! The text ends at the stop string that is *complete* first. (The one that *begins* first would depend on how the text
//! is cut into pieces: of `abcd` and `bc` in `abcd`, nobody knows at `abc` whether `d` follows.) Of two that are
//! complete at the same place the longer counts. Text is held back only while it could still begin a stop string.

use crate::{Error, Result};

/// Watches a stream of text for stop strings.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// Text not yet emitted: begin of a stop string.
    pending: String,
    stopped: Option<usize>,
}

/// What a piece of text brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOutcome {
    /// Text that is certain to come before any stop string.
    pub emit: String,
    /// Index of the stop string that ended the text.
    pub stopped: Option<usize>,
}

impl StopMatcher {
    /// Watches for any of `stops`; none is fine.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an empty stop string, which would end every text at once.
    pub fn new(stops: Vec<String>) -> Result<Self> {
        if let Some(index) = stops.iter().position(String::is_empty) {
            let expected = "strings that are not empty".into();
            return Err(Error::InvalidOption { name: format!("stop[{index}]"), expected, got: "\"\"".into() });
        }
        Ok(Self { stops, pending: String::new(), stopped: None })
    }

    /// Takes the next piece. After a stop, everything is dropped.
    pub fn push(&mut self, piece: &str) -> StopOutcome {
        if self.stopped.is_some() {
            return StopOutcome { emit: String::new(), stopped: self.stopped };
        }
        self.pending.push_str(piece);
        let found = self.stops.iter().enumerate().filter_map(|(index, stop)| {
            let start = self.pending.find(stop)?;
            Some((start + stop.len(), start, index))
        });
        let emitted = match found.min() {
            Some((_, start, index)) => {
                self.stopped = Some(index);
                start
            }
            None => self.pending.len() - self.held_back(),
        };
        let held = self.pending.split_off(emitted);
        let emit = std::mem::replace(&mut self.pending, held);
        if self.stopped.is_some() {
            self.pending.clear();
        }
        StopOutcome { emit, stopped: self.stopped }
    }

    /// Ends the stream: the text that was held back, since no stop string came of it.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }

    /// Bytes of the longest end of `pending` that begins a stop string.
    fn held_back(&self) -> usize {
        let pending = self.pending.as_bytes();
        let longest = |stop: &String| {
            let longest = pending.len().min(stop.len() - 1);
            (1..=longest).rev().find(|&length| pending.ends_with(&stop.as_bytes()[..length]))
        };
        self.stops.iter().filter_map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Emitted text and stop of `pieces`.
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
    fn stops_across_pieces_and_emits_what_comes_before() {
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
    fn the_first_to_be_complete_wins_then_the_longest() {
        assert_eq!(run(&["abcd", "bc"], &["abcd"]), ("a".into(), Some(1)));
        assert_eq!(run(&["c", "bc"], &["abc"]), ("a".into(), Some(1)));
    }

    #[test]
    fn an_empty_stop_string_is_refused() {
        let error = StopMatcher::new(vec!["a".into(), String::new()]).unwrap_err();
        assert!(matches!(&error, Error::InvalidOption { name, .. } if name == "stop[1]"), "{error}");
    }

    proptest! {
        /// The cut into pieces changes neither the text nor the stop, and both agree with the definition.
        #[test]
        fn any_cut_gives_the_same(text in "[abé]{0,24}", stops in prop::collection::vec("[abé]{1,4}", 0..4), cuts in prop::collection::vec(any::<bool>(), 24)) {
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
