//! Replays allocate nothing: counted on this thread by a global allocator.
#![allow(
    clippy::unwrap_used,
    reason = "a failure ends the test, in helpers as in the tests themselves"
)]
#![allow(
    unsafe_code,
    reason = "a global allocator that counts and passes every call on to the system's"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ad_core::{Function, Point, Product, Residuals};
use common::{Mlp, random};
use ndarray::{Array1, Array2};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count_one() {
    COUNT.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is the system allocator's; the counter is a plain cell without a destructor,
// which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls `f` once to let it make its programs and workspaces, then twice under the count.
fn assert_allocates_nothing(what: &str, mut f: impl FnMut()) {
    f();
    let before = COUNT.get();
    f();
    f();
    assert_eq!(COUNT.get() - before, 0, "allocations of {what}");
}

#[test]
fn the_count_sees_an_allocation() {
    let before = COUNT.get();
    let boxed = std::hint::black_box(Box::new(1));
    assert_eq!(COUNT.get() - before, 1);
    drop(boxed);
}

/// Every replaying call of a function whose model output has `m` elements.
fn check<'a>(f: &'a Function<f64>, point: Point<'a, f64>, m: usize) {
    let n = f.n_parameters();
    let (v, u) = (random(n, 2), random(m, 3));
    let mut out = Array1::zeros(n);
    assert_allocates_nothing("value", || {
        f.value(point).unwrap();
    });
    assert_allocates_nothing("value_and_grad_into", || {
        f.value_and_grad_into(point, out.view_mut()).unwrap();
    });
    assert_allocates_nothing("hvp_into", || {
        f.hvp_into(point, v.view(), out.view_mut()).unwrap();
    });
    let mut residuals = Residuals::new();
    assert_allocates_nothing("linearize_into", || {
        f.linearize_into(point, &mut residuals, out.view_mut())
            .unwrap();
    });
    let mut tangent = Array1::zeros(m);
    for product in [Product::Hvp, Product::Ggnvp, Product::Jvp, Product::Vjp] {
        let v = if product == Product::Vjp { &u } else { &v };
        let out = if product == Product::Jvp {
            &mut tangent
        } else {
            &mut out
        };
        assert_allocates_nothing(&format!("apply_linearized {product:?}"), || {
            f.apply_linearized(product, point, &residuals, v.view(), out.view_mut())
                .unwrap();
        });
    }
    let at = f.linearize(point).unwrap();
    assert_allocates_nothing("Linearization::hvp_into", || {
        at.hvp_into(v.view(), out.view_mut()).unwrap();
    });
    assert_allocates_nothing("Linearization::ggnvp_into", || {
        at.ggnvp_into(v.view(), out.view_mut()).unwrap();
    });
    // One block and a rest.
    let stack = Array2::from_shape_vec((19, n), random(19 * n, 4).to_vec()).unwrap();
    let mut products = Array2::zeros((19, n));
    assert_allocates_nothing("hvp_block_into", || {
        at.hvp_block_into(stack.view(), products.view_mut())
            .unwrap();
    });
    assert_allocates_nothing("apply_linearized_block", || {
        let product = Product::Hvp;
        f.apply_linearized_block(
            product,
            point,
            &residuals,
            stack.view(),
            products.view_mut(),
        )
        .unwrap();
    });
}

#[test]
fn replays_of_a_perceptron_allocate_nothing() {
    let mlp = Mlp::new(&[20, 17, 10], 33);
    let (x, data) = (random(mlp.n_parameters(), 1), mlp.data());
    check(&mlp.function(), Point::with_data(&x, &data), 33 * 10);
}

#[test]
fn replays_of_a_scalar_function_allocate_nothing() {
    let f = Function::record_scalars(20, |x| {
        let mut sum = x[0].square();
        for pair in x.windows(2) {
            sum += (pair[1] - pair[0].square()).square() + (pair[0] * pair[1]).sin();
        }
        sum.model_output().exp()
    })
    .unwrap();
    let x = random(20, 1) * 0.1;
    check(&f, Point::from(&x), 1);
}
