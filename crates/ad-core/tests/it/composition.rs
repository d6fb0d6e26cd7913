//! Functions inside of recordings, and derivatives inside of them.

use ad_core::{Error, Function, Point, Var, custom_jvp, custom_vjp, stack};
use ndarray::{Array1, Array2, array};

/// Some roundings, relative to the larger of the result and 1.
fn close(found: f64, expected: f64, roundings: f64) {
    let error = (found - expected).abs();
    let allowed = roundings * f64::EPSILON * expected.abs().max(1.0);
    assert!(error <= allowed, "{found} instead of {expected}");
}

/// A recording that ends in an error with these words and a line of this file.
fn refused(result: Result<Function<f64>, Error>, expected: &str) {
    let text = result.unwrap_err().to_string();
    let here = text.contains("composition.rs");
    assert!(here && text.contains(expected), "{text}");
}

#[test]
fn a_function_is_called_inside_of_another() -> Result<(), Error> {
    let line = Function::<f64>::record_with_data(2, &[&[3]], |w, d| w.at(0) * d[0] + w.at(1))?;
    let loss = Function::<f64>::record_with_data(2, &[&[3], &[3]], |w, d| {
        let twice = line.call(w, &[line.call(w, &[d[0]])]);
        (twice - d[1]).square().sum()
    })?;
    let (x, t) = (array![1.0, 2.0, -1.0], array![0.5, 0.0, 3.0]);
    let data = [x.view().into_dyn(), t.view().into_dyn()];
    let (a, b) = (1.5, -0.5);
    // Twice the line: a(ax + b) + b.
    let residual = x.mapv(|x| a * (a * x + b) + b) - &t;
    let parameters = [a, b];
    let at = Point::with_data(&parameters, &data);
    close(loss.value(at)?, residual.mapv(|r| r * r).sum(), 8.0);
    let gradient = loss.gradient(at)?;
    close(
        gradient[0],
        2.0 * (&residual * &x.mapv(|x| 2.0 * a * x + b)).sum(),
        32.0,
    );
    close(gradient[1], 2.0 * (residual * (a + 1.0)).sum(), 32.0);
    Ok(())
}

#[test]
fn constants_come_along() -> Result<(), Error> {
    let weights = array![1.0, 2.0, 3.0];
    let weighted =
        Function::<f64>::record(3, |x| (x * x.constant(weights.view().into_dyn())).sum())?;
    let other = array![5.0, 7.0, 11.0];
    let both = Function::<f64>::record(3, |x| {
        let own = (x * x.constant(other.view().into_dyn())).sum();
        own * weighted.call(x, &[]) + weighted.call(x.square(), &[])
    })?;
    close(both.value(&[1.0, 0.0, 2.0])?, 27.0 * 7.0 + 13.0, 1.0);
    Ok(())
}

#[test]
fn wrong_arguments_of_a_call_are_named() -> Result<(), Error> {
    let line = Function::<f64>::record_with_data(2, &[&[3]], |w, d| w.at(0) * d[0] + w.at(1))?;
    let errors = [
        Function::<f64>::record(3, |x| line.call(x, &[x])),
        Function::<f64>::record(2, |x| line.call(x, &[x])),
        Function::<f64>::record(2, |x| line.call(x, &[])),
    ];
    let expected = [
        "argument 0 has the shape [3], but the function takes [2]",
        "argument 1 has the shape [2], but the function takes [3]",
        "0 data arrays for a function of 1",
    ];
    for (result, expected) in errors.into_iter().zip(expected) {
        refused(result, expected);
    }
    Ok(())
}

#[test]
fn derivatives_do_not_confuse_their_variables() -> Result<(), Error> {
    // d/dx [x · d/dy (x + y)] = 1, with the inner derivative at y = x.
    let nested = Function::<f64>::record_scalars(1, |x| x[0].grad(|u| u * u.grad(|w| u + w)))?;
    close(nested.value(&[3.0])?, 1.0, 1.0);
    // The inner variable is another one than the outer, though both start from x.
    let siblings = Function::<f64>::record_scalars(1, |x| x[0].grad(|u| x[0].grad(|w| u * w)))?;
    close(siblings.value(&[3.0])?, 1.0, 1.0);
    Ok(())
}

