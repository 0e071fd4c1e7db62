//! The next tokens of several generations in one step, on an engine whose logits the host samples.
//! The CPU engine then reads a weight once for all of them. A generation has the same logits as in
//! a step of its own.

use std::collections::BTreeMap;

use super::advance::Running;
use super::generation::{Generation, GenerationId};
use super::keys::token_keys;
use super::runner::Runner;
use super::sequences::Sequence;
use crate::record::rows;
use crate::{Error, Result};

/// Most generations in one step: the CPU engine reads a weight once for up to four rows.
pub(super) const MOST: usize = 4;

/// A generation whose next event needs the logits of its last token.
struct Waiting<'a> {
    tokens: &'a [u32],
    sequence: &'a mut Sequence,
    logits: &'a mut Option<Vec<f32>>,
}

impl Running {
    fn waiting(&mut self) -> Option<Waiting<'_>> {
        let Self { generation, sequence: Some(sequence), device: None, logits: logits @ None } = self else {
            return None;
        };
        // one that is looked at goes layer by layer
        let Generation { tokens, finish: None, prefill: false, inspect: None, .. } = generation else { return None };
        // A call that was dropped before its end may have computed the last token already.
        (sequence.len() + 1 >= tokens.len()).then_some(Waiting { tokens, sequence, logits })
    }
}

/// If the generation `id` waits for logits, computes them together with those that others wait for.
/// Does nothing if no other does. Errors: those of a step of `id` alone.
pub(super) async fn compute(
    id: GenerationId,
    generations: &mut BTreeMap<GenerationId, Running>,
    runner: &mut Runner,
) -> Result<()> {
    let waiting = generations.iter_mut().filter_map(|(other, running)| Some((*other, running.waiting()?)));
    // a step has the adapters of all its rows
    let waiting = waiting.filter(|(_, waiting)| runner.check_selected(&waiting.sequence.origin).is_ok());
    let (mut chosen, others): (Vec<_>, Vec<_>) = waiting.partition(|(other, _)| *other == id);
    if chosen.is_empty() || others.is_empty() {
        return Ok(());
    }
    chosen.extend(others);
    chosen.truncate(MOST.min(runner.programs.rows));
    let (mut step, mut members) = (Vec::new(), Vec::new());
    for (other, Waiting { tokens, sequence, logits }) in chosen {
        let position = tokens.len() - 1;
        sequence.truncate(position);
        match runner.grow(sequence, position..tokens.len()).await {
            Err(Error::OutOfMemory { .. }) if other != id => continue,
            grown => grown?,
        }
        step.extend(rows(members.len(), position, &tokens[position..]));
        members.push(Waiting { tokens, sequence, logits });
    }
    let tables: Vec<_> = members.iter().map(|member| member.sequence.blocks.table()).collect();
    let all = match runner.decode_together(&step, &tables).await {
        // each then computes its own
        Err(Error::OutOfMemory { .. }) => return Ok(()),
        computed => computed?,
    };
    for (Waiting { tokens, sequence, logits }, row) in members.into_iter().zip(all.chunks(runner.decoder.vocab)) {
        sequence.keys.extend(token_keys(&tokens[tokens.len() - 1..]));
        *logits = Some(row.to_vec());
    }
    Ok(())
}
