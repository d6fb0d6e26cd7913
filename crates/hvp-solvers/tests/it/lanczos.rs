//! Lanczos on spectra with closed forms.

use std::f64::consts::PI;

use hvp_solvers::eigen::{
    EigenOutcome, EigenStop, Lanczos, LanczosRun, LanczosState, MultiplicityProbe, Which,
};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator, FnOperator};
use hvp_solvers::{LinearOperator, SolverError};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, array};
use proptest::prelude::*;

use crate::grid::{laplacian, laplacian_spectrum};
use crate::kit::{EPS, norm, normal, product, with_spectrum};

fn tridiagonal(diagonal: &[f64], off: &[f64]) -> DenseOperator<f64> {
    let n = diagonal.len();
    let mut a = Array2::from_diag(&Array1::from(diagonal.to_vec()));
    for i in 0..n - 1 {
        a[[i, i + 1]] = off[i];
        a[[i + 1, i]] = off[i];
    }
    DenseOperator::new(a).unwrap()
}

/// Checks values against `exact` (in the promised order), bounds, residuals, vectors.
fn certify(a: &impl LinearOperator<f64>, found: &EigenOutcome<f64>, exact: &[f64]) {
    let n = a.dim();
    let size = found.stats.norm_estimate.max(f64::MIN_POSITIVE);
    assert_eq!(found.stop, EigenStop::Converged);
    assert_eq!(found.pairs.len(), exact.len());
    for (i, (pair, &lambda)) in found.pairs.iter().zip(exact).enumerate() {
        let error = (pair.value - lambda).abs();
        // The closed form itself is rounded: a few units of ‖A‖.
        let closed_form = 4.0 * EPS * size;
        assert!(
            error <= pair.error_bound + closed_form,
            "pair {i}: {} for {lambda}, error {error:e}, bound {:e}",
            pair.value,
            pair.error_bound
        );
        assert!(pair.converged, "pair {i}");
        let u = &pair.vector;
        let r = norm((product(a, u.view()) - pair.value * u).view());
        assert!((r - pair.residual).abs() <= 2.0 * EPS * size);
        // ‖Au − θu‖ / (‖A‖ n ε) and ‖UᵀU − I‖ / (n ε) below 30.
        assert!(
            r <= 30.0 * n as f64 * EPS * size,
            "pair {i}: residual {r:e}"
        );
        assert!(pair.error_bound <= 60.0 * n as f64 * EPS * size);
        assert!((0.0..=1.0).contains(&pair.angle_bound));
    }
    assert!(found.stats.orthogonality <= 30.0 * n as f64 * EPS);
    assert!(found.stats.asymmetry <= 30.0 * n as f64 * EPS);
}

fn top(mut all: Vec<f64>, k: usize) -> Vec<f64> {
    all.sort_by(|a, b| b.total_cmp(a));
    all.truncate(k);
    all
}

#[test]
fn laplacian_50_by_51_at_both_ends() {
    let a = laplacian(50, 51);
    let exact = laplacian_spectrum(50, 51);
    let large = Lanczos::new(10, Which::Largest).solve(&a).unwrap();
    certify(&a, &large, &top(exact.clone(), 10));
    let small = Lanczos::new(10, Which::Smallest).solve(&a).unwrap();
    certify(&a, &small, &exact[..10]);
    let both = Lanczos::new(5, Which::BothEnds).solve(&a).unwrap();
    let ends: Vec<f64> = exact[..5]
        .iter()
        .chain(&exact[exact.len() - 5..])
        .copied()
        .collect();
    certify(&a, &both, &ends);
    println!(
        "products: largest {}, smallest {}, both ends {}",
        large.stats.n_products, small.stats.n_products, both.stats.n_products
    );
}

