//! Sizes that arrays cannot have, memory that there is not, and objects of other functions: errors
//! that say so, never a panic, a wrong answer or memory that is not the call's own.
#![allow(
    clippy::float_cmp,
    reason = "small whole numbers, which arithmetic keeps exact"
)]

use ad_core::{
    Error, Function, HessianOptions, HessianWork, Point, Product, Program, Residuals, Var,
    concatenate,
};
use ndarray::{Array1, Array2, ArrayD, ArrayViewD, array};
use proptest::prelude::*;

/// The text of a recording error.
#[track_caller]
fn refused(f: Result<Function<f64>, Error>) -> String {
    let error = f.unwrap_err();
    assert!(matches!(error, Error::Record { .. }), "{error:?}");
    error.to_string()
}

#[test]
fn an_array_of_more_elements_than_memory_has_addresses_is_a_recording_error() {
    let text = refused(Function::record(1, |x| {
        x.broadcast_to(&[1 << 32, 1 << 32]).sum()
    }));
    for part in ["broadcast", "[4294967296, 4294967296]", file!()] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    // The byte count of the sines wraps to 0.
    let text = refused(Function::record(4, |x| {
        let wide = x.reshape(&[4, 1]).broadcast_to(&[4, 1 << 59]);
        wide.reshape(&[1 << 61]).sin().sum()
    }));
    assert!(text.contains("[4, 576460752303423488]"), "{text}");
    // [2³³, 1] + [1, 2³³]
    let text = refused(Function::record_with_data(
        1,
        &[&[1 << 33, 1], &[1, 1 << 33]],
        |x, d| (d[0] + d[1]).sum() * x.at(0),
    ));
    assert!(
        text.contains("add") && text.contains("[8589934592, 8589934592]"),
        "{text}"
    );
    // Both products saturate, so they were once taken for equal.
    let text = refused(Function::record(1, |x| {
        x.broadcast_to(&[1 << 40])
            .reshape(&[1 << 62, 1 << 62])
            .sum()
    }));
    assert!(text.contains("reshape"), "{text}");
}

/// What is recorded of one parameter.
type OfOne<'a> = Box<dyn Fn(Var<'_>) -> Var<'_> + 'a>;

