//! Conjugate gradients from a warm start, with iterates kept on the way.

use ad_core::Real;
use ndarray::ArrayViewMut1;

use super::HessianFree;
use crate::error::Quantity;
use crate::operator::apply;
use crate::vector::{axpy, dot, norm_max, norm2, power_of_two_below};
use crate::{CurvatureOperator, SecondOrder};

/// How the inner iteration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InnerStop {
    /// The quadratic has stopped to fall, or the limit was reached.
    Done,
    /// `dᵀAd ≤ 0`.
    NegativeCurvature,
    NonFinite(Quantity),
}

/// An iterate that was kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept<T> {
    /// `½pᵀAp + gᵀp`, of the damped matrix.
    pub(super) phi: T,
    /// `‖p‖`.
    pub(super) norm: T,
}

/// The vectors of the inner iteration.
#[derive(Debug)]
pub(super) struct Inner<T> {
    pub(super) x: Vec<T>,
    r: Vec<T>,
    y: Vec<T>,
    d: Vec<T>,
    q: Vec<T>,
    /// `M⁻¹`, or empty for `M = I`.
    inverse: Vec<T>,
    /// `φ` at every iterate.
    phis: Vec<T>,
    pub(super) kept: Vec<Kept<T>>,
    vectors: Vec<T>,
    pub(super) n_products: usize,
}

impl<T: Real> Inner<T> {
    pub(super) fn new(n: usize) -> Self {
        let zeros = || vec![T::zero(); n];
        Self {
            x: zeros(),
            r: zeros(),
            y: zeros(),
            d: zeros(),
            q: zeros(),
            inverse: Vec::new(),
            phis: Vec::new(),
            kept: Vec::new(),
            vectors: Vec::new(),
            n_products: 0,
        }
    }

    /// Vector `i` of those kept.
    pub(super) fn vector(&self, i: usize) -> &[T] {
        let n = self.x.len();
        &self.vectors[i * n..(i + 1) * n]
    }

    /// `M = (diag + λ)^¾` with the objective's diagonal, if it has one.
    pub(super) fn precondition<F>(&mut self, objective: &F, damping: T)
    where
        F: SecondOrder<T> + ?Sized,
    {
        self.inverse.clear();
        self.inverse.resize(self.x.len(), T::zero());
        let target = ArrayViewMut1::from(&mut self.inverse[..]);
        if !objective.curvature_diagonal_into(target) {
            self.inverse.clear();
            return;
        }
        // Only ratios of entries matter. In units of the largest they are the same at any scale.
        let unit = power_of_two_below(norm_max(&self.inverse) + damping);
        for m in &mut self.inverse {
            *m = ((*m + damping) / unit).powf(T::of(-0.75));
        }
        if !self.inverse.iter().all(|&m| m > T::zero() && m.is_finite()) {
            self.inverse.clear();
        }
    }

    /// Minimises `½pᵀAp + gᵀp` from `start`, or from zero if that is no better.
    pub(super) fn solve<F>(
        &mut self,
        config: &HessianFree,
        a: &CurvatureOperator<'_, T, F>,
        g: &[T],
        start: &[T],
        max_products: usize,
    ) -> InnerStop
    where
        F: SecondOrder<T> + ?Sized,
    {
        self.kept.clear();
        self.vectors.clear();
        self.phis.clear();
        self.n_products = 0;
        if let Err(stop) = self.begin(a, g, start) {
            return stop;
        }
        let mut due = Schedule::new(config);
        let stop = self.iterate(config, a, g, max_products, &mut due);
        // The last iterate is kept in any case.
        if due.last_kept != self.phis.len() {
            self.keep();
        }
        stop
    }

    /// The residual `r = −g − Ap` at the start.
    fn begin<F>(
        &mut self,
        a: &CurvatureOperator<'_, T, F>,
        g: &[T],
        start: &[T],
    ) -> Result<(), InnerStop>
    where
        F: SecondOrder<T> + ?Sized,
    {
        self.x.copy_from_slice(start);
        let warm = start.iter().any(|&x| x != T::zero());
        if warm {
            apply(a, &self.x, &mut self.q);
            self.n_products += 1;
            if !norm2(&self.q).is_finite() {
                self.x.fill(T::zero());
                return Err(InnerStop::NonFinite(Quantity::Product));
            }
            let slope = dot(g, &self.x);
            let phi = slope + T::of(0.5) * dot(&self.x, &self.q);
            if phi.is_nan() || phi >= T::zero() {
                self.x.fill(T::zero());
                self.q.fill(T::zero());
            }
        } else {
            self.q.fill(T::zero());
        }
        for ((r, &g), &q) in self.r.iter_mut().zip(g).zip(&self.q) {
            *r = -g - q;
        }
        Ok(())
    }

