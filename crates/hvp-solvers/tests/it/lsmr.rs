//! Least squares against singular values written down and dense normal equations.

use hvp_solvers::dense::cholesky;
use hvp_solvers::linear::{Lsmr, LsmrStop, Minres};
use hvp_solvers::operator::{DenseOperator, DenseRectangular};
use hvp_solvers::{LinearizedJacobian, SolverError};
use ndarray::{Array1, Array2, array, s};
use proptest::prelude::*;

use crate::kit::{EPS, in_parts, norm, normal, orthogonal};

/// `U diag(σ) Vᵀ`, and the solution of `min ‖b − Ax‖² + λ²‖x‖²` of least length.
struct Problem {
    a: Array2<f64>,
    u: Array2<f64>,
    v: Array2<f64>,
    sigma: Array1<f64>,
}

impl Problem {
    fn new(m: usize, n: usize, sigma: Array1<f64>, seed: u64) -> Self {
        let k = sigma.len();
        let u = orthogonal(m, seed).slice(s![.., ..k]).to_owned();
        let v = orthogonal(n, seed + 500).slice(s![.., ..k]).to_owned();
        let a = (&u * &sigma).dot(&v.t());
        Self { a, u, v, sigma }
    }

    fn solution(&self, b: &Array1<f64>, damping: f64) -> Array1<f64> {
        let filter = self.sigma.mapv(|s| {
            if s > 0.0 {
                s / (s * s + damping * damping)
            } else {
                0.0
            }
        });
        self.v.dot(&(filter * self.u.t().dot(b)))
    }
}

const TIGHT: Lsmr = Lsmr {
    damping: 0.0,
    relative_tolerance: 1e-13,
    operator_tolerance: 1e-13,
    condition_limit: None,
    max_iters: None,
};

#[test]
fn agrees_with_the_pseudo_inverse() {
    let sigma = |k| Array1::logspace(10.0, 0.0, 2.0, k);
    for (m, n, k) in [
        (30, 12, 12),
        (12, 30, 12),
        (20, 20, 20),
        (25, 18, 9),
        (1, 1, 1),
        (3, 1, 1),
    ] {
        let problem = Problem::new(m, n, sigma(k), 1);
        let a = DenseRectangular::new(problem.a.clone());
        // One that has a solution, and one that has none unless A has full row rank.
        for (b, consistent) in [(problem.a.dot(&normal(n, 2)), true), (normal(m, 3), k == m)] {
            let found = TIGHT.solve(&a, b.view()).unwrap();
            let expected = if consistent {
                LsmrStop::Converged
            } else {
                LsmrStop::LeastSquares
            };
            assert_eq!(found.stop, expected, "{m}×{n}: {:?}", found.stats);
            let x = problem.solution(&b, 0.0);
            let r = norm((&b - &problem.a.dot(&x)).view());
            // Perturbation theory for a backward error of 1e-13 (and rounding below it).
            let kappa = 100.0;
            let tol = 4e-13 * (kappa * norm(x.view()) + kappa * kappa * r / 100.0);
            let off = norm((&found.x - &x).view());
            assert!(off <= tol, "{m}×{n}: {off:e} > {tol:e}");
        }
    }
}

#[test]
fn every_figure_is_what_it_says() {
    for damping in [0.0, 0.3, 30.0] {
        let problem = Problem::new(40, 25, Array1::logspace(10.0, -1.0, 1.0, 25), 4);
        let a = DenseRectangular::new(problem.a.clone());
        let b = normal(40, 5) * 7.0;
        for max_iters in [1, 2, 5, 12, 20] {
            let config = Lsmr {
                damping,
                max_iters: Some(max_iters),
                ..TIGHT
            };
            let found = config.solve(&a, b.view()).unwrap();
            let r = &b - &problem.a.dot(&found.x);
            let normal_residual = problem.a.t().dot(&r) - damping * damping * &found.x;
            let residual = norm(r.view()).hypot(damping * norm(found.x.view()));
            let stats = found.stats;
            // Early on the recurrences are exact to rounding of a few dozen operations.
            let scale = 1e-12 * norm(b.view());
            assert!(
                (stats.residual_norm - residual).abs() <= scale,
                "{stats:?} {residual}"
            );
            let said = stats.normal_residual_norm;
            assert!(
                (said - norm(normal_residual.view())).abs() <= 10.0 * scale,
                "{stats:?}"
            );
            assert!((stats.solution_norm - norm(found.x.view())).abs() <= scale);
            // From below: ‖A‖, and the condition of [A; λI].
            assert!(stats.operator_norm <= 10.0 * (1.0 + 1e-12));
            let (top, low) = (10.0_f64.hypot(damping), 0.1_f64.hypot(damping));
            assert!(stats.condition >= 1.0 - 1e-12 && stats.condition <= top / low * 1.01);
        }
    }
}

