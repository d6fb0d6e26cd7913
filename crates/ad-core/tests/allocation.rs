//! Replays allocate nothing: counted on this thread by a global allocator.
#![allow(
    clippy::unwrap_used,
    reason = "a failure ends the test, in helpers as in the tests themselves"
)]
#![allow(
    unsafe_code,
    reason = "a global allocator that counts and passes every call on to the system's"
)]

#[path = "common/catalogue.rs"]
mod catalogue;
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ad_core::{Function, Point, Product, Program, Residuals};
use common::{Mlp, random};
use ndarray::{Array1, Array2};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

fn count_one(bytes: usize) {
    COUNT.with(|count| count.set(count.get() + 1));
    BYTES.with(|sum| sum.set(sum.get() + bytes));
}

// SAFETY: every call is the system allocator's; the counter is a plain cell without a destructor,
// which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one(layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one(layout.size());
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count_one(new_size);
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

/// What a first call allocates is what the plan said before, to the cache line; and a product works
/// in at most twice the memory of a gradient.
#[test]
fn plans_predict_the_bytes_that_runs_take() {
    for sizes in [&[20, 17, 10][..], &[64, 20, 15, 10], &[64, 128, 64, 10]] {
        let mlp = Mlp::new(sizes, 128);
        let (x, data) = (random(mlp.n_parameters(), 1), mlp.data());
        let (f, point) = (mlp.function(), Point::with_data(&x, &data));
        let mut out = Array1::zeros(x.len());
        let mut residuals = Residuals::new();
        f.linearize_into(point, &mut residuals, out.view_mut())
            .unwrap();
        let bytes = |program| f.cost(program).unwrap().workspace_bytes;
        let measured = |run: &mut dyn FnMut()| {
            let before = BYTES.get();
            run();
            BYTES.get() - before
        };
        let gradient = bytes(Program::Gradient);
        let found = measured(&mut || {
            f.value_and_grad_into(point, out.view_mut()).unwrap();
        });
        assert_eq!(
            found,
            gradient.next_multiple_of(64),
            "gradient of {sizes:?}"
        );
        for (program, product) in [
            (Program::Hvp, Product::Hvp),
            (Program::Ggnvp, Product::Ggnvp),
        ] {
            let predicted = bytes(program);
            assert!(predicted <= 2 * gradient, "{predicted} and {gradient}");
            let found = measured(&mut || {
                f.apply_linearized(product, point, &residuals, x.view(), out.view_mut())
                    .unwrap();
            });
            assert_eq!(
                found,
                predicted.next_multiple_of(64),
                "{product:?} {sizes:?}"
            );
        }
    }
}

/// Recording, deriving and planning: all memory that is ever asked for, freed or not.
fn bytes_of(f: impl FnOnce()) -> f64 {
    let before = BYTES.get();
    f();
    (BYTES.get() - before) as f64
}

/// The bytes of making each program, at three sizes a factor of two apart.
///
/// Vectors and tables that double as they grow ask for up to twice the memory, so one size alone may
/// be off by that factor, but growth over both steps is not.
#[test]
fn making_programs_takes_memory_in_proportion_to_them() {
    type Make = fn(&Function<f64>) -> usize;
    let programs: [(&str, Make); 5] = [
        ("value", |f| f.cost(Program::Value).unwrap().n_instructions),
        ("gradient", |f| {
            f.cost(Program::Gradient).unwrap().n_instructions
        }),
        ("hvp", |f| {
            f.cost(Program::HvpOneShot).unwrap().n_instructions
        }),
        ("linearize", |f| {
            f.cost(Program::Hvp).unwrap().n_instructions
        }),
        ("dense Hessian", |f| f.hessian_residual_bytes().unwrap()),
    ];
    let mut failures = Vec::new();
    for shape in catalogue::SHAPES {
        let mut bytes = vec![[0.0; 3]; programs.len() + 1];
        for (at, n) in [256, 512, 1024].into_iter().enumerate() {
            let mut recorded = None;
            bytes[0][at] = bytes_of(|| recorded = Some((shape.record)(n)));
            let recorded = recorded.unwrap();
            for (which, (_, make)) in programs.iter().enumerate() {
                bytes[which + 1][at] = bytes_of(|| {
                    make(&recorded);
                });
            }
        }
        let names = ["record"]
            .into_iter()
            .chain(programs.map(|program| program.0));
        for (name, bytes) in names.zip(bytes) {
            let exponent = (bytes[2] / bytes[0]).log2() / 2.0;
            if exponent > 1.05 {
                let shape = shape.name;
                failures.push(format!(
                    "{shape}, {name}: {bytes:?}, exponent {exponent:.2}"
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
