//! Where values drown in rounding: methods go on by the gradient, and say that the value is as low
//! as it can be told.

use ad_core::Function;
use hvp_solvers::minimize::{Limits, Minimizer, Outcome, StopReason, minimize};
use hvp_solvers::newton::{
    CubicNewton, LineSearchNewton, NewtonMr, SaddleFreeNewton, TrustRegionNewton,
};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{FunctionObjective, Objective, SecondOrder};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, array};
use proptest::prelude::*;
use test_problems::fits;

use crate::kit::{Counting, norm, normal, rosenbrock, with_spectrum};
use crate::methods::{gltr, hessian_free, with_each_method, wood};

/// Tolerances that only rounding stands in the way of.
fn tight() -> Limits {
    Limits {
        gradient_tol: 1e-10,
        max_iters: 5000,
        ..Limits::default()
    }
}

/// Meyer's problem: `f* = 87.9458551708511209`, where values carry a noise of 2e-10.
#[test]
fn the_end_of_a_noisy_valley_is_told() {
    let problem = fits::meyer();
    with_each_method!(name, method => {
        let mut f = FunctionObjective::new(&problem.function, &[]).unwrap();
        let x0 = Array1::from(problem.start.clone());
        let found = minimize(&method, &mut f, x0.view(), &tight()).unwrap();
        println!("{name}: {:?} {:.14} {:e} {:?}", found.stop, found.value, found.gradient_norm, found.stats);
        assert!(found.stop.is_solved(), "{name}: {found:?}");
        // Sixteen times the noise.
        assert!((found.value - 87.945_855_170_851_12).abs() < 16.0 * 2e-10, "{name}: {found:?}");
    });
}

/// Σ (xᵢ² + xₙ²)² − 4xᵢ + 3: zero at (1, …, 1, 0), by cancellation.
fn arwhead(n: usize) -> Function<f64> {
    Function::record_scalars(n, |x| {
        let last = x[n - 1] * x[n - 1];
        let terms = x[..n - 1].iter().map(|&x| {
            let s = x * x + last;
            s * s - 4.0 * x + 3.0
        });
        terms.reduce(|sum, term| sum + term).unwrap()
    })
    .unwrap()
}

#[test]
fn a_minimum_of_zero_by_cancellation_is_told() {
    let function = arwhead(100);
    with_each_method!(name, method => {
        let mut f = FunctionObjective::new(&function, &[]).unwrap();
        let x0 = Array1::ones(100);
        let found = minimize(&method, &mut f, x0.view(), &tight()).unwrap();
        println!("{name}: {:?} {:e} {:e} {:?}", found.stop, found.value, found.gradient_norm, found.stats);
        assert!(found.stop.is_solved(), "{name}: {found:?}");
        // 99 terms of up to 4 each, rounded.
        assert!(found.value.abs() < 400.0 * f64::EPSILON * 4.0, "{name}: {found:?}");
        assert!(found.stats.n_evals < 100, "{name}: {found:?}");
    });
}

/// A function with noise in its values, a different one at every point but the same at each call.
#[derive(Clone)]
struct Noisy<O> {
    inner: O,
    offset: f64,
    sigma: f64,
    salt: u64,
}

impl<O> Noisy<O> {
    fn noise(&self, x: ArrayView1<'_, f64>) -> f64 {
        let mut hash = self.salt;
        for v in x {
            hash = (hash ^ v.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let unit = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        self.offset + self.sigma * (2.0 * unit - 1.0)
    }
}

impl<O: Objective<f64>> Objective<f64> for Noisy<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        self.inner.value(x) + self.noise(x)
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.inner.value_and_grad(x, grad) + self.noise(x)
    }
}

impl<O: SecondOrder<f64>> SecondOrder<f64> for Noisy<O> {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.inner.linearize(x, grad) + self.noise(x)
    }
    fn hvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.inner.hvp_into(v, out);
    }
}

