//! Units do not matter: a function times a power of two, or of a point in other units, is
//! minimised by the same iterates, to the bit.
//!
//! What has units is scaled along: radii and reaches with `x`, `σ` with `f/x³`, the damping of
//! Martens' method with `f/x²`. Tolerances are relative here.

use std::ops::ControlFlow;

use hvp_solvers::linear::DiagonalPreconditioner;
use hvp_solvers::minimize::{Iterate, Limits, Minimizer, StopReason, minimize, minimize_observed};
use hvp_solvers::newton::{
    CubicNewton, Forcing, HessianFree, LineSearchNewton, NewtonMr, SaddleFreeNewton, Subproblem,
    TrustRegionNewton,
};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{FunctionObjective, Objective, SecondOrder, SolverError};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, array};
use proptest::prelude::*;

use crate::kit::{Smooth, double_well, powell_singular, rosenbrock};
use crate::methods::{gltr, hessian_free, wood};

/// `2^f · inner(2^-x · x)`.
#[derive(Clone)]
struct Scaled<O> {
    inner: O,
    f: i32,
    x: i32,
}

fn two(power: i32) -> f64 {
    2.0_f64.powi(power)
}

impl<O: Objective<f64>> Objective<f64> for Scaled<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        two(self.f) * self.inner.value((&x * two(-self.x)).view())
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        let inside = &x * two(-self.x);
        let value = self.inner.value_and_grad(inside.view(), grad.view_mut());
        grad *= two(self.f - self.x);
        two(self.f) * value
    }
}

impl<O: SecondOrder<f64>> SecondOrder<f64> for Scaled<O> {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        let inside = &x * two(-self.x);
        let value = self.inner.linearize(inside.view(), grad.view_mut());
        grad *= two(self.f - self.x);
        two(self.f) * value
    }
    fn hvp_into(&self, v: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        self.inner.hvp_into(v, out.view_mut());
        out *= two(self.f - 2 * self.x);
    }
    fn curvature_diagonal_into(&self, mut out: ArrayViewMut1<'_, f64>) -> bool {
        let has = self.inner.curvature_diagonal_into(out.view_mut());
        out *= two(self.f - 2 * self.x);
        has
    }
}

/// A function with a diagonal of its curvature at hand.
#[derive(Clone)]
struct WithDiagonal(Smooth);

impl Objective<f64> for WithDiagonal {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        self.0.value(x)
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.0.value_and_grad(x, grad)
    }
}

impl SecondOrder<f64> for WithDiagonal {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.0.linearize(x, grad)
    }
    fn hvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.0.hvp_into(v, out);
    }
    fn curvature_diagonal_into(&self, mut out: ArrayViewMut1<'_, f64>) -> bool {
        out.iter_mut()
            .zip(1..)
            .for_each(|(d, i)| *d = f64::from(i) * 3.7);
        true
    }
}

/// All points with their values and gradients, in the units of `inner`, and the counts.
type Trace = (Vec<u64>, StopReason, [u64; 4]);

fn trace<M, O>(method: &M, objective: &Scaled<O>, x0: &Array1<f64>) -> Trace
where
    O: SecondOrder<f64> + Clone,
    M: Minimizer<f64, Scaled<O>>,
{
    let (f, x) = (objective.f, objective.x);
    let limits = Limits {
        gradient_tol: 0.0,
        gradient_tol_relative: 1e-9,
        max_iters: 60,
        ..Limits::default()
    };
    let mut bits = Vec::new();
    let observe = |at: &Iterate<f64>, _: &M::State| {
        bits.extend(at.x().iter().map(|v| (v * two(-x)).to_bits()));
        bits.push((at.value() * two(-f)).to_bits());
        bits.push((at.gradient_norm() * two(x - f)).to_bits());
        ControlFlow::Continue(())
    };
    let start = x0 * two(x);
    let found = minimize_observed(
        method,
        &mut objective.clone(),
        start.view(),
        &limits,
        observe,
    );
    let found = found.unwrap();
    let s = found.stats;
    let counts = [s.n_iters, s.n_evals, s.n_gradients, s.n_products];
    (bits, found.stop, counts)
}

