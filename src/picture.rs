//! Pictures: from pixels to the patches that a vision tower reads.
//!
//! | file | contents |
//! |---|---|
//! | here | pixels, tiles and patches |
//! | `resample` | other sizes, to the bit as Pillow has them |

mod resample;

pub use resample::{Filter, Resampler};

use crate::{Error, Result};

/// A picture of 8-bit red, green and blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// (height, width, 3)
    pub rgb: Vec<u8>,
}

/// Most pixels of a picture: those of a large camera. More would take hundreds of MB.
pub const MOST_PIXELS: usize = 64 << 20;

/// Most pixels of the longer side before a picture is cut into tiles.
const LONGEST: usize = 4096;

/// How a picture becomes tiles, as in Idefics3 (Laurençon et al. 2024, arXiv 2408.12637): it is
/// enlarged until the longer side is `longest`, then to whole tiles, which an overview follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiling {
    /// Pixels of a tile each way.
    pub tile: usize,
    /// Pixels of the longer side.
    pub longest: usize,
    /// Of red, green and blue, subtracted from values of 0 to 1.
    pub mean: [f32; 3],
    /// What the rest is divided by.
    pub std: [f32; 3],
}

/// The tiles of a picture, line by line, and last the overview.
#[derive(Clone, Debug, PartialEq)]
pub struct Tiles {
    /// Lines and columns of tiles; 0 if the overview is all.
    pub grid: [usize; 2],
    /// One per tile, all of the same size.
    pub tiles: Vec<Picture>,
}

impl Picture {
    /// A picture of these values, (height, width, 3). Errors: those of [`Picture::check_size`];
    /// `InvalidOption` for another number of values.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self> {
        let values = 3 * Self::check_size(width, height)?;
        match rgb.len() == values {
            true => Ok(Self { width, height, rgb }),
            false => Err(wrong(format!("{values} values"), rgb.len().to_string())),
        }
    }

    /// The number of pixels of a picture, before it is decoded. Errors: `InvalidOption` without
    /// any, or with more than [`MOST_PIXELS`].
    pub fn check_size(width: usize, height: usize) -> Result<usize> {
        let pixels = width.checked_mul(height).filter(|pixels| (1..=MOST_PIXELS).contains(pixels));
        let expected = || format!("a picture of 1 to {MOST_PIXELS} pixels");
        pixels.ok_or_else(|| wrong(expected(), format!("{width} × {height}")))
    }

    /// The part of so many pixels each way whose first pixel is at `[x, y]`.
    fn cut(&self, [x, y]: [usize; 2], size: usize) -> Self {
        let lines = self.rgb.chunks_exact(3 * self.width).skip(y).take(size);
        let rgb = lines.flat_map(|line| &line[3 * x..3 * (x + size)]).copied().collect();
        Self { width: size, height: size, rgb }
    }
}

fn wrong(expected: String, got: String) -> Error {
    Error::InvalidOption { name: "image".into(), expected, got }
}

/// Whole pixels of the shorter side where the longer one is `longer`, as Python rounds a quotient.
fn shorter(longer: usize, [width, height]: [usize; 2]) -> usize {
    let aspect = width as f64 / height as f64;
    (if width >= height { longer as f64 / aspect } else { longer as f64 * aspect }) as usize
}

/// `[longer, shorter]` as width and height of a picture that was `size` before.
fn turned([longer, shorter]: [usize; 2], [width, height]: [usize; 2]) -> [usize; 2] {
    if width >= height { [longer, shorter] } else { [shorter, longer] }
}

impl Tiling {
    /// Width and height in which the longer side is `longest`.
    fn scaled(&self, size: [usize; 2]) -> [usize; 2] {
        let short = shorter(self.longest, size).next_multiple_of(2).max(1);
        let scaled = turned([self.longest, short], size);
        match self.longest > LONGEST {
            true => turned([LONGEST, shorter(LONGEST, scaled).max(1)], scaled),
            false => scaled,
        }
    }

    /// The next larger width and height in whole tiles.
    fn filled(&self, size: [usize; 2]) -> [usize; 2] {
        let longer = size[0].max(size[1]).next_multiple_of(self.tile);
        turned([longer, shorter(longer, size).next_multiple_of(self.tile).max(self.tile)], size)
    }

    /// The tiles of a picture.
    pub fn tiles(&self, picture: &Picture) -> Tiles {
        self.fill(&self.scaled_of(picture))
    }

    /// The first of the two steps to the tiles of a picture.
    pub fn scaled_of(&self, picture: &Picture) -> Picture {
        let [width, height] = self.scaled([picture.width, picture.height]);
        picture.resampled(width, height, Filter::Lanczos)
    }

    /// The same for a picture of this width and height, whose lines come one after the other.
    pub fn scale(&self, size: [usize; 2]) -> Resampler {
        Resampler::new(size, self.scaled(size), Filter::Lanczos)
    }

    /// The second step.
    pub fn fill(&self, scaled: &Picture) -> Tiles {
        let [width, height] = self.filled([scaled.width, scaled.height]);
        let filled = scaled.resampled(width, height, Filter::Lanczos);
        let [lines, columns] = [height / self.tile, width / self.tile];
        if lines * columns == 1 {
            return Tiles { grid: [0, 0], tiles: vec![filled] };
        }
        let places = (0..lines).flat_map(|line| (0..columns).map(move |column| [column, line]));
        let mut tiles: Vec<_> =
            places.map(|place| filled.cut(place.map(|place| place * self.tile), self.tile)).collect();
        tiles.push(filled.resampled(self.tile, self.tile, Filter::Lanczos));
        Tiles { grid: [lines, columns], tiles }
    }

    /// The values of a tile's patches of `patch` pixels each way: (patches, 3 · patch · patch), all
    /// red ones first. `places`: index of each patch, counted line by line.
    pub fn patches(&self, tile: &Picture, patch: usize, places: impl Iterator<Item = usize>) -> Vec<f32> {
        let across = tile.width / patch;
        let mut values = Vec::with_capacity(tile.rgb.len());
        for place in places {
            let first = place / across * patch * tile.width + place % across * patch;
            for color in 0..3 {
                for line in 0..patch {
                    let pixels = tile.rgb[3 * (first + line * tile.width)..][..3 * patch].chunks_exact(3);
                    // the factor is rounded to f32 only with its product, as in numpy
                    let value = |pixel: &[u8]| (f64::from(pixel[color]) * (1.0 / 255.0)) as f32;
                    values.extend(pixels.map(|pixel| (value(pixel) - self.mean[color]) / self.std[color]));
                }
            }
        }
        values
    }
}
