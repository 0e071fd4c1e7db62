//! `activate`: the activation of feed-forward layers, plain or gated (Shazeer 2020, arXiv
//! 2002.05202).
//!
//! A separate operation only if gate and up projection cannot share one matrix; otherwise the
//! epilogue of [`Linear`](super::Linear).

use super::{Binding, Kernel, Loads, Op, RowGrid, Variants, ceil_div, ensure};
use crate::Result;
use crate::record::{Step, Tensor};

/// An activation function. Shaders use its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Function {
    /// x · sigmoid(x), also known as swish
    Silu = 0,
    /// GELU, tanh form (Hendrycks & Gimpel 2016, arXiv 1606.08415); `gelu_new` and
    /// `gelu_pytorch_tanh` elsewhere
    GeluTanh = 1,
    /// x · Φ(x), with Φ the cumulative distribution function of the normal distribution
    Gelu = 2,
    /// max(x, 0)
    Relu = 3,
    /// max(x, 0)² (So et al. 2021, arXiv 2109.08668)
    SquaredRelu = 4,
    /// z · sigmoid(1.702 z) with z = min(x, 7), as in gpt-oss; see [`Function::up`]
    ClampedSwish = 5,
    /// 1 / (1 + exp(-x))
    Sigmoid = 6,
    /// tanh(x)
    Tanh = 7,
}

/// Bound of [`Function::ClampedSwish`].
const LIMIT: f32 = 7.0;

impl Function {
    /// The value at x.
    pub fn at(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::GeluTanh => {
                let u = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + u.tanh())
            }
            Self::Relu => x.max(0.0),
            Self::SquaredRelu => x.max(0.0) * x.max(0.0),
            Self::ClampedSwish => x.min(LIMIT) / (1.0 + (-1.702 * x.min(LIMIT)).exp()),
            Self::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
        }
    }
}

impl Function {
    /// What a gate with this function multiplies, of the value x: itself, but with
    /// [`Function::ClampedSwish`] min(max(x, -7), 7) + 1.
    pub fn up(self, x: f32) -> f32 {
        if self == Self::ClampedSwish { x.clamp(-LIMIT, LIMIT) + 1.0 } else { x }
    }
}

/// The error function within 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26).
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let factors = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let tail = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    ((1.0 - tail * (-x * x).exp()) * x.signum()) as f32
}

/// The activation between the projections of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// The function.
    pub function: Function,
    /// Whether it applies to the first half of the values, the gates, and these multiply the second
    /// half.
    pub gated: bool,
}

impl Activation {
    /// SiLU, gated: Llama and most other models.
    pub const SWIGLU: Self = Self { function: Function::Silu, gated: true };

    /// Inputs per output.
    pub fn inputs(self) -> usize {
        if self.gated { 2 } else { 1 }
    }

    /// The constant that selects it in shaders.
    pub(super) fn constant(self) -> (&'static str, u32) {
        ("ACTIVATION", self.function as u32)
    }
}

/// y[t] = f(x[t][..n]), times x[t][n..] if gated, with n = y.cols. These may be elsewhere: `up`. Or
/// y[t] times f(x[t]).
#[derive(Clone, Copy, Debug)]
pub struct Activate {
    /// The activation.
    pub activation: Activation,
    /// Whether y is multiplied in its place.
    pub multiplies: bool,
    /// (tokens, n), or (tokens, 2 n) if gated: gate, then up
    pub x: Tensor,
    /// (tokens, n)
    pub y: Tensor,
    /// (tokens, at least first + n), and the first column: what gates multiply, of which x has then
    /// none.
    pub up: Option<(Tensor, usize)>,
}

const WORKGROUP: usize = 64;

impl Op for Activate {
    fn check(&self) -> Result<()> {
        let inputs = self.of_x().inputs();
        ensure(self.x.cols == inputs * self.y.cols, "activate", "x.cols = y.cols, or 2 y.cols where gated", self)?;
        let within = |(up, first): (Tensor, usize)| self.activation.gated && first + self.y.cols <= up.cols;
        ensure(self.up.is_none_or(within), "activate", "gates, and as many columns of what they multiply", self)?;
        ensure(!(self.multiplies && self.activation.gated), "activate", "one factor", self)
    }

