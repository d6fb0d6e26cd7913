//! Powers of two change no bit: `A → 2^k A`, `b → 2^j b` scale what every method returns. Methods with a
//! Cholesky factor of a part of `A` take its square roots: for them `k` is even.

use hvp_solvers::LinearOperator;
use hvp_solvers::eigen::{EigenOutcome, End, Lanczos, Lobpcg, Which};
use hvp_solvers::linear::{
    BlockCg, Cg, Gltr, Lsmr, Minres, MultiShiftCg, Nystrom, Preconditioner, TruncatedCg,
};
use hvp_solvers::operator::{DenseOperator, DenseRectangular};
use hvp_solvers::spectrum::{MatrixFunction, Slq, SpectralFunction};
use hvp_solvers::trace::{DiagonalEstimator, TraceEstimator, TraceMethod};
use ndarray::{Array1, Array2, Axis, stack};
use proptest::prelude::*;

use crate::kit::{normal, with_spectrum};

/// `2^k`, exactly.
fn power(k: i32) -> f64 {
    2.0_f64.powi(k)
}

fn same<'a>(
    name: &str,
    scaled: impl IntoIterator<Item = &'a f64>,
    plain: impl IntoIterator<Item = &'a f64>,
    k: i32,
) -> Result<(), TestCaseError> {
    let (scaled, plain) = (scaled.into_iter(), plain.into_iter());
    for (&scaled, &plain) in scaled.zip(plain) {
        prop_assert_eq!(
            scaled.to_bits(),
            (plain * power(k)).to_bits(),
            "{}: {:e} for {:e} times 2^{}",
            name,
            scaled,
            plain,
            k
        );
    }
    Ok(())
}

fn systems(a: &Array2<f64>, b: &Array1<f64>, k: i32, j: i32) -> Result<(), TestCaseError> {
    let plain = DenseOperator::new(a.clone()).unwrap();
    let large = DenseOperator::new(a * power(k)).unwrap();
    let c = b * power(j);
    let (one, two) = (
        Cg::default().solve(&plain, b.view()).unwrap(),
        Cg::default().solve(&large, c.view()).unwrap(),
    );
    prop_assert_eq!(
        (one.stop, one.stats.n_products),
        (two.stop, two.stats.n_products)
    );
    same("Cg", &two.x, &one.x, j - k)?;
    let (one, two) = (
        Minres::default().solve(&plain, b.view()).unwrap(),
        Minres::default().solve(&large, c.view()).unwrap(),
    );
    prop_assert_eq!(
        (one.stop, one.stats.n_products),
        (two.stop, two.stats.n_products)
    );
    same("Minres", &two.x, &one.x, j - k)?;
    let shifts = [0.0, 0.5, 3.0];
    let (one, two) = (
        MultiShiftCg::default()
            .solve(&plain, b.view(), &shifts)
            .unwrap(),
        MultiShiftCg::default()
            .solve(&large, c.view(), &shifts.map(|s| s * power(k)))
            .unwrap(),
    );
    prop_assert_eq!(one.n_products, two.n_products);
    same("MultiShiftCg", &two.x, &one.x, j - k)?;
    let even = k & !1;
    let large = DenseOperator::new(a * power(even)).unwrap();
    let other = normal(b.len(), 77);
    let (one, two) = (
        stack(Axis(0), &[b.view(), other.view()]).unwrap(),
        stack(Axis(0), &[c.view(), (&other * power(j)).view()]).unwrap(),
    );
    let (one, two) = (
        BlockCg::default().solve(&plain, one.view()).unwrap(),
        BlockCg::default().solve(&large, two.view()).unwrap(),
    );
    prop_assert_eq!(one.n_products, two.n_products);
    same("BlockCg", &two.x, &one.x, j - even)?;
    let (one, two) = (
        DenseRectangular::new(a.slice(ndarray::s![.., 1..]).to_owned()),
        DenseRectangular::new(a.slice(ndarray::s![.., 1..]).to_owned() * power(k)),
    );
    let (one, two) = (
        Lsmr::default().solve(&one, b.view()).unwrap(),
        Lsmr::default().solve(&two, c.view()).unwrap(),
    );
    prop_assert_eq!(
        (one.stop, one.stats.n_products),
        (two.stop, two.stats.n_products)
    );
    same("Lsmr", &two.x, &one.x, j - k)
}

fn balls(a: &Array2<f64>, g: &Array1<f64>, k: i32, j: i32) -> Result<(), TestCaseError> {
    let plain = DenseOperator::new(a.clone()).unwrap();
    let large = DenseOperator::new(a * power(k)).unwrap();
    let h = g * power(j);
    for radius in [1e-2, 1.0, 100.0] {
        let far = radius * power(j - k);
        let (one, two) = (
            TruncatedCg::default()
                .solve(&plain, g.view(), radius)
                .unwrap(),
            TruncatedCg::default().solve(&large, h.view(), far).unwrap(),
        );
        prop_assert_eq!(one.outcome.stop, two.outcome.stop);
        same("TruncatedCg", &two.step, &one.step, j - k)?;
        for model_tolerance in [0.0, 0.1] {
            let gltr = Gltr {
                model_tolerance,
                ..Gltr::default()
            };
            let (one, two) = (
                gltr.solve(&plain, g.view(), radius).unwrap(),
                gltr.solve(&large, h.view(), far).unwrap(),
            );
            prop_assert_eq!(one.outcome.n_products, two.outcome.n_products);
            same("Gltr", &two.step, &one.step, j - k)?;
            same("λ", [&two.outcome.lambda], [&one.outcome.lambda], k)?;
        }
    }
    Ok(())
}