/// Runs a block with every method in units of `2^f` and `2^x`.
macro_rules! with_each_scaled {
    ($f:expr, $x:expr, $name:ident, $method:ident => $body:block) => {
        let (f, x): (i32, i32) = ($f, $x);
        let length = Some(two(x));
        let region = TrustRegionNewton {
            initial_radius: length,
            max_radius: Some(1e6 * two(x)),
            ..TrustRegionNewton::default()
        };
        with_each_scaled!(@one $name, $method, "trust region", region, $body);
        let second = TrustRegionNewton { forcing: Forcing::eisenstat_walker(), ..region };
        with_each_scaled!(@one $name, $method, "Eisenstat-Walker", second, $body);
        let krylov = TrustRegionNewton { subproblem: Subproblem::Gltr, ..region };
        with_each_scaled!(@one $name, $method, "GLTR", krylov, $body);
        let damped = TrustRegionNewton { damping: 0.25 * two(f - 2 * x), ..region };
        with_each_scaled!(@one $name, $method, "damped", damped, $body);
        let line = LineSearchNewton { initial_reach: length, ..LineSearchNewton::default() };
        with_each_scaled!(@one $name, $method, "line search", line, $body);
        let residual = NewtonMr { initial_reach: length, ..NewtonMr::default() };
        with_each_scaled!(@one $name, $method, "Newton-MR", residual, $body);
        let cubic = CubicNewton {
            initial_sigma: Some(two(f - 3 * x)),
            ..CubicNewton::default()
        };
        with_each_scaled!(@one $name, $method, "cubic", cubic, $body);
        let saddle = SaddleFreeNewton { initial_radius: length, ..SaddleFreeNewton::default() };
        with_each_scaled!(@one $name, $method, "saddle-free", saddle, $body);
        let martens = HessianFree {
            initial_damping: two(f - 2 * x),
            damping_range: (1e-12 * two(f - 2 * x), 1e12 * two(f - 2 * x)),
            ..hessian_free()
        };
        with_each_scaled!(@one $name, $method, "Hessian-free", martens, $body);
    };
    (@one $name:ident, $method:ident, $what:expr, $value:expr, $body:block) => {{
        let ($name, $method) = ($what, $value);
        $body
    }};
}

const POWERS: [i32; 6] = [-200, -60, -10, 10, 60, 200];

fn compare<O: SecondOrder<f64> + Clone>(inner: &O, x0: &Array1<f64>, f: i32, x: i32) {
    let mut plain = Vec::new();
    let unit = Scaled {
        inner: inner.clone(),
        f: 0,
        x: 0,
    };
    with_each_scaled!(0, 0, name, method => {
        plain.push((name, trace(&method, &unit, x0)));
    });
    let mut plain = plain.into_iter();
    let scaled = Scaled {
        inner: inner.clone(),
        f,
        x,
    };
    with_each_scaled!(f, x, name, method => {
        let (expected_name, expected) = plain.next().unwrap();
        assert_eq!(name, expected_name);
        let found = trace(&method, &scaled, x0);
        assert_eq!(found, expected, "{name}, f by 2^{f}, x by 2^{x}");
    });
}

#[test]
fn iterates_do_not_depend_on_the_units_of_f_and_x() {
    let problems = [
        (rosenbrock(), array![-1.2, 1.0]),
        (wood(), array![-3.0, -1.0, -3.0, -1.0]),
        (powell_singular(), array![3.0, -1.0, 0.0, 1.0]),
        (double_well(), array![1e-3, 1.0]),
    ];
    for (inner, x0) in &problems {
        for power in POWERS {
            compare(inner, x0, power, 0);
            compare(inner, x0, 0, power / 2);
        }
        compare(inner, x0, 60, -60);
        compare(&WithDiagonal(inner.clone()), x0, 61, 7);
    }
}

#[test]
fn defaults_do_not_depend_on_the_units_of_f() {
    let x0 = array![-1.2, 1.0];
    for power in POWERS {
        let unit = Scaled {
            inner: rosenbrock(),
            f: 0,
            x: 0,
        };
        let scaled = Scaled {
            f: power,
            ..unit.clone()
        };
        fn same<M: Minimizer<f64, Scaled<Smooth>>>(
            m: &M,
            a: &Scaled<Smooth>,
            b: &Scaled<Smooth>,
            x0: &Array1<f64>,
        ) {
            assert_eq!(trace(m, a, x0), trace(m, b, x0), "f by 2^{}", b.f);
        }
        same(&TrustRegionNewton::default(), &unit, &scaled, &x0);
        same(&gltr(), &unit, &scaled, &x0);
        same(&LineSearchNewton::default(), &unit, &scaled, &x0);
        same(&NewtonMr::default(), &unit, &scaled, &x0);
        same(&CubicNewton::default(), &unit, &scaled, &x0);
        same(&SaddleFreeNewton::default(), &unit, &scaled, &x0);
    }
}

proptest! {
    #[test]
    fn random_units_and_starts(
        // Squares of products stay in the range of the type, which ends at 2^-1022.
        f in -150..150_i32,
        x in -30..30_i32,
        start in proptest::collection::vec(-4.0..4.0_f64, 4),
        which in 0..3_usize,
    ) {
        let (inner, n) = match which {
            0 => (rosenbrock(), 2),
            1 => (wood(), 4),
            _ => (powell_singular(), 4),
        };
        compare(&inner, &Array1::from(start[..n].to_vec()), f, x);
    }
}

