//! A vision tower on an engine: tiles of a picture → rows of a decoder's prompt.

use std::rc::Rc;

use super::LoadedEncoder;
use crate::Result;
use crate::model::adapter::hash;
use crate::model::tower::TowerConfig;
use crate::picture::{Picture, Tiles};
use crate::record::Memory;
use crate::tokenizer::Segments;

/// Pictures whose rows are kept, so that a second question about one does not run the tower.
const KEPT: usize = 8;

/// What a decoder reads in the place of a picture.
#[derive(Debug)]
pub struct Seen {
    /// Of the pixels.
    hash: u64,
    /// Lines and columns of tiles; 0 if the overview is all.
    pub(super) grid: [usize; 2],
    /// Of each tile, and last of the overview: (rows, width), and the hash of that.
    pub(super) tiles: Vec<(Rc<[f32]>, u64)>,
}

/// A picture that a tower sees tile by tile.
#[derive(Debug)]
pub struct Looking {
    seen: Rc<Seen>,
    /// The tiles that it has not seen, the last one first.
    unseen: Vec<Picture>,
}

const NEEDS: &str = "the file of a projector (mmproj)";

impl LoadedEncoder {
    /// What it reads and gives. Errors: `UnsupportedTask` for an encoder of texts.
    pub fn tower(&self) -> Result<&TowerConfig> {
        self.encoder.encoder_config.tower.as_ref().ok_or_else(|| self.cannot("see", NEEDS))
    }

    /// Begins to look at a picture that `Tiling::scale` has made. Errors: `UnsupportedTask`.
    pub fn look(&self, scaled: &Picture) -> Result<Looking> {
        let size = [scaled.width, scaled.height].into_iter().flat_map(usize::to_le_bytes);
        let hash = hash(size.chain(scaled.rgb.iter().copied()));
        if let Some(seen) = self.seen.iter().find(|seen| seen.hash == hash) {
            return Ok(Looking { seen: seen.clone(), unseen: Vec::new() });
        }
        let Tiles { grid, mut tiles } = self.tower()?.tiling.fill(scaled);
        tiles.reverse();
        Ok(Looking { seen: Rc::new(Seen { hash, grid, tiles: Vec::new() }), unseen: tiles })
    }

    /// Sees one more tile. Returns what was seen once that is all of it. Errors: those of
    /// [`LoadedEncoder::see`].
    pub async fn look_on(&mut self, looking: &mut Looking) -> Result<Option<Rc<Seen>>> {
        if let Some(tile) = looking.unseen.pop() {
            let values = self.see(&tile).await?;
            let of_values = hash(values.iter().flat_map(|value| value.to_le_bytes()));
            // nobody else has it before it is complete
            if let Some(seen) = Rc::get_mut(&mut looking.seen) {
                seen.tiles.push((values.into(), of_values));
            }
        }
        if !looking.unseen.is_empty() {
            return Ok(None);
        }
        let seen = looking.seen.clone();
        self.seen.retain(|other| other.hash != seen.hash);
        self.seen.truncate(KEPT - 1);
        self.seen.insert(0, seen.clone());
        Ok(Some(seen))
    }

    /// The rows that a tile becomes: (rows, width). Errors: `UnsupportedTask`, `InvalidLogits` for
    /// what is not a number, and those of the engine.
    pub async fn see(&mut self, tile: &Picture) -> Result<Vec<f32>> {
        let sizes = self.tower()?;
        let values = sizes.tiling.patches(tile, sizes.patch, sizes.places());
        let ids: Vec<u32> = sizes.places().map(|place| place as u32).collect();
        let Some((pixels, ref projector)) = self.programs.tower else { return Err(self.cannot("see", NEEDS)) };
        let (program, rows) = (projector.program, projector.logits);
        self.engine.write_values(pixels.buffer, 0, &values)?;
        self.run_layers(&[Segments { ids, ..Segments::default() }]).await?;
        self.run_head(program, &vec![0; rows.rows])?;
        self.read(rows.buffer, rows.rows * rows.cols).await
    }
}