/// Runs on a noisy function of which the gradient is exact, and checks that the point returned is
/// as low as any that was seen, but for the noise.
fn run<M, O>(
    name: &str,
    method: &M,
    f: &Noisy<O>,
    x0: &Array1<f64>,
    limits: &Limits,
) -> Outcome<f64>
where
    O: SecondOrder<f64> + Clone,
    M: Minimizer<f64, Counting<Noisy<O>>>,
{
    let mut counting = Counting::new(f.clone());
    let found = minimize(method, &mut counting, x0.view(), limits).unwrap();
    // Two values differ by 2σ at most; the level in use is six standard deviations, σ/√3 each,
    // of an estimate from eight values.
    let slack = 16.0 * f.sigma + 20.0 * f64::EPSILON * f.offset.abs();
    assert!(
        found.value <= counting.least + slack,
        "{name}: {found:?} {}",
        counting.least
    );
    found
}

#[test]
fn noise_a_thousand_times_the_rounding_is_no_obstacle() {
    for salt in 0..20 {
        let (offset, sigma) = (88.0, 1e-10);
        let rosenbrock = Noisy {
            inner: rosenbrock(),
            offset,
            sigma,
            salt,
        };
        let wood = Noisy {
            inner: wood(),
            offset,
            sigma,
            salt,
        };
        let limits = Limits {
            gradient_tol: 1e-6,
            ..tight()
        };
        with_each_method!(name, method => {
            for (f, x0) in [
                (&rosenbrock, array![-1.2, 1.0]),
                (&wood, array![-3.0, -1.0, -3.0, -1.0]),
            ] {
                let found = run(name, &method, f, &x0, &limits);
                assert!(found.stop.is_solved(), "{name}, {salt}: {found:?}");
                let true_value = f.inner.clone().value(found.x.view());
                assert!(true_value < 16.0 * sigma, "{name}, {salt}: {found:?}");
            }
        });
    }
}

proptest! {
    #[test]
    fn noisy_quadratics_end_solved_and_never_above_the_best(
        n in 2..8_usize,
        condition in 0.0..4.0_f64,
        seed in 0..10_000_u64,
        noise in -12.0..-9.0_f64,
    ) {
        let spectrum = Array1::from_shape_fn(n, |i| 10.0_f64.powf(condition * i as f64 / (n - 1) as f64));
        let h = with_spectrum(&spectrum, seed);
        let x_star = normal(n, seed + 1);
        let inner = Quadratic::new(h.clone(), -h.dot(&x_star)).unwrap();
        let f = Noisy { inner, offset: 100.0, sigma: 10.0_f64.powf(noise), salt: seed };
        let x0 = normal(n, seed + 2);
        let limits = Limits { gradient_tol: 1e-9, ..tight() };
        with_each_method!(name, method => {
            let found = run(name, &method, &f, &x0, &limits);
            prop_assert!(found.stop.is_solved(), "{}: {:?}", name, found);
            // ½λ‖x − x*‖² is noise, with λ ≥ 1.
            let far = norm((&found.x - &x_star).view());
            prop_assert!(far * far < 64.0 * f.sigma + 1e-12, "{}: {:?}", name, found);
        });
    }
}

/// A slope that points up is an ending that is no success, never a panic.
#[test]
fn a_wrong_gradient_is_told() {
    let uphill = crate::kit::Smooth::new(
        2,
        |x| x[0] * x[0] + x[1] * x[1],
        |x| vec![-2.0 * x[0], -2.0 * x[1]],
        |_| array![[2.0, 0.0], [0.0, 2.0]],
    );
    with_each_method!(name, method => {
        let found = minimize(&method, &mut uphill.clone(), array![3.0, 1.0].view(), &tight()).unwrap();
        assert!(!found.stop.is_solved(), "{name}: {found:?}");
        let ended = [
            StopReason::LineSearchFailed,
            StopReason::RadiusCollapsed,
            StopReason::Stalled,
            StopReason::NoDescent,
        ];
        assert!(ended.contains(&found.stop), "{name}: {found:?}");
        assert_eq!((found.x, found.value), (array![3.0, 1.0], 10.0), "{name}");
    });
}
