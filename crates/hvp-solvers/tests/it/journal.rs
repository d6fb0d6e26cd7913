//! Journals: a solve that is started again over the products made so far goes on to the same bits.

use std::cell::RefCell;
use std::fmt::Debug;

use hvp_solvers::LinearOperator;
use hvp_solvers::landscape::Classifier;
use hvp_solvers::linear::{BlockCg, Gltr, GltrStorage, TruncatedCg};
use hvp_solvers::operator::{Counted, DenseOperator, FnOperator, Journal, JournalEntry};
use hvp_solvers::spectrum::{MatrixFunction, Slq, SpectralFunction};
use hvp_solvers::trace::{DiagonalEstimator, TraceEstimator, TraceMethod};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, Axis, stack};

use crate::kit::{normal, with_spectrum};

type Operator<'a> = &'a dyn LinearOperator<f64>;

/// An indefinite matrix.
fn matrix() -> DenseOperator<f64> {
    let spectrum = Array1::from_shape_fn(40, |j| 0.8_f64.powi(j as i32) - 0.01);
    DenseOperator::new(with_spectrum(&spectrum, 3)).unwrap()
}

/// Writes a journal of the whole solve; then resumes after each number of entries, from text.
fn resumes<R: PartialEq + Debug>(solve: impl Fn(Operator<'_>) -> R) {
    let a = Counted::new(matrix());
    let entries = RefCell::new(Vec::new());
    let whole = solve(&Journal::new(&a, |entry| entries.borrow_mut().push(entry)));
    let entries = entries.into_inner();
    assert_eq!(whole, solve(&a));
    let products = a.count() / 2;
    assert!((1..=products).contains(&(entries.len() as u64)));
    for cut in 0..=entries.len() {
        let text = serde_json::to_string(&entries[..cut]).unwrap();
        let read: Vec<JournalEntry<f64>> = serde_json::from_str(&text).unwrap();
        let rest = RefCell::new(read.clone());
        let journal = Journal::resume(&a, read, |entry| rest.borrow_mut().push(entry));
        a.reset();
        assert_eq!(solve(&journal), whole);
        assert_eq!((journal.n_read(), journal.diverged_at()), (cut, None));
        drop(journal);
        assert_eq!(*rest.borrow(), entries);
        assert_eq!(a.count() == 0, cut == entries.len());
        assert_eq!(a.count() == products, cut == 0);
    }
}

#[test]
fn estimators_resume() {
    for method in TraceMethod::ALL {
        let estimator = TraceEstimator {
            method,
            n_products: 36,
            seed: 5,
        };
        resumes(|a| estimator.estimate(&a).unwrap());
    }
    resumes(|a| DiagonalEstimator::default().estimate(&a).unwrap());
    let slq = Slq {
        n_probes: 3,
        n_steps: 8,
        seed: 1,
    };
    resumes(|a| slq.estimate(&a).unwrap());
}

#[test]
fn krylov_methods_resume() {
    let g = normal(40, 8);
    let f = SpectralFunction::Exp(-1.0);
    resumes(|a| MatrixFunction::default().apply(&a, g.view(), f).unwrap());
    resumes(|a| TruncatedCg::default().solve(&a, g.view(), 1e3).unwrap());
    for storage in [GltrStorage::Stored, GltrStorage::TwoPass] {
        let gltr = Gltr {
            storage,
            ..Gltr::default()
        };
        resumes(|a| gltr.solve(&a, g.view(), 10.0).unwrap());
    }
}

#[test]
fn blocks_and_classifications_resume() {
    let spectrum = Array1::linspace(1.0, 9.0, 40);
    let definite = DenseOperator::new(with_spectrum(&spectrum, 4)).unwrap();
    let b = stack![Axis(0), normal(40, 1), normal(40, 2)];
    let entries = RefCell::new(Vec::new());
    let journal = Journal::new(&definite, |entry| entries.borrow_mut().push(entry));
    let whole = BlockCg::default().solve(&journal, b.view()).unwrap();
    drop(journal);
    let mut entries = entries.into_inner();
    entries.truncate(3);
    let journal = Journal::resume(&definite, entries, |_| ());
    assert_eq!(BlockCg::default().solve(&journal, b.view()).unwrap(), whole);
    assert_eq!(journal.n_read(), 3);
    let sparse = Classifier {
        dense_limit: 10,
        ..Classifier::default()
    };
    resumes(|a| sparse.classify(a).unwrap());
}

#[test]
fn another_solve_makes_its_own_products() {
    let a = matrix();
    let entries = RefCell::new(Vec::new());
    let slq = Slq {
        n_probes: 2,
        n_steps: 6,
        seed: 1,
    };
    let journal = Journal::new(&a, |entry| entries.borrow_mut().push(entry));
    slq.estimate(&journal).unwrap();
    drop(journal);
    let entries = entries.into_inner();

    // Another seed asks for something else from the first product on.
    let other = Slq { seed: 2, ..slq };
    let journal = Journal::resume(&a, entries.clone(), |_| ());
    assert_eq!(
        other.estimate(&journal).unwrap(),
        other.estimate(&a).unwrap()
    );
    assert_eq!((journal.n_read(), journal.diverged_at()), (0, Some(0)));

    // More steps go on where the first probe of the journal ended.
    let longer = Slq { n_steps: 9, ..slq };
    let journal = Journal::resume(&a, entries, |_| ());
    assert_eq!(
        longer.estimate(&journal).unwrap(),
        longer.estimate(&a).unwrap()
    );
    assert_eq!((journal.n_read(), journal.diverged_at()), (6, Some(6)));
}

#[test]
fn broken_products_are_written_as_they_are() {
    let broken = FnOperator::new(
        3,
        |_: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
            y.fill(f64::NAN);
        },
    );
    let entries = RefCell::new(Vec::new());
    let journal = Journal::new(&broken, |entry| entries.borrow_mut().push(entry));
    let g = Array1::ones(3);
    let whole = TruncatedCg::default()
        .solve(&journal, g.view(), 1.0)
        .unwrap();
    drop(journal);
    let sound = DenseOperator::new(ndarray::Array2::eye(3)).unwrap();
    let journal = Journal::resume(&sound, entries.into_inner(), |_| ());
    let again = TruncatedCg::default()
        .solve(&journal, g.view(), 1.0)
        .unwrap();
    assert_eq!(again, whole);
    assert_eq!(journal.n_read(), 1);
}
