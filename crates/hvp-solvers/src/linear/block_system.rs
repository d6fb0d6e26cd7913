//! One of the systems that block conjugate gradients solve.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::block_cg::BlockCg;
use super::cg::CgStop;
use super::checks::attainable;
use super::several::Ended;
use crate::bits;
use crate::vector::{norm2, power_of_two_below};

/// One of the systems, in units of its own `‖b‖`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct System<T> {
    #[serde(with = "bits::scalar")]
    unit: T,
    #[serde(with = "bits::scalar")]
    pub(super) tol: T,
    #[serde(with = "bits::vector")]
    pub(super) b: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) x: Vec<T>,
    #[serde(with = "bits::scalar")]
    pub(super) residual: T,
    /// The true residual at the last restart.
    #[serde(with = "bits::scalar")]
    before: T,
    pub(super) n_iters: usize,
    pub(super) stop: Option<CgStop>,
}

impl<T: Real> System<T> {
    pub(super) fn new(
        config: &BlockCg,
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
    ) -> Self {
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let scaled = |v: ArrayView1<'_, T>| v.iter().map(|&v| v / unit).collect::<Vec<T>>();
        let b = scaled(b);
        let residual = norm2(&b);
        let relative = attainable::<T>(config.relative_tolerance) * residual;
        Self {
            unit,
            tol: relative.max(T::of(config.absolute_tolerance) / unit),
            x: x0.map_or_else(|| vec![T::zero(); b.len()], scaled),
            b,
            residual,
            before: T::infinity(),
            n_iters: 0,
            stop: None,
        }
    }

    /// Ends it by its true residual, or marks a restart.
    pub(super) fn judge(&mut self) {
        if self.residual <= self.tol {
            self.stop = Some(CgStop::Converged);
        } else if self.residual > T::of(0.5) * self.before {
            // Each restart has to halve the true residual, so there are finitely many.
            self.stop = Some(CgStop::Stagnated);
        }
        self.before = self.residual;
    }

    pub(super) fn ended(self) -> Ended<T> {
        Ended {
            unit: self.unit,
            x: self.x,
            stop: self.stop.unwrap_or(CgStop::MaxIterations),
            n_iters: self.n_iters,
            residual: self.residual,
            norm: norm2(&self.b),
        }
    }
}
