//! Sums over fixed-size lanes. A plain loop must add in order, which no compiler may vectorise; lanes leave the order of
//! additions to us.

const LANES: usize = 16;

/// Σ a[i] b[i] of slices of one length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for i in 0..LANES {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// y[i] += factor · x[i]
pub fn add_scaled(y: &mut [f32], factor: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn dot_takes_the_rest_past_the_lanes() {
        for len in [0, 1, 15, 16, 17, 67] {
            let a: Vec<f32> = (0..len).map(|i| i as f32 - 3.0).collect();
            let b: Vec<f32> = (0..len).map(|i| 0.5 * i as f32 + 1.0).collect();
            let expected: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            assert!((f64::from(super::dot(&a, &b)) - expected).abs() < 1e-2, "{len}");
        }
    }
}