    fn iterate<F>(
        &mut self,
        config: &HessianFree,
        a: &CurvatureOperator<'_, T, F>,
        g: &[T],
        max_products: usize,
        due: &mut Schedule,
    ) -> InnerStop
    where
        F: SecondOrder<T> + ?Sized,
    {
        let tol = T::of(config.relative_tolerance) * norm2(g);
        let mut ry = T::zero();
        for i in 1..=config.max_cg_iters {
            if norm2(&self.r) <= tol || self.n_products >= max_products {
                break;
            }
            let before = ry;
            ry = self.turn(before);
            apply(a, &self.d, &mut self.q);
            self.n_products += 1;
            let curvature = dot(&self.d, &self.q);
            if !curvature.is_finite() {
                return InnerStop::NonFinite(Quantity::Product);
            }
            if curvature <= T::zero() {
                return InnerStop::NegativeCurvature;
            }
            let alpha = ry / curvature;
            if !alpha.is_finite() {
                return InnerStop::NonFinite(Quantity::Point);
            }
            axpy(alpha, &self.d, &mut self.x);
            axpy(-alpha, &self.q, &mut self.r);
            // φ = ½pᵀ(g − r), without a product.
            let phi = T::of(0.5) * (dot(&self.x, g) - dot(&self.x, &self.r));
            self.phis.push(phi);
            if due.is_due(i) {
                self.keep();
            }
            if self.has_settled(config, i) {
                break;
            }
        }
        InnerStop::Done
    }

    /// `d ← M⁻¹r + βd`; returns `rᵀM⁻¹r`.
    fn turn(&mut self, before: T) -> T {
        let y = if self.inverse.is_empty() {
            &self.r
        } else {
            for ((y, &m), &r) in self.y.iter_mut().zip(&self.inverse).zip(&self.r) {
                *y = m * r;
            }
            &self.y
        };
        let ry = dot(&self.r, y);
        let beta = if before > T::zero() {
            ry / before
        } else {
            T::zero()
        };
        for (d, &y) in self.d.iter_mut().zip(y) {
            *d = y + beta * *d;
        }
        ry
    }

    /// Martens' test: over the last `k = max(10, ⌈i/10⌉)` iterations `φ` fell by less than `kε`
    /// of itself.
    fn has_settled(&self, config: &HessianFree, i: usize) -> bool {
        const LEAST_GAP: usize = 10;
        let k = LEAST_GAP.max(i.div_ceil(10));
        if i <= k {
            return false;
        }
        let (now, then) = (self.phis[i - 1], self.phis[i - 1 - k]);
        let fell = (now - then) / now;
        then < T::zero() && fell < T::of(k as f64 * config.progress_tolerance)
    }

    fn keep(&mut self) {
        let phi = self.phis.last().copied();
        let Some(phi) = phi else {
            return;
        };
        self.vectors.extend_from_slice(&self.x);
        let norm = norm2(&self.x);
        self.kept.push(Kept { phi, norm });
    }
}

/// Iterates `⌈5·1.3^j⌉` are kept.
struct Schedule {
    next: f64,
    growth: f64,
    last_kept: usize,
}

impl Schedule {
    fn new(config: &HessianFree) -> Self {
        Self {
            next: config.first_kept,
            growth: config.kept_growth,
            last_kept: 0,
        }
    }

    fn is_due(&mut self, i: usize) -> bool {
        if (i as f64) < self.next.ceil() {
            return false;
        }
        while (i as f64) >= self.next.ceil() {
            self.next *= self.growth;
        }
        self.last_kept = i;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterates_are_kept_at_growing_distances() {
        let mut due = Schedule::new(&HessianFree::default());
        let kept: Vec<usize> = (1..=60).filter(|&i| due.is_due(i)).collect();
        // ⌈5·1.3^j⌉
        assert_eq!(kept, [5, 7, 9, 11, 15, 19, 25, 32, 41, 54]);
        assert_eq!(due.last_kept, 54);
    }
}
