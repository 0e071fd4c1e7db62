// ln(1 + eˣ)
fn softplus(x: f32) -> f32 {
    let e = exp(min(x, 20.0));
    // 1 + e would lose the digits of a small e
    let small = e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - e * 0.25)));
    return select(select(log(1.0 + e), small, e < 0.02), x, x > 20.0);
}
