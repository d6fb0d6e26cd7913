//! Martens' method on sums over cases: batches for the products, a preconditioner.

use std::ops::ControlFlow;

use hvp_solvers::minimize::{Limits, StopReason, minimize, resume, start};
use hvp_solvers::newton::HessianFree;
use hvp_solvers::{Curvature, Objective, SecondOrder, SolverError};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, array};

use crate::kit::{Smooth, norm, normal, rosenbrock};

/// `f(x) = (1/2N) Σ (aᵢᵀx − bᵢ + ½c(aᵢᵀx)²)²` with products over every `stride`-th case.
#[derive(Clone)]
struct Cases {
    a: Array2<f64>,
    b: Array1<f64>,
    bend: f64,
    stride: usize,
    has_diagonal: bool,
    offset: usize,
    next_offset: usize,
    at: Array1<f64>,
    selected: Vec<u64>,
}

impl Cases {
    fn new(n_cases: usize, scales: &Array1<f64>, bend: f64, stride: usize) -> Self {
        let n = scales.len();
        let entries = normal(n_cases * n, 5);
        let a = entries.into_shape_with_order((n_cases, n)).unwrap() * scales;
        // Residuals vanish at x = 1/scales: there the gradient of every case does too.
        let x_star = scales.mapv(f64::recip);
        let model = |t: f64| t + 0.5 * bend * t * t;
        let b = a.dot(&x_star).mapv(model);
        Self {
            a,
            b,
            bend,
            stride,
            has_diagonal: false,
            offset: 0,
            next_offset: 0,
            at: Array1::zeros(n),
            selected: Vec::new(),
        }
    }

    /// Residuals and the derivatives of the models by `aᵢᵀx`.
    fn residuals(&self, x: ArrayView1<'_, f64>) -> (Array1<f64>, Array1<f64>) {
        let t = self.a.dot(&x);
        let r = t.mapv(|t| t + 0.5 * self.bend * t * t) - &self.b;
        (r, t.mapv(|t| 1.0 + self.bend * t))
    }

    fn batch(&self) -> impl Iterator<Item = usize> + '_ {
        (self.offset..self.b.len()).step_by(self.stride)
    }
}

impl Objective<f64> for Cases {
    fn dim(&self) -> usize {
        self.at.len()
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        let (r, _) = self.residuals(x);
        0.5 * r.dot(&r) / r.len() as f64
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        let (r, d) = self.residuals(x);
        grad.assign(&(self.a.t().dot(&(&r * &d)) / r.len() as f64));
        self.value(x)
    }
}

impl SecondOrder<f64> for Cases {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.at.assign(&x);
        self.offset = self.next_offset;
        self.value_and_grad(x, grad)
    }
    fn hvp_into(&self, _: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        out.fill(f64::NAN); // never to be asked for
    }
    fn has_gauss_newton(&self) -> bool {
        true
    }
    fn ggnvp_into(&self, v: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        let (_, d) = self.residuals(self.at.view());
        let n_batch = self.batch().count() as f64;
        out.fill(0.0);
        for i in self.batch() {
            let row = self.a.row(i);
            out.scaled_add(d[i] * d[i] * row.dot(&v) / n_batch, &row);
        }
    }
    fn select_curvature_batch(&mut self, index: u64) {
        self.selected.push(index);
        self.next_offset = (index as usize) % self.stride;
    }
    fn has_curvature_batches(&self) -> bool {
        self.stride > 1
    }
    fn curvature_value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        let (r, _) = self.residuals(x);
        let sum: f64 = self.batch().map(|i| r[i] * r[i]).sum();
        0.5 * sum / self.batch().count() as f64
    }
    fn curvature_diagonal_into(&self, mut out: ArrayViewMut1<'_, f64>) -> bool {
        if self.has_diagonal {
            let squares = self.a.mapv(|a| a * a);
            out.assign(&(squares.sum_axis(ndarray::Axis(0)) / self.b.len() as f64));
        }
        self.has_diagonal
    }
}

fn method() -> HessianFree {
    HessianFree {
        initial_damping: 1.0,
        ..HessianFree::default()
    }
}

