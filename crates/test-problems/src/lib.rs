//! Test problems with known answers for unconstrained minimisation: the 35 of Moré, Garbow and
//! Hillstrom, *Testing unconstrained optimization software*, ACM Trans. Math. Softw. 7 (1981),
//! pp. 17–41, recorded.
//!
//! Each is a sum of squares without a factor,
//!
//! > f(x) = Σᵢ rᵢ(x)², i = 1, …, m, x ∈ ℝⁿ,
//!
//! recorded in scalar code, with the residuals as the model output: its Gauss–Newton matrix is 2JᵀJ.
//! A [`Problem`] carries the standard start, the multiples of it that are in use, the least value
//! and the other values at which a method may rightly end: local minima, saddles, and limits at
//! infinity.
//!
//! | numbers | problems | module |
//! |---|---|---|
//! | 1–5, 7, 13, 14 | two to four variables, no data | [`classic`] |
//! | 6, 8–12, 15–19 | curves fitted to data | [`fits`] |
//! | 20–26 | any n, more residuals than variables or decoupled | [`sums`] |
//! | 27–31, 35 | any n, systems of nonlinear equations | [`systems`] |
//! | 32–34 | any n, linear residuals | [`linear`] |
//!
//! [`network`] has a small classifier's loss beside them, and [`Tally`] counts what a run costs.
//!
//! `reference/` states every problem a second time, in Python, for multiple precision: values,
//! gradients, products and the answers to 25 digits, against which the tests of this crate check the
//! recordings; its README says what each file is.
//!
//! ```
//! let problem = test_problems::classic::rosenbrock();
//! assert_eq!((problem.n(), problem.m), (2, 2));
//! assert!((problem.function.value(&problem.start)? - 24.2).abs() < 1e-14);
//! assert!(problem.is_answer(0.0) && !problem.is_answer(1e-6));
//! # Ok::<(), ad_core::Error>(())
//! ```

#![allow(
    clippy::needless_pass_by_value,
    reason = "array views are small handles, passed by value as ndarray itself does"
)]

pub mod classic;
mod data;
pub mod fits;
pub mod linear;
pub mod network;
mod problem;
pub mod sums;
pub mod systems;
mod tally;

pub use problem::{Kind, Problem, Stationary};
pub use tally::{Counts, Mark, Tally};

/// How many cases a property is tested on: `PROPTEST_CASES` of the environment, or else as many as are usual.
///
/// # Panics
/// If the variable is not a number: another number of cases would go unseen.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    match std::env::var("PROPTEST_CASES") {
        Ok(text) => text.parse().expect("PROPTEST_CASES is a number of cases"),
        Err(_) => usual,
    }
}

/// All 35, those of variable dimension at a usual one.
#[must_use]
pub fn problems() -> Vec<Problem> {
    vec![
        classic::rosenbrock(),
        classic::freudenstein_roth(),
        classic::powell_badly_scaled(),
        classic::brown_badly_scaled(),
        classic::beale(),
        fits::jennrich_sampson(),
        classic::helical_valley(),
        fits::bard(),
        fits::gaussian(),
        fits::meyer(),
        fits::gulf(),
        fits::box_3d(),
        classic::powell_singular(),
        classic::wood(),
        fits::kowalik_osborne(),
        fits::brown_dennis(),
        fits::osborne_1(),
        fits::biggs_exp6(),
        fits::osborne_2(),
        sums::watson(9),
        sums::extended_rosenbrock(10),
        sums::extended_powell_singular(12),
        sums::penalty_1(10),
        sums::penalty_2(10),
        sums::variably_dimensioned(10),
        sums::trigonometric(10),
        systems::brown_almost_linear(10),
        systems::discrete_boundary_value(10),
        systems::discrete_integral_equation(10),
        systems::broyden_tridiagonal(10),
        systems::broyden_banded(10),
        linear::full_rank(10, 20),
        linear::rank_1(10, 20),
        linear::rank_1_with_zeros(10, 20),
        systems::chebyquad(8),
    ]
}
