//! The pairs of L-BFGS and the product with the matrix that they define.

use std::collections::VecDeque;

use ad_core::Real;
use hvp_solvers::vector::{axpy, dot, norm2, scale, slice};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use super::Lbfgs;
use super::ray::Point;
use crate::bits;
use crate::minimize::Iterate;

/// s, y and their products.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Pair<T: Real> {
    #[serde(with = "bits::vector")]
    s: Array1<T>,
    #[serde(with = "bits::vector")]
    y: Array1<T>,
    /// sᵀy > 0.
    #[serde(with = "bits::scalar")]
    sy: T,
    /// γ = sᵀy/yᵀy, within its limits.
    #[serde(with = "bits::scalar")]
    gamma: T,
}

/// The newest pairs, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Memory<T: Real> {
    pairs: VecDeque<Pair<T>>,
}

impl<T: Real> Default for Memory<T> {
    fn default() -> Self {
        Memory {
            pairs: VecDeque::new(),
        }
    }
}

impl<T: Real> Memory<T> {
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(super) fn clear(&mut self) {
        self.pairs.clear();
    }

    /// d ← −H·gradient by the two-loop recursion; `alphas` is work space.
    pub(super) fn direction_into(
        &self,
        gradient: &[T],
        direction: &mut Array1<T>,
        alphas: &mut Vec<T>,
    ) {
        let d = direction
            .as_slice_mut()
            .expect("owned vectors are contiguous");
        d.copy_from_slice(gradient);
        alphas.clear();
        for pair in self.pairs.iter().rev() {
            let alpha = dot(slice(&pair.s), d) / pair.sy;
            axpy(-alpha, slice(&pair.y), d);
            alphas.push(alpha);
        }
        let gamma = self.pairs.back().map_or(T::one(), |newest| newest.gamma);
        scale(-gamma, d);
        for (pair, &alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = dot(slice(&pair.y), d) / pair.sy;
            // d holds −H·gradient so far, hence the signs.
            axpy(-alpha - beta, slice(&pair.s), d);
        }
    }

    /// Takes the pair between two points in, if its curvature is safely positive.
    pub(super) fn offer(&mut self, settings: &Lbfgs, from: &Iterate<T>, to: &Point<T>) {
        // The oldest pair gives its memory to the newest.
        let (mut s, mut y) = if self.pairs.len() >= settings.memory {
            let oldest = self
                .pairs
                .pop_front()
                .expect("the memory holds at least one pair");
            (oldest.s, oldest.y)
        } else {
            (from.x.clone(), from.gradient.clone())
        };
        s.assign(&to.x);
        s -= &from.x;
        y.assign(&to.gradient);
        y -= &from.gradient;
        let sy = dot(slice(&s), slice(&y));
        let (norm_s, norm_y) = (norm2(slice(&s)), norm2(slice(&y)));
        let is_curved = sy >= T::of(settings.pair_tol) * norm_s * norm_y;
        if is_curved && sy.is_normal() && norm_y.is_finite() {
            let gamma = (sy / norm_y / norm_y).max(T::of(1e-12)).min(T::of(1e12));
            self.pairs.push_back(Pair { s, y, sy, gamma });
        }
    }
}