/// Simplification may lead a path around the variable that a derivative is taken of.
#[test]
fn paths_do_not_go_around_a_variable() -> Result<(), Error> {
    let reshaped = Function::<f64>::record(6, |x| {
        let matrix = x.reshape(&[2, 3]);
        matrix.grad(|m| m.reshape(&[6]).sin().sum()).reshape(&[6])
    })?;
    let scaled = Function::<f64>::record(6, |x| (x * 2.0).grad(|y| (y * 3.0).square().sum()))?;
    let sliced = Function::<f64>::record(6, |x| {
        x.slice(0, 1..6).grad(|y| y.slice(0, 2..4).square().sum())
    })?;
    let at = array![0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
    let cosines = reshaped.evaluate(&at)?;
    cosines
        .iter()
        .zip(&at)
        .for_each(|(g, x)| close(*g, x.cos(), 4.0));
    // The derivative of (3y)² at y = 2x is 18y = 36x.
    let slopes = scaled.evaluate(&at)?;
    slopes
        .iter()
        .zip(&at)
        .for_each(|(g, x)| close(*g, 36.0 * x, 4.0));
    assert_eq!(
        sliced.evaluate(&at)?,
        array![0.0, 0.0, 0.8, 1.0, 0.0].into_dyn()
    );
    Ok(())
}

/// 1-8-1 network: u(x) = Σ cⱼ tanh(aⱼ x + bⱼ), whose second derivative is −2 Σ cⱼ aⱼ² y(1 − y²).
#[test]
fn second_derivatives_inside_of_a_loss() -> Result<(), Error> {
    fn network<'t>(w: Var<'t>, x: Var<'t>) -> Var<'t> {
        let [a, b, c] = [0, 1, 2].map(|part| w.slice(0, part * 8..part * 8 + 8));
        let inner = x.reshape(&[x.len(), 1]) * a.reshape(&[1, 8]) + b.reshape(&[1, 8]);
        (inner.tanh() * c.reshape(&[1, 8])).sum_axis(1)
    }
    let curvature = Function::<f64>::record_with_data(24, &[&[5]], |w, d| {
        let ones = d[0].ones_like();
        d[0].jvp(ones, |x| x.jvp(ones, |x| network(w, x)).1).1
    })?;
    let w = Array1::from_shape_fn(24, |i| ((i * 7 % 11) as f64 - 5.0) / 4.0);
    let x = array![-1.0, -0.3, 0.0, 0.4, 1.1];
    let data = [x.view().into_dyn()];
    let found = curvature.evaluate(Point::with_data(&w, &data))?;
    for (found, &x) in found.iter().zip(&x) {
        let term = |j: usize| {
            let y = (w[j] * x + w[8 + j]).tanh();
            -2.0 * w[16 + j] * w[j] * w[j] * y * (1.0 - y * y)
        };
        close(*found, (0..8).map(term).sum(), 64.0);
    }
    // The loss of it is a function like any other: its products are symmetric, and its gradient
    // is the derivative of its value.
    let loss =
        Function::<f64>::record_with_data(24, &[&[5]], |w, d| curvature.call(w, d).square().sum())?;
    ad_core::check_hvp(&loss, Point::with_data(&w, &data)).unwrap();
    Ok(())
}

/// Three steps of gradient descent on ½a·w², unrolled: w₃ = w₀(1 − ηa)³.
#[test]
fn hypergradients_through_unrolled_steps() -> Result<(), Error> {
    let (w0, rate) = (1.7, 0.3);
    let outer = Function::<f64>::record_scalars(1, |a| {
        let a = a[0];
        let mut w = a * 0.0 + w0;
        for _ in 0..3 {
            w = w - rate * w.grad(|w| 0.5 * a * w.square());
        }
        0.5 * w.square()
    })?;
    let a = 0.8;
    let q: f64 = 1.0 - rate * a;
    close(outer.value(&[a])?, 0.5 * (w0 * q.powi(3)).powi(2), 16.0);
    // ½w₀² q⁶ has the derivatives −3ηw₀² q⁵ and 15η²w₀² q⁴.
    close(
        outer.gradient(&[a])?[0],
        -3.0 * rate * w0 * w0 * q.powi(5),
        32.0,
    );
    let second = 15.0 * rate * rate * w0 * w0 * q.powi(4);
    close(outer.hessian(&[a])?[[0, 0]], second, 64.0);
    Ok(())
}

#[test]
fn jacobians_by_columns_and_by_rows() -> Result<(), Error> {
    let matrix = array![[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]];
    let wide = Function::<f64>::record(3, |x| {
        let m = x.constant(matrix.view().into_dyn());
        x.jacobian(|x| m.matmul(x.sin().reshape(&[3, 1])).reshape(&[2]))
    })?;
    let tall = Function::<f64>::record(2, |x| {
        let m = x.constant(matrix.view().into_dyn());
        x.jacobian(|x| m.t().matmul(x.sin().reshape(&[2, 1])))
    })?;
    let at = array![0.3, -1.0, 2.0];
    let found = wide.evaluate(&at)?;
    assert_eq!(found.shape(), [2, 3]);
    for ((row, column), m) in matrix.indexed_iter() {
        close(found[[row, column]], m * f64::cos(at[column]), 8.0);
    }
    let found = tall.evaluate(&[0.3, -1.0])?;
    assert_eq!(found.shape(), [3, 1, 2]);
    for ((row, column), m) in matrix.indexed_iter() {
        close(found[[column, 0, row]], m * f64::cos(at[row]), 8.0);
    }
    Ok(())
}

type Unary = for<'t> fn(Var<'t>) -> Var<'t>;

