//! Functions and operators that turn NaN or infinite at the first or a later call:
//! every solver ends, with a reason, at a finite point no worse than the start.

use hvp_solvers::eigen::{EigenStop, Lanczos, Which};
use hvp_solvers::minimize::StopReason;
use hvp_solvers::newton::TrustRegionNewton;
use hvp_solvers::operator::DiagonalOperator;
use hvp_solvers::{Objective, Quantity};
use ndarray::{Array1, array};

use crate::kit::{Fault, Faulty, FaultyOperator, rosenbrock};

const BAD: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
const CALLS: [usize; 6] = [0, 1, 2, 3, 5, 9];

/// A single bad answer, or bad answers ever after.
const LENGTHS: [usize; 2] = [1, usize::MAX];

fn faults() -> impl Iterator<Item = Fault> {
    BAD.into_iter().flat_map(|bad| {
        CALLS.into_iter().flat_map(move |first| {
            LENGTHS
                .into_iter()
                .map(move |count| Fault { first, count, bad })
        })
    })
}

#[test]
fn newton_survives_bad_values_gradients_and_products() {
    let x0 = array![-1.2, 1.0];
    let start = rosenbrock().value(x0.view());
    for fault in faults() {
        for which in 0..3 {
            let pick = |i| if i == which { fault } else { Fault::NONE };
            let mut f = Faulty::new(rosenbrock(), pick(0), pick(1), pick(2));
            let found = TrustRegionNewton::default()
                .solve(&mut f, x0.view())
                .unwrap();
            let context = format!("{fault:?} in {which}: {:?} {:?}", found.stop, found.stats);
            assert!(found.x.iter().all(|x| x.is_finite()), "{context}");
            // A fault in the very first value or gradient leaves nothing to judge by.
            if fault.first > 0 || which == 2 {
                assert!(found.value <= start, "{context}");
                assert!(found.gradient_norm.is_finite(), "{context}");
                // The reported value is the function's value at the reported point.
                let value = rosenbrock().value(found.x.view());
                assert!(
                    (value - found.value).abs() <= 1e-15 * value.abs(),
                    "{context}"
                );
            }
            let ended = match found.stop {
                StopReason::GradientTolerance => found.gradient_norm <= 1.5e-8,
                StopReason::NonFinite { what } => {
                    what == [Quantity::Value, Quantity::Gradient, Quantity::Product][which]
                }
                _ => false,
            };
            assert!(ended, "{context}");
        }
    }
}

#[test]
fn newton_walks_around_a_region_without_values() {
    // −log barrier-like: the value is NaN for x₀ ≥ 1.2, well on the way of long steps.
    let f = crate::kit::Smooth::new(
        1,
        |x| -(1.2 - x[0]).ln() - 3.0 * x[0],
        |x| vec![1.0 / (1.2 - x[0]) - 3.0],
        |x| array![[(1.2 - x[0]).powi(-2)]],
    );
    let config = TrustRegionNewton {
        initial_radius: Some(100.0),
        ..TrustRegionNewton::default()
    };
    let found = config.solve(&mut f.clone(), array![-5.0].view()).unwrap();
    assert!(found.stop.is_converged(), "{:?}", found.stop);
    assert!((found.x[0] - (1.2 - 1.0 / 3.0)).abs() < 1e-8);
}

#[test]
fn lanczos_survives() {
    for fault in faults() {
        for first in [fault.first, fault.first + 40] {
            let fault = Fault { first, ..fault };
            let d = Array1::linspace(1.0, 200.0, 200);
            let a = FaultyOperator::new(DiagonalOperator::new(d), fault);
            let found = Lanczos::new(3, Which::Largest).solve(&a).unwrap();
            assert_eq!(
                found.stop,
                EigenStop::NonFinite {
                    what: Quantity::Product
                }
            );
            assert_eq!(found.pairs.len(), first.min(3), "{fault:?}");
            for pair in &found.pairs {
                assert!(
                    pair.value.is_finite() && pair.error_bound.is_finite(),
                    "{fault:?}"
                );
                assert!(pair.vector.iter().all(|x| x.is_finite()));
                assert!(!pair.converged);
            }
        }
    }
}
