//! Any number of variables: more residuals than variables, or blocks side by side.

use crate::classic::{powell_residuals, rosenbrock_residuals};
use crate::problem::{Kind, Problem, sum};

/// 20. Watson (Kowalik and Osborne 1968): rᵢ = Σⱼ₌₂ (j − 1)xⱼtᵢʲ⁻² − (Σⱼ xⱼtᵢʲ⁻¹)² − 1, tᵢ = i/29,
/// i ≤ 29, r₃₀ = x₁, r₃₁ = x₂ − x₁² − 1.
///
/// # Panics
/// If n is not 6, 9 or 12, for which the minimum is known.
#[must_use]
pub fn watson(n: usize) -> Problem {
    let minimum = match n {
        6 => 0.002_287_670_053_552_436_3,
        9 => 1.399_760_138_099_02e-6,
        12 => 4.722_381_105_891_757e-10,
        _ => panic!("the minimum of Watson's problem is known for n = 6, 9 and 12, not for {n}"),
    };
    Problem::record(20, "Watson", &vec![0.0; n], minimum, |x| {
        let residual = |i: u32| {
            let t = f64::from(i) / 29.0;
            let slopes = (1..n).map(|j| j as f64 * power(t, j - 1) * x[j]);
            let values = (0..n).map(|j| power(t, j) * x[j]);
            sum(slopes) - sum(values).square() - 1.0
        };
        let mut residuals: Vec<_> = (1..=29).map(residual).collect();
        residuals.extend([x[0], x[1] - x[0].square() - 1.0]);
        residuals
    })
    .from_three_starts()
}

/// tʲ, rounded once.
fn power(t: f64, j: usize) -> f64 {
    t.powf(j as f64)
}

/// 21. Spedicato (1975): Rosenbrock's function of each pair of variables.
///
/// # Panics
/// If n is odd or 0.
#[must_use]
pub fn extended_rosenbrock(n: usize) -> Problem {
    assert!(n > 0 && n.is_multiple_of(2), "n is {n}, not even");
    Problem::record(
        21,
        "Extended Rosenbrock",
        &[-1.2, 1.0].repeat(n / 2),
        0.0,
        |x| x.chunks_exact(2).flat_map(rosenbrock_residuals).collect(),
    )
    .at(&vec![1.0; n])
}

/// 22. Spedicato (1975): Powell's singular function of each four variables.
///
/// # Panics
/// If n is not a multiple of 4, or is 0.
#[must_use]
pub fn extended_powell_singular(n: usize) -> Problem {
    assert!(n > 0 && n.is_multiple_of(4), "n is {n}, no multiple of 4");
    let start = [3.0, -1.0, 0.0, 1.0].repeat(n / 4);
    Problem::record(22, "Extended Powell singular", &start, 0.0, |x| {
        x.chunks_exact(4).flat_map(powell_residuals).collect()
    })
    .at(&vec![0.0; n])
}

/// 23. Gill, Murray and Pitfield (1972), penalty I: rᵢ = √10⁻⁵ (xᵢ − 1), i ≤ n,
/// rₙ₊₁ = Σ xⱼ² − ¼.
///
/// # Panics
/// If n is not 4 or 10, for which the minimum is known.
#[must_use]
pub fn penalty_1(n: usize) -> Problem {
    let minimum = match n {
        4 => 2.249_977_500_899_937e-5,
        10 => 7.087_651_467_090_369e-5,
        _ => panic!("the minimum of penalty I is known for n = 4 and 10, not for {n}"),
    };
    let start: Vec<_> = (1..=n).map(|j| j as f64).collect();
    Problem::record(23, "Penalty I", &start, minimum, |x| {
        let mut residuals: Vec<_> = x.iter().map(|&x| 1e-5_f64.sqrt() * (x - 1.0)).collect();
        residuals.push(sum(x.iter().map(|x| x.square())) - 0.25);
        residuals
    })
}

/// 24. Gill, Murray and Pitfield (1972), penalty II: r₁ = x₁ − 0.2,
/// rᵢ = √10⁻⁵ (e^(xᵢ/10) + e^(xᵢ₋₁/10) − yᵢ), yᵢ = e^(i/10) + e^((i − 1)/10), 2 ≤ i ≤ n,
/// rᵢ = √10⁻⁵ (e^(xᵢ₋ₙ₊₁/10) − e^(−1/10)), n < i < 2n, r₂ₙ = Σ (n − j + 1)xⱼ² − 1.
///
/// # Panics
/// If n is not 4 or 10, for which the minimum is known.
#[must_use]
pub fn penalty_2(n: usize) -> Problem {
    let minimum = match n {
        4 => 9.376_293_007_355_442e-6,
        10 => 2.936_605_374_567_459_4e-4,
        _ => panic!("the minimum of penalty II is known for n = 4 and 10, not for {n}"),
    };
    Problem::record(24, "Penalty II", &vec![0.5; n], minimum, |x| {
        let weight = 1e-5_f64.sqrt();
        let exps: Vec<_> = x.iter().map(|&x| (x / 10.0).exp()).collect();
        let mut residuals = vec![x[0] - 0.2];
        residuals.extend((1..n).map(|i| {
            let y = ((i + 1) as f64 / 10.0).exp() + (i as f64 / 10.0).exp();
            weight * (exps[i] + exps[i - 1] - y)
        }));
        residuals.extend(exps[1..].iter().map(|&e| weight * (e - (-0.1_f64).exp())));
        let weighted = x.iter().enumerate();
        residuals.push(sum(weighted.map(|(j, x)| (n - j) as f64 * x.square())) - 1.0);
        residuals
    })
}

/// 25. Variably dimensioned: rᵢ = xᵢ − 1, i ≤ n, rₙ₊₁ = Σ j(xⱼ − 1), rₙ₊₂ = rₙ₊₁².
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn variably_dimensioned(n: usize) -> Problem {
    let start: Vec<_> = (1..=n).map(|j| 1.0 - j as f64 / n as f64).collect();
    Problem::record(25, "Variably dimensioned", &start, 0.0, |x| {
        let mut residuals: Vec<_> = x.iter().map(|&x| x - 1.0).collect();
        let weighted = residuals.iter().zip(1_u32..);
        let total = sum(weighted.map(|(&r, j)| f64::from(j) * r));
        residuals.extend([total, total.square()]);
        residuals
    })
    .from_three_starts()
    .at(&vec![1.0; n])
}

/// 26. Spedicato (1975), trigonometric: rᵢ = n − Σⱼ cos xⱼ + i(1 − cos xᵢ) − sin xᵢ.
///
/// # Panics
/// If n is 0.
#[must_use]
pub fn trigonometric(n: usize) -> Problem {
    let problem = Problem::record(26, "Trigonometric", &vec![1.0 / n as f64; n], 0.0, |x| {
        let total = n as f64 - sum(x.iter().map(|x| x.cos()));
        let own = x.iter().zip(1_u32..);
        own.map(|(x, i)| total + f64::from(i) * (1.0 - x.cos()) - x.sin())
            .collect()
    })
    .from_three_starts()
    .at(&vec![0.0; n]);
    if n != 10 {
        return problem;
    }
    problem
        .other(Kind::Minimum, 4.473_565_812_806_294_6e-7)
        .other(Kind::Minimum, 2.795_056_121_879_456_3e-5)
        .other(Kind::Minimum, 4.218_633_887_923_726e-5)
        .other(Kind::Minimum, 8.788_225_218_218_983e-4)
}
