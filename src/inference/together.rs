//! The next tokens of several generations in one step, which reads a weight once for all of them.
//! On an engine whose logits the host samples, those that wait for logits share a step, and each
//! has the same as in a step of its own. On a GPU, those that have queued equally many steps queue
//! the next one together, with a draw for each; its kernels for several rows may round otherwise
//! than those for one.

use std::collections::BTreeMap;

use super::advance::Running;
use super::generation::{Generation, GenerationId};
use super::keys::token_keys;
use super::runner::{Draw, OnDevice, Runner};
use super::sequences::Sequence;
use crate::record::{Row, rows};
use crate::{Error, Result};

/// Most generations in one step. The CPU engine reads a weight from memory once for them, though
/// its kernels take four rows at a time, and a GPU is bound by memory for more.
pub(super) const MOST: usize = 8;

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
    let mut sequences: Vec<_> = members.iter_mut().map(|member| &mut *member.sequence).collect();
    let all = match runner.decode_together(&step, &mut sequences).await {
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

/// A generation that draws on the device, and may queue one more step.
struct Drawing<'a> {
    generation: &'a mut Generation,
    sequence: &'a mut Sequence,
    device: &'a mut OnDevice,
}

impl Running {
    /// `context`: the most positions of a sequence.
    fn drawing(&mut self, context: usize) -> Option<Drawing<'_>> {
        let Self { generation, sequence: Some(sequence), device: Some(device), logits: None } = self else {
            return None;
        };
        let Generation { tokens, ahead, chunks, finish: None, prefill: false, .. } = &*generation else { return None };
        // a mask is known for one draw, and a draft comes behind the last step
        let free = !generation.constrained && generation.speculation.is_none();
        let left = (generation.max_tokens - generation.generated).min(context.saturating_sub(tokens.len()));
        let computed = sequence.len() + 1 >= tokens.len() && chunks.is_empty();
        (free && computed && ahead.len() < left).then_some(Drawing { generation, sequence, device })
    }
}

/// On an engine that samples: queues the next steps of the generation `id`, one of `count`, as far
/// as others share them. Errors: those of a step of `id` alone.
pub(super) async fn queue_all(
    id: GenerationId,
    generations: &mut BTreeMap<GenerationId, Running>,
    runner: &mut Runner,
    count: usize,
) -> Result<()> {
    let depth = runner.depth(count);
    while queue(id, generations, runner, depth).await? {}
    Ok(())
}

/// Queues one more step for the generation `id` and those that have queued as many as it, if it may
/// have `depth` queued. Returns false if it may not, or no other has. Errors: those of a step of
/// `id` alone.
async fn queue(
    id: GenerationId,
    generations: &mut BTreeMap<GenerationId, Running>,
    runner: &mut Runner,
    depth: usize,
) -> Result<bool> {
    let queued = |running: &Running| running.generation.ahead.len();
    let ahead = generations.get(&id).map_or(depth, queued);
    if ahead >= depth {
        return Ok(false);
    }
    let context = runner.decoder.context;
    let equal = generations.iter_mut().filter(|(_, running)| queued(running) == ahead);
    let drawing = equal.filter_map(|(other, running)| Some((*other, running.drawing(context)?)));
    // a step has the adapters of all its rows
    let drawing = drawing.filter(|(_, drawing)| runner.check_selected(&drawing.sequence.origin).is_ok());
    let (mut chosen, others): (Vec<_>, Vec<_>) = drawing.partition(|(other, _)| *other == id);
    if chosen.is_empty() || others.is_empty() {
        return Ok(false);
    }
    chosen.extend(others);
    chosen.truncate(runner.programs.next_rows());
    let made = |runner: &mut Runner| runner.programs.picks(&mut runner.engine, &runner.decoder);
    match runner.with_room(made).await {
        // each then queues its own
        Err(Error::OutOfMemory { .. }) => return Ok(false),
        made => made?,
    };
    let (mut step, mut members) = (Vec::new(), Vec::new());
    for (other, Drawing { generation, sequence, device }) in chosen {
        let known = generation.tokens.len();
        sequence.truncate(known - 1);
        let position = known + ahead - 1;
        let room = runner.grow(sequence, position..position + 1).await;
        match (room, runner.prepare_draw(device).await) {
            // each then queues its own
            (Err(Error::OutOfMemory { .. }), _) | (_, Ok(false)) if other == id => return Ok(false),
            (Err(Error::OutOfMemory { .. }), _) | (_, Ok(false)) => continue,
            (room, ready) => room.and(ready)?,
        };
        let id = (ahead == 0).then(|| generation.tokens[position]);
        step.push(Row { id, position, sequence: members.len(), wanted: true });
        members.push((other, Drawing { generation, sequence, device }));
    }
    if members.len() < 2 {
        return Ok(false);
    }
    let (mut draws, mut queues, mut sequences) = (Vec::new(), Vec::new(), Vec::new());
    for (other, Drawing { generation, sequence, device }) in &mut members {
        let Generation { tokens, source, ahead, sampler, .. } = &mut **generation;
        let random = sampler.random();
        draws.push((
            *other,
            &mut **device,
            Draw { random, sampler, source: *source, known: &tokens[*source..], ahead: ahead.len() },
        ));
        sequences.push(&mut **sequence);
        queues.push(ahead);
    }
    let words = runner.queue_together(&step, &mut sequences, &mut draws)?;
    drop(draws);
    queues.into_iter().zip(words).for_each(|(ahead, words)| ahead.push_back(words));
    Ok(true)
}
