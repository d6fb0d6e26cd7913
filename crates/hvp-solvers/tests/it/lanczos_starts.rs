//! Lanczos from an earlier basis, and from a stored state.

use hvp_solvers::LinearOperator;
use hvp_solvers::eigen::{EigenStop, Lanczos, LanczosRun, LanczosState, MultiplicityProbe, Which};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use ndarray::{Array1, Array2};

use crate::kit::{EPS, normal, with_spectrum};
use crate::lanczos::certify;

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
