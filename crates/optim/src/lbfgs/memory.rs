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
    /// sᵀy/yᵀy.
    #[serde(with = "bits::scalar")]
    gamma: T,
}

/// The newest pairs, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Memory<T: Real> {
    pairs: VecDeque<Pair<T>>,
    /// γ of the matrix γI that the pairs change; zero before the first pair. It outlives the pairs.
    #[serde(with = "bits::scalar")]
    gamma: T,
    /// Where the next pair is made, so that one that is not taken costs none of the others.
    #[serde(skip)]
    spare: Option<Pair<T>>,
}

impl<T: Real> Default for Memory<T> {
    fn default() -> Self {
        Memory {
            pairs: VecDeque::new(),
            gamma: T::zero(),
            spare: None,
        }
    }
}

impl<T: Real> Memory<T> {
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Forgets the pairs, but not the scale that they had.
    pub(super) fn clear(&mut self) {
        self.spare = self.pairs.pop_back().or_else(|| self.spare.take());
        self.pairs.clear();
    }

    /// γ; `None` before the first pair.
    pub(super) fn gamma(&self) -> Option<T> {
        (self.gamma > T::zero()).then_some(self.gamma)
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
        scale(-self.gamma, d);
        for (pair, &alpha) in self.pairs.iter().zip(alphas.iter().rev()) {
            let beta = dot(slice(&pair.y), d) / pair.sy;
            // d holds −H·gradient so far, hence the signs.
            axpy(-alpha - beta, slice(&pair.s), d);
        }
    }

    /// Takes the pair between two points in, if its curvature is safely positive; the oldest one
    /// makes room for it.
    pub(super) fn offer(&mut self, settings: &Lbfgs, from: &Iterate<T>, to: &Point<T>) {
        let mut pair = self.spare.take().unwrap_or_else(|| Pair {
            s: from.x.clone(),
            y: from.gradient.clone(),
            sy: T::zero(),
            gamma: T::zero(),
        });
        pair.s.assign(&to.x);
        pair.s -= &from.x;
        pair.y.assign(&to.gradient);
        pair.y -= &from.gradient;
        let (norm_s, norm_y) = (norm2(slice(&pair.s)), norm2(slice(&pair.y)));
        pair.sy = dot(slice(&pair.s), slice(&pair.y));
        pair.gamma = pair.sy / norm_y / norm_y;
        let is_curved = pair.sy >= T::of(settings.pair_tol) * norm_s * norm_y;
        if !(is_curved && pair.sy.is_normal() && pair.gamma.is_normal()) {
            self.spare = Some(pair);
            return;
        }
        while self.pairs.len() >= settings.memory {
            self.spare = self.pairs.pop_front();
        }
        self.pairs.push_back(pair);
        self.set_gamma();
    }

    /// γ of the newest pair, or half the largest one if that is more.
    ///
    /// The pairs say nothing of the directions in which steps were short, and there the curvature
    /// tends to be small: a γ that forgets the flattest pair at once makes them shorter still.
    fn set_gamma(&mut self) {
        let newest = self.pairs.back().map_or(T::zero(), |pair| pair.gamma);
        let half = T::of(0.5);
        let top = self
            .pairs
            .iter()
            .fold(newest, |top, pair| top.max(half * pair.gamma));
        self.gamma = top;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, reason = "bits that nothing touches")]

    use super::*;
    use ndarray::array;

    fn iterate(x: f64, gradient: f64) -> Iterate<f64> {
        Iterate::start(array![x].view(), |_, out| {
            out[0] = gradient;
            0.0
        })
    }

    fn point(x: f64, gradient: f64) -> Point<f64> {
        Point {
            x: array![x],
            gradient: array![gradient],
        }
    }

    #[test]
    fn a_pair_that_is_not_taken_leaves_all_others() {
        let settings = Lbfgs {
            memory: 2,
            ..Lbfgs::default()
        };
        let mut memory = Memory::default();
        memory.offer(&settings, &iterate(0.0, 0.0), &point(1.0, 2.0));
        memory.offer(&settings, &iterate(1.0, 2.0), &point(2.0, 3.0));
        let before = serde_json::to_string(&memory).unwrap();
        for (x, gradient) in [
            (3.0, 2.0),
            (3.0, 3.0),
            (2.0, 5.0),
            (3.0, f64::NAN),
            (3.0, f64::INFINITY),
        ] {
            memory.offer(&settings, &iterate(2.0, 3.0), &point(x, gradient));
            assert_eq!(
                serde_json::to_string(&memory).unwrap(),
                before,
                "{x} {gradient}"
            );
        }
        memory.offer(&settings, &iterate(2.0, 3.0), &point(3.0, 7.0));
        assert_eq!(memory.len(), 2);
        let kept: Vec<f64> = memory.pairs.iter().map(|pair| pair.y[0]).collect();
        assert_eq!(kept, [1.0, 4.0]);
    }

    /// γ = 1/2, then 1/8, 1/8: half of the first one rules while it is there.
    #[test]
    fn the_scale_is_that_of_the_newest_pair_or_half_the_largest() {
        let settings = Lbfgs {
            memory: 2,
            ..Lbfgs::default()
        };
        let mut memory = Memory::default();
        assert_eq!(memory.gamma(), None);
        let mut gammas = Vec::new();
        for slope in [2.0, 8.0, 8.0] {
            memory.offer(&settings, &iterate(0.0, 0.0), &point(1.0, slope));
            gammas.push(memory.gamma().unwrap());
        }
        assert_eq!(gammas, [0.5, 0.25, 0.125]);
        memory.clear();
        assert_eq!((memory.len(), memory.gamma()), (0, Some(0.125)));
    }
}
