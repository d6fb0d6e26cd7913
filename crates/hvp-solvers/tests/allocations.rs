//! The loops of the solvers allocate nothing: more iterations, same count.

#![allow(
    unsafe_code,
    clippy::unwrap_used,
    reason = "a global allocator is an unsafe trait, and a test may panic"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use hvp_solvers::eigen::{End, Lanczos, Lobpcg, Which};
use hvp_solvers::linear::{
    Cg, Gltr, Identity, Minres, MinresCurvature, TruncatedCg, TruncatedWorkspace,
};
use hvp_solvers::operator::DiagonalOperator;
use ndarray::Array1;

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: forwards every call to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
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
    let before = CALLS.load(Ordering::Relaxed);
    run();
    CALLS.load(Ordering::Relaxed) - before
}

fn eigenvalue_solvers_do_not_allocate() {
    let a = DiagonalOperator::new(Array1::linspace(1.0, 1e3, 400).mapv(f64::sqrt));
    for block in [1, 3] {
        let lanczos = |max_restarts| {
            let config = Lanczos {
                max_restarts,
                block,
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

// One test in this binary: another thread would allocate at the same time.
#[test]
fn loops_do_not_allocate() {
    eigenvalue_solvers_do_not_allocate();
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