/// A function with (x, third derivative, sixth derivative) at three points.
type HighOrders = (&'static str, Unary, [(f64, f64, f64); 3]);

/// From mpmath at 60 digits: `diff(f, x, 3)` and `diff(f, x, 6)`.
const HIGH_ORDERS: [HighOrders; 8] = [
    (
        "exp",
        |x| x.exp(),
        [
            (0.5, 1.6487212707001282, 1.6487212707001282),
            (1.25, 3.4903429574618414, 3.4903429574618414),
            (3.0, 20.085536923187668, 20.085536923187668),
        ],
    ),
    (
        "sin",
        |x| x.sin(),
        [
            (0.5, -0.8775825618903728, -0.479425538604203),
            (1.25, -0.3153223623952687, -0.9489846193555862),
            (3.0, 0.9899924966004454, -0.1411200080598672),
        ],
    ),
    (
        "ln",
        |x| x.ln(),
        [
            (0.5, 16.0, -7680.0),
            (1.25, 1.024, -31.45728),
            (3.0, 0.07407407407407407, -0.1646090534979424),
        ],
    ),
    (
        "sqrt",
        |x| x.sqrt(),
        [
            (0.5, 2.1213203435596424, -668.2159082212875),
            (1.25, 0.2146625258399798, -4.327596520933993),
            (3.0, 0.024056261216234408, -0.03508204760700851),
        ],
    ),
    (
        "recip",
        |x| x.recip(),
        [
            (0.5, -96.0, 92160.0),
            (1.25, -2.4576, 150.994944),
            (3.0, -0.07407407407407407, 0.3292181069958848),
        ],
    ),
    (
        "tanh",
        |x| x.tanh(),
        [
            (0.5, -0.5652092882597703, -36.279540291791626),
            (1.25, 0.6498644816717909, 10.938213484345795),
            (3.0, 0.03888011652566168, -0.26834842408322673),
        ],
    ),
    (
        "powf",
        |x| x.powf(2.5),
        [
            (0.5, 2.6516504294495533, -39.7747564417433),
            (1.25, 1.6770509831248424, -1.6099689437998486),
            (3.0, 1.0825317547305484, -0.07517581630073251),
        ],
    ),
    (
        "sigmoid",
        |x| x.sigmoid(),
        [
            (0.5, -0.09635675628958461, -0.390315958116002),
            (1.25, -0.0066868166858095705, -0.1345214823099758),
            (3.0, 0.03293107622425642, 0.03990463906442066),
        ],
    ),
];

#[test]
fn third_and_sixth_derivatives() -> Result<(), Error> {
    for (name, f, rows) in HIGH_ORDERS {
        let orders = Function::<f64>::record_vector(1, |x| {
            let all = x[0].directional_derivatives(x[0].ones_like(), 6, f);
            // By nested derivatives too.
            let nested = x[0].grad(|x| x.grad(|x| x.grad(f)));
            vec![all[3], all[6], nested]
        })?;
        for (x, third, sixth) in rows {
            let found = orders.evaluate(&[x])?;
            for (found, expected) in found.iter().zip([third, sixth, third]) {
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(
                    error <= 1e-13,
                    "{name} at {x}: {found} instead of {expected}"
                );
            }
        }
    }
    Ok(())
}

/// The third derivative of Σ xᵢ³ + x₀x₁x₂ along v, v, v is 6 Σ vᵢ³ + 6 v₀v₁v₂.
#[test]
fn the_derivative_of_a_product_is_a_third_derivative() -> Result<(), Error> {
    fn cubic(x: Var<'_>) -> Var<'_> {
        x.powi(3).sum() + x.at(0) * x.at(1) * x.at(2)
    }
    let third = Function::<f64>::record_with_data(3, &[&[3]], |x, d| {
        x.jvp(d[0], |x| x.hvp(d[0], cubic)).1.dot(d[0])
    })?;
    let v = array![1.0, -2.0, 0.5];
    let data = [v.view().into_dyn()];
    let found = third.value(Point::with_data(&[0.3, 0.7, -1.1], &data))?;
    let expected = 6.0 * (v.mapv(|v| v * v * v).sum() + v.product());
    close(found, expected, 16.0);
    Ok(())
}

#[test]
fn gradients_and_products_per_sample() -> Result<(), Error> {
    let per_sample = Function::<f64>::record_with_data(3, &[&[4, 3], &[4]], |w, d| {
        let rows = stack_columns(d[0], d[1]);
        rows.map_rows(|row| {
            let (x, t) = (row.slice(0, 0..3), row.at(3));
            w.grad(|w| 0.5 * (w.dot(x).sin() - t).square())
        })
    })?;
    let x = Array2::from_shape_fn((4, 3), |(i, j)| ((i * 5 + j * 3) % 7) as f64 / 4.0 - 0.7);
    let t = array![0.1, 0.5, -0.2, 1.0];
    let w = array![0.5, -0.25, 1.0];
    let data = [x.view().into_dyn(), t.view().into_dyn()];
    let found = per_sample.evaluate(Point::with_data(&w, &data))?;
    assert_eq!(found.shape(), [4, 3]);
    for i in 0..4 {
        let inner = x.row(i).dot(&w);
        let factor = (inner.sin() - t[i]) * inner.cos();
        for j in 0..3 {
            close(found[[i, j]], factor * x[[i, j]], 16.0);
        }
    }
    Ok(())
}

/// A matrix with a vector as one more column.
fn stack_columns<'t>(matrix: Var<'t>, column: Var<'t>) -> Var<'t> {
    let n = column.len();
    ad_core::concatenate(1, &[matrix, column.reshape(&[n, 1])])
}

#[test]
fn wrong_derivatives_are_recording_errors() {
    let vector = Function::<f64>::record(3, |x| x.grad(|x| x.sin()));
    let tangent = Function::<f64>::record(3, |x| x.jvp(x.at(0), |x| x.sin()).1);
    let cotangent = Function::<f64>::record(3, |x| x.vjp(|x| x.sin(), |y| y.at(0)).1);
    let number = Function::<f64>::record(3, |x| x.at(0).map_rows(|x| x));
    let stray = Function::<f64>::record(3, |x| {
        let mut row = x;
        let _ = x.map_rows(|x| {
            row = x;
            x.sin()
        });
        row + x.sum()
    });
    let texts = [
        (
            vector,
            "a scalar function was expected, but its result has the shape [3]",
        ),
        (tangent, "a tangent of the shape [] for a variable of [3]"),
        (
            cotangent,
            "a cotangent of the shape [] for a result of the shape [3]",
        ),
        (number, "a number has no axis to map over"),
        (stray, "used outside of the closure that it was given to"),
    ];
    for (result, expected) in texts {
        refused(result, expected);
    }
}

#[test]
fn derivatives_of_constants_are_zeros() -> Result<(), Error> {
    let f = Function::<f64>::record(2, |x| {
        let gradient = x.grad(|x| x.stop_gradient().sum());
        let products = x.hvp(x, |x| x.sum());
        let series = x.directional_derivatives(x, 2, |x| x.stop_gradient());
        stack(&[gradient.sum(), products.sum(), series[2].sum()])
    })?;
    assert_eq!(f.evaluate(&[1.0, 2.0])?, array![0.0, 0.0, 0.0].into_dyn());
    Ok(())
}

/// atan2 with its slopes stated, through a rule of each kind.
#[test]
fn stated_rules_agree_with_the_engines_own() -> Result<(), Error> {
    fn forward<'t>(y: Var<'t>, x: Var<'t>) -> Var<'t> {
        custom_jvp(
            &[y, x],
            |v| v[0].atan2(v[1]),
            |at| {
                let (y, x) = (at.inputs[0], at.inputs[1]);
                (x * at.tangents[0] - y * at.tangents[1]) / (x.square() + y.square())
            },
        )
    }
    fn reverse<'t>(y: Var<'t>, x: Var<'t>) -> Var<'t> {
        custom_vjp(
            &[y, x],
            |v| v[0].atan2(v[1]),
            |at| {
                let (y, x) = (at.inputs[0], at.inputs[1]);
                let scaled = at.cotangent / (x.square() + y.square());
                vec![x * scaled, -(y * scaled)]
            },
        )
    }
    fn own<'t>(y: Var<'t>, x: Var<'t>) -> Var<'t> {
        y.atan2(x)
    }
    type Angle = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;
    let record = |angle: Angle| {
        Function::<f64>::record(6, move |x| {
            let (a, b) = (x.slice(0, 0..3), x.slice(0, 3..6));
            (angle(a, b) * b).sin().sum()
        })
    };
    let at = array![0.3, -1.0, 2.0, 1.5, 0.5, -0.7];
    let v = array![1.0, 0.5, -0.25, 2.0, -1.0, 0.75];
    let expected = record(own)?;
    for stated in [forward as Angle, reverse] {
        let found = record(stated)?;
        let pairs = [
            (found.gradient(&at)?, expected.gradient(&at)?),
            (found.hvp(&at, v.view())?, expected.hvp(&at, v.view())?),
            (
                found.linearize(&at)?.hvp(v.view())?,
                expected.linearize(&at)?.hvp(v.view())?,
            ),
        ];
        for (found, expected) in pairs {
            found
                .iter()
                .zip(&expected)
                .for_each(|(f, e)| close(*f, *e, 64.0));
        }
        close(
            found.jvp(&at, v.view())?.1.sum(),
            expected.jvp(&at, v.view())?.1.sum(),
            64.0,
        );
        let (found, expected) = (found.hessian(&at)?, expected.hessian(&at)?);
        found
            .iter()
            .zip(&expected)
            .for_each(|(f, e)| close(*f, *e, 64.0));
    }
    Ok(())
}

/// Stated rules under a map over rows, and in derivatives along a line: y³ + y = x.
#[test]
fn stated_rules_are_stacked_and_nested() -> Result<(), Error> {
    fn root(x: Var<'_>) -> Var<'_> {
        custom_jvp(
            &[x],
            |x| {
                let mut y = x[0];
                for _ in 0..60 {
                    y = y - (y.powi(3) + y - x[0]) / (3.0 * y.square() + 1.0);
                }
                y
            },
            |at| at.tangents[0] / (3.0 * at.output.square() + 1.0),
        )
    }
    let slopes = Function::<f64>::record(3, |x| x.map_rows(|x| x.grad(root)))?;
    let stacked = Function::<f64>::record(3, |x| x.map_rows(root).sum())?;
    let roots = array![2.0, -1.0, 0.5];
    let x = roots.mapv(|y: f64| y.powi(3) + y);
    let slope = |y: f64| 1.0 / (3.0 * y * y + 1.0);
    let found = slopes.evaluate(&x)?;
    found
        .iter()
        .zip(&roots)
        .for_each(|(f, y)| close(*f, slope(*y), 8.0));
    let found = stacked.gradient(&x)?;
    found
        .iter()
        .zip(&roots)
        .for_each(|(f, y)| close(*f, slope(*y), 8.0));
    let line = Function::<f64>::record(1, |x| {
        stack(
            &x.at(0)
                .directional_derivatives(x.at(0).ones_like(), 3, root),
        )
    })?;
    let y: f64 = 2.0;
    let found = line.evaluate(&[y.powi(3) + y])?;
    // y″ = −6y y′³ and y‴ = −6 y′⁴ + 108 y² y′⁵.
    let s = slope(y);
    let expected = [
        y,
        s,
        -6.0 * y * s.powi(3),
        -6.0 * s.powi(4) + 108.0 * y * y * s.powi(5),
    ];
    found
        .iter()
        .zip(expected)
        .for_each(|(f, e)| close(*f, e, 8.0));
    Ok(())
}

#[test]
fn unusable_rules_are_recording_errors() {
    let not_linear = Function::<f64>::record_scalars(1, |x| {
        custom_jvp(&[x[0]], |x| x[0], |at| at.tangents[0].square())
    });
    let shape = Function::<f64>::record(3, |x| {
        custom_jvp(&[x], |x| x[0], |at| at.tangents[0].sum()).sum()
    });
    let count = Function::<f64>::record_scalars(2, |x| {
        custom_vjp(&[x[0], x[1]], |x| x[0] * x[1], |at| vec![at.cotangent])
    });
    let texts = [
        (not_linear, "the rule is not linear in what it derives"),
        (
            shape,
            "the rule's result has the shape [], but [3] was expected",
        ),
        (count, "the rule has 1 results for 2 inputs"),
    ];
    for (result, expected) in texts {
        refused(result, expected);
    }
}

#[test]
fn derived_functions_are_functions() -> Result<(), Error> {
    let f = Function::<f64>::record_with_data(2, &[&[]], |x, d| {
        (x.at(0) * x.at(1)).sin() * d[0] + x.powi(3).sum()
    })?;
    let (x, v, d) = (array![0.4, -0.9], array![1.0, 2.0], ndarray::arr0(1.5));
    let data = [d.view().into_dyn()];
    let with_v = [d.view().into_dyn(), v.view().into_dyn()];
    let at = Point::with_data(&x, &data);
    let at_v = Point::with_data(&x, &with_v);
    let (gradient, hessian) = (f.gradient(at)?, f.hessian(at)?);
    let same = |found: ndarray::ArrayD<f64>, expected: Vec<f64>| {
        assert_eq!(found.len(), expected.len());
        found
            .iter()
            .zip(expected)
            .for_each(|(f, e)| close(*f, e, 16.0));
    };
    let product = hessian.dot(&v);
    same(f.gradient_function()?.evaluate(at)?, gradient.to_vec());
    same(f.hvp_function()?.evaluate(at_v)?, product.to_vec());
    same(f.jvp_function()?.evaluate(at_v)?, vec![gradient.dot(&v)]);
    same(f.jacobian_function()?.evaluate(at)?, gradient.to_vec());
    same(
        f.directional_function(2)?.evaluate(at_v)?,
        vec![v.dot(&product)],
    );
    let jacobian = f.gradient_function()?.jacobian_function()?;
    same(jacobian.evaluate(at)?, hessian.iter().copied().collect());
    let u = ndarray::arr0(2.0);
    let with_u = [d.view().into_dyn(), u.view().into_dyn()];
    let back = f.vjp_function()?.evaluate(Point::with_data(&x, &with_u))?;
    same(back, gradient.iter().map(|g| 2.0 * g).collect());
    Ok(())
}