#[test]
fn every_way_to_make_an_array_checks_its_size() {
    let big = 1_usize << 40;
    let one = Array1::from(vec![1.0]);
    let repeated = one.broadcast(1 << 60).unwrap();
    let part = one.broadcast(1 << 55).unwrap();
    let cases: [(&str, OfOne<'_>); 9] = [
        (
            "matmul",
            Box::new(move |x| {
                let tall = x.broadcast_to(&[big, 1]);
                tall.matmul(x.broadcast_to(&[1, big])).sum()
            }),
        ),
        (
            "mul",
            Box::new(move |x| {
                let tall = x.broadcast_to(&[big, 1]);
                (tall * x.broadcast_to(&[1, big])).sum()
            }),
        ),
        (
            "concatenate",
            Box::new(move |x| {
                let part = x.broadcast_to(&[1 << 55]);
                concatenate(0, &[part; 600]).sum()
            }),
        ),
        (
            "constant",
            Box::new(move |x| x.constant(repeated.into_dyn()).sum()),
        ),
        // An array of 2⁵⁵ elements may be recorded, but not copied.
        (
            "constant",
            Box::new(move |x| x.constant(part.into_dyn()).sum()),
        ),
        (
            "map_rows",
            Box::new(move |x| {
                x.broadcast_to(&[big])
                    .map_rows(|row| row.broadcast_to(&[1 << 30]))
                    .sum()
            }),
        ),
        (
            "jacobian",
            Box::new(move |x| {
                let wide = x.broadcast_to(&[big]);
                wide.jacobian(|x| x.sin()).sum()
            }),
        ),
        // No element, but strides of 2⁸⁰.
        (
            "broadcast",
            Box::new(move |x| {
                x.slice(0, 0..0)
                    .reshape(&[0, 1, 1])
                    .broadcast_to(&[0, big, big])
                    .sum()
            }),
        ),
        (
            "reshape",
            Box::new(move |x| x.slice(0, 0..0).reshape(&[0, big, big]).sum()),
        ),
    ];
    for (name, case) in cases {
        let text = refused(Function::record(1, case));
        assert!(text.starts_with(name), "{name}: {text}");
    }
    let text = refused(Function::record(usize::MAX, |x| x.sum()));
    assert!(
        text.starts_with("input") && text.contains(file!()),
        "{text}"
    );
    let text = refused(Function::record_scalars(1 << 40, |x| x[0]));
    assert!(text.starts_with("record_scalars"), "{text}");
    let text = refused(Function::record_with_data(1, &[&[1 << 62, 8]], |x, _| {
        x.sum()
    }));
    assert!(text.starts_with("input"), "{text}");
}

#[test]
fn more_data_arrays_than_are_counted_are_a_recording_error() {
    let shapes = vec![&[1][..]; 70_000];
    let text = refused(Function::record_with_data(1, &shapes, |x, data| {
        (x * data[69_999]).sum()
    }));
    assert!(text.contains("70000 data arrays"), "{text}");
}

/// Sizes that arrays may have, of which memory has room for none.
#[test]
fn memory_that_there_is_not_is_an_error_of_every_call() {
    let huge = 1_usize << 50;
    let f = Function::<f64>::record(1, |x| {
        let wide = x.broadcast_to(&[huge]);
        // The sines are of a product, so that no derivative is a sum of a few repeated numbers.
        (wide * wide.reshape(&[huge / 2, 2]).t().reshape(&[huge]))
            .sin()
            .sum()
    })
    .unwrap();
    let (x, one) = ([0.5], array![1.0]);
    let bytes = 8 * huge as u128;
    let is_allocation = |error: Error| match error {
        Error::Allocation { what, bytes: found } => {
            assert!(!what.is_empty() && found >= bytes, "{what}: {found}");
        }
        other => panic!("{other}"),
    };
    is_allocation(f.value(&x).unwrap_err());
    is_allocation(f.gradient(&x).unwrap_err());
    is_allocation(f.hvp(&x, one.view()).unwrap_err());
    is_allocation(f.jvp(&x, one.view()).unwrap_err());
    is_allocation(f.vjp(&x, one.view()).unwrap_err());
    is_allocation(f.linearize(&x).unwrap_err());
    is_allocation(f.hessian(&x).unwrap_err());
    is_allocation(f.cost(Program::Gradient).unwrap_err());
    // Results, which are allocated before anything runs.
    let g = Function::<f32>::record(1, |x| x.broadcast_to(&[huge])).unwrap();
    let error = g.evaluate(&[0.5]).unwrap_err();
    let what = "the result".to_string();
    assert_eq!(
        error,
        Error::Allocation {
            what,
            bytes: bytes / 2
        }
    );
}

/// Sizes that addresses reach and this process does not get.
#[test]
fn a_workspace_that_cannot_be_had_leaves_the_function_usable() {
    let n = 1_usize << 44;
    let f = Function::<f64>::record_with_data(2, &[&[3]], |x, data| {
        let wide = data[0].at(0).broadcast_to(&[n]);
        (x.at(0) * wide)
            .sin()
            .reshape(&[n / 2, 2])
            .t()
            .matmul(wide.reshape(&[n / 2, 2]))
            .sum()
            + x.sum()
    })
    .unwrap();
    let zeros = array![0.0, 0.0, 0.0];
    let data = [zeros.view().into_dyn()];
    for _ in 0..2 {
        let at = Point::with_data(&[1.0, 2.0], &data);
        let error = f.value(at).unwrap_err();
        assert!(matches!(error, Error::Allocation { .. }), "{error}");
        assert!(f.cost(Program::Value).unwrap().workspace_bytes >= 8 * n);
    }
}

#[test]
fn slices_that_run_backwards_are_refused() {
    #[allow(clippy::reversed_empty_ranges, reason = "what is tested")]
    let text = refused(Function::record(6, |x| x.slice(0, 5..1).sum()));
    assert!(text.contains("slice") && text.contains("5..1"), "{text}");
    let text = refused(Function::record(6, |x| x.slice(0, 6..usize::MAX).sum()));
    assert!(text.contains("18446744073709551615"), "{text}");
    let text = refused(Function::record(6, |x| x.at(usize::MAX)));
    assert!(text.contains("slice"), "{text}");
    let empty = Function::<f64>::record(6, |x| x.slice(0, 5..5).sum()).unwrap();
    assert_eq!(empty.value(&[1.0; 6]).unwrap(), 0.0);
}

fn sines() -> Function<f64> {
    Function::record(3, |x| x.sin().sum()).unwrap()
}

#[test]
fn residuals_of_another_function_are_refused_though_they_are_as_long() {
    let (f, g) = (sines(), Function::record(3, |x| x.cos().sum()).unwrap());
    let x = [1.0, 2.0, 3.0];
    let (mut gradient, mut out) = (Array1::zeros(3), Array1::zeros(3));
    let mut residuals = Residuals::new();
    f.linearize_into(&x, &mut residuals, gradient.view_mut())
        .unwrap();
    let v = array![1.0, 1.0, 1.0];
    let foreign = Error::Foreign {
        what: "the linearization",
    };
    for product in [Product::Hvp, Product::Jvp] {
        let error = g.apply_linearized(product, &x, &residuals, v.view(), out.view_mut());
        // J·v of a scalar function has one element; the residuals are looked at first.
        assert_eq!(error.unwrap_err(), foreign);
    }
    let stack = Array2::ones((2, 3));
    let error = g.apply_linearized_block(
        Product::Hvp,
        &x,
        &residuals,
        stack.view(),
        Array2::zeros((2, 3)).view_mut(),
    );
    assert_eq!(error.unwrap_err(), foreign);
    // A recording of the same program is another function.
    let error = sines().apply_linearized(Product::Hvp, &x, &residuals, v.view(), out.view_mut());
    assert_eq!(error.unwrap_err(), foreign);
    f.apply_linearized(Product::Hvp, &x, &residuals, v.view(), out.view_mut())
        .unwrap();
    assert!((out[0] + 1.0_f64.sin()).abs() <= 4.0 * f64::EPSILON);
    // Used again, they are the other function's.
    g.linearize_into(&x, &mut residuals, gradient.view_mut())
        .unwrap();
    assert!(
        g.apply_linearized(Product::Hvp, &x, &residuals, v.view(), out.view_mut())
            .is_ok()
    );
    assert!(
        f.apply_linearized(Product::Hvp, &x, &residuals, v.view(), out.view_mut())
            .is_err()
    );
}

#[test]
fn residuals_for_products_and_for_a_dense_hessian_are_kept_apart() {
    let f = sines();
    let x = [1.0, 2.0, 3.0];
    let (mut products, mut dense) = (Residuals::new(), Residuals::new());
    let mut gradient = Array1::zeros(3);
    f.linearize_into(&x, &mut products, gradient.view_mut())
        .unwrap();
    f.linearize_hessian_into(&x, &mut dense).unwrap();
    let foreign = Error::Foreign {
        what: "the linearization",
    };
    let error = f.apply_linearized(
        Product::Hvp,
        &x,
        &dense,
        array![1.0, 0.0, 0.0].view(),
        gradient.view_mut(),
    );
    assert_eq!(error.unwrap_err(), foreign);
    let strips = f.hessian_strips().unwrap();
    let mut work = HessianWork::default();
    let mut rows = Array2::zeros((3, 3));
    let mut add = |f: &Function<f64>, residuals: &Residuals<f64>| {
        f.add_hessian_strip(&strips[0], &x, residuals, 1.0, &mut work, rows.view_mut())
    };
    assert_eq!(add(&f, &products).unwrap_err(), foreign);
    let empty = add(&f, &Residuals::new()).unwrap_err();
    assert!(matches!(empty, Error::Empty { .. }));
    // The same rows of another function, but not its residuals.
    assert_eq!(add(&sines(), &dense).unwrap_err(), foreign);
    add(&f, &dense).unwrap();
    assert!((rows[[1, 1]] + 2.0_f64.sin()).abs() <= 4.0 * f64::EPSILON);
}

/// A strip's number once led outside of a list.
#[test]
fn strips_that_a_function_does_not_have_are_refused() {
    // Two layers are two panels; one vector is one.
    let layers =
        Function::<f64>::record(40, |x| (x.slice(0, 0..20).sin() * x.slice(0, 20..40)).sum());
    let vector = Function::<f64>::record(40, |x| x.sin().sum()).unwrap();
    let strips = layers.unwrap().hessian_strips().unwrap();
    let x = [0.5; 40];
    let mut residuals = Residuals::new();
    vector.linearize_hessian_into(&x, &mut residuals).unwrap();
    for strip in [&strips[0], &strips[strips.len() - 1]] {
        let mut rows = Array2::zeros((strip.rows().len(), strip.columns()));
        let mut work = HessianWork::default();
        let error =
            vector.add_hessian_strip(strip, &x, &residuals, 1.0, &mut work, rows.view_mut());
        let what = "the strip of a Hessian";
        assert_eq!(error.unwrap_err(), Error::Foreign { what });
    }
}

#[test]
fn products_of_a_function_that_is_not_one_number_are_refused() {
    let f = Function::<f64>::record(3, |x| x * 2.0).unwrap();
    let (x, v) = ([1.0, 2.0, 3.0], array![1.0, 1.0, 1.0]);
    let mut out = Array1::zeros(3);
    for product in [Product::Hvp, Product::Ggnvp, Product::Jvp, Product::Vjp] {
        let residuals = Residuals::new();
        let error = f.apply_linearized(product, &x, &residuals, v.view(), out.view_mut());
        assert!(matches!(error, Err(Error::NotScalar { .. })), "{product:?}");
    }
    let nothing = sines().apply_linearized(
        Product::Hvp,
        &x,
        &Residuals::new(),
        v.view(),
        out.view_mut(),
    );
    assert!(matches!(nothing, Err(Error::Empty { .. })));
}

#[test]
fn a_residual_of_one_number_takes_the_bytes_of_one() {
    fn chain(x: Var<'_>) -> Var<'_> {
        x.at(0).sin().exp() * x.at(1).cos().sin()
    }
    let wide = Function::<f64>::record(2, chain).unwrap();
    let narrow = Function::<f32>::record(2, chain).unwrap();
    let bytes = wide.cost(Program::Linearize).unwrap().residual_bytes;
    assert_eq!(
        narrow.cost(Program::Linearize).unwrap().residual_bytes * 2,
        bytes
    );
    // What the product of a 2 × 2 Hessian and a vector reads are a few numbers, of 8 bytes each.
    assert!(bytes > 0 && bytes <= 16 * 8, "{bytes}");
}

#[test]
fn strips_of_more_rows_than_memory_counts_are_an_error() {
    let f = Function::<f64>::record(1 << 47, |x| x.sin().sum()).unwrap();
    let error = f.hessian_strips().unwrap_err();
    assert!(matches!(error, Error::Allocation { .. }), "{error}");
}

/// Sizes over all magnitudes, from none to more than addresses count.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0_usize..5,
        2 => (0_u32..64).prop_map(|shift| 1_usize << shift),
        1 => any::<usize>(),
    ]
}