/// ARPACK's products for the same pairs: scipy 1.17.1, `eigsh(k=10, tol=0)` with eigenvectors, means of
/// five random starts (LA 630 613 648 640 747, SA 732 704 717 700 720). It holds 21 vectors there,
/// Lanczos 30 here; with 30, ARPACK takes 621 and 715.
#[test]
fn no_more_products_than_arpack() {
    let a = laplacian(50, 51);
    for (which, arpack) in [(Which::Largest, 655.6), (Which::Smallest, 714.6)] {
        for seed in 0..3 {
            let mut config = Lanczos {
                seed,
                ..Lanczos::new(10, which)
            };
            let usual = config.solve(&a).unwrap().stats.n_products;
            config.ncv = Some(21);
            let tight = config.solve(&a).unwrap().stats.n_products;
            println!("{which:?}, seed {seed}: {usual}, with 21 vectors {tight}, ARPACK {arpack}");
            assert!((usual as f64) <= 1.1 * arpack, "{which:?} {seed}");
            assert!((tight as f64) <= 1.1 * arpack, "{which:?} {seed}");
        }
    }
}

#[test]
fn square_laplacian_has_double_eigenvalues() {
    let a = laplacian(12, 12);
    let exact = laplacian_spectrum(12, 12);
    let config = Lanczos {
        probe: MultiplicityProbe::Always,
        ..Lanczos::new(8, Which::Smallest)
    };
    certify(&a, &config.solve(&a).unwrap(), &exact[..8]);
}

#[test]
fn identity_and_zero() {
    for value in [1.0, 0.0, -3.0] {
        let a = DiagonalOperator::new(Array1::from_elem(100, value));
        for which in [
            Which::Largest,
            Which::Smallest,
            Which::BothEnds,
            Which::LargestMagnitude,
        ] {
            let found = Lanczos::new(10, which).solve(&a).unwrap();
            certify(&a, &found, &vec![value; found.pairs.len()]);
        }
    }
}

#[test]
fn two_values_and_all_copies() {
    let a = DiagonalOperator::new(Array1::from_shape_fn(
        200,
        |i| if i < 180 { 1.0 } else { 50.0 },
    ));
    let found = Lanczos::new(20, Which::Largest).solve(&a).unwrap();
    certify(&a, &found, &[50.0; 20]);
    // With less room than copies, restarts and probes have to find them.
    for seed in 0..3 {
        let tight = Lanczos {
            ncv: Some(24),
            seed,
            ..Lanczos::new(20, Which::Largest)
        };
        let found = tight.solve(&a).unwrap();
        certify(&a, &found, &[50.0; 20]);
        assert!(found.stats.n_probes > 0);
    }
    let found = Lanczos::new(22, Which::Largest).solve(&a).unwrap();
    let exact: Vec<f64> = (0..22).map(|i| if i < 20 { 50.0 } else { 1.0 }).collect();
    certify(&a, &found, &exact);
}

#[test]
fn wilkinson_pair() {
    let diagonal: Vec<f64> = (0..21).map(|i| (f64::from(i) - 10.0).abs()).collect();
    let a = tridiagonal(&diagonal, &[1.0; 20]);
    let exact = [
        10.746_194_182_903_394,
        10.746_194_182_903_322,
        9.210_678_647_361_332,
    ];
    certify(
        &a,
        &Lanczos::new(3, Which::Largest).solve(&a).unwrap(),
        &exact,
    );
    let found = Lanczos::new(1, Which::Smallest).solve(&a).unwrap();
    certify(&a, &found, &[-1.125_441_522_119_984_2]);
    // The near-equal pair also has to come out of restarted runs.
    let small = Lanczos {
        ncv: Some(8),
        ..Lanczos::new(3, Which::Largest)
    };
    let small = Lanczos {
        probe: MultiplicityProbe::Always,
        ..small
    };
    certify(&a, &small.solve(&a).unwrap(), &exact);
}

#[test]
fn clement_has_opposite_pairs() {
    let n = 40;
    let off: Vec<f64> = (1..n).map(|i| ((i * (n - i)) as f64).sqrt()).collect();
    let a = tridiagonal(&vec![0.0; n], &off);
    let found = Lanczos::new(6, Which::LargestMagnitude).solve(&a).unwrap();
    let mut values: Vec<f64> = found.pairs.iter().map(|p| p.value).collect();
    values.sort_by(f64::total_cmp);
    for (value, exact) in values.iter().zip([-39.0, -37.0, -35.0, 35.0, 37.0, 39.0]) {
        assert!((value - exact).abs() < 30.0 * n as f64 * EPS * 39.0);
    }
    let ends = Lanczos::new(2, Which::BothEnds).solve(&a).unwrap();
    certify(&a, &ends, &[-39.0, -37.0, 37.0, 39.0]);
}

