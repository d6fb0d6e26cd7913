//! Truncated conjugate gradients against exact solutions of small problems.

use hvp_solvers::linear::{
    DiagonalPreconditioner, Identity, TruncatedCg, TruncatedStop, TruncatedWorkspace,
};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use ndarray::{Array1, ArrayView1, array};
use proptest::prelude::*;

use crate::kit::{EPS, norm, normal, product, with_spectrum};

fn model(b: &DenseOperator<f64>, g: &Array1<f64>, p: ArrayView1<'_, f64>) -> f64 {
    g.dot(&p) + 0.5 * p.dot(&product(b, p))
}

/// `min gᵀp + ½ pᵀ diag(d) p` in `‖p‖ ≤ radius` by bisection on the multiplier
/// (easy case: `g` has a component along the smallest eigenvalue).
fn exact_minimum(d: &Array1<f64>, g: &Array1<f64>, radius: f64) -> f64 {
    let p = |shift: f64| Array1::from_shape_fn(d.len(), |i| -g[i] / (d[i] + shift));
    let value = |p: &Array1<f64>| g.dot(p) + 0.5 * p.dot(&(d * p));
    let smallest = d.iter().fold(f64::INFINITY, |m, &v| m.min(v));
    if smallest > 0.0 && norm(p(0.0).view()) <= radius {
        return value(&p(0.0));
    }
    let mut low = (-smallest).max(0.0);
    let mut high = low + norm(g.view()) / radius + smallest.abs() + 1.0;
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if norm(p(middle).view()) > radius {
            low = middle
        } else {
            high = middle
        }
    }
    value(&p(high))
}

#[test]
fn interior_solution_is_the_newton_step() {
    let b = DenseOperator::new(with_spectrum(&Array1::linspace(1.0, 9.0, 8), 1)).unwrap();
    let g = normal(8, 2);
    let config = TruncatedCg {
        relative_tolerance: 1e-12,
        ..TruncatedCg::default()
    };
    let found = config.solve(&b, g.view(), 1e6).unwrap();
    assert_eq!(found.outcome.stop, TruncatedStop::Converged);
    let residual = norm((&product(&b, found.step.view()) + &g).view());
    assert!(residual <= 2e-12 * norm(g.view()));
    assert!((found.outcome.step_norm / norm(found.step.view()) - 1.0).abs() < 1e-12);
    assert!(found.negative_curvature.is_none());
}

#[test]
fn negative_curvature_comes_with_a_witness() {
    let b = DenseOperator::new(with_spectrum(&Array1::linspace(-2.0, 9.0, 12), 3)).unwrap();
    let g = normal(12, 4);
    let found = TruncatedCg::default().solve(&b, g.view(), 100.0).unwrap();
    assert_eq!(found.outcome.stop, TruncatedStop::NegativeCurvature);
    let witness = found.negative_curvature.unwrap();
    let d = witness.direction;
    assert!((norm(d.view()) - 1.0).abs() < 4.0 * EPS);
    let quotient = d.dot(&product(&b, d.view()));
    assert!(quotient < 0.0 && (quotient - witness.rayleigh).abs() < 1e-12);
    assert!(quotient >= -2.0 - 1e-12);
}

#[test]
fn zero_curvature_and_zero_gradient() {
    let zero = DiagonalOperator::new(Array1::zeros(2));
    let found = TruncatedCg::default()
        .solve(&zero, array![3.0, 4.0].view(), 2.0)
        .unwrap();
    assert_eq!(found.outcome.stop, TruncatedStop::NegativeCurvature);
    assert!(norm((&found.step - &array![-1.2, -1.6]).view()) < 4.0 * EPS);
    assert!((found.outcome.model + 10.0).abs() < 20.0 * EPS);
    let found = TruncatedCg::default()
        .solve(&zero, Array1::zeros(2).view(), 2.0)
        .unwrap();
    assert_eq!(
        (found.outcome.stop, found.outcome.n_products),
        (TruncatedStop::Converged, 0)
    );
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = TruncatedCg::default()
        .solve(&empty, Array1::zeros(0).view(), 1.0)
        .unwrap();
    assert!(found.step.is_empty());
}

#[test]
fn preconditioner_shapes_the_ball() {
    let m = Array1::linspace(0.5, 20.0, 10);
    let b = DenseOperator::new(with_spectrum(&Array1::linspace(1.0, 30.0, 10), 5)).unwrap();
    let g = normal(10, 6);
    let precondition = DiagonalPreconditioner::new(m.clone()).unwrap();
    let mut work = TruncatedWorkspace::new(10);
    let mut crossed = 0;
    for radius in [1e-3, 1e-2, 1e-1, 0.5, 1.0, 2.0] {
        let config = TruncatedCg::default();
        let out = config
            .solve_into(&b, g.view(), radius, &precondition, &mut work)
            .unwrap();
        let p = work.step().to_owned();
        let m_norm = p.dot(&(&m * &p)).sqrt();
        // The norm comes from recurrences here: a few roundings for each step.
        assert!((out.step_norm / m_norm - 1.0).abs() < 1e-12);
        if out.stop.on_boundary() {
            crossed += 1;
            assert!((m_norm / radius - 1.0).abs() < 1e-12);
        }
        assert!((model(&b, &g, p.view()) - out.model).abs() <= 1e-12 * out.model.abs());
    }
    assert!(crossed >= 3);
}

