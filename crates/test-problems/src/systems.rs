//! Systems of n nonlinear equations in any number of variables.

use ad_core::Var;

use crate::problem::{Kind, Problem, sum};

/// Problem 27. Brown (1969), almost linear: rᵢ = xᵢ + Σⱼ xⱼ − (n + 1), i < n, rₙ = Πⱼ xⱼ − 1.
///
/// Zero at (α, …, α, α¹⁻ⁿ) for the roots of nαⁿ − (n + 1)αⁿ⁻¹ + 1 = 0, of which one is 1. f = 1 at
/// (0, …, 0, n + 1), where the Hessian is singular and f falls only like the power n − 1 of a step.
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn brown_almost_linear(n: usize) -> Problem {
    let problem = Problem::record(27, "Brown almost-linear", &vec![0.5; n], 0.0, |x| {
        let total = sum(x.iter().copied()) - (n + 1) as f64;
        let mut residuals: Vec<_> = x[..n - 1].iter().map(|&x| x + total).collect();
        let product = x.iter().copied().reduce(|product, x| product * x);
        residuals.push(product.expect("n > 0") - 1.0);
        residuals
    })
    .with_three_starts()
    .at(&vec![1.0; n])
    .other(Kind::Flat, 1.0);
    if n == 10 {
        problem.other(Kind::Minimum, 0.917_900_099_785_703_7)
    } else {
        problem
    }
}

/// Problem 28. Moré and Cosnard (1979), discrete boundary value: rᵢ = 2xᵢ − xᵢ₋₁ − xᵢ₊₁
/// + h²(xᵢ + tᵢ + 1)³/2, h = 1/(n + 1), tᵢ = ih, x₀ = xₙ₊₁ = 0.
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn discrete_boundary_value(n: usize) -> Problem {
    let h = 1.0 / (n + 1) as f64;
    Problem::record(28, "Discrete boundary value", &between(n), 0.0, |x| {
        let residual = |i: usize| {
            let t = (i + 1) as f64 * h;
            let mut r = 2.0 * x[i] + (h * h / 2.0) * (x[i] + (t + 1.0)).powi(3);
            if i > 0 {
                r -= x[i - 1];
            }
            if i + 1 < n {
                r -= x[i + 1];
            }
            r
        };
        (0..n).map(residual).collect()
    })
    .with_three_starts()
}

/// Problem 29. Moré and Cosnard (1979), discrete integral equation: rᵢ = xᵢ + h/2 [(1 − tᵢ)
/// Σ_{j ≤ i} tⱼ(xⱼ + tⱼ + 1)³ + tᵢ Σ_{j > i} (1 − tⱼ)(xⱼ + tⱼ + 1)³], h = 1/(n + 1), tᵢ = ih.
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn discrete_integral_equation(n: usize) -> Problem {
    let h = 1.0 / (n + 1) as f64;
    Problem::record(29, "Discrete integral equation", &between(n), 0.0, |x| {
        let t = |i: usize| (i + 1) as f64 * h;
        let cubes: Vec<_> = (0..n).map(|j| (x[j] + (t(j) + 1.0)).powi(3)).collect();
        let residual = |i: usize| {
            let below = sum((0..=i).map(|j| t(j) * cubes[j]));
            let mut integral = (1.0 - t(i)) * below;
            if i + 1 < n {
                let above = sum((i + 1..n).map(|j| (1.0 - t(j)) * cubes[j]));
                integral += t(i) * above;
            }
            x[i] + (h / 2.0) * integral
        };
        (0..n).map(residual).collect()
    })
    .with_three_starts()
}

/// tⱼ(tⱼ − 1), tⱼ = j/(n + 1).
fn between(n: usize) -> Vec<f64> {
    let t = (1..=n).map(|j| j as f64 / (n + 1) as f64);
    t.map(|t| t * (t - 1.0)).collect()
}

/// Problem 30. Broyden (1965), tridiagonal: rᵢ = (3 − 2xᵢ)xᵢ − xᵢ₋₁ − 2xᵢ₊₁ + 1, x₀ = xₙ₊₁ = 0.
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn broyden_tridiagonal(n: usize) -> Problem {
    Problem::record(30, "Broyden tridiagonal", &vec![-1.0; n], 0.0, |x| {
        let residual = |i: usize| {
            let mut r = (3.0 - 2.0 * x[i]) * x[i] + 1.0;
            if i > 0 {
                r -= x[i - 1];
            }
            if i + 1 < n {
                r -= 2.0 * x[i + 1];
            }
            r
        };
        (0..n).map(residual).collect()
    })
    .with_three_starts()
}

/// Problem 31. Broyden (1971), banded: rᵢ = xᵢ(2 + 5xᵢ²) + 1 − Σⱼ xⱼ(1 + xⱼ), j ≠ i,
/// max(1, i − 5) ≤ j ≤ min(n, i + 1).
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn broyden_banded(n: usize) -> Problem {
    Problem::record(31, "Broyden banded", &vec![-1.0; n], 0.0, |x| {
        let coupling = |j: usize| x[j] * (1.0 + x[j]);
        let residual = |i: usize| {
            let own = x[i] * (2.0 + 5.0 * x[i].square()) + 1.0;
            let band = (i.saturating_sub(5)..n.min(i + 2)).filter(|&j| j != i);
            band.map(coupling).fold(own, |r: Var<'_>, term| r - term)
        };
        (0..n).map(residual).collect()
    })
    .with_three_starts()
}

/// Problem 35. Fletcher (1965), Chebyquad: rᵢ = (1/n) Σⱼ Tᵢ(xⱼ) − ∫₀¹ Tᵢ, m = n, with the Chebyshev
/// polynomials Tᵢ shifted to [0, 1]; the integral is 0 for odd i and −1/(i² − 1) for even i.
///
/// # Panics
/// If n is not 1 to 10: the minimum is known for these.
#[must_use]
pub fn chebyquad(n: usize) -> Problem {
    let minimum = match n {
        1..=7 | 9 => 0.0,
        8 => 0.003_516_873_725_677_931_6,
        10 => 0.006_503_954_800_882_306,
        _ => panic!("the minimum of Chebyquad is known for n from 1 to 10, not for {n}"),
    };
    let start: Vec<_> = (1..=n).map(|j| j as f64 / (n + 1) as f64).collect();
    Problem::record(35, "Chebyquad", &start, minimum, |x| {
        // T₀ = 1, T₁ = u, Tᵢ₊₁ = 2u·Tᵢ − Tᵢ₋₁, u = 2x − 1.
        let u: Vec<_> = x.iter().map(|&x| 2.0 * x - 1.0).collect();
        let mut current = u.clone();
        let mut last: Vec<Option<Var<'_>>> = vec![None; n];
        let mut residuals = Vec::with_capacity(n);
        for i in 1..=n {
            let mean = sum(current.iter().copied()) / n as f64;
            residuals.push(if i.is_multiple_of(2) {
                mean + 1.0 / ((i * i - 1) as f64)
            } else {
                mean
            });
            for ((u, current), last) in u.iter().zip(&mut current).zip(&mut last) {
                let doubled = 2.0 * *u * *current;
                let next = match *last {
                    Some(last) => doubled - last,
                    None => doubled - 1.0,
                };
                *last = Some(std::mem::replace(current, next));
            }
        }
        residuals
    })
}
