//! Positive definite matrices of the size of a block, in place.

use ad_core::Real;

use crate::vector::dot;

/// Replaces the lower triangle of the row-major `n×n` matrix by the factor of `S = LLᵀ`;
/// false if a pivot is not positive and finite.
pub(super) fn factorise<T: Real>(s: &mut [T], n: usize) -> bool {
    for i in 0..n {
        for j in 0..=i {
            let rest = s[i * n + j] - dot(&s[i * n..i * n + j], &s[j * n..j * n + j]);
            if i != j {
                s[i * n + j] = rest / s[j * n + j];
            } else if rest > T::zero() && rest.is_finite() {
                s[i * n + i] = rest.sqrt();
            } else {
                return false;
            }
        }
    }
    true
}

/// `x ← S⁻¹x` with the factor.
pub(super) fn solve<T: Real>(l: &[T], n: usize, x: &mut [T]) {
    for i in 0..n {
        x[i] = (x[i] - dot(&l[i * n..i * n + i], &x[..i])) / l[i * n + i];
    }
    for i in (0..n).rev() {
        for j in i + 1..n {
            let below = x[j];
            x[i] -= l[j * n + i] * below;
        }
        x[i] /= l[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_and_refuses() {
        // The matrix min(i, j), whose inverse is a second difference.
        let n = 6;
        let entry = |k: usize| (k / n).min(k % n) as f64 + 1.0;
        let mut s: Vec<f64> = (0..n * n).map(entry).collect();
        assert!(factorise(&mut s, n));
        let mut x: Vec<f64> = (0..n)
            .map(|i| (0..n).map(|j| entry(i * n + j) * (j as f64 - 2.0)).sum())
            .collect();
        solve(&s, n, &mut x);
        for (j, x) in x.iter().enumerate() {
            // Integers throughout: every operation is exact.
            assert!((x - (j as f64 - 2.0)).abs() < f64::EPSILON);
        }
        assert!(!factorise(&mut [1.0, 2.0, 2.0, 1.0], 2));
        assert!(!factorise(&mut [f64::NAN], 1));
        assert!(factorise::<f64>(&mut [], 0));
    }
}