/// One instruction on an array, by any sizes.
fn step<'t>(y: Var<'t>, op: u8, a: usize, b: usize) -> Var<'t> {
    match op {
        0 => y.sin(),
        1 => y.reshape(&[a, b]),
        2 => y.broadcast_to(&[a, b]),
        3 => y.t(),
        4 => y.slice(0, a..b),
        5 => y.sum_axis(a.min(2)),
        6 => concatenate(0, &[y, y]),
        7 => y.t().matmul(y),
        8 => y * y.t(),
        9 => y.broadcast_to(&[a, b, 1]).sum_axis(2),
        10 => y.map_rows(|row| row.broadcast_to(&[a])),
        _ => y.reshape(&[y.len()]),
    }
}

proptest! {
    #![proptest_config(crate::common::cases(256))]

    /// Whatever the sizes: a recording error, an error of the call, or the derivatives' values.
    #[test]
    fn no_size_makes_a_call_panic(
        n in prop_oneof![0_usize..4, size()],
        steps in prop::collection::vec((0_u8..12, size(), size()), 0..6),
    ) {
        let f = Function::<f64>::record(n, |x| {
            let y = steps.iter().fold(x, |y, &(op, a, b)| step(y, op, a, b));
            (y * 0.5).sin().sum()
        });
        let Ok(f) = f else { return Ok(()) };
        let programs = [Program::Value, Program::Gradient, Program::HvpOneShot, Program::Linearize, Program::Hvp];
        for program in programs {
            let cost = f.cost(program);
            prop_assert!(matches!(cost, Ok(_) | Err(Error::Allocation { .. })), "{:?}", cost);
        }
        // Long arrays would only take time.
        if f.listing().lines().all(|line| dims(line).iter().product::<usize>() < 1 << 12) {
            let x = vec![0.25; n];
            prop_assert!(f.value(&x).is_ok());
            let at = f.linearize(&x).unwrap();
            prop_assert_eq!(at.hvp(at.gradient()).unwrap().len(), n);
            prop_assert!(f.hessian_strips().is_ok());
            let options = HessianOptions { memory_budget: 1 << 20 };
            let hessian = f.hessian_with(&x, &options);
            let fits = matches!(hessian, Ok(_) | Err(Error::MemoryBudget { .. }));
            prop_assert!(fits, "{:?}", hessian);
        }
    }
}