#[test]
fn a_preconditioner_of_any_size_leaves_the_steps_alone() {
    let rosenbrock = ad_core::Function::<f64>::record_scalars(2, |x| {
        let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
        a * a + 100.0 * b * b
    })
    .unwrap();
    let method = TrustRegionNewton::default();
    let run = |c: f64| {
        let m = DiagonalPreconditioner::new(array![3.0 * c, c]).unwrap();
        let mut f = FunctionObjective::new(&rosenbrock, &[]).unwrap();
        let x0 = array![-1.2, 1.0];
        let limits = Limits::default();
        minimize(&method.preconditioned(&m), &mut f, x0.view(), &limits).unwrap()
    };
    let plain = run(1.0);
    assert!(plain.stop.is_converged(), "{plain:?}");
    for c in [1e-34, 1e-30, 1e-3, 10.0, 1e30, 1e34] {
        let found = run(c);
        assert!(found.stop.is_converged(), "{c:e}: {found:?}");
        // Rounding may tip a test the other way once or twice.
        let (few, more) = (found.stats.n_products, plain.stats.n_products);
        assert!(few.abs_diff(more) <= 8, "{c:e}: {few} and {more}");
    }
    // The root of a power of four is exact.
    for power in [-200, -60, -10, 10, 60, 200] {
        assert_eq!(run(two(power)), plain, "2^{power}");
    }
}

#[test]
fn settings_that_the_type_cannot_hold_are_refused() {
    let mut f = Quadratic::new(array![[2.0_f32]], array![1.0_f32]).unwrap();
    let x0 = array![5.0_f32];
    for bad in [1e60, 1e-60] {
        let region = TrustRegionNewton {
            initial_radius: Some(bad),
            ..gltr()
        };
        let line = LineSearchNewton {
            initial_reach: Some(bad),
            ..LineSearchNewton::default()
        };
        let residual = NewtonMr {
            initial_reach: Some(bad),
            ..NewtonMr::default()
        };
        let cubic = CubicNewton {
            initial_sigma: Some(bad),
            ..CubicNewton::default()
        };
        let saddle = SaddleFreeNewton {
            initial_radius: Some(bad),
            ..SaddleFreeNewton::default()
        };
        let martens = HessianFree {
            damping_range: (bad, 1e62),
            initial_damping: bad,
            ..hessian_free()
        };
        for refused in [
            region.solve(&mut f, x0.view()),
            line.solve(&mut f, x0.view()),
            residual.solve(&mut f, x0.view()),
            cubic.solve(&mut f, x0.view()),
            saddle.solve(&mut f, x0.view()),
            martens.solve(&mut f, x0.view()),
        ] {
            assert!(
                matches!(refused, Err(SolverError::InvalidSetting { .. })),
                "{bad:e}: {refused:?}"
            );
        }
    }
}

#[test]
fn a_radius_at_the_edge_of_the_type_ends_and_does_not_panic() {
    // The gradient has the wrong sign: no step is good enough.
    let uphill = Smooth::new(
        1,
        |x| x[0] * x[0] - 2.0 * x[0],
        |_| vec![2.0],
        |_| array![[2.0]],
    );
    for radius in [f64::MIN_POSITIVE, 1e-300, 1.0, 1e300] {
        for method in [TrustRegionNewton::default(), gltr()] {
            let method = TrustRegionNewton {
                initial_radius: Some(radius),
                ..method
            };
            let found = method
                .solve(&mut uphill.clone(), array![0.0].view())
                .unwrap();
            assert!(!found.stop.is_solved(), "{radius:e}: {found:?}");
            assert_eq!(found.x, array![0.0]);
        }
    }
}

#[test]
fn the_radius_limit_is_kept() {
    // Linear: every step ends on the boundary, and every ratio is one.
    let f = Quadratic::new(array![[0.0, 0.0], [0.0, 0.0]], array![1.0, 0.0]).unwrap();
    for (x0, expected) in [(array![0.0, 0.0], 1e8), (array![30.0, 40.0], 50e8)] {
        let mut largest: f64 = 0.0;
        let limits = Limits {
            max_iters: 60,
            ..Limits::default()
        };
        let observe = |_: &_, state: &hvp_solvers::newton::TrustRegionState<f64>| {
            largest = largest.max(state.radius());
            ControlFlow::Continue(())
        };
        let method = TrustRegionNewton::default();
        minimize_observed(&method, &mut f.clone(), x0.view(), &limits, observe).unwrap();
        assert!((largest / expected - 1.0).abs() < 1e-15, "{largest:e}");
    }
}
