//! The loops of the solvers allocate nothing: more iterations, same count.

#![allow(
    unsafe_code,
    clippy::unwrap_used,
    reason = "a global allocator is an unsafe trait, and a test may panic"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use hvp_solvers::eigen::{End, Lanczos, Lobpcg, MultiplicityProbe, Which};
use hvp_solvers::linear::{
    BlockCg, Cg, DiagonalPreconditioner, Gltr, Identity, LimitedMemory, Lsmr, Minres,
    MinresCurvature, MultiShiftCg, PairChoice, TruncatedCg, TruncatedWorkspace,
};
use hvp_solvers::minimize::{Limits, Minimizer, minimize};
use hvp_solvers::newton::{
    CubicNewton, HessianFree, LineSearchNewton, NewtonMr, SaddleFreeNewton, Subproblem,
    TrustRegionNewton,
};
use hvp_solvers::operator::{DenseRectangular, DiagonalOperator, Restricted, Sum};
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates on its own whenever it likes.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards every call to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counter any more.
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(mut run: impl FnMut()) -> usize {
    let before = CALLS.get();
    run();
    CALLS.get() - before
}

#[test]
fn loops_of_eigenvalue_solvers_do_not_allocate() {
    let a = DiagonalOperator::new(Array1::linspace(1.0, 1e3, 400).mapv(f64::sqrt));
    for block in [1, 3] {
        let lanczos = |max_restarts| {
            let config = Lanczos {
                max_restarts,
                block,
                // A basis that grows is allocated anew, and a look has vectors of its own.
                max_basis_bytes: 0,
                probe: MultiplicityProbe::Never,
                ..Lanczos::new(4, Which::Smallest)
            };
            allocations(|| drop(config.solve(&a).unwrap()))
        };
        // The first run of all also fills tables that later ones share.
        lanczos(1);
        assert_eq!(lanczos(2), lanczos(10));
    }
    let lobpcg = |max_iters| {
        let config = Lobpcg {
            max_iters,
            ..Lobpcg::new(4, End::Smallest)
        };
        allocations(|| drop(config.solve(&a).unwrap()))
    };
    assert_eq!(lobpcg(5), lobpcg(60));
}

#[test]
fn later_parts_of_stored_solves_do_not_allocate() {
    let d = Array1::linspace(1.0, 1e3, 300);
    let m = DiagonalPreconditioner::new(d.mapv(f64::sqrt)).unwrap();
    let a = DiagonalOperator::new(d);
    let b = Array2::from_shape_fn((3, 300), |(j, i)| 1.0 + ((i * (j + 2)) % 7) as f64);
    let later = |advance: &mut dyn FnMut() -> bool| {
        // The first part makes the room.
        assert!(!advance());
        allocations(|| assert!(!advance()))
    };
    let mut shifted = MultiShiftCg::default()
        .start(b.row(0), &[0.0, 0.1])
        .unwrap();
    assert_eq!(later(&mut || shifted.advance(&a, 5).unwrap().is_some()), 0);
    let mut block = BlockCg::default().start(b.view(), None).unwrap();
    assert_eq!(
        later(&mut || block.advance(&a, &m, 5).unwrap().is_some()),
        0
    );
    let mut pairs = Lobpcg::new(2, End::Smallest).start(300, None).unwrap();
    assert_eq!(
        later(&mut || pairs.advance(&a, &Identity, 5).unwrap().is_some()),
        0
    );
}

