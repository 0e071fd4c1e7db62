//! The dot product of the reference.

/// Independent sums. A single one would wait for its previous addition, and compilers put several
/// in one vector.
const SUMS: usize = 16;

/// Σ a[i] b[i], over the shorter of both.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let len = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..len].as_chunks::<SUMS>(), b[..len].as_chunks::<SUMS>());
    let mut sums = [0.0; SUMS];
    for (a, b) in a.iter().zip(b) {
        for i in 0..SUMS {
            sums[i] += a[i] * b[i];
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    sums.into_iter().chain(rest).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_counts_once() {
        for len in 0..70 {
            let a: Vec<f32> = (0..len).map(|i| (i + 1) as f32).collect();
            let b: Vec<f32> = (0..len).map(|i| (3 * i % 7) as f32 - 3.0).collect();
            // whole numbers: exact in any order
            let expected: i32 = (0..len).map(|i| (i + 1) * (3 * i % 7 - 3)).sum();
            assert_eq!(dot(&a, &b), expected as f32, "{len}");
        }
    }
}