#[test]
fn one_dimensional_laplacian_and_all_of_a_spectrum() {
    let n = 60;
    let a = tridiagonal(&vec![2.0; n], &vec![-1.0; n - 1]);
    let exact: Vec<f64> = (1..=n)
        .map(|k| 2.0 - 2.0 * (k as f64 * PI / (n as f64 + 1.0)).cos())
        .collect();
    certify(
        &a,
        &Lanczos::new(4, Which::Smallest).solve(&a).unwrap(),
        &exact[..4],
    );
    certify(
        &a,
        &Lanczos::new(n, Which::Smallest).solve(&a).unwrap(),
        &exact,
    );
    certify(
        &a,
        &Lanczos::new(n, Which::BothEnds).solve(&a).unwrap(),
        &exact,
    );
}

#[test]
fn tiny_dimensions() {
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = Lanczos::new(0, Which::Largest).solve(&empty).unwrap();
    assert!(found.pairs.is_empty() && found.stop == EigenStop::Converged);
    let one = DiagonalOperator::new(array![-7.0]);
    certify(
        &one,
        &Lanczos::new(1, Which::Largest).solve(&one).unwrap(),
        &[-7.0],
    );
    let two = DenseOperator::new(array![[0.0, 2.0], [2.0, 0.0]]).unwrap();
    certify(
        &two,
        &Lanczos::new(1, Which::Largest).solve(&two).unwrap(),
        &[2.0],
    );
    certify(
        &two,
        &Lanczos::new(2, Which::Smallest).solve(&two).unwrap(),
        &[-2.0, 2.0],
    );
    certify(
        &two,
        &Lanczos::new(1, Which::BothEnds).solve(&two).unwrap(),
        &[-2.0, 2.0],
    );
    assert_eq!(
        Lanczos::new(0, Which::Largest)
            .solve(&two)
            .unwrap()
            .stats
            .n_products,
        0
    );
}

#[test]
fn start_vectors_and_seeds() {
    let a = DiagonalOperator::new(Array1::linspace(0.0, 1.0, 100));
    // An eigenvector as a start exhausts its Krylov space at once.
    let mut start = Array1::zeros(100);
    start[10] = 1.0;
    let config = Lanczos::new(3, Which::Largest);
    let found = config.solve_from(&a, start.view()).unwrap();
    certify(&a, &found, &[1.0, 98.0 / 99.0, 97.0 / 99.0]);
    // A zero start falls back on the seed.
    let found = config.solve_from(&a, Array1::zeros(100).view()).unwrap();
    assert_eq!(found, config.solve(&a).unwrap());
    for seed in 1..4 {
        let found = Lanczos {
            seed,
            ..config.clone()
        }
        .solve(&a)
        .unwrap();
        certify(&a, &found, &[1.0, 98.0 / 99.0, 97.0 / 99.0]);
    }
}

#[test]
fn extreme_scales_and_single_precision() {
    for scale in [1e-150, 1e150] {
        let a = DiagonalOperator::new(Array1::linspace(1.0, 50.0, 50) * scale);
        let found = Lanczos::new(2, Which::Largest).solve(&a).unwrap();
        certify(&a, &found, &[50.0 * scale, 49.0 * scale]);
    }
    let a = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 50));
    let found = Lanczos::new(2, Which::Largest).solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::Converged);
    assert!((found.pairs[1].value - 49.0).abs() <= found.pairs[1].error_bound);
}