#[test]
fn products_over_a_part_of_the_cases_find_the_minimum() {
    for stride in [1, 2, 4] {
        let mut f = Cases::new(200, &Array1::ones(6), 0.1, stride);
        let found = method().solve(&mut f, Array1::zeros(6).view()).unwrap();
        assert!(found.stop.is_converged(), "{stride}: {found:?}");
        assert!(norm((&found.x - 1.0).view()) < 1e-6, "{stride}: {found:?}");
        // One batch for each linearization, in order.
        let order: Vec<u64> = (0..found.stats.n_linearizations).collect();
        assert_eq!(f.selected, order, "{stride}");
        // A value for each iterate of conjugate gradients looked at, two over the batch if there
        // is one, and a linearization.
        let least = if stride > 1 { 4 } else { 2 } * found.stats.n_iters;
        assert!(found.stats.n_evals > least, "{stride}: {found:?}");
    }
}

#[test]
fn batches_resume_exactly() {
    let f = Cases::new(60, &array![1.0, 2.0, 0.5], 0.3, 3);
    let x0 = array![0.5, 0.1, -0.2];
    let limits = Limits {
        gradient_tol: 1e-9,
        max_iters: 30,
        ..Limits::default()
    };
    let whole = minimize(&method(), &mut f.clone(), x0.view(), &limits).unwrap();
    assert!(whole.stats.n_iters > 5, "{whole:?}");
    for pause in 0..whole.stats.n_iters {
        let mut state = start(&method(), &mut f.clone(), x0.view()).unwrap();
        let first = Limits {
            max_iters: pause,
            ..limits
        };
        let carry_on = |_: &_, _: &_| ControlFlow::Continue(());
        resume(&method(), &mut f.clone(), &mut state, &first, carry_on).unwrap();
        let text = serde_json::to_string(&state).unwrap();
        let mut state = serde_json::from_str(&text).unwrap();
        let resumed = resume(&method(), &mut f.clone(), &mut state, &limits, carry_on).unwrap();
        assert_eq!(resumed, whole, "{pause}");
    }
}

#[test]
fn the_preconditioner_saves_products() {
    let scales = Array1::from_shape_fn(40, |i| 10.0_f64.powf(3.0 * i as f64 / 39.0));
    let mut products = Vec::new();
    for has_diagonal in [false, true] {
        let mut f = Cases {
            has_diagonal,
            ..Cases::new(400, &scales, 0.0, 1)
        };
        let limits = Limits {
            gradient_tol: 0.0,
            gradient_tol_relative: 1e-6,
            ..Limits::default()
        };
        let method = HessianFree {
            initial_damping: 1e-3,
            ..HessianFree::default()
        };
        let found = minimize(&method, &mut f, Array1::zeros(40).view(), &limits).unwrap();
        assert!(found.stop.is_converged(), "{found:?}");
        products.push(found.stats.n_products);
    }
    println!("products without and with: {products:?}");
    assert!(2 * products[1] < products[0], "{products:?}");
}

#[test]
fn damping_follows_the_ratio() {
    // On a quadratic the undamped model is exact: every ratio is 1.
    let mut f = Cases::new(50, &Array1::ones(4), 0.0, 1);
    let mut state = start(&method(), &mut f, Array1::zeros(4).view()).unwrap();
    let mut dampings = Vec::new();
    let limits = Limits {
        max_iters: 6,
        gradient_tol: 1e-12,
        ..Limits::default()
    };
    resume(&method(), &mut f, &mut state, &limits, |_, state| {
        dampings.push(state.damping());
        ControlFlow::Continue(())
    })
    .unwrap();
    for pair in dampings.windows(2) {
        assert!(
            (pair[1] * 1.5 / pair[0] - 1.0).abs() < 1e-14,
            "{dampings:?}"
        );
    }
    let report = state.report();
    assert!(report.last_step.is_some_and(|step| step.accepted));
}

