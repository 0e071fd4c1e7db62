//! Speculative decoding (Leviathan et al. 2023, arXiv 2211.17192): a step computes the logits
//! behind the newest token and behind each token of a draft, a guess of what comes next. Tokens are
//! then drawn from these logits one by one, as ever, for as long as each is the drafted one. A
//! wrong guess costs rows of a step, and never changes an answer.
//!
//! A draft is what must come next by a constraint, or what followed an earlier place with the same
//! ending, in the prompt or in the answer (prompt lookup decoding, Saxena 2023).

use std::collections::VecDeque;

use serde::Deserialize;

/// Tokens of the first draft.
const FIRST: usize = 3;

/// Tokens that an earlier place must share with the end of the text, and how many are compared.
const SHORTEST: usize = 3;
const LONGEST: usize = 16;

/// What a further row of a step costs, in steps of one row: what it does on the CPU engine where a
/// model is so small that arithmetic takes longer than memory. Of larger models it costs less.
const ROW: f32 = 0.35;

/// What drafts may cost in vain, in steps: at first, for each token of the answer, and at once.
const AT_FIRST: f32 = FIRST as f32 * ROW;
const EACH: f32 = 0.015;
const AT_ONCE: f32 = 4.0;

/// Where drafts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Speculate {
    /// From the prompt and the answer so far.
    Lookup,
}

/// Counts of a generation that speculates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speculated {
    /// Tokens of its drafts.
    pub drafted: usize,
    /// Those that became tokens of the answer.
    pub accepted: usize,
}

/// The drafts of a generation.
pub(super) struct Speculation {
    /// Whether drafts are looked up.
    looks_up: bool,
    /// What must come next, as far as the caller knows.
    forced: Vec<u32>,
    pub counts: Speculated,
    /// Tokens of the longest draft that the engine takes.
    most: usize,
    /// Tokens of the next draft at most: it grows after a draft that was right, and shrinks after
    /// one of which less than half was.
    length: usize,
    /// Steps that drafts have saved and may cost, less what they have cost. Without it there is no
    /// draft, so that a text without repetitions costs what it does without drafts.
    balance: f32,
    /// The tokens of the draft under way that were not reached yet, and the logits behind each.
    rows: VecDeque<(u32, Vec<f32>)>,
    /// Tokens of that draft.
    drafted: usize,
}

impl Speculation {
    /// Drafts of at most `most` tokens. Without a source only what is forced is drafted.
    pub fn new(source: Option<Speculate>, most: usize) -> Self {
        Self {
            looks_up: source.is_some(),
            forced: Vec::new(),
            counts: Speculated::default(),
            most,
            length: FIRST.min(most),
            balance: AT_FIRST,
            rows: VecDeque::new(),
            drafted: 0,
        }
    }

    /// The tokens that must come next.
    pub fn force(&mut self, ids: Vec<u32>) {
        self.forced = ids;
    }

    /// A draft of at most `most` tokens behind `tokens`; empty where there is none or where it
    /// would not pay.
    pub fn draft(&self, tokens: &[u32], most: usize) -> Vec<u32> {
        let affordable = (self.balance / ROW).max(0.0) as usize;
        let most = most.min(self.length).min(affordable);
        match &self.forced[..] {
            [] if self.looks_up => look_up(tokens, most),
            forced => forced.iter().copied().take(most).collect(),
        }
    }

    /// Takes what a step has computed for a draft: the logits behind each of its tokens.
    pub fn verify(&mut self, draft: &[u32], logits: impl Iterator<Item = Vec<f32>>) {
        self.rows = draft.iter().copied().zip(logits).collect();
        self.drafted = draft.len();
        self.counts.drafted += draft.len();
        self.balance -= ROW * draft.len() as f32;
    }

    /// The answer goes on with `id`. Returns the logits behind it, if it was drafted.
    pub fn push(&mut self, id: u32) -> Option<Vec<f32>> {
        self.balance = (self.balance + EACH).min(AT_ONCE);
        self.forced.clear();
        let (drafted, logits) = self.rows.pop_front()?;
        if drafted == id {
            self.counts.accepted += 1;
            self.balance += 1.0;
            if self.rows.is_empty() {
                self.length = (2 * self.length + 1).min(self.most);
            }
            return Some(logits);
        }
        let accepted = self.drafted - 1 - self.rows.len();
        if 2 * accepted < self.drafted {
            self.length = (self.length / 2).max(1);
        }
        self.rows.clear();
        None
    }