#[test]
fn unfinished_runs_say_so() {
    let a = laplacian(30, 31);
    let config = Lanczos {
        max_restarts: 1,
        ..Lanczos::new(10, Which::Smallest)
    };
    let found = config.solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::MaxRestarts);
    assert!(found.pairs.iter().any(|p| !p.converged));
    let exact = laplacian_spectrum(30, 31);
    for pair in &found.pairs {
        // An eigenvalue lies within the bound even so, though maybe not the wanted one.
        let nearest = exact
            .iter()
            .map(|e| (e - pair.value).abs())
            .fold(f64::INFINITY, f64::min);
        assert!(nearest <= pair.error_bound);
    }
}

#[test]
fn asymmetric_products_are_exposed() {
    let a = FnOperator::new(
        30,
        |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
            for i in 0..30 {
                y[i] = i as f64 * x[i] + 0.1 * x[(i + 1) % 30];
            }
        },
    );
    let found = Lanczos {
        ncv: Some(12),
        ..Lanczos::new(2, Which::Largest)
    }
    .solve(&a)
    .unwrap();
    assert!(found.stats.asymmetry > 1e-4, "{:e}", found.stats.asymmetry);
}

#[test]
fn bad_settings_are_errors() {
    let a = DiagonalOperator::new(Array1::<f64>::ones(40));
    let bad = |config: Lanczos| matches!(config.solve(&a), Err(SolverError::InvalidSetting { .. }));
    assert!(bad(Lanczos::new(41, Which::Largest)));
    assert!(bad(Lanczos {
        ncv: Some(4),
        ..Lanczos::new(3, Which::Largest)
    }));
    assert!(bad(Lanczos {
        tolerance: f64::NAN,
        ..Lanczos::new(3, Which::Largest)
    }));
    assert!(bad(Lanczos {
        tolerance: -1.0,
        ..Lanczos::new(3, Which::Largest)
    }));
    assert!(
        Lanczos::new(1, Which::Largest)
            .solve_from(&a, array![1.0].view())
            .is_err()
    );
    let mut nan = Array1::ones(40);
    nan[3] = f64::NAN;
    assert!(
        Lanczos::new(1, Which::Largest)
            .solve_from(&a, nan.view())
            .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn bounds_hold_on_random_spectra(
        kind in 0..4_usize,
        n in 3..80_usize,
        k in 1..6_usize,
        block in 1..4_usize,
        seed in 0..1000_u64,
    ) {
        let k = k.min(n);
        let spectrum = Array1::from_shape_fn(n, |i| match kind {
            0 => i as f64 - n as f64 / 3.0,
            1 => 0.7_f64.powi(i as i32),
            2 => (i / 3) as f64,
            _ => if i % 2 == 0 { 1.0 + i as f64 } else { -(i as f64) },
        });
        let mut exact = spectrum.to_vec();
        let a = DenseOperator::new(with_spectrum(&spectrum, seed)).unwrap();
        let config = Lanczos {
            seed,
            block,
            probe: MultiplicityProbe::Always,
            ncv: Some((k + 8).min(n)),
            ..Lanczos::new(k, Which::Largest)
        };
        let found = config.solve(&a).unwrap();
        prop_assert_eq!(found.stop, EigenStop::Converged);
        exact.sort_by(|a, b| b.total_cmp(a));
        let size = found.stats.norm_estimate;
        for (pair, lambda) in found.pairs.iter().zip(&exact) {
            // The matrix itself was formed with rounding errors of a few n·eps·‖A‖.
            let formed = 4.0 * n as f64 * EPS * size;
            prop_assert!((pair.value - lambda).abs() <= pair.error_bound + formed);
        }
    }
}

#[test]
fn blocks_find_copies_without_probes() {
    let block = |k, block, which| Lanczos {
        block,
        probe: MultiplicityProbe::Never,
        ..Lanczos::new(k, which)
    };
    // Doubles on the square grid.
    let a = laplacian(12, 12);
    let exact = laplacian_spectrum(12, 12);
    for seed in 0..3 {
        let config = Lanczos {
            seed,
            ..block(8, 2, Which::Smallest)
        };
        certify(&a, &config.solve(&a).unwrap(), &exact[..8]);
    }
    let ends = block(3, 2, Which::BothEnds).solve(&a).unwrap();
    let mut expected = exact[..3].to_vec();
    expected.extend(&exact[141..]);
    certify(&a, &ends, &expected);
    // Every eigenvalue four times, in blocks of four, five and seven.
    let d = Array1::from_shape_fn(200, |i| (i / 4) as f64);
    let quads = DiagonalOperator::new(d);
    for b in [4, 5, 7] {
        let found = block(8, b, Which::Largest).solve(&quads).unwrap();
        certify(
            &quads,
            &found,
            &[49.0, 49.0, 49.0, 49.0, 48.0, 48.0, 48.0, 48.0],
        );
    }
    let ones = DiagonalOperator::new(Array1::<f64>::ones(100));
    certify(
        &ones,
        &block(5, 3, Which::Largest).solve(&ones).unwrap(),
        &[1.0; 5],
    );
    let two = DiagonalOperator::new(Array1::from_shape_fn(
        200,
        |i| {
            if i < 180 { 1.0 } else { 50.0 }
        },
    ));
    let config = Lanczos {
        block: 4,
        ..Lanczos::new(20, Which::Largest)
    };
    certify(&two, &config.solve(&two).unwrap(), &[50.0; 20]);
    for n in [1, 2, 3, 6] {
        let a = DiagonalOperator::new(Array1::from_shape_fn(n, |i| i as f64));
        let config = block(n, 4, Which::Smallest);
        let exact: Vec<f64> = (0..n).map(|i| i as f64).collect();
        certify(&a, &config.solve(&a).unwrap(), &exact);
    }
}

#[test]
fn blocks_go_to_the_operator_as_blocks() {
    struct Blocks(DiagonalOperator<f64>, std::cell::RefCell<Vec<usize>>);
    impl LinearOperator<f64> for Blocks {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn apply_into(&self, x: ArrayView1<'_, f64>, y: ArrayViewMut1<'_, f64>) {
            self.1.borrow_mut().push(1);
            self.0.apply_into(x, y);
        }
        fn apply_block_into(
            &self,
            x: ndarray::ArrayView2<'_, f64>,
            y: ndarray::ArrayViewMut2<'_, f64>,
        ) {
            self.1.borrow_mut().push(x.nrows());
            self.0.apply_block_into(x, y);
        }
    }
    let d = Array1::linspace(0.0, 1.0, 80).mapv(|x: f64| x * x);
    let a = Blocks(DiagonalOperator::new(d), std::cell::RefCell::default());
    let config = Lanczos {
        block: 4,
        ..Lanczos::new(3, Which::Largest)
    };
    let found = config.solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::Converged);
    let sizes = a.1.borrow();
    assert_eq!(sizes.iter().sum::<usize>(), found.stats.n_products);
    let fours = sizes.iter().filter(|&&size| size == 4).count();
    assert!(4 * fours * 10 >= 8 * found.stats.n_products, "{sizes:?}");
}