fn pairs(
    name: &str,
    two: &EigenOutcome<f64>,
    one: &EigenOutcome<f64>,
    k: i32,
) -> Result<(), TestCaseError> {
    prop_assert_eq!((two.stop, two.copies), (one.stop, one.copies));
    prop_assert_eq!(two.stats.n_products, one.stats.n_products);
    for (two, one) in two.pairs.iter().zip(&one.pairs) {
        same(name, &two.vector, &one.vector, 0)?;
        same(name, [&two.value], [&one.value], k)?;
        same(name, [&two.error_bound], [&one.error_bound], k)?;
    }
    Ok(())
}

fn spectra(a: &Array2<f64>, v: &Array1<f64>, k: i32, j: i32) -> Result<(), TestCaseError> {
    let plain = DenseOperator::new(a.clone()).unwrap();
    let large = DenseOperator::new(a * power(k)).unwrap();
    for which in [Which::Largest, Which::BothEnds, Which::LargestMagnitude] {
        let config = Lanczos {
            ncv: Some(9.min(v.len())),
            ..Lanczos::new(2, which)
        };
        let (one, two) = (config.solve(&plain).unwrap(), config.solve(&large).unwrap());
        pairs("Lanczos", &two, &one, k)?;
    }
    let config = Lobpcg::new(2, End::Smallest);
    let (one, two) = (config.solve(&plain).unwrap(), config.solve(&large).unwrap());
    pairs("Lobpcg", &two, &one, k)?;
    let slq = Slq {
        n_probes: 2,
        n_steps: 8,
        seed: 1,
    };
    let (one, two) = (slq.estimate(&plain).unwrap(), slq.estimate(&large).unwrap());
    for (one, two) in one.quadratures.iter().zip(&two.quadratures) {
        same("Slq", &two.nodes, &one.nodes, k)?;
        same("Slq", &two.weights, &one.weights, 0)?;
    }
    let f = MatrixFunction::default();
    let w = v * power(j);
    let (one, two) = (
        f.apply(&plain, v.view(), SpectralFunction::Sign).unwrap(),
        f.apply(&large, w.view(), SpectralFunction::Sign).unwrap(),
    );
    prop_assert_eq!((one.stop, one.n_products), (two.stop, two.n_products));
    same("sign", &two.y, &one.y, j)
}

fn traces(a: &Array2<f64>, v: &Array1<f64>, k: i32) -> Result<(), TestCaseError> {
    let plain = DenseOperator::new(a.clone()).unwrap();
    let large = DenseOperator::new(a * power(k)).unwrap();
    let even = k & !1;
    let four = DenseOperator::new(a * power(even)).unwrap();
    for method in TraceMethod::ALL {
        let (large, k) = if method == TraceMethod::XNysTrace {
            (&four, even)
        } else {
            (&large, k)
        };
        let config = TraceEstimator {
            n_products: 8,
            ..TraceEstimator::new(method)
        };
        let (one, two) = (
            config.estimate(&plain).unwrap(),
            config.estimate(large).unwrap(),
        );
        prop_assert_eq!(one.stop, two.stop);
        same(
            "trace",
            [&two.value, &two.error_bar],
            [&one.value, &one.error_bar],
            k,
        )?;
    }
    let config = DiagonalEstimator {
        n_products: 8,
        seed: 0,
    };
    let (one, two) = (
        config.estimate(&plain).unwrap(),
        config.estimate(&large).unwrap(),
    );
    same("diagonal", &two.diagonal, &one.diagonal, k)?;
    same("diagonal", &two.error_bars, &one.error_bars, k)?;
    let nystrom = Nystrom { rank: 5, seed: 2 };
    let (one, two) = (
        nystrom.build(&plain, 0.25).unwrap(),
        nystrom.build(&four, 0.25 * power(even)).unwrap(),
    );
    prop_assert_eq!(one.stop, two.stop);
    let mut results = [Array1::zeros(v.len()), Array1::zeros(v.len())];
    one.preconditioner
        .apply_into(v.view(), results[0].view_mut());
    two.preconditioner
        .apply_into(v.view(), results[1].view_mut());
    same("Nystrom", &results[1], &results[0], 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(test_problems::cases(24)))]
    #[test]
    fn powers_of_two_change_no_bit(
        n in 12..28_usize,
        low in -2.0..1.0_f64,
        log_high in 0.0..3.0_f64,
        k in -200..200_i32,
        j in -200..200_i32,
        seed in 0..1_000_000_u64,
    ) {
        let spectrum = Array1::linspace(low, 10.0_f64.powf(log_high), n);
        let a = with_spectrum(&spectrum, seed);
        let v = normal(n, seed + 1);
        assert_eq!(DenseOperator::new(a.clone()).unwrap().dim(), n);
        balls(&a, &v, k, j)?;
        spectra(&a, &v, k, j)?;
        let definite = with_spectrum(&spectrum.mapv(|l| l - low + 0.1), seed);
        systems(&definite, &v, k, j)?;
        traces(&definite, &v, k)?;
    }
}