#[test]
fn both_residuals_fall_monotonically() {
    let problem = Problem::new(60, 40, Array1::logspace(10.0, -2.0, 2.0, 40), 6);
    let a = DenseRectangular::new(problem.a.clone());
    let b = normal(60, 7);
    let mut last = (f64::INFINITY, f64::INFINITY);
    for max_iters in 1..30 {
        let config = Lsmr {
            max_iters: Some(max_iters),
            ..TIGHT
        };
        let stats = config.solve(&a, b.view()).unwrap().stats;
        let now = (stats.residual_norm, stats.normal_residual_norm);
        assert!(now.0 <= last.0 * (1.0 + 1e-12) && now.1 <= last.1 * (1.0 + 1e-12));
        last = now;
    }
}

#[test]
fn damping_is_that_of_the_normal_equations() {
    let problem = Problem::new(30, 20, Array1::logspace(10.0, -6.0, 1.0, 20), 8);
    let a = DenseRectangular::new(problem.a.clone());
    let b = normal(30, 9);
    for damping in [1e-2, 1.0, 100.0] {
        let found = Lsmr { damping, ..TIGHT }.solve(&a, b.view()).unwrap();
        assert_eq!(found.stop, LsmrStop::LeastSquares, "{damping}");
        let gram = problem.a.t().dot(&problem.a) + Array2::<f64>::eye(20) * (damping * damping);
        let rhs = problem.a.t().dot(&b);
        let dense = cholesky(gram.view()).unwrap().solve(rhs.view()).unwrap();
        let x = problem.solution(&b, damping);
        let kappa = (10.0 / damping).powi(2) + 1.0;
        let tol = 4e-13 * kappa * norm(x.view()).max(1.0);
        assert!(norm((&found.x - &x).view()) <= tol);
        assert!(norm((&dense - &x).view()) <= 100.0 * 20.0 * EPS * kappa * norm(x.view()));
    }
}

#[test]
fn is_minres_on_the_normal_equations() {
    let problem = Problem::new(30, 20, Array1::linspace(1.0, 3.0, 20), 10);
    let b = normal(30, 11);
    let gram = DenseOperator::new(problem.a.t().dot(&problem.a)).unwrap();
    let rhs = problem.a.t().dot(&b);
    for k in [1, 3, 7] {
        let minres = Minres {
            max_iters: Some(k),
            ..Minres::default()
        };
        let expected = minres.solve(&gram, rhs.view()).unwrap().x;
        let config = Lsmr {
            max_iters: Some(k),
            ..TIGHT
        };
        let found = config
            .solve(&DenseRectangular::new(problem.a.clone()), b.view())
            .unwrap();
        let off = norm((&found.x - &expected).view());
        assert!(off <= 1e-12 * norm(expected.view()), "{k}: {off:e}");
    }
}