#[test]
fn angle_bounds_hold() {
    let n = 60;
    let a = tridiagonal(&vec![2.0; n], &vec![-1.0; n - 1]);
    for tolerance in [0.0, 1e-8, 1e-4] {
        let config = Lanczos {
            tolerance,
            ncv: Some(14),
            ..Lanczos::new(3, Which::Largest)
        };
        let found = config.solve(&a).unwrap();
        for (i, pair) in found.pairs.iter().enumerate() {
            let k = (n - i) as f64;
            let exact = Array1::from_shape_fn(n, |j| {
                (2.0 / (n as f64 + 1.0)).sqrt()
                    * ((j as f64 + 1.0) * k * PI / (n as f64 + 1.0)).sin()
            });
            let rest = &pair.vector - &(exact.dot(&pair.vector) * &exact);
            let sine = norm(rest.view());
            // The exact vector itself is rounded.
            assert!(
                sine <= pair.angle_bound + 4.0 * EPS,
                "{sine:e} {:e}",
                pair.angle_bound
            );
            assert!(
                pair.angle_bound < 1e3 * tolerance.max(1e-14),
                "{:e}",
                pair.angle_bound
            );
        }
    }
    // Copies: the angle is that to all eigenvectors of the value.
    let d = Array1::from_shape_fn(60, |i| (i / 3) as f64);
    let triples = DiagonalOperator::new(d.clone());
    let config = Lanczos {
        block: 3,
        ..Lanczos::new(3, Which::Largest)
    };
    for pair in config.solve(&triples).unwrap().pairs {
        let outside = d.iter().zip(&pair.vector).filter(|(d, _)| **d < 18.5);
        let sine = outside.map(|(_, u)| u * u).sum::<f64>().sqrt();
        assert!(
            sine <= pair.angle_bound && pair.angle_bound < 1e-12,
            "{:e}",
            pair.angle_bound
        );
    }
}

