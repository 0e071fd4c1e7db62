//! `gather`: which slots of a step go to which expert, so that an expert's weights are read once
//! for many of them.

use super::loads::f32s;
use super::{Kernel, Loads, Op, RowGrid, Variants, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// y = the tiles, then the slots by expert, those of an expert in order. Slot t · chosen + j is the
/// j-th expert of token t. A tile is up to [`TILE`] slots of one expert, as (expert, place of its
/// first slot, slots); tiles past the last have no slots.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    /// (tokens, at least chosen): the indices of a token's experts
    pub route: Tensor,
    /// Experts per token.
    pub chosen: usize,
    /// Experts to choose from.
    pub experts: usize,
    /// (1, at least [`Gather::len`])
    pub y: Tensor,
}

/// Most slots of a tile: what a workgroup of `expert_linear` multiplies with an expert's rows at
/// once.
pub const TILE: usize = 32;

const WORKGROUP: usize = 256;

impl Gather {
    /// Most tiles of so many tokens: each expert that is chosen may leave one partly empty.
    pub fn tiles(tokens: usize, chosen: usize, experts: usize) -> usize {
        let slots = tokens * chosen;
        let first = slots.min(experts);
        first + (slots - first) / TILE
    }

    /// Values of y for so many tokens.
    pub fn len(tokens: usize, chosen: usize, experts: usize) -> usize {
        3 * Self::tiles(tokens, chosen, experts) + tokens * chosen
    }

    fn capacity(&self) -> usize {
        Self::tiles(self.route.rows, self.chosen, self.experts)
    }

    /// Parts of the slots, each of which has an invocation that puts its slots in order. As many as
    /// counts of each expert fit in workgroup memory.
    fn parts(&self) -> usize {
        (3072 / self.experts).clamp(1, 64)
    }
}

impl Op for Gather {
    fn check(&self) -> Result<()> {
        ensure(self.route.cols >= self.chosen, "gather", "an expert a slot", self)?;
        // their counts are in workgroup memory
        ensure((1..=2048).contains(&self.experts), "gather", "1 to 2048 experts", self)?;
        let len = Self::len(self.route.rows, self.chosen, self.experts);
        ensure(self.y.rows == 1 && self.y.cols >= len, "gather", "room for all tiles and slots", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let constants = [
            ("EXPERTS", self.experts),
            ("CHOSEN", self.chosen),
            ("ROUTE_COLS", self.route.cols),
            ("TILE", TILE),
            ("TILES", self.capacity()),
            ("PARTS", self.parts()),
            ("WORKGROUP", WORKGROUP),
        ];
        vec![Kernel {
            shader: "gather",
            defines: vec![],
            constants: constants.map(|(name, value)| (name, value as u32)).into(),
            bindings: vec![self.route.into(), self.y.into()],
            params: vec![self.route.rows as u32],
            workgroups: [1, 1, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let (slots, experts) = (step.count(self.route.rows) * self.chosen, self.experts);
        // counts of each part, twice; then each expert those before it, and its own
        let counts = 2 * self.parts() * experts + experts * (experts + 1) / 2;
        vec![Loads { lane_activations: f32s(2 * slots + counts), ..Loads::once(slots, 1) }]
    }
}

impl Gather {
    /// `route`: (tokens, route.cols); `y`: (y.cols).
    pub fn reference(&self, route: &[f32], y: &mut [f32]) {
        let (tiles, list) = y.split_at_mut(3 * self.capacity());
        let mut tiles = tiles.chunks_exact_mut(3);
        let mut place = 0;
        for e in 0..self.experts {
            let experts = route.chunks_exact(self.route.cols).flat_map(|route| &route[..self.chosen]);
            let slots: Vec<usize> = experts.enumerate().filter_map(|(i, &at)| (at == e as f32).then_some(i)).collect();
            for (slots, tile) in slots.chunks(TILE).zip(&mut tiles) {
                tile.copy_from_slice(&[e, place, slots.len()].map(|number| number as f32));
                list[place..].iter_mut().zip(slots).for_each(|(y, &slot)| *y = slot as f32);
                place += slots.len();
            }
        }
        tiles.for_each(|tile| tile[2] = 0.0);
    }
}