/// The shape in a line of a listing.
fn dims(line: &str) -> Vec<usize> {
    let inside = line.split(['[', ']']).nth(1).unwrap_or("");
    inside
        .split(", ")
        .filter_map(|size| size.parse().ok())
        .collect()
}

/// The listing is read as it is written.
#[test]
fn shapes_are_read_from_listings() {
    let f = Function::<f64>::record(6, |x| x.reshape(&[2, 3]).sum_axis(0).sin().sum()).unwrap();
    let all: Vec<_> = f.listing().lines().map(dims).collect();
    assert_eq!(all[..3], [vec![6], vec![2, 3], vec![3]]);
}

/// Data by views that repeat numbers are arrays with gaps, whatever their length.
#[test]
fn repeated_data_are_refused_as_gaps() {
    let f = Function::<f64>::record_with_data(1, &[&[1 << 40]], |x, d| d[0].sum() * x.at(0));
    let one = ArrayD::from_elem(vec![1], 1.0);
    let data: [ArrayViewD<'_, f64>; 1] = [one.broadcast(vec![1 << 40]).unwrap()];
    let error = f
        .unwrap()
        .value(Point::with_data(&[1.0], &data))
        .unwrap_err();
    assert!(matches!(error, Error::Layout { .. }), "{error}");
}