/// A walk of a matrix whose ten steps change it by `change·‖A‖` each; products of cold and warm
/// solves after the first.
fn track(spectrum: &Array1<f64>, change: f64, config: &Lanczos) -> (u64, u64) {
    let n = spectrum.len();
    let mut a = with_spectrum(spectrum, 1);
    let mut basis = None;
    let (mut cold, mut warm) = (0, 0);
    for step in 0..11 {
        let op = Counted::new(DenseOperator::new(a.clone()).unwrap());
        let found = config.solve(&op).unwrap();
        if let Some(basis) = &basis {
            let basis: &Array2<f64> = basis;
            cold += op.count();
            op.reset();
            let again = config.solve_from_basis(&op, basis.view()).unwrap();
            warm += op.count();
            assert_eq!(op.count(), again.stats.n_products as u64);
            assert_eq!(again.stop, EigenStop::Converged);
            let mut exact = hvp_solvers::dense::eigenvalues(a.view()).unwrap().to_vec();
            exact.reverse();
            for (pair, exact) in again.pairs.iter().zip(exact) {
                let rounding = 4.0 * n as f64 * EPS * exact;
                assert!((pair.value - exact).abs() <= pair.error_bound + rounding);
            }
        }
        basis = Some(found.vectors());
        let e = with_spectrum(&normal(n, step), 100 + step);
        a = a + e * (change / 3.0);
    }
    (cold, warm)
}

#[test]
fn warm_starts_track_a_changing_matrix() {
    let line = Array1::linspace(0.0, 1.0, 200);
    let net = Array1::from_shape_fn(200, |i| {
        if i < 5 {
            1.0 / (1.0 + i as f64)
        } else {
            0.02 / i as f64
        }
    });
    for (name, spectrum) in [("line", &line), ("outliers", &net)] {
        for (change, tolerance, most) in [(1e-5, 1e-3, 0.6), (1e-6, 1e-6, 0.8)] {
            let config = Lanczos {
                tolerance,
                ..Lanczos::new(5, Which::Largest)
            };
            let (cold, warm) = track(spectrum, change, &config);
            println!(
                "{name}, change {change:e}, tolerance {tolerance:e}: cold {cold}, warm {warm}"
            );
            assert!((warm as f64) <= most * cold as f64, "{name}: {warm} {cold}");
        }
    }
    let config = Lanczos {
        tolerance: 1e-3,
        ..Lanczos::new(5, Which::Largest)
    };
    let (cold, warm) = track(&line, 1e-5, &config);
    assert!(warm * 5 <= cold, "{warm} {cold}");
}