/// `λ` before each of the first iterations, and the points.
fn dampings(f: &Smooth, x0: f64, damping: f64) -> Vec<(f64, f64)> {
    let method = HessianFree {
        curvature: Curvature::Hessian,
        initial_damping: damping,
        ..HessianFree::default()
    };
    let limits = Limits {
        max_iters: 5,
        gradient_tol: 0.0,
        ..Limits::default()
    };
    let mut seen = Vec::new();
    let mut f = f.clone();
    let mut state = start(&method, &mut f, array![x0].view()).unwrap();
    resume(&method, &mut f, &mut state, &limits, |at, state| {
        seen.push((state.damping(), at.x()[0]));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(seen.len(), 6, "{seen:?}");
    seen
}

#[test]
fn damping_is_raised_where_the_model_is_too_good_or_bends_down() {
    // Products of a twentieth: each step goes much too far, and the line search takes it back.
    let stiff = Smooth::new(1, |x| 0.5 * x[0] * x[0], |x| vec![x[0]], |_| array![[0.05]]);
    let seen = dampings(&stiff, 3.0, 0.01);
    for pair in seen.windows(2) {
        assert!(
            (pair[1].0 / pair[0].0 / 1.5 - 1.0).abs() < 1e-14,
            "{seen:?}"
        );
        assert!(pair[1].1.abs() < pair[0].1.abs(), "{seen:?}");
    }
    // Curvature −0.97 at the start: no step before λ is larger.
    let well = Smooth::new(
        1,
        |x| 0.25 * x[0].powi(4) - 0.5 * x[0] * x[0],
        |x| vec![x[0].powi(3) - x[0]],
        |x| array![[3.0 * x[0] * x[0] - 1.0]],
    );
    let seen = dampings(&well, 0.1, 0.01);
    for pair in seen.windows(2) {
        assert!(
            (pair[1].0 / pair[0].0 / 1.5 - 1.0).abs() < 1e-14,
            "{seen:?}"
        );
        assert_eq!(pair[1].1.to_bits(), pair[0].1.to_bits(), "{seen:?}");
    }
}

#[test]
fn an_inner_iteration_keeps_to_its_products() {
    let scales = Array1::from_shape_fn(40, |i| 10.0_f64.powf(3.0 * i as f64 / 39.0));
    for most in [1, 2, 5, 17] {
        let mut f = Cases::new(400, &scales, 0.1, 1);
        let method = HessianFree {
            max_cg_iters: most,
            ..method()
        };
        let limits = Limits {
            max_iters: 12,
            ..Limits::default()
        };
        let found = minimize(&method, &mut f, Array1::zeros(40).view(), &limits).unwrap();
        // And one for the warm start.
        let allowed = (most as u64 + 1) * found.stats.n_iters;
        assert!(found.stats.n_products <= allowed, "{most}: {found:?}");
    }
}

#[test]
fn broken_contracts() {
    let refused = HessianFree::default().solve(&mut rosenbrock(), array![1.0, 2.0].view());
    assert_eq!(refused, Err(SolverError::NoGaussNewton));
    let good = HessianFree::default();
    for bad in [
        HessianFree {
            initial_damping: 1e13,
            ..good
        },
        HessianFree {
            max_cg_iters: 0,
            ..good
        },
        HessianFree {
            warm_start: 1.5,
            ..good
        },
        HessianFree {
            kept_growth: 1.0,
            ..good
        },
        HessianFree {
            first_kept: f64::NAN,
            ..good
        },
        HessianFree {
            backtracking: 1.0,
            ..good
        },
        HessianFree {
            sufficient_decrease: 0.0,
            ..good
        },
        HessianFree {
            progress_tolerance: -1.0,
            ..good
        },
    ] {
        let mut f = Cases::new(10, &array![1.0, 1.0], 0.0, 1);
        let refused = bad.solve(&mut f, array![1.0, 2.0].view());
        assert!(
            matches!(refused, Err(SolverError::InvalidSetting { .. })),
            "{bad:?}"
        );
    }
    // A hopeless objective: products that are all zero promise descent for ever.
    let mut flat = Cases::new(10, &array![1.0, 1.0], 0.0, 1);
    flat.a.fill(0.0);
    flat.b.fill(1.0);
    let found = good.solve(&mut flat, array![1.0, 2.0].view()).unwrap();
    assert_eq!(found.stop, StopReason::GradientTolerance);
}
