//! Resampling of pictures, to the bit as Pillow 13 has it: a separable filter that widens where a
//! picture shrinks, in two passes of 8-bit values and weights of 22 bits. The processors of vision
//! models are made with Pillow, and a tower reads what they gave it.

use std::f64::consts::PI;

use super::Picture;

/// A filter of Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle, 1 to each side.
    Bilinear,
    /// Keys' cubic with a = -0.5, 2 to each side.
    Bicubic,
    /// A sinc under a sinc, 3 to each side.
    Lanczos,
}

/// Bits of a weight behind the point: 8 bits of a value and 2 of a sum stay free.
const PRECISION: u32 = 32 - 8 - 2;

impl Filter {
    /// How far it reaches to each side, in pixels of the smaller picture.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// Its value at a distance of `x`.
    fn at(self, x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
        let far = x.abs();
        match self {
            Self::Bilinear => (1.0 - far).max(0.0),
            Self::Bicubic => {
                let a = -0.5;
                match far {
                    _ if far < 1.0 => ((a + 2.0) * far - (a + 3.0)) * far * far + 1.0,
                    _ if far < 2.0 => (((far - 5.0) * far + 8.0) * far - 4.0) * a,
                    _ => 0.0,
                }
            }
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }

    /// For each of `to` pixels of a line, the first of `from` pixels that it is made of, and their
    /// weights.
    fn weights(self, from: usize, to: usize) -> Vec<Weights> {
        if from == to {
            return (0..to).map(|pixel| (pixel, vec![1 << PRECISION])).collect();
        }
        let scale = from as f64 / to as f64;
        let widened = scale.max(1.0);
        let support = self.support() * widened;
        let of_pixel = |pixel: usize| {
            let center = (pixel as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(from);
            let each = (first..end).map(|at| self.at((at as f64 - center + 0.5) * (1.0 / widened)));
            let weights: Vec<f64> = each.collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| {
                let weight = if sum == 0.0 { weight } else { weight / sum } * f64::from(1 << PRECISION);
                (weight + 0.5f64.copysign(weight)) as i32
            };
            (first, weights.into_iter().map(fixed).collect())
        };
        (0..to).map(of_pixel).collect()
    }
}

/// The first pixel that a pixel is made of, and the weight of this one and of those behind it.
type Weights = (usize, Vec<i32>);

/// Resamples a picture whose lines come one after the other, so that no more of it is held than a
/// line is made of.
#[derive(Debug)]
pub struct Resampler {
    /// Width and height, before and after.
    sizes: [[usize; 2]; 2],
    columns: Vec<Weights>,
    lines: Vec<Weights>,
    /// Whether lines are made before columns are.
    is_lines_first: bool,
    /// The last lines that came, and the number of the first of them.
    held: Vec<u8>,
    first: usize,
    /// What is made, (lines, width, 3).
    rgb: Vec<u8>,
}

impl Resampler {
    /// From a picture of width and height `from` to one of `to`, of at least one pixel each way.
    pub fn new(from: [usize; 2], to: [usize; 2], filter: Filter) -> Self {
        // the order of the passes decides about rounding; Pillow had lines first until version 13
        let [columns, lines] = [0, 1].map(|way| from[way] as isize - to[way] as isize);
        Self {
            sizes: [from, to],
            columns: filter.weights(from[0], to[0]),
            lines: filter.weights(from[1], to[1]),
            is_lines_first: lines > 0 && lines > 2 * columns,
            held: Vec::new(),
            first: 0,
            rgb: Vec::with_capacity(3 * to[0] * to[1]),
        }
    }

    /// Values of a line that is fed.
    pub fn line(&self) -> usize {
        3 * self.sizes[0][0]
    }

    /// Takes the next line, (width, 3). Lines behind the last are ignored.
    pub fn feed(&mut self, line: &[u8]) {
        match self.is_lines_first {
            true => self.held.extend(line),
            false => self.held.extend(columns(line, &self.columns)),
        }
        let width = 3 * self.sizes[usize::from(!self.is_lines_first)][0];
        let [to_width, to_height] = self.sizes[1];
        while self.rgb.len() < 3 * to_width * to_height {
            let (first, weights) = &self.lines[self.rgb.len() / (3 * to_width)];
            let unused = first.saturating_sub(self.first).min(self.held.len() / width);
            self.held.drain(..unused * width);
            self.first += unused;
            if self.first + self.held.len() / width < first + weights.len() {
                return;
            }
            let made = (0..width / 3).flat_map(|column| summed(&self.held, 3 * column, width, weights));
            match self.is_lines_first {
                true => self.rgb.extend(columns(&made.collect::<Vec<_>>(), &self.columns)),
                false => self.rgb.extend(made),
            }
        }
    }

    /// The picture, once its last line has come.
    pub fn finish(&mut self) -> Option<Picture> {
        let [width, height] = self.sizes[1];
        let rgb = (self.rgb.len() == 3 * width * height).then(|| std::mem::take(&mut self.rgb))?;
        Some(Picture { width, height, rgb })
    }
}

/// A line in another width.
fn columns<'a>(line: &'a [u8], weights: &'a [Weights]) -> impl Iterator<Item = u8> + 'a {
    weights.iter().flat_map(|(first, weights)| summed(line, 3 * first, 3, weights))
}

impl Picture {
    /// The picture in another size, of at least one pixel each way.
    pub fn resampled(&self, width: usize, height: usize, filter: Filter) -> Self {
        let mut resampler = Resampler::new([self.width, self.height], [width, height], filter);
        self.rgb.chunks_exact(resampler.line()).for_each(|line| resampler.feed(line));
        // every line has come
        resampler.finish().unwrap_or_else(|| self.clone())
    }
}

/// The weighted sum of pixels, of which the first begins at `first` and each next one is `stride`
/// values further.
fn summed(values: &[u8], first: usize, stride: usize, weights: &[i32]) -> [u8; 3] {
    let mut sums = [1i32 << (PRECISION - 1); 3];
    for (number, weight) in weights.iter().enumerate() {
        let pixel = &values[first + number * stride..][..3];
        sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += i32::from(value) * weight);
    }
    sums.map(|sum| (sum >> PRECISION).clamp(0, 255) as u8)
}