    fn kernels(&self, _: &Variants) -> Vec<Kernel> {
        let gated = self.activation.gated.then_some(if self.up.is_some() { "UP" } else { "GATED" });
        let (up, place) = self.up.map(|(up, first)| (up, [up.cols as u32, first as u32])).unzip();
        vec![Kernel {
            shader: "activate",
            defines: gated.into_iter().chain(self.multiplies.then_some("MULTIPLIES")).collect(),
            constants: vec![self.activation.constant()],
            bindings: [self.x, self.y].into_iter().chain(up).map(Binding::from).collect(),
            params: [&[self.y.rows as u32, self.y.cols as u32], place.as_slice().as_flattened()].concat(),
            workgroups: [ceil_div(self.y.cols, WORKGROUP), self.y.rows as u32, 1],
            rows: RowGrid::along(1),
            pieces: None,
        }]
    }

    fn loads(&self, _: &Variants, step: &Step) -> Vec<Loads> {
        let others = if self.multiplies || self.up.is_some() { self.y.cols } else { 0 };
        let row = Loads::once(self.x.cols + others, ceil_div(self.y.cols, WORKGROUP) as usize);
        vec![row * step.count(self.y.rows)]
    }
}

impl Activate {
    /// The activation of x alone.
    pub fn of_x(&self) -> Activation {
        Activation { gated: self.activation.gated && self.up.is_none(), ..self.activation }
    }

    /// Multiplies y, the activation of x alone, with columns of `up`: (tokens, up.cols).
    pub fn multiply(&self, up: &[f32], y: &mut [f32]) {
        let Some((tensor, first)) = self.up else { return };
        for (y, up) in y.chunks_exact_mut(self.y.cols).zip(up.chunks_exact(tensor.cols)) {
            y.iter_mut().zip(&up[first..]).for_each(|(y, up)| *y *= self.activation.function.up(*up));
        }
    }
}

/// `x`: (tokens, n), or (tokens, 2 n); `y`: (tokens, n).
pub fn reference(op: &Activate, x: &[f32], y: &mut [f32]) {
    let (Activation { function, gated }, n) = (op.of_x(), op.y.cols);
    for (x, y) in x.chunks_exact(op.x.cols).zip(y.chunks_exact_mut(n)) {
        for (i, y) in y.iter_mut().enumerate() {
            let factor = if op.multiplies { *y } else { 1.0 };
            *y = function.at(x[i]) * if gated { function.up(x[n + i]) } else { factor };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Function::{ClampedSwish, Gelu, GeluTanh, Relu, Sigmoid, Silu, SquaredRelu, Tanh};

    #[test]
    fn functions_have_their_known_values() {
        for (function, at_one, at_minus_half) in [
            (Silu, 0.731_058_6, -0.188_770_33),
            (GeluTanh, 0.841_191_9, -0.154_286),
            (Gelu, 0.841_344_7, -0.154_268_77),
            (Relu, 1.0, 0.0),
        ] {
            assert_eq!(function.at(0.0), 0.0);
            assert!((function.at(1.0) - at_one).abs() < 1e-6, "{function:?}: {}", function.at(1.0));
            assert!((function.at(-0.5) - at_minus_half).abs() < 1e-6, "{function:?}: {}", function.at(-0.5));
            assert!(function.at(-100.0).abs() < 1e-30);
            assert_eq!(function.at(100.0), 100.0);
            assert_eq!(function.up(100.0), 100.0);
        }
        assert_eq!([-2.0, 0.0, 3.0].map(|x| SquaredRelu.at(x)), [0.0, 0.0, 9.0]);
        assert!((Sigmoid.at(1.0) - 0.731_058_6).abs() < 1e-6 && Sigmoid.at(0.0) == 0.5);
        assert!((Tanh.at(1.0) - 0.761_594_2).abs() < 1e-6 && Tanh.at(0.0) == 0.0);
        assert!((ClampedSwish.at(1.0) - 0.845_795_8).abs() < 1e-6, "{}", ClampedSwish.at(1.0));
        assert_eq!(ClampedSwish.at(100.0), ClampedSwish.at(7.0));
        assert_eq!([-100.0, 0.5, 100.0].map(|x| ClampedSwish.up(x)), [-6.0, 1.5, 8.0]);
    }
}