#[test]
fn bases_of_any_kind_start_a_solve() {
    let a = DiagonalOperator::new(Array1::linspace(0.0, 1.0, 100));
    let exact = [1.0, 98.0 / 99.0, 97.0 / 99.0];
    let config = Lanczos::new(3, Which::Largest);
    let random = Array2::from_shape_fn((6, 100), |(i, j)| normal(100, i as u64)[j]);
    let mut dependent = random.clone();
    let twice = &random.row(0) * 2.0;
    dependent.row_mut(3).assign(&twice);
    dependent.row_mut(4).fill(0.0);
    let huge = &random * 1e200;
    let few = random.slice(ndarray::s![..1, ..]).to_owned();
    for basis in [
        random,
        dependent,
        huge,
        few,
        Array2::zeros((2, 100)),
        Array2::zeros((0, 100)),
    ] {
        for block in [1, 2] {
            let config = Lanczos {
                block,
                ..config.clone()
            };
            certify(
                &a,
                &config.solve_from_basis(&a, basis.view()).unwrap(),
                &exact,
            );
        }
    }
    // Exact eigenvectors: one product each, and one for each residual.
    let found = config.solve(&a).unwrap();
    let relaxed = Lanczos {
        tolerance: 1e-12,
        ..config.clone()
    };
    let again = relaxed
        .solve_from_basis(&a, found.vectors().view())
        .unwrap();
    certify(&a, &again, &exact);
    assert_eq!(again.stats.n_products, 6);
    // The probe notices what the basis does not hold.
    let mut other = Array2::zeros((3, 100));
    (0..3).for_each(|i| other[[i, 40 + i]] = 1.0);
    let careful = Lanczos {
        probe: MultiplicityProbe::Always,
        ..config.clone()
    };
    certify(
        &a,
        &careful.solve_from_basis(&a, other.view()).unwrap(),
        &exact,
    );
    assert!(
        config
            .solve_from_basis(&a, Array2::zeros((31, 100)).view())
            .is_err()
    );
    assert!(
        config
            .solve_from_basis(&a, Array2::zeros((3, 99)).view())
            .is_err()
    );
    let nan = Array2::from_elem((1, 100), f64::NAN);
    assert!(config.solve_from_basis(&a, nan.view()).is_err());
    let none = Lanczos { block: 0, ..config };
    assert!(none.solve(&a).is_err());
}

#[test]
fn resumed_runs_go_on_bit_by_bit() {
    let line = DiagonalOperator::new(Array1::linspace(-1.0, 1.0, 300));
    let copies = DiagonalOperator::new(Array1::from_shape_fn(200, |i| (i / 10) as f64));
    let cases = [
        (&line, Lanczos::new(4, Which::BothEnds)),
        // Breakdowns, random vectors and probes: the generator's state matters.
        (
            &copies,
            Lanczos {
                ncv: Some(20),
                block: 2,
                seed: 5,
                probe: MultiplicityProbe::Always,
                ..Lanczos::new(6, Which::Largest)
            },
        ),
    ];
    for (a, config) in cases {
        let expected = config.solve(a).unwrap();
        let mut run: LanczosRun<f64> = config.begin(a.dim()).unwrap();
        let mut steps = 0;
        loop {
            // Through text after every single step.
            let text = serde_json::to_string(&run.state()).unwrap();
            let state: LanczosState<f64> = serde_json::from_str(&text).unwrap();
            assert_eq!(state, run.state());
            run = LanczosRun::resume(state).unwrap();
            if run.advance(a).unwrap().is_some() {
                break;
            }
            steps += 1;
        }
        assert!(steps > 5);
        let again = LanczosRun::resume(run.state()).unwrap();
        assert_eq!(run.finish(a).unwrap(), expected);
        // Also after its end.
        assert_eq!(again.finish(a).unwrap(), expected);
    }
    let config = Lanczos::new(4, Which::Largest);
    let mut run: LanczosRun<f64> = config.begin(300).unwrap();
    assert!(run.advance(&copies).is_err());
    run.advance(&line).unwrap();
    // Pairs of a run that was not brought to its end are what they are.
    let state = run.state();
    let early = run.finish(&line).unwrap();
    assert_eq!((early.stop, early.pairs.len()), (EigenStop::MaxRestarts, 4));
    assert!(early.pairs.iter().all(|pair| pair.residual <= 1.0));
    // States whose parts do not fit are refused.
    let text = serde_json::to_string(&state).unwrap();
    for (from, to) in [
        ("\"n\":300", "\"n\":299"),
        ("\"width\":1", "\"width\":2"),
        ("\"k\":4", "\"k\":30"),
        ("\"done\":", "\"done\":9"),
    ] {
        assert!(text.contains(from), "{from}");
        let broken: LanczosState<f64> = serde_json::from_str(&text.replace(from, to)).unwrap();
        assert!(LanczosRun::resume(broken).is_err(), "{from}");
    }
}
