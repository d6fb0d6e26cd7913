//! Linear residuals: f is a convex quadratic, of full rank, of rank 1, or of rank 1 without two of
//! the variables.

use crate::problem::{Problem, sum};

/// 32. Full rank: rᵢ = xᵢ − (2/m)Σⱼ xⱼ − 1, i ≤ n, rᵢ = −(2/m)Σⱼ xⱼ − 1, i > n. f* = m − n.
///
/// # Panics
/// If n is 0 or more than m.
#[must_use]
pub fn full_rank(n: usize, m: usize) -> Problem {
    assert!(0 < n && n <= m, "n is {n}, m is {m}");
    let minimum = (m - n) as f64;
    Problem::record(32, "Linear, full rank", &vec![1.0; n], minimum, |x| {
        let total = (2.0 / m as f64) * sum(x.iter().copied()) + 1.0;
        let mut residuals: Vec<_> = x.iter().map(|&x| x - total).collect();
        residuals.resize(m, -total);
        residuals
    })
    .at(&vec![-1.0; n])
}

/// 33. Rank 1: rᵢ = i Σⱼ j xⱼ − 1. f* = m(m − 1)/(2(2m + 1)), wherever Σⱼ j xⱼ = 3/(2m + 1).
///
/// # Panics
/// If n is 0 or more than m.
#[must_use]
pub fn rank_1(n: usize, m: usize) -> Problem {
    assert!(0 < n && n <= m, "n is {n}, m is {m}");
    let size = m as f64;
    let minimum = size * (size - 1.0) / (2.0 * (2.0 * size + 1.0));
    let mut minimiser = vec![0.0; n];
    minimiser[0] = 3.0 / (2.0 * size + 1.0);
    Problem::record(33, "Linear, rank 1", &vec![1.0; n], minimum, |x| {
        let weighted = x.iter().zip(1_u32..).map(|(&x, j)| f64::from(j) * x);
        let total = sum(weighted);
        (1..=m).map(|i| i as f64 * total - 1.0).collect()
    })
    .at(&minimiser)
}

/// 34. Rank 1 with zero columns and rows: r₁ = rₘ = −1, rᵢ = (i − 1) Σⱼ j xⱼ − 1 with 2 ≤ j < n.
/// f* = (m² + 3m − 6)/(2(2m − 3)), wherever Σⱼ j xⱼ = 3/(2m − 3).
///
/// # Panics
/// If n is less than 3 or more than m.
#[must_use]
pub fn rank_1_with_zeros(n: usize, m: usize) -> Problem {
    assert!(3 <= n && n <= m, "n is {n}, m is {m}");
    let size = m as f64;
    let minimum = (size * size + 3.0 * size - 6.0) / (2.0 * (2.0 * size - 3.0));
    let mut minimiser = vec![0.0; n];
    minimiser[1] = 1.5 / (2.0 * size - 3.0);
    let name = "Linear, rank 1 with zero columns and rows";
    Problem::record(34, name, &vec![1.0; n], minimum, |x| {
        let weighted = (1..n - 1).map(|j| (j + 1) as f64 * x[j]);
        let total = sum(weighted);
        // The first factor is 0, and so is the last.
        let factors = (0..m).map(|i| if i + 1 == m { 0.0 } else { i as f64 });
        factors.map(|factor| factor * total - 1.0).collect()
    })
    .at(&minimiser)
}
