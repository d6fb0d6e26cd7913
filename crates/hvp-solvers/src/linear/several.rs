//! What solves of several systems at once report.

use ad_core::Real;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::cg::CgStop;
use crate::error::Quantity;
use crate::vector::{all_finite, scale};

/// How one of several systems ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SystemOutcome {
    /// How it ended.
    pub stop: CgStop,
    /// Iterations in which it took part.
    pub n_iters: usize,
    /// The residual's norm: recomputed if converged or stagnated, else by the recurrence.
    pub residual_norm: f64,
}

/// The solutions of several systems and how they were reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeveralOutcome<T> {
    /// The last good iterates, one per row; always finite.
    pub x: Array2<T>,
    /// How each system ended.
    pub systems: Vec<SystemOutcome>,
    /// Products with the operator, for all systems together.
    pub n_products: usize,
}

impl<T> SeveralOutcome<T> {
    /// Whether every system reached its tolerance.
    pub fn is_converged(&self) -> bool {
        self.systems.iter().all(|system| system.stop.is_converged())
    }
}

/// One of several systems at its end, in units of its own.
pub(super) struct Ended<T> {
    pub(super) unit: T,
    pub(super) x: Vec<T>,
    pub(super) stop: CgStop,
    pub(super) n_iters: usize,
    pub(super) residual: T,
    /// The residual at zero.
    pub(super) norm: T,
}

/// Returns to the caller's units.
pub(super) fn several_outcome<T: Real>(
    n: usize,
    systems: impl ExactSizeIterator<Item = Ended<T>>,
    n_products: usize,
) -> SeveralOutcome<T> {
    let mut x = Array2::zeros((systems.len(), n));
    let mut endings = Vec::with_capacity(systems.len());
    for (mut system, row) in systems.zip(x.rows_mut()) {
        scale(system.unit, &mut system.x);
        if all_finite(&system.x) {
            // Entry by entry: a state that was tampered with has another length.
            row.into_iter().zip(system.x).for_each(|(to, x)| *to = x);
        } else {
            // The solution is beyond the range of the type.
            system.residual = system.norm;
            let what = Quantity::Point;
            system.stop = CgStop::NonFinite { what };
        }
        endings.push(SystemOutcome {
            stop: system.stop,
            n_iters: system.n_iters,
            residual_norm: (system.residual * system.unit).as_f64(),
        });
    }
    SeveralOutcome {
        x,
        systems: endings,
        n_products,
    }
}

/// How a solve ended once all of its systems have: the first ending that is not convergence.
pub(super) fn common_stop(stops: impl Iterator<Item = Option<CgStop>>) -> Option<CgStop> {
    let mut common = CgStop::Converged;
    for stop in stops {
        let stop = stop?;
        if common.is_converged() {
            common = stop;
        }
    }
    Some(common)
}