#[test]
fn loops_of_linear_solvers_do_not_allocate() {
    let a = DiagonalOperator::new(Array1::linspace(1.0, 1e4, 300));
    let b = Array1::ones(300);
    let cg = |max_iters| {
        let config = Cg {
            max_iters: Some(max_iters),
            ..Cg::default()
        };
        allocations(|| drop(config.solve(&a, b.view()).unwrap()))
    };
    assert_eq!(cg(2), cg(100));

    let minres = |max_iters| {
        let config = Minres {
            max_iters: Some(max_iters),
            curvature: MinresCurvature::Record,
            ..Minres::default()
        };
        allocations(|| drop(config.solve(&a, b.view()).unwrap()))
    };
    assert_eq!(minres(2), minres(100));

    // Blocks and shifts need tolerances that are not reached at different times.
    let blocks = Array2::from_shape_fn((3, 300), |(j, i)| 1.0 + ((i * (j + 2)) % 7) as f64);
    let block = |max_iters| {
        let config = BlockCg {
            max_iters: Some(max_iters),
            ..BlockCg::default()
        };
        allocations(|| drop(config.solve(&a, blocks.view()).unwrap()))
    };
    assert_eq!(block(2), block(40));

    let shifted = |max_iters| {
        let config = MultiShiftCg {
            max_iters: Some(max_iters),
            ..MultiShiftCg::default()
        };
        allocations(|| drop(config.solve(&a, b.view(), &[0.0, 0.1]).unwrap()))
    };
    assert_eq!(shifted(2), shifted(40));

    let rectangular = DenseRectangular::new(Array2::from_diag(&Array1::linspace(1.0, 1e4, 300)));
    let lsmr = |max_iters| {
        let config = Lsmr {
            max_iters: Some(max_iters),
            ..Lsmr::default()
        };
        allocations(|| drop(config.solve(&rectangular, b.view()).unwrap()))
    };
    assert_eq!(lsmr(2), lsmr(100));

    // Operators take their scratch back; preconditioners need none.
    let part = Restricted::new(
        Sum::new([(1.0, &a), (2.0, &a)]).unwrap(),
        &[0..100, 200..300],
    );
    let part = part.unwrap();
    let mut pairs = LimitedMemory::new(200, 8, PairChoice::Spread).unwrap();
    let b_part = Array1::ones(200);
    let mut collect = |max_iters| {
        let config = Cg {
            max_iters: Some(max_iters),
            ..Cg::default()
        };
        pairs.clear();
        allocations(|| {
            let found = config.solve_collecting(&part, b_part.view(), None, &Identity, &mut pairs);
            drop(found.unwrap());
        })
    };
    collect(2);
    assert_eq!(collect(2), collect(100));
    let helped = |max_iters| {
        let config = Cg {
            max_iters: Some(max_iters),
            ..Cg::default()
        };
        let x0 = None;
        allocations(|| drop(config.solve_with(&part, b_part.view(), x0, &pairs).unwrap()))
    };
    assert_eq!(helped(2), helped(60));

    let mut krylov = Gltr::default().workspace(300).unwrap();
    let mut solve = || {
        krylov.solve(&a, b.view(), 1e-2).unwrap();
        krylov.resolve(&a, 1e-3).unwrap();
    };
    solve();
    assert_eq!(allocations(&mut solve), 0);

    let mut work = TruncatedWorkspace::new(300);
    let config = TruncatedCg {
        max_iters: Some(100),
        ..TruncatedCg::default()
    };
    let mut solve = || {
        config
            .solve_into(&a, b.view(), 1e9, &Identity, &mut work)
            .unwrap();
        work.shrink(1e-3).unwrap();
    };
    // The path's storage grows once and is used again.
    solve();
    assert_eq!(allocations(&mut solve), 0);
}

/// `Σ cᵢ √(1 + xᵢ²) + ½ Σ (xᵢ − xᵢ₊₁)²`, which keeps every method busy for a while.
struct Chain {
    weights: Array1<f64>,
    bends: Array1<f64>,
}

impl Chain {
    fn new(n: usize) -> Self {
        let weights = Array1::logspace(10.0, -2.0, 2.0, n);
        let bends = Array1::zeros(n);
        Self { weights, bends }
    }
}

impl Objective<f64> for Chain {
    fn dim(&self) -> usize {
        self.weights.len()
    }

    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        let own = self.weights.iter().zip(x).map(|(c, x)| c * x.hypot(1.0));
        let links = x.iter().zip(x.iter().skip(1));
        own.sum::<f64>() + links.map(|(a, b)| 0.5 * (a - b).powi(2)).sum::<f64>()
    }

    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        for i in 0..x.len() {
            grad[i] = self.weights[i] * x[i] / x[i].hypot(1.0) + laplacian(&x, i);
        }
        self.value(x)
    }
}

impl SecondOrder<f64> for Chain {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        for i in 0..x.len() {
            self.bends[i] = self.weights[i] * x[i].hypot(1.0).powi(-3);
        }
        self.value_and_grad(x, grad)
    }

    fn hvp_into(&self, v: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        for i in 0..v.len() {
            out[i] = self.bends[i] * v[i] + laplacian(&v, i);
        }
    }

    fn has_gauss_newton(&self) -> bool {
        true
    }

    fn ggnvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.hvp_into(v, out);
    }
}

fn laplacian(x: &ArrayView1<'_, f64>, i: usize) -> f64 {
    let before = if i > 0 { x[i] - x[i - 1] } else { 0.0 };
    let after = x.get(i + 1).map_or(0.0, |next| x[i] - next);
    before + after
}

fn newton_loop<M: Minimizer<f64, Chain>>(name: &str, method: &M) {
    let x0 = Array1::linspace(-3.0, 5.0, 60);
    let run = |max_iters| {
        let limits = Limits {
            max_iters,
            gradient_tol: 0.0,
            ..Limits::default()
        };
        let mut objective = Chain::new(60);
        let mut done = 0;
        let count = allocations(|| {
            done = minimize(method, &mut objective, x0.view(), &limits)
                .unwrap()
                .stats
                .n_iters;
        });
        assert_eq!(done, max_iters, "{name} ended too soon");
        count
    };
    // Iterates that are kept take room that doubles as inner solves get longer.
    let (few, more) = (run(3), run(6));
    assert!(more <= few + 1, "{name}: {few} and {more}");
}

#[test]
fn loops_of_newton_methods_do_not_allocate() {
    newton_loop("trust region", &TrustRegionNewton::default());
    let gltr = TrustRegionNewton {
        subproblem: Subproblem::Gltr,
        ..TrustRegionNewton::default()
    };
    newton_loop("GLTR", &gltr);
    newton_loop("line search", &LineSearchNewton::default());
    newton_loop("Newton-MR", &NewtonMr::default());
    newton_loop("cubic", &CubicNewton::default());
    newton_loop("saddle-free", &SaddleFreeNewton::default());
    newton_loop("Hessian-free", &HessianFree::default());
}
