// The activation function ACTIVATION, numbered in ops/activate.rs. Clamps keep exp finite, since
// WGSL guarantees nothing about infinities.
fn activate(x: f32) -> f32 {
    if ACTIVATION == 0u { // silu: x · sigmoid(x)
        return x / (1.0 + exp(min(-x, 80.0)));
    }
    if ACTIVATION == 1u { // gelu, tanh form: (1 + tanh(u)) / 2 = sigmoid(2 u)
        let u = 0.7978845608 * (x + 0.044715 * x * x * x);
        return x / (1.0 + exp(min(-2.0 * u, 80.0)));
    }
    if ACTIVATION == 3u { // relu
        return max(x, 0.0);
    }
    if ACTIVATION == 4u { // squared relu
        return max(x, 0.0) * max(x, 0.0);
    }
    if ACTIVATION == 5u { // clamped swish
        let z = min(x, 7.0);
        return z / (1.0 + exp(min(-1.702 * z, 80.0)));
    }
    if ACTIVATION == 6u { // sigmoid
        return 1.0 / (1.0 + exp(min(-x, 80.0)));
    }
    if ACTIVATION == 7u { // tanh
        return tanh(clamp(x, -20.0, 20.0));
    }
    // gelu: x · (1 + erf(x / √2)) / 2, erf within 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26)
    let z = abs(x) * 0.7071067812;
    let t = 1.0 / (1.0 + 0.3275911 * z);
    let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let erf = 1.0 - tail * exp(-min(z * z, 80.0));
    return 0.5 * x * (1.0 + select(erf, -erf, x < 0.0));
}

// What a gate multiplies.
fn upward(x: f32) -> f32 {
    if ACTIVATION == 5u {
        return clamp(x, -7.0, 7.0) + 1.0;
    }
    return x;
}
