//! Dense Newton takes the memory that it says, and no more.

#![allow(
    unsafe_code,
    clippy::unwrap_used,
    reason = "a global allocator is an unsafe trait, and a test may panic"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ad_core::Function;
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{FunctionObjective, SecondOrder, SolverError};
use ndarray::{Array1, Array2};
use optim::minimize::{Limits, minimize};
use optim::newton::{Newton, Scaling};

struct Measuring;

thread_local! {
    /// Bytes in use by this thread, and the most there were.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn add(bytes: isize) {
    // A thread that is ending has no counter any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// SAFETY: forwards every call to the system allocator unchanged.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// The most bytes that a call had in use at a time, beyond those at its begin.
fn peak<R>(call: impl FnOnce() -> R) -> (u128, R) {
    let before = NOW.get();
    PEAK.set(before);
    let result = call();
    ((PEAK.get() - before) as u128, result)
}

/// A quadratic with entries all over, and an indefinite one, whose shifts are raised.
fn quadratic(n: usize, shift: f64) -> Quadratic<f64> {
    let h = Array2::from_shape_fn((n, n), |(i, j)| {
        let (i, j) = (i.max(j), i.min(j));
        ((i + 3 * j) as f64).sin() / n as f64 + if i == j { shift } else { 0.0 }
    });
    Quadratic::new(h, Array1::ones(n)).unwrap()
}

#[test]
fn a_run_stays_within_the_bytes_that_it_needs() {
    // Nothing is warmed up: the first run on a thread takes no more than a later one.
    for n in [50, 200, 1000] {
        for (shift, scaling) in [
            (1.0, Scaling::Identity),
            (0.01, Scaling::Identity),
            (1.0, Scaling::Diagonal),
        ] {
            let mut f = quadratic(n, shift);
            let method = Newton {
                scaling,
                ..Newton::default()
            };
            let needed = method.bytes_needed::<f64>(n);
            let method = Newton {
                max_bytes: needed as u64,
                ..method
            };
            let x0 = Array1::zeros(n);
            let limits = Limits {
                max_iters: 3,
                ..Limits::default()
            };
            let (bytes, found) = peak(|| minimize(&method, &mut f, x0.view(), &limits));
            assert!(found.unwrap().stats.n_iters > 0);
            println!("n = {n}: {bytes} of {needed}");
            assert!(bytes <= needed, "n = {n}: {bytes} of {needed}");
            // Nor does it ask for much more than it takes.
            assert!(5 * bytes >= 4 * needed, "n = {n}: {bytes} of {needed}");
            let less = Newton {
                max_bytes: needed as u64 - 1,
                ..method
            };
            let (bytes, refused) = peak(|| minimize(&less, &mut f, x0.view(), &limits));
            assert!(matches!(refused, Err(SolverError::OverBudget { .. })));
            assert_eq!(bytes, 0, "nothing is made before the refusal");
        }
    }
}

/// A recorded function writes its Hessian into the caller's matrix.
#[test]
fn the_hessian_of_a_function_is_not_made_twice() {
    let n = 400;
    let f = Function::<f64>::record(n, |x| {
        let s = x.sin();
        (s * x).sum() + x.dot(x) * x.square().sum()
    })
    .unwrap();
    let mut objective = FunctionObjective::new(&f, &[]).unwrap();
    let mut gradient = Array1::zeros(n);
    objective.linearize(Array1::ones(n).view(), gradient.view_mut());
    let mut hessian = Array2::zeros((n, n));
    let (first, ()) = peak(|| objective.hessian_into(hessian.view_mut()));
    let (later, ()) = peak(|| objective.hessian_into(hessian.view_mut()));
    let matrix = n * n * size_of::<f64>();
    println!("{first} bytes at first, {later} later, a matrix {matrix}");
    // What the strips read, and a few rows: a tenth of a matrix at this size.
    assert!(later < matrix as u128 / 4, "{later} of {matrix}");
    assert!(hessian.iter().all(|h| h.is_finite()));
}