#[test]
fn trivial_systems_limits_and_broken_contracts() {
    let a = DenseRectangular::new(array![[1.0, 0.0], [0.0, 1e-9], [0.0, 0.0]]);
    let zero = Lsmr::default().solve(&a, Array1::zeros(3).view()).unwrap();
    assert_eq!((zero.stop, zero.stats.n_products), (LsmrStop::Converged, 0));
    // Aᵀb = 0: nothing of b can be reached.
    let none = Lsmr::default()
        .solve(&a, array![0.0, 0.0, 5.0].view())
        .unwrap();
    assert_eq!(none.stop, LsmrStop::LeastSquares);
    assert!((none.stats.residual_norm - 5.0).abs() < 1e-15 && none.x == array![0.0, 0.0]);
    for shape in [(0, 0), (3, 0), (0, 3)] {
        let empty = DenseRectangular::new(Array2::<f64>::zeros(shape));
        let found = Lsmr::default()
            .solve(&empty, Array1::ones(shape.0).view())
            .unwrap();
        assert!(
            found.stop.is_converged() && found.x.len() == shape.1,
            "{shape:?}"
        );
    }
    let limited = Lsmr {
        condition_limit: Some(1e6),
        operator_tolerance: 0.0,
        ..Lsmr::default()
    };
    let found = limited.solve(&a, array![1.0, 1.0, 1.0].view()).unwrap();
    assert_eq!(found.stop, LsmrStop::ConditionLimit, "{:?}", found.stats);
    let short = Lsmr {
        max_iters: Some(1),
        ..Lsmr::default()
    };
    let found = short.solve(&a, array![1.0, 1.0, 1.0].view()).unwrap();
    assert_eq!(found.stop, LsmrStop::MaxIterations);

    let b = array![1.0, 1.0, 1.0];
    for bad in [
        Lsmr {
            damping: -1.0,
            ..Lsmr::default()
        },
        Lsmr {
            damping: f64::INFINITY,
            ..Lsmr::default()
        },
        Lsmr {
            relative_tolerance: f64::NAN,
            ..Lsmr::default()
        },
        Lsmr {
            operator_tolerance: -1.0,
            ..Lsmr::default()
        },
        Lsmr {
            condition_limit: Some(0.5),
            ..Lsmr::default()
        },
    ] {
        assert!(matches!(
            bad.solve(&a, b.view()),
            Err(SolverError::InvalidSetting { .. })
        ));
    }
    let short = Lsmr::default().solve(&a, array![1.0].view());
    assert!(matches!(short, Err(SolverError::DimensionMismatch { .. })));
    let single = DenseRectangular::new(array![[2.0_f32, 1.0], [1.0, 3.0], [0.0, 1.0]]);
    let config = Lsmr {
        operator_tolerance: 1e-6,
        ..Lsmr::default()
    };
    let found = config.solve(&single, array![3.0, 4.0, 1.0].view()).unwrap();
    assert!(found.stop.is_converged() && (found.x[0] - 1.0).abs() < 1e-5);
}

/// The damped Gauss–Newton step of a recorded function, against its dense Jacobian.
#[test]
fn gauss_newton_steps_from_a_linearization() {
    // Fits a + b·exp(c·t) to five points.
    let f = ad_core::Function::<f64>::record(3, |x| {
        let t = x.constant(array![0.0, 0.5, 1.0, 1.5, 2.0].view().into_dyn());
        let target = x.constant(array![1.0, 0.6, 0.5, 0.45, 0.41].view().into_dyn());
        let model = x.at(0) + x.at(1) * (x.at(2) * t).exp();
        0.5 * (model - target).model_output().square().sum()
    })
    .unwrap();
    let (x, damping) = ([0.3, 0.5, -1.0], 0.1);
    let at = f.linearize(&x).unwrap();
    let times: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];
    let decay = |t: f64| (x[2] * t).exp();
    let j = Array2::from_shape_fn((5, 3), |(i, k)| {
        let t = times[i];
        [1.0, decay(t), x[1] * t * decay(t)][k]
    });
    let targets = [1.0, 0.6, 0.5, 0.45, 0.41];
    let minus_r = Array1::from_shape_fn(5, |i| targets[i] - x[0] - x[1] * decay(times[i]));
    let step = Lsmr { damping, ..TIGHT };
    let step = step
        .solve(&LinearizedJacobian::new(&at), minus_r.view())
        .unwrap();
    let gram = j.t().dot(&j) + Array2::<f64>::eye(3) * (damping * damping);
    let dense = cholesky(gram.view())
        .unwrap()
        .solve(j.t().dot(&minus_r).view())
        .unwrap();
    let off = norm((&step.x - &dense).view());
    assert!(off <= 1e-10 * norm(dense.view()), "{off:e}");
}