    /// Whether tokens of a draft were not reached yet.
    pub fn is_under_way(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Drops what is left of a draft.
    pub fn clear(&mut self) {
        self.rows.clear();
    }
}

/// The tokens that followed the latest of the earlier places in `tokens` that share the longest
/// ending with it; none where less than [`SHORTEST`] is shared. A text that repeats itself goes on
/// doing so.
fn look_up(tokens: &[u32], most: usize) -> Vec<u32> {
    let mut draft = Vec::new();
    if most == 0 {
        return draft;
    }
    let (mut longest, mut found) = (SHORTEST - 1, None);
    for place in (1..tokens.len()).rev() {
        let pairs = tokens[..place].iter().rev().zip(tokens.iter().rev()).take(LONGEST);
        let shared = pairs.take_while(|(earlier, last)| earlier == last).count();
        if shared > longest {
            (longest, found) = (shared, Some(place));
        }
        if longest == LONGEST {
            break;
        }
    }
    let Some(place) = found else { return draft };
    for at in place..place + most {
        draft.push(if at < tokens.len() { tokens[at] } else { draft[at - tokens.len()] });
    }
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_follows_the_longest_ending_then_the_latest() {
        // the ending 1 2 3 comes twice, once behind a 9 as at the end
        let text = [9, 1, 2, 3, 4, 5, 8, 1, 2, 3, 6, 7, 9, 1, 2, 3];
        assert_eq!(look_up(&text, 2), [4, 5]);
        assert_eq!(look_up(&text[1..12], 2), [0; 0]);
        assert_eq!(look_up(&[1, 2, 3, 4, 0, 1, 2, 3, 5, 0, 1, 2, 3], 1), [5]);
        assert_eq!(look_up(&[1, 2, 3, 4, 2, 3], 4), [0; 0], "two tokens are not enough");
        for few in [&[][..], &[1], &[1, 1], &[1, 1, 1]] {
            assert_eq!(look_up(few, 4), [0; 0]);
        }
    }

    #[test]
    fn a_text_that_repeats_itself_goes_on() {
        assert_eq!(look_up(&[7, 1, 2, 1, 2, 1, 2], 5), [1, 2, 1, 2, 1]);
        assert_eq!(look_up(&[5; 4], 3), [5; 3]);
    }

    #[test]
    fn drafts_grow_while_they_are_right() {
        let mut speculation = Speculation::new(Some(Speculate::Lookup), 7);
        let text = [1; 20];
        for length in [3, 7, 7] {
            let draft = speculation.draft(&text, usize::MAX);
            assert_eq!(draft, vec![1; length]);
            speculation.verify(&draft, (0..length).map(|i| vec![i as f32]));
            for i in 0..length {
                assert_eq!(speculation.push(1), Some(vec![i as f32]));
            }
            assert_eq!(speculation.push(1), None);
        }
        assert_eq!(speculation.counts, Speculated { drafted: 17, accepted: 17 });
        // three of seven are right
        speculation.verify(&[1; 7], (0..7).map(|_| Vec::new()));
        (0..3).for_each(|_| assert!(speculation.push(1).is_some()));
        assert_eq!(speculation.push(2), None);
        assert_eq!(speculation.draft(&text, usize::MAX).len(), 3);
        assert_eq!(speculation.draft(&text, 2).len(), 2);
        assert_eq!(speculation.counts, Speculated { drafted: 24, accepted: 20 });
    }

    #[test]
    fn drafts_that_are_wrong_cost_little() {
        let mut speculation = Speculation::new(Some(Speculate::Lookup), 7);
        let (text, tokens) = ([1; 20], 1000);
        for _ in 0..tokens {
            let draft = speculation.draft(&text, usize::MAX);
            speculation.verify(&draft, draft.iter().map(|_| Vec::new()));
            assert_eq!(speculation.push(2), None);
        }
        let Speculated { drafted, accepted } = speculation.counts;
        assert_eq!(accepted, 0);
        let cost = ROW * drafted as f32;
        assert!(cost > 0.0 && cost <= AT_FIRST + EACH * tokens as f32, "{cost} steps");
    }

    #[test]
    fn what_drafts_may_cost_at_once_is_bounded() {
        let mut speculation = Speculation::new(Some(Speculate::Lookup), 7);
        let text = [1; 20];
        let spent = |speculation: &mut Speculation, right: bool| {
            let draft = speculation.draft(&text, usize::MAX);
            speculation.verify(&draft, draft.iter().map(|_| Vec::new()));
            (0..draft.len() + 1).for_each(|_| drop(speculation.push(if right { 1 } else { 2 })));
            draft.len()
        };
        for _ in 0..100 {
            spent(&mut speculation, true);
        }
        let mut wasted = 0;
        for _ in 0..50 {
            wasted += spent(&mut speculation, false);
        }
        assert!(ROW * wasted as f32 <= AT_ONCE + EACH * 400.0, "{wasted}");
    }
    #[test]
    fn what_is_forced_comes_before_what_is_looked_up() {
        let text = [1; 20];
        for source in [None, Some(Speculate::Lookup)] {
            let mut speculation = Speculation::new(source, 7);
            speculation.force(vec![5, 6, 7, 8]);
            assert_eq!(speculation.draft(&text, usize::MAX), [5, 6, 7]);
            assert_eq!(speculation.draft(&text, 1), [5]);
            speculation.push(5);
            assert_eq!(speculation.draft(&text, 1), vec![1; usize::from(source.is_some())]);
        }
    }
}
