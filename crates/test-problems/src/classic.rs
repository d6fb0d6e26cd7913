//! Two to four variables, no data.

use std::f64::consts::PI;

use ad_core::Var;

use crate::problem::{Kind, Problem};

/// 1. Rosenbrock (1960): r = (10(x₂ − x₁²), 1 − x₁).
#[must_use]
pub fn rosenbrock() -> Problem {
    Problem::record(1, "Rosenbrock", &[-1.2, 1.0], 0.0, |x| {
        rosenbrock_residuals(x).to_vec()
    })
    .from_three_starts()
    .at(&[1.0, 1.0])
}

pub(crate) fn rosenbrock_residuals<'t>(x: &[Var<'t>]) -> [Var<'t>; 2] {
    [10.0 * (x[1] - x[0].square()), 1.0 - x[0]]
}

/// 2. Freudenstein and Roth (1963): r = (−13 + x₁ + ((5 − x₂)x₂ − 2)x₂,
/// −29 + x₁ + ((x₂ + 1)x₂ − 14)x₂).
#[must_use]
pub fn freudenstein_roth() -> Problem {
    Problem::record(2, "Freudenstein and Roth", &[0.5, -2.0], 0.0, |x| {
        let y = x[1];
        vec![
            x[0] + ((5.0 - y) * y - 2.0) * y - 13.0,
            x[0] + ((y + 1.0) * y - 14.0) * y - 29.0,
        ]
    })
    .from_three_starts()
    .at(&[5.0, 4.0])
    .other(Kind::Minimum, 48.984_253_679_240_02)
}

/// 3. Powell (1970), badly scaled: r = (10⁴x₁x₂ − 1, e^−x₁ + e^−x₂ − 1.0001).
#[must_use]
pub fn powell_badly_scaled() -> Problem {
    Problem::record(3, "Powell badly scaled", &[0.0, 1.0], 0.0, |x| {
        vec![
            1e4 * x[0] * x[1] - 1.0,
            (-x[0]).exp() + (-x[1]).exp() - 1.0001,
        ]
    })
    .from_two_starts()
}

/// 4. Brown, badly scaled: r = (x₁ − 10⁶, x₂ − 2·10⁻⁶, x₁x₂ − 2).
#[must_use]
pub fn brown_badly_scaled() -> Problem {
    Problem::record(4, "Brown badly scaled", &[1.0, 1.0], 0.0, |x| {
        vec![x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2.0]
    })
    .at(&[1e6, 2e-6])
}

/// 5. Beale (1958): rᵢ = yᵢ − x₁(1 − x₂ⁱ), y = (1.5, 2.25, 2.625).
///
/// With c = x₁(1 − x₂) kept at 111/112 and x₂ → 1, f falls to 405/896.
#[must_use]
pub fn beale() -> Problem {
    Problem::record(5, "Beale", &[1.0, 1.0], 0.0, |x| {
        let terms = [1.5, 2.25, 2.625].into_iter().zip(1..);
        let residual = |(y, i)| y - x[0] * (1.0 - x[1].powi(i));
        terms.map(residual).collect()
    })
    .at(&[3.0, 0.5])
    .other(Kind::Saddle, 14.203_125)
    .other(Kind::Limit, 405.0 / 896.0)
}

/// 7. Fletcher and Powell (1963), the helical valley: r = (10(x₃ − 10θ), 10(√(x₁² + x₂²) − 1), x₃).
///
/// θ is the angle of (x₁, x₂) as a share of a turn, in (−¼, ¾); it jumps where x₁ = 0 and x₂ < 0.
#[must_use]
pub fn helical_valley() -> Problem {
    Problem::record(7, "Helical valley", &[-1.0, 0.0, 0.0], 0.0, |x| {
        // Counted from the x₂ axis, whose negative half is where the angle jumps.
        let theta = 0.25 - x[0].atan2(x[1]) / (2.0 * PI);
        let radius = (x[0].square() + x[1].square()).sqrt();
        vec![10.0 * (x[2] - 10.0 * theta), 10.0 * (radius - 1.0), x[2]]
    })
    .from_three_starts()
    .at(&[1.0, 0.0, 0.0])
}

/// 13. Powell (1962): r = (x₁ + 10x₂, √5(x₃ − x₄), (x₂ − 2x₃)², √10(x₁ − x₄)²).
///
/// The Hessian is singular at the minimum.
#[must_use]
pub fn powell_singular() -> Problem {
    Problem::record(13, "Powell singular", &[3.0, -1.0, 0.0, 1.0], 0.0, |x| {
        powell_residuals(x).to_vec()
    })
    .from_three_starts()
    .at(&[0.0; 4])
}

pub(crate) fn powell_residuals<'t>(x: &[Var<'t>]) -> [Var<'t>; 4] {
    [
        x[0] + 10.0 * x[1],
        5.0_f64.sqrt() * (x[2] - x[3]),
        (x[1] - 2.0 * x[2]).square(),
        10.0_f64.sqrt() * (x[0] - x[3]).square(),
    ]
}

/// 14. Colville (1968), known as Wood's: r = (10(x₂ − x₁²), 1 − x₁, √90(x₄ − x₃²), 1 − x₃,
/// √10(x₂ + x₄ − 2), (x₂ − x₄)/√10).
#[must_use]
pub fn wood() -> Problem {
    Problem::record(14, "Wood", &[-3.0, -1.0, -3.0, -1.0], 0.0, |x| {
        vec![
            10.0 * (x[1] - x[0].square()),
            1.0 - x[0],
            90.0_f64.sqrt() * (x[3] - x[2].square()),
            1.0 - x[2],
            10.0_f64.sqrt() * (x[1] + x[3] - 2.0),
            0.1_f64.sqrt() * (x[1] - x[3]),
        ]
    })
    .from_three_starts()
    .at(&[1.0; 4])
    .other(Kind::Saddle, 7.876_967_165_176_867_5)
}
