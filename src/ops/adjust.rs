//! `adjust`: the logits of the last token, with what a sampler does to them before its chain:
//! biases, penalties, and the mask of a constraint. See [`Sampler`](crate::sampling::Sampler).

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};
use crate::sampling::{Change, Penalties, biased};

/// y = the logits that the chain draws from.
#[derive(Clone, Copy, Debug)]
pub struct Adjust {
    /// (tokens, vocab)
    pub logits: Tensor,
    /// (1, [`Adjust::room`]): [`words`], as the bits of values
    pub changes: Tensor,
    /// (1, [`Adjust::mask_words`]): the bits of the tokens that are allowed
    pub mask: Tensor,
    /// (1, [`RECENT`]): the bits of the sequence's last ids, each at its position modulo [`RECENT`]
    pub recent: Tensor,
    /// (1, vocab)
    pub y: Tensor,
}

/// Ids that a device keeps of a sequence: of tokens that the host may not know yet.
pub const RECENT: usize = 8;

/// Words before those of the tokens.
const HEADER: usize = 9;

/// Words of a token: its id, the bits of its bias, the occurrences that the host knows.
const WORDS: usize = 3;

/// Logits of a workgroup.
const TILE: usize = 2048;

/// Invocations of a workgroup.
const WORKGROUP: usize = 256;

/// Changed tokens that [`Op::loads`] counts with.
const USUAL: usize = 64;

impl Adjust {
    /// Words for changes of every token.
    pub fn room(vocab: usize) -> usize {
        HEADER + WORDS * vocab
    }

    /// Words of a mask.
    pub fn mask_words(vocab: usize) -> usize {
        vocab.div_ceil(u32::BITS as usize)
    }
}

/// What the host tells of a draw.
#[derive(Clone, Copy, Debug)]
pub struct Changes<'a> {
    /// The changed tokens that the host knows, in the order of ids.
    pub tokens: &'a [Change],
    /// Number of ids in `recent` that count too.
    pub ahead: usize,
    /// Position of the newest of them.
    pub newest: usize,
    /// What recent tokens lose.
    pub penalties: Penalties,
    /// Whether only the tokens of the mask are allowed.
    pub masked: bool,
}

/// The words of `changes`. Tokens that are not in the vocabulary are left out.
pub fn words(changes: &Changes, vocab: usize) -> Vec<u32> {
    let &Changes { tokens, ahead, newest, penalties, masked } = changes;
    let Penalties { repetition, inverse, frequency, presence } = penalties;
    // in the order of ids
    let tokens = &tokens[..tokens.partition_point(|change| (change.id as usize) < vocab)];
    let counts = [tokens.len(), ahead, newest % RECENT, usize::from(masked)].map(|count| count as u32);
    let factors = [repetition, inverse, frequency, presence].map(f32::to_bits);
    // a 0 that shader compilers do not know
    let mut words = [&counts[..], &factors, &[0]].concat();
    words.extend(tokens.iter().map(|change| change.id));
    words.extend(tokens.iter().map(|change| change.bias.to_bits()));
    words.extend(tokens.iter().map(|change| change.count));
    words
}

impl Op for Adjust {
    fn check(&self) -> Result<()> {
        let (vocab, Self { changes, mask, recent, y, .. }) = (self.logits.cols, self);
        let (room, mask_words) = (Self::room(vocab), Self::mask_words(vocab));
        ensure(changes.cols == room, "adjust", &format!("{room} words of changes"), changes.cols)?;
        ensure(mask.cols == mask_words, "adjust", &format!("{mask_words} words of a mask"), mask.cols)?;
        ensure(recent.cols == RECENT, "adjust", &format!("{RECENT} ids"), recent.cols)?;
        ensure((y.rows, y.cols) == (1, vocab), "adjust", "room for one row of logits", y)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let Self { logits, changes, mask, recent, y } = *self;
        vec![Kernel {
            shader: "adjust",
            defines: vec![],
            constants: vec![],
            bindings: [logits, changes, mask, recent, y].map(Into::into).to_vec(),
            params: vec![logits.rows as u32, logits.cols as u32],
            workgroups: [ceil_div(logits.cols, TILE), 1, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    /// With penalties of [`USUAL`] tokens all over the vocabulary, no id on its way, and no mask.
    fn loads(&self, _: &Variants, _: &Step) -> Vec<Loads> {
        let vocab = self.logits.cols;
        let (workgroups, changed) = (ceil_div(vocab, TILE) as usize, USUAL.min(vocab));
        // each workgroup looks for its tokens among all
        let of_each = workgroups * changed;
        // the numbers of tokens and of ids on their way, and whether there is a mask
        let numbers = 3;
        // how often and whether a token came, and the 0
        let penalties = 3;
        let told = WORDS - 1;
        vec![Loads {
            activations: f32s(
                vocab + of_each + workgroups * numbers + workgroups.min(changed) * penalties + changed * told,
            ),
            // of a changed token also the logit, a factor, and the 0 twice more
            lane_activations: f32s(
                vocab + of_each + workgroups * WORKGROUP * numbers + changed * (told + penalties + 4),
            ),
            workgroups: workgroups as u64,
            ..Loads::default()
        }]
    }
}

/// `logits`: (tokens, vocab); the others as in [`Adjust`].
pub fn reference(logits: &[f32], changes: &[f32], mask: &[f32], recent: &[f32], y: &mut [f32]) {
    y.copy_from_slice(&logits[logits.len() - y.len()..]);
    let word = |at: usize| changes[at].to_bits();
    let [tokens, ahead, newest] = [0, 1, 2].map(|at| word(at) as usize);
    let &[repetition, inverse, frequency, presence] = &changes[4..8] else { return };
    let penalties = Penalties { repetition, inverse, frequency, presence };
    let ids: Vec<u32> = (0..tokens).map(|i| word(HEADER + i)).collect();
    let on_the_way: Vec<u32> = (0..ahead).map(|i| recent[(newest + RECENT - i) % RECENT].to_bits()).collect();
    let of = |id: u32| on_the_way.iter().filter(|&&other| other == id).count() as u32;
    for (i, &id) in ids.iter().enumerate() {
        let (bias, count) = (changes[HEADER + tokens + i], word(HEADER + 2 * tokens + i));
        let logit = &mut y[id as usize];
        *logit = penalties.apply(biased(*logit, bias), count + of(id));
    }
    for (i, &id) in on_the_way.iter().enumerate() {
        if !ids.contains(&id) && !on_the_way[..i].contains(&id) {
            let logit = &mut y[id as usize];
            *logit = penalties.apply(*logit, of(id));
        }
    }
    if word(3) != 0 {
        let forbidden = |id: usize| mask[id / 32].to_bits() >> (id % 32) & 1 == 0;
        y.iter_mut().enumerate().filter(|(id, _)| forbidden(*id)).for_each(|(_, logit)| *logit = f32::NEG_INFINITY);
    }
}
