// x · sigmoid(x), also known as swish. The bound keeps exp finite, since WGSL promises nothing about infinities.
fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(min(-x, 80.0)));
}
