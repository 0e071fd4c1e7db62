//! Pictures in a prompt: rows that a tower made, in the places of tokens.

use std::ops::Range;
use std::rc::Rc;

use super::keys::{Key, token_keys};
use super::tower::Seen;
use super::{LoadedDecoder, LoadedEncoder};
use crate::picture::Picture;
use crate::tokenizer::{EncodeOptions, IMAGE};
use crate::{Error, Result};

/// Positions of a prompt that are not of tokens.
#[derive(Clone, Debug, Default)]
pub struct Content(Rc<Vec<Run>>);

/// Consecutive positions.
#[derive(Debug)]
struct Run {
    positions: Range<usize>,
    /// (positions, hidden)
    values: Rc<[f32]>,
    /// Of the values.
    hash: u64,
}

impl Content {
    /// Whether all positions are of tokens.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of the positions from `position` on, where tokens have these ids.
    pub(super) fn keys(&self, position: usize, ids: &[u32]) -> Vec<Key> {
        let mut keys: Vec<_> = token_keys(ids).collect();
        for Run { positions, hash, .. } in self.0.iter() {
            for at in positions.start.max(position)..positions.end.min(position + ids.len()) {
                let row = (at - positions.start) as u64;
                keys[at - position] = Key::Content(hash ^ row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            }
        }
        keys
    }

    /// The runs of these positions: the first position of each, counted from the first of all, and
    /// its values, `cols` for a position.
    pub(super) fn within(&self, all: Range<usize>, cols: usize) -> impl Iterator<Item = (usize, &[f32])> {
        self.0.iter().filter_map(move |Run { positions, values, .. }| {
            let (start, end) = (positions.start.max(all.start), positions.end.min(all.end));
            let rows = start.checked_sub(positions.start)?..end.checked_sub(positions.start)?;
            (start < end).then(|| (start - all.start, &values[rows.start * cols..rows.end * cols]))
        })
    }
}

impl LoadedDecoder {
    /// A prompt in which these pictures are in the places of as many image tokens. Errors: those of
    /// [`LoadedDecoder::put`] and [`LoadedEncoder::see`].
    pub async fn place(
        &self,
        prompt: &[u32],
        pictures: &[Picture],
        tower: &mut LoadedEncoder,
    ) -> Result<(Vec<u32>, Content)> {
        self.check_places(prompt, pictures.len(), tower)?;
        let mut all = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let mut looking = tower.look(&tower.tower()?.tiling.scaled_of(picture))?;
            all.push(loop {
                if let Some(seen) = tower.look_on(&mut looking).await? {
                    break seen;
                }
            });
        }
        self.put(prompt, &all, tower)
    }

    /// The same of pictures that the tower has seen, as Idefics3 reads them: the rows of each tile
    /// between tokens that say where in the picture it is. Errors: `InvalidOption` for another
    /// number of image tokens, and those of [`LoadedDecoder::check_tower`].
    pub fn put(&self, prompt: &[u32], pictures: &[Rc<Seen>], tower: &LoadedEncoder) -> Result<(Vec<u32>, Content)> {
        let image = self.check_places(prompt, pictures.len(), tower)?;
        let (mut ids, mut runs, mut next) = (Vec::new(), Vec::new(), pictures.iter());
        for &id in prompt {
            let Some(seen) = (id == image).then(|| next.next()).flatten() else {
                ids.push(id);
                continue;
            };
            let mut tiles = seen.tiles.iter();
            let text = around(seen.grid, tower.tower()?.rows());
            let options = EncodeOptions { add_special: false, parse_special: true };
            for of_picture in self.tokenizer.encode(&text, options)?.chunk_by(|a, b| a == b) {
                let start = ids.len();
                ids.extend(of_picture);
                if let Some((values, hash)) = (of_picture[0] == image).then(|| tiles.next()).flatten() {
                    runs.push(Run { positions: start..ids.len(), values: values.clone(), hash: *hash });
                }
            }
        }
        Ok((ids, Content(Rc::new(runs))))
    }

    fn check_places(&self, prompt: &[u32], pictures: usize, tower: &LoadedEncoder) -> Result<u32> {
        let image = self.check_tower(tower)?;
        let places = prompt.iter().filter(|&&id| id == image).count();
        if places == pictures {
            return Ok(image);
        }
        let (name, expected) = ("image".into(), format!("a picture for each of {places} `<image>` of the prompt"));
        Err(Error::InvalidOption { name, expected, got: pictures.to_string() })
    }

    /// The id of the token that a picture takes the place of. Errors: `UnsupportedModel` for a
    /// tower of another model, `UnsupportedTask` for a model that cannot read rows.
    pub fn check_tower(&self, tower: &LoadedEncoder) -> Result<u32> {
        let (width, hidden) = (tower.tower()?.width, self.runner.decoder.config.hidden);
        if width != hidden {
            return Err(Error::UnsupportedModel {
                what: "the projector".into(),
                found: format!("rows of {width} values"),
                known: format!("the projector that was made for this model, whose rows have {hidden}"),
            });
        }
        if !self.runner.decoder.takes_rows() {
            return Err(self.cannot("see", "a model that reads rows of its embedding table alone"));
        }
        let image = self.tokenizer.special_ids(&[IMAGE.into()]).first().copied();
        image.ok_or_else(|| self.cannot("see", "a model with a token `<image>`"))
    }

    /// Errors: `InvalidOption` if a picture is not followed by a token of a prompt of `len`.
    pub(super) fn check_content(&self, content: &Content, len: usize) -> Result<()> {
        match content.0.iter().find(|run| run.positions.end >= len) {
            None => Ok(()),
            Some(run) => Err(Error::InvalidOption {
                name: "prompt".into(),
                expected: "a token behind the last picture".into(),
                got: format!("a prompt of {len} tokens with a picture up to {}", run.positions.end),
            }),
        }
    }
}

/// What stands in the place of an image token, with `rows` image tokens for each tile of a `grid`
/// and for the overview.
fn around([lines, columns]: [usize; 2], rows: usize) -> String {
    const FAKE: &str = "<fake_token_around_image>";
    let image = IMAGE.repeat(rows);
    let mut text = String::new();
    for line in 1..=lines {
        for column in 1..=columns {
            text += &format!("{FAKE}<row_{line}_col_{column}>{image}");
        }
        text += "\n";
    }
    let before = if lines > 0 { "\n" } else { "" };
    text + &format!("{before}{FAKE}<global-img>{image}{FAKE}")
}
