//! Dense Newton in other units, and where values drown in rounding.

use hvp_solvers::{FunctionObjective, Objective, SecondOrder};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, ArrayViewMut2};
use optim::minimize::{Iterate, Limits, StopReason, minimize, minimize_observed};
use optim::newton::{Newton, NewtonState, Scaling};
use proptest::prelude::*;
use std::ops::ControlFlow;
use test_problems::cases;

use crate::common::mgh::{self, LeastSquares};

pub(crate) fn two(power: i32) -> f64 {
    2.0_f64.powi(power)
}

/// `2^f · inner(2^-x · x)`.
pub(crate) struct Scaled {
    pub(crate) inner: LeastSquares,
    pub(crate) f: i32,
    pub(crate) x: i32,
}

impl Objective<f64> for Scaled {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        two(self.f) * self.inner.value((&x * two(-self.x)).view())
    }
    fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        let value = self
            .inner
            .value_and_grad((&x * two(-self.x)).view(), grad.view_mut());
        grad *= two(self.f - self.x);
        two(self.f) * value
    }
}

impl SecondOrder<f64> for Scaled {
    fn linearize(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        let value = self
            .inner
            .linearize((&x * two(-self.x)).view(), grad.view_mut());
        grad *= two(self.f - self.x);
        two(self.f) * value
    }
    fn hvp_into(&self, v: ArrayView1<f64>, mut out: ArrayViewMut1<f64>) {
        self.inner.hvp_into(v, out.view_mut());
        out *= two(self.f - 2 * self.x);
    }
    fn hessian_into(&self, mut out: ArrayViewMut2<f64>) {
        self.inner.hessian_into(out.view_mut());
        out *= two(self.f - 2 * self.x);
    }
}

/// All points with their values and gradients in the units of the problem, and the ending.
fn trace(
    scaling: Scaling,
    problem: &LeastSquares,
    start: &Array1<f64>,
    f: i32,
    x: i32,
) -> (Vec<u64>, StopReason) {
    let unit = if scaling == Scaling::Identity {
        two(f - 2 * x)
    } else {
        1.0
    };
    let method = Newton {
        scaling,
        first_shift: 1e-3 * unit,
        ..Newton::default()
    };
    let limits = Limits {
        gradient_tol: 0.0,
        gradient_tol_relative: 1e-9,
        max_iters: 60,
        ..Limits::default()
    };
    let mut bits = Vec::new();
    let observe = |at: &Iterate<f64>, _: &NewtonState<f64>| {
        bits.extend(at.x().iter().map(|v| (v * two(-x)).to_bits()));
        bits.push((at.value() * two(-f)).to_bits());
        bits.push((at.gradient_norm() * two(x - f)).to_bits());
        ControlFlow::Continue(())
    };
    let inner = problem.clone();
    let x0 = start * two(x);
    let mut scaled = Scaled { inner, f, x };
    let found = minimize_observed(&method, &mut scaled, x0.view(), &limits, observe).unwrap();
    (bits, found.stop)
}

#[test]
fn iterates_do_not_depend_on_the_units_of_f_and_x() {
    for problem in mgh::all() {
        for scaling in [Scaling::Identity, Scaling::Diagonal] {
            let x0 = problem.x0();
            let plain = trace(scaling, &problem, &x0, 0, 0);
            for power in [-200, -60, -10, 10, 60, 200] {
                let name = problem.problem.name;
                assert_eq!(
                    trace(scaling, &problem, &x0, power, 0),
                    plain,
                    "{name}: f by 2^{power}"
                );
                let x = power / 4;
                assert_eq!(
                    trace(scaling, &problem, &x0, 0, x),
                    plain,
                    "{name}: x by 2^{x}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_units_and_starts(
        which in 0..100_usize,
        factors in proptest::collection::vec(-2.0..2.0_f64, 12),
        f in -150..150_i32,
        x in -30..30_i32,
        by_diagonal in any::<bool>(),
    ) {
        let all = mgh::all();
        let problem = &all[which % all.len()];
        let scaling = if by_diagonal { Scaling::Diagonal } else { Scaling::Identity };
        let mut start = problem.x0();
        for (x, factor) in start.iter_mut().zip(factors) {
            *x *= factor;
        }
        let plain = trace(scaling, problem, &start, 0, 0);
        prop_assert_eq!(trace(scaling, problem, &start, f, x), plain);
    }
}

/// Meyer's problem: `f* = 87.9458551708511209`, where values carry a noise of 2e-10.
#[test]
fn the_end_of_a_noisy_valley_is_told() {
    let problem = test_problems::fits::meyer();
    for scaling in [Scaling::Identity, Scaling::Diagonal] {
        let method = Newton {
            scaling,
            ..Newton::default()
        };
        let limits = Limits {
            gradient_tol: 1e-10,
            ..Limits::default()
        };
        let mut f = FunctionObjective::new(&problem.function, &[]).unwrap();
        let x0 = Array1::from(problem.start.clone());
        let found = minimize(&method, &mut f, x0.view(), &limits).unwrap();
        assert_eq!(found.stop, StopReason::NoiseFloor, "{scaling:?}: {found:?}");
        let excess = found.value / 87.945_855_170_851_12 - 1.0;
        assert!(excess.abs() < 2e-11, "{scaling:?}: {found:?}");
        assert!(found.gradient_norm < 1e-2, "{scaling:?}: {found:?}");
    }
}