/// Interrupted after any number of iterations, written out as text and read back: the same bits.
#[test]
fn resumes_bit_exactly_from_text() {
    let a = Array2::from_shape_fn((30, 20), |(i, j)| ((i * 7 + j * 3) % 11) as f64 - 4.0);
    let a = DenseRectangular::new(a);
    let b = normal(30, 3);
    for damping in [0.0, 0.5] {
        let config = Lsmr {
            damping,
            ..Lsmr::default()
        };
        let whole = config.solve(&a, b.view()).unwrap();
        for part in [0, 1, 2, 7] {
            let state = in_parts(config.start(b.view()).unwrap(), part, |state, count| {
                state.advance(&a, count).unwrap().is_some()
            });
            assert_eq!(state.into_outcome(), whole);
        }
    }
}

#[test]
fn states_are_checked() {
    let a = DenseRectangular::new(array![[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]);
    let mut state = Lsmr::default()
        .start(array![1.0_f64, 2.0, 4.0].view())
        .unwrap();
    let wide = DenseRectangular::new(Array2::ones((2, 2)));
    let mismatch = state.advance(&wide, 1);
    assert!(matches!(
        mismatch,
        Err(SolverError::DimensionMismatch { .. })
    ));
    state.advance(&a, 1).unwrap();
    let long = DenseRectangular::new(Array2::ones((3, 5)));
    assert!(state.advance(&long, 1).is_err());
    let whole = serde_json::to_value(&state).unwrap();
    for vector in ["b", "u", "v", "h", "h_bar", "x"] {
        let mut tampered = whole.clone();
        tampered[vector] = serde_json::json!(vec![0_u64; 7]);
        let mut state: hvp_solvers::linear::LsmrState<f64> =
            serde_json::from_value(tampered).unwrap();
        assert!(state.advance(&a, 1).is_err(), "{vector}");
    }
}

proptest! {
    #[test]
    fn ends_at_a_solution_or_says_why(
        m in 1..25_usize,
        n in 1..25_usize,
        exponents in prop::collection::vec(-4.0..4.0_f64, 25),
        zeros in 0..5_usize,
        damping in prop::option::of(-4.0..2.0_f64),
        exponent in -40..40_i32,
        seed in 0..1000_u64,
    ) {
        let k = m.min(n);
        let unit = 10.0_f64.powi(exponent);
        let sigma = Array1::from_shape_fn(k, |i| {
            if i + zeros < k || i == 0 { unit * 10.0_f64.powf(exponents[i]) } else { 0.0 }
        });
        let problem = Problem::new(m, n, sigma, seed);
        let damping = damping.map_or(0.0, |e| unit * 10.0_f64.powf(e));
        let b = normal(m, seed + 9);
        let config = Lsmr { damping, ..Lsmr::default() };
        let found = config.solve(&DenseRectangular::new(problem.a.clone()), b.view()).unwrap();
        prop_assert!(found.x.iter().all(|x| x.is_finite()));
        prop_assert!(!matches!(found.stop, LsmrStop::NonFinite { .. }), "{:?}", found.stats);
        if found.stop.is_converged() {
            let r = &b - &problem.a.dot(&found.x);
            let residual = norm(r.view()).hypot(damping * norm(found.x.view()));
            let normal = norm((problem.a.t().dot(&r) - damping * damping * &found.x).view());
            let top = problem.sigma.iter().fold(0.0_f64, |top, s| top.max(*s));
            let reach = norm(b.view()) + top * norm(found.x.view());
            let tol = 2.0 * 1e-10 * (1.0 + 1e-3);
            prop_assert!(
                residual <= tol * reach || normal <= tol * top * residual,
                "{:?} {:?}", found.stop, found.stats
            );
        }
    }
}
