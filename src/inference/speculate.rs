//! Speculative decoding (Leviathan et al. 2023, arXiv 2211.17192): a step computes the logits
//! behind the newest token and behind each token of a draft, a guess of what comes next. Tokens are
//! then drawn from these logits one by one, as ever, for as long as each is the drafted one. A
//! wrong guess costs rows of a step, and never changes an answer.
//!
//! A draft is what followed an earlier place with the same ending, in the prompt or in the answer
//! (prompt lookup decoding, Saxena 2023); or what another, smaller model says.

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
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
#[serde(rename_all = "lowercase")]
pub enum Speculate {
    /// From the prompt and the answer so far.
    Lookup,
    /// From the caller, who asks another model: see
    /// [`LoadedDecoder::wants_draft`](super::LoadedDecoder::wants_draft).
    Given {
        /// What a step of that model takes, in steps of this one.
        cost: f32,
    },
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
    /// `None`: there are no more drafts.
    source: Option<Speculate>,
    /// The draft that another model gave.
    given: Vec<u32>,
    /// Tokens of the answer since that model was last asked which it did not draft.
    unread: usize,
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
    /// Drafts of at most `most` tokens.
    pub fn new(source: Speculate, most: usize) -> Self {
        // a draft out of the text seldom comes by chance, so that its first says more
        let balance = if let Speculate::Given { .. } = source { AT_ONCE } else { AT_FIRST };
        Self {
            source: Some(source),
            given: Vec::new(),
            unread: 0,
            counts: Speculated::default(),
            most,
            length: FIRST.min(most),
            balance,
            rows: VecDeque::new(),
            drafted: 0,
        }
    }

    /// A draft of at most `most` tokens behind `tokens`; empty where there is none or where it
    /// would not pay.
    pub fn draft(&self, tokens: &[u32], most: usize) -> Vec<u32> {
        match self.source {
            Some(Speculate::Lookup) => look_up(tokens, most.min(self.affordable(self.balance, ROW))),
            // what is given was affordable
            _ => self.given.iter().copied().take(most).collect(),
        }
    }

    /// Tokens of the draft that another model should give now, at most `most`; 0: none.
    pub fn wants(&self, most: usize) -> usize {
        match self.source {
            Some(Speculate::Given { cost }) if self.given.is_empty() => {
                most.min(self.affordable(self.balance - self.reading(cost), ROW + cost))
            }
            _ => 0,
        }
    }

    /// Takes a draft of another model. After an empty one, no more are wanted.
    pub fn give(&mut self, ids: Vec<u32>) {
        let Some(Speculate::Given { cost }) = self.source else { return };
        if ids.is_empty() {
            self.source = None;
        }
        self.balance -= self.reading(cost) + cost * ids.len() as f32;
        self.unread = 0;
        self.given = ids;
    }

    /// What it takes the other model to read what it has not read; its first step reads one token.
    fn reading(&self, cost: f32) -> f32 {
        cost * ROW * self.unread.saturating_sub(1) as f32
    }

    /// Tokens of a draft that a balance allows.
    fn affordable(&self, balance: f32, price: f32) -> usize {
        self.length.min((balance / price).max(0.0) as usize)
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
        self.given.clear();
        let is_drafted = self.rows.front().is_some_and(|(drafted, _)| *drafted == id);
        self.unread += usize::from(!is_drafted && self.counts.drafted > 0);
        let (_, logits) = self.rows.pop_front()?;
        if is_drafted {
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
        let mut speculation = Speculation::new(Speculate::Lookup, 7);
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
        let mut speculation = Speculation::new(Speculate::Lookup, 7);
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
        let mut speculation = Speculation::new(Speculate::Lookup, 7);
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

    /// Asks for a draft of ones, of which `right` come to be, then another token. Returns how many
    /// were wanted.
    fn given(speculation: &mut Speculation, right: usize) -> usize {
        let wanted = speculation.wants(usize::MAX);
        if wanted > 0 {
            speculation.give(vec![1; wanted]);
            let draft = speculation.draft(&[1; 20], usize::MAX);
            assert_eq!(draft, vec![1; wanted]);
            assert_eq!(speculation.wants(usize::MAX), 0, "there is one");
            speculation.verify(&draft, draft.iter().map(|_| Vec::new()));
        }
        (0..right.min(wanted)).for_each(|_| assert!(speculation.push(1).is_some()));
        assert!(speculation.push(2).is_none());
        wanted
    }

    #[test]
    fn drafts_of_a_model_grow_while_they_are_right() {
        let mut speculation = Speculation::new(Speculate::Given { cost: 0.1 }, 7);
        assert_eq!([3, 7, 7].map(|_| given(&mut speculation, 7)), [3, 7, 7]);
        assert_eq!(given(&mut speculation, 3), 7);
        assert_eq!(given(&mut speculation, 0), 3);
        assert_eq!(speculation.counts, Speculated { drafted: 27, accepted: 20 });
    }

    #[test]
    fn drafts_of_a_model_end_where_they_do_not_pay() {
        for (cost, right) in [(0.3, false), (0.9, true), (1.0, true), (5.0, true)] {
            let mut speculation = Speculation::new(Speculate::Given { cost }, 7);
            let wanted: Vec<_> = (0..500).map(|_| given(&mut speculation, usize::from(right))).collect();
            let Speculated { drafted, accepted } = speculation.counts;
            let lost = (ROW + cost) * drafted as f32 - accepted as f32;
            assert!(lost <= AT_ONCE + EACH * 500.0, "{cost}: {lost} steps");
            assert!(wanted[20..].iter().filter(|&&wanted| wanted > 0).count() < 20, "{cost}: {wanted:?}");
        }
        // a dear model that is always right
        let mut speculation = Speculation::new(Speculate::Given { cost: 0.6 }, 3);
        assert!((0..100).all(|_| given(&mut speculation, 3) > 0));
    }

    #[test]
    fn what_another_model_must_read_first_counts() {
        let mut speculation = Speculation::new(Speculate::Given { cost: 0.5 }, 3);
        assert_eq!(given(&mut speculation, 3), 3);
        // meanwhile the tokens come from elsewhere, as with other generations
        (0..40).for_each(|_| assert_eq!(speculation.push(2), None));
        assert_eq!(speculation.wants(3), 0, "40 rows of a model of half the size");
        // before the first draft there is only the prompt, and an answer that goes on
        let mut speculation = Speculation::new(Speculate::Given { cost: 0.5 }, 3);
        (0..40).for_each(|_| assert_eq!(speculation.push(2), None));
        assert_eq!(speculation.wants(3), 3);
    }

    #[test]
    fn no_draft_of_a_model_is_the_last() {
        let mut speculation = Speculation::new(Speculate::Given { cost: 0.1 }, 3);
        speculation.give(Vec::new());
        assert_eq!((speculation.wants(3), speculation.draft(&[1; 20], 3)), (0, Vec::new()));
        // who looks drafts up takes none
        let mut speculation = Speculation::new(Speculate::Lookup, 3);
        speculation.give(vec![7]);
        assert_eq!((speculation.wants(3), speculation.draft(&[1; 20], 3)), (0, vec![1; 3]));
    }
}
