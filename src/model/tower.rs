//! A vision tower: an encoder (Dosovitskiy et al. 2021, arXiv 2010.11929) that reads the patches of
//! a tile in place of tokens, and a projector that turns its rows into those of a decoder's prompt.

use super::architecture::TOWERS;
use super::config::Config;
use super::decoder::Activations;
use super::encoder::Encoder;
use super::weights::{Group, Weight};
use crate::format::metadata::Metadata;
use crate::ops::{Epilogue, Index, Recording};
use crate::picture::Tiling;
use crate::record::{KvCache, Tensor};
use crate::{Error, Result};

/// Stem of the matrix that a patch is multiplied by.
pub(super) const PATCHES: &str = "v.patch_embd";
/// Stem of the projector's matrix.
pub(super) const PROJECTOR: &str = "mm.model.fc";

/// Most pixels of a tile each way, and most tiles each way.
const MOST: [usize; 2] = [1024, 8];

/// What a tower reads and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct TowerConfig {
    /// Pixels of a patch each way.
    pub patch: usize,
    /// How many neighbours each way become one row (pixel shuffle, Shi et al. 2016, arXiv
    /// 1609.05158).
    pub merge: usize,
    /// Columns of a row of the decoder's prompt.
    pub width: usize,
    /// How a picture becomes tiles.
    pub tiling: Tiling,
}

/// The weights of a tower beside its layers.
#[derive(Clone, Debug)]
pub struct Tower {
    /// (hidden, 3 · patch · patch)
    pub patches: Weight,
    /// (width, merge · merge · hidden)
    pub projector: Weight,
}

impl TowerConfig {
    /// Reads the keys of a projector's file; `None` for another encoder. Errors: `InvalidModel` for
    /// sizes that do not fit.
    pub(super) fn read(config: &Config, metadata: &Metadata) -> Result<Option<Self>> {
        if config.architecture.name != TOWERS {
            return Ok(None);
        }
        let key = |name: &str| format!("{TOWERS}.{name}");
        let count = |name: &str| metadata.u32(&key(name)).map(|count| count as usize);
        let invalid = |name: &str, expected: &str, got: usize| Error::InvalidModel {
            what: key(name),
            expected: expected.into(),
            got: got.to_string(),
        };
        let color = |name: &str| {
            let values = metadata.f32s(&key(name))?;
            <[f32; 3]>::try_from(&*values).map_err(|_| invalid(name, "three numbers", values.len()))
        };
        let (tile, patch, merge) = (count("image_size")?, count("patch_size")?, count("projector.scale_factor")?);
        let longest = metadata.opt_u32(&key("preproc_image_size"))?.map_or(tile, |longest| longest as usize);
        let [most_pixels, most_tiles] = MOST;
        if !(1..=most_pixels).contains(&tile) {
            return Err(invalid("image_size", "1 to 1024", tile));
        }
        if !(1..=tile).contains(&patch) || !tile.is_multiple_of(patch) || !patch.is_multiple_of(2) {
            return Err(invalid("patch_size", "an even divisor of image_size", patch));
        }
        if merge == 0 || !(tile / patch).is_multiple_of(merge) {
            return Err(invalid("projector.scale_factor", "a divisor of the patches of a line", merge));
        }
        if !(1..=most_tiles * tile).contains(&longest) {
            return Err(invalid("preproc_image_size", "up to 8 times image_size", longest));
        }
        let tiling = Tiling { tile, longest, mean: color("image_mean")?, std: color("image_std")? };
        let sizes = Self { patch, merge, width: count("projection_dim")?, tiling };
        let (patches, places) = (sizes.patches(), config.trained_context);
        if patches != places {
            let (what, expected) = ("rows of `v.position_embd.weight`".into(), patches.to_string());
            return Err(Error::InvalidModel { what, expected, got: places.to_string() });
        }
        Ok(Some(sizes))
    }

    /// Patches of a line of a tile.
    fn side(&self) -> usize {
        self.tiling.tile / self.patch
    }

    /// Patches of a tile.
    pub fn patches(&self) -> usize {
        self.side() * self.side()
    }

    /// Values of a patch.
    pub fn values(&self) -> usize {
        3 * self.patch * self.patch
    }

    /// Rows that a tile becomes.
    pub fn rows(&self) -> usize {
        self.patches() / (self.merge * self.merge)
    }

    /// The place of each patch, counted line by line, in the order in which the tower reads them:
    /// those that become one row follow each other. Layers do not care, as each sees all.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        let (side, merge) = (self.side(), self.merge);
        let blocks = (0..side / merge).flat_map(move |line| (0..side / merge).map(move |column| [line, column]));
        blocks.flat_map(move |[line, column]| {
            let within = (0..merge).flat_map(move |down| (0..merge).map(move |across| [down, across]));
            within.map(move |[down, across]| (line * merge + down) * side + column * merge + across)
        })
    }

    /// Rows of the last layer, (patches, hidden), as what the projector reads.
    pub fn merged(&self, x: Tensor) -> Tensor {
        Tensor { buffer: x.buffer, rows: self.rows(), cols: x.cols * self.merge * self.merge }
    }

    /// The matrices beside the layers.
    pub(super) fn groups(&self, hidden: usize) -> [Group; 2] {
        let merged = hidden * self.merge * self.merge;
        [Group::new(&[(PATCHES.into(), hidden)], self.values()), Group::new(&[(PROJECTOR.into(), self.width)], merged)]
    }
}

impl Encoder {
    /// Records values of patches, `pixels`, whose ids are their places → what the last layer says
    /// of each, in `a.x`.
    pub fn record_tower(
        &self,
        r: &mut Recording,
        tower: &Tower,
        pixels: Tensor,
        kv: KvCache,
        a: &Activations,
    ) -> Result<()> {
        self.trunk.embed_tokens.embed(r, Index::Id, 1.0, a.x)?;
        tower.patches.linear(r, pixels, None, Epilogue::ACCUMULATE, a.x)?;
        (0..self.trunk.layers.len()).try_for_each(|layer| self.record_layer(r, layer, kv, a))
    }
}