#[test]
fn extreme_scales() {
    for (sb, sg, radius) in [
        (1e150, 1e150, 1e3),
        (1e-150, 1e-150, 1e3),
        (1.0, 1e-150, 1.0),
        (1.0, 1e150, 1.0),
    ] {
        let b = DiagonalOperator::new(array![1.0, 2.0, 4.0] * sb);
        let g = array![1.0, -1.0, 1.0] * sg;
        let found = TruncatedCg::default().solve(&b, g.view(), radius).unwrap();
        let newton = array![-1.0, 0.5, -0.25] * (sg / sb);
        if norm(newton.view()) < radius {
            let error = norm((&found.step - &newton).view()) / norm(newton.view());
            assert!(error < 1e-8, "{sb:e} {sg:e}: {error:e}");
        } else {
            assert!((norm(found.step.view()) / radius - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn bad_settings_are_errors() {
    let b = DiagonalOperator::new(array![1.0]);
    for radius in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            TruncatedCg::default()
                .solve(&b, array![1.0].view(), radius)
                .is_err()
        );
    }
    assert!(
        TruncatedCg::default()
            .solve(&b, array![f64::NAN].view(), 1.0)
            .is_err()
    );
    assert!(
        TruncatedCg::default()
            .solve(&b, array![1.0, 2.0].view(), 1.0)
            .is_err()
    );
}

proptest! {
    #[test]
    fn quality_norm_and_model_value(
        spectrum in prop::collection::vec(-5.0..10.0_f64, 1..12),
        convex in any::<bool>(),
        log_radius in -3.0..2.0_f64,
        seed in 0..1000_u64,
    ) {
        let n = spectrum.len();
        let d: Array1<f64> =
            spectrum.iter().map(|&v| if convex { v.abs() + 0.01 } else { v }).collect();
        let g = normal(n, seed);
        let radius = 10.0_f64.powf(log_radius);
        let dense = DenseOperator::new(ndarray::Array2::from_diag(&d)).unwrap();
        let b = Counted::new(dense.clone());
        let found = TruncatedCg::default().solve(&b, g.view(), radius).unwrap();
        let out = found.outcome;
        prop_assert_eq!(b.count(), out.n_products as u64);
        let length = norm(found.step.view());
        if out.stop.on_boundary() {
            // Exactly on the boundary, up to the rounding of a root and a norm.
            prop_assert!((length / radius - 1.0).abs() < 16.0 * EPS, "{}", length / radius - 1.0);
        } else {
            prop_assert!(length <= radius);
        }
        let direct = model(&dense, &g, found.step.view());
        let size = norm(g.view()) * length + 10.0 * length * length;
        prop_assert!((direct - out.model).abs() <= 1e-13 * size);
        // At least as good as the Cauchy point …
        let gbg = g.dot(&product(&dense, g.view()));
        let g_norm = norm(g.view());
        let t_max = radius / g_norm;
        let t = if gbg > 0.0 { (g_norm * g_norm / gbg).min(t_max) } else { t_max };
        let cauchy = model(&dense, &g, (&g * -t).view());
        prop_assert!(out.model <= cauchy + 1e-13 * size);
        // … never better than the minimum, and for convex models at least half as good
        // (Yuan 2000).
        let best = exact_minimum(&d, &g, radius);
        prop_assert!(out.model >= best - 1e-9 * size);
        if convex {
            prop_assert!(out.model <= 0.5 * best + 1e-9 * size);
        }
    }

    #[test]
    fn shrinking_equals_solving_again(
        spectrum in prop::collection::vec(-1.0..10.0_f64, 1..12),
        factor in 0.001..0.99_f64,
        seed in 0..1000_u64,
    ) {
        let d: Array1<f64> = spectrum.into();
        let n = d.len();
        let g = normal(n, seed);
        let b = Counted::new(DiagonalOperator::new(d));
        let config = TruncatedCg { path_memory: 100, ..TruncatedCg::default() };
        let mut work = TruncatedWorkspace::new(n);
        let first = config.solve_into(&b, g.view(), 50.0, &Identity, &mut work).unwrap();
        let radius = factor * first.step_norm;
        b.reset();
        let cut = work.shrink(radius).unwrap();
        prop_assert_eq!(b.count(), 0);
        let step = work.step().to_owned();
        let again = config.solve_into(&b, g.view(), radius, &Identity, &mut work).unwrap();
        prop_assert_eq!(cut.stop, again.stop);
        prop_assert!((norm(step.view()) / radius - 1.0).abs() < 1e-12);
        prop_assert!((cut.model - again.model).abs() <= 1e-12 * again.model.abs());
        prop_assert!(norm((&step - &work.step()).view()) <= 1e-10 * radius);
    }
}
