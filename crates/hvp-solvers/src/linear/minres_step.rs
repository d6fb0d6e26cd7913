//! One iteration of minimum residuals.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::minres::{MinresCurvature, MinresStop};
use super::minres_state::MinresState;
use super::minres_verify::dual_norm;
use super::preconditioner::Preconditioner;
use crate::bits;
use crate::error::Quantity;
use crate::operator::{LinearOperator, apply};
use crate::vector::{axpy, dot, norm2, scale};

/// The rotations that turn the Lanczos matrix into a triangle (Saunders' signs, `c₀ = −1`).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
struct Rotations<T> {
    #[serde(with = "bits::scalar")]
    c: T,
    #[serde(with = "bits::scalar")]
    s: T,
    /// `δ̄`, `ε` of the next column and the residual norm `φ̄`.
    #[serde(with = "bits::scalar")]
    delta_bar: T,
    #[serde(with = "bits::scalar")]
    epsilon: T,
    #[serde(with = "bits::scalar")]
    phi_bar: T,
}

/// The numbers of the recurrence between two iterations.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct Recurrence<T> {
    rotations: Rotations<T>,
    /// The last two entries beside the diagonal; the first one is `‖r‖`, none of the matrix.
    #[serde(with = "bits::scalar")]
    beta: T,
    #[serde(with = "bits::scalar")]
    beta_old: T,
    first: bool,
    /// The lowest `‖Ar‖/‖r‖` so far.
    #[serde(with = "bits::scalar")]
    lowest: T,
}

impl<T: Real> Recurrence<T> {
    /// From a residual of this norm.
    pub(super) fn new(residual: T) -> Self {
        Self {
            rotations: Rotations::new(residual),
            beta: residual,
            beta_old: T::zero(),
            first: true,
            lowest: T::infinity(),
        }
    }
}

/// How a recurrence ended.
pub(super) enum Inner {
    /// The recurrence of the residual is within tolerance, or the Krylov space is exhausted.
    Done,
    /// `‖Ar‖` has come near its tolerance and rises again. Beyond the least-squares solution of
    /// a singular system the recurrences live on lost orthogonality: what they promise is not so.
    Turned,
    Stop(MinresStop),
}

/// One column of the triangle, before its rotation.
struct Column<T> {
    epsilon: T,
    delta: T,
    gamma_bar: T,
    /// `‖A r_{k−1}‖ / ‖r_{k−1}‖` and the Rayleigh quotient of `r_{k−1}`.
    normal: T,
    rayleigh: T,
}

impl<T: Real> Rotations<T> {
    fn new(beta: T) -> Self {
        Self {
            c: -T::one(),
            s: T::zero(),
            delta_bar: T::zero(),
            epsilon: T::zero(),
            phi_bar: beta,
        }
    }

    /// Applies the earlier rotations to the column `(α, β)`.
    fn column(&mut self, alpha: T, beta: T) -> Column<T> {
        let delta = self.c * self.delta_bar + self.s * alpha;
        let gamma_bar = self.s * self.delta_bar - self.c * alpha;
        let epsilon = self.epsilon;
        self.epsilon = self.s * beta;
        self.delta_bar = -self.c * beta;
        Column {
            epsilon,
            delta,
            gamma_bar,
            normal: gamma_bar.hypot(self.delta_bar),
            rayleigh: -self.c * gamma_bar,
        }
    }

    /// The new rotation; returns the pivot `γ` and the coefficient `φ`.
    fn turn(&mut self, gamma_bar: T, beta: T) -> (T, T) {
        let gamma = gamma_bar.hypot(beta);
        self.c = gamma_bar / gamma;
        self.s = beta / gamma;
        let phi = self.c * self.phi_bar;
        self.phi_bar *= self.s;
        (gamma, phi)
    }
}

impl<T: Real> MinresState<T> {
    /// One iteration; `None` to go on. An `Err` leaves the iterate before.
    pub(super) fn advance_recurrence<A, P>(
        &mut self,
        a: &A,
        m: &P,
        now: &mut Recurrence<T>,
    ) -> Result<Option<Inner>, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let stop = |stop| Ok(Some(Inner::Stop(stop)));
        if self.n_iters >= self.limits.max_iters {
            return stop(MinresStop::MaxIterations);
        }
        let (alpha, beta) = self.lanczos(a, m, now.beta, now.beta_old)?;
        (now.beta_old, now.beta) = (now.beta, beta);
        let above = if now.first { T::zero() } else { now.beta_old };
        now.first = false;
        self.norm = self.norm.max(alpha.hypot(beta).hypot(above));
        let column = now.rotations.column(alpha, beta);
        self.normal = now.rotations.phi_bar * column.normal;
        let negative = column.rayleigh <= T::epsilon() * self.norm;
        if negative {
            self.keep_direction(column.rayleigh, now.rotations.phi_bar);
        }
        if column.normal <= self.limits.least_squares * self.norm {
            return stop(MinresStop::LeastSquares);
        }
        if self.turns(&column, beta, &mut now.lowest) {
            return Ok(Some(Inner::Turned));
        }
        if negative && self.limits.curvature == MinresCurvature::Stop {
            return stop(MinresStop::NegativeCurvature);
        }
        let (gamma, phi) = now.rotations.turn(column.gamma_bar, beta);
        if !(phi / gamma).is_finite() {
            return stop(MinresStop::Stagnated);
        }
        self.largest = self.largest.max(gamma);
        self.smallest = self.smallest.min(gamma);
        self.update(&column, gamma, phi);
        self.update_residual(m.is_identity(), &now.rotations, beta);
        self.n_iters += 1;
        self.residual = now.rotations.phi_bar;
        // What is left of the next Lanczos vector is rounding, or the residual is small enough.
        let done = beta <= T::epsilon() * self.norm || self.residual <= self.tol;
        Ok(done.then_some(Inner::Done))
    }

    /// Whether `‖Ar‖/‖r‖` has been within ten times the least-squares tolerance, or within what
    /// rounding leaves of it, and now rises or makes a step beyond what rounding allows.
    fn turns(&mut self, column: &Column<T>, beta: T, lowest: &mut T) -> bool {
        let near = T::of(10.0) * self.limits.least_squares.max(T::epsilon().sqrt());
        let gamma = column.gamma_bar.hypot(beta);
        // The length of the step, in units of ‖r‖/‖A‖.
        let step = column.gamma_bar.abs() / gamma * (self.norm / gamma);
        let wild = step > (T::of(10.0) * T::epsilon().sqrt()).recip();
        *lowest = lowest.min(column.normal);
        let turned = *lowest <= near * self.norm && (wild || column.normal > *lowest);
        let first = turned && !self.turned;
        self.turned |= turned;
        first
    }

    /// One step of the three-term recurrence; returns `α` and the new `β`.
    fn lanczos<A, P>(&mut self, a: &A, m: &P, beta: T, beta_old: T) -> Result<(T, T), MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let y = if m.is_identity() { &self.r2 } else { &self.y };
        for (v, &y) in self.v.iter_mut().zip(y) {
            *v = y / beta;
        }
        apply(a, &self.v, &mut self.q);
        self.n_products += 1;
        if beta_old > T::zero() {
            axpy(-beta / beta_old, &self.r1, &mut self.q);
        }
        let alpha = dot(&self.v, &self.q);
        if !alpha.is_finite() {
            return Err(MinresStop::NonFinite {
                what: Quantity::Product,
            });
        }
        axpy(-alpha / beta, &self.r2, &mut self.q);
        std::mem::swap(&mut self.r1, &mut self.r2);
        std::mem::swap(&mut self.r2, &mut self.q);
        let next = dual_norm(m, &self.r2, &mut self.y)?;
        Ok((alpha, next))
    }

    /// `w ← (v − ε w₋₂ − δ w₋₁)/γ`, `x ← x + φ w`.
    fn update(&mut self, column: &Column<T>, gamma: T, phi: T) {
        let w = self.w_old.iter_mut().zip(&self.w);
        for ((old, &last), &v) in w.zip(&self.v) {
            *old = (v - column.epsilon * *old - column.delta * last) / gamma;
        }
        std::mem::swap(&mut self.w, &mut self.w_old);
        axpy(phi, &self.w, &mut self.x);
    }

    /// `d ← s² d − φ̄ c v_{k+1}`: the residual follows from its predecessor.
    fn update_residual(&mut self, identity: bool, rotations: &Rotations<T>, beta: T) {
        if self.d.is_empty() || beta <= T::zero() {
            return;
        }
        let y = if identity { &self.r2 } else { &self.y };
        let keep = rotations.s * rotations.s;
        let add = rotations.phi_bar * rotations.c / beta;
        for (d, &y) in self.d.iter_mut().zip(y) {
            *d = keep * *d - add * y;
        }
    }

    /// Keeps the residual as a direction if its curvature is the lowest so far.
    fn keep_direction(&mut self, rayleigh: T, phi_bar: T) {
        let higher = self.has_kept && rayleigh >= self.lowest_rayleigh;
        if self.d.is_empty() || higher {
            return;
        }
        let length = norm2(&self.d);
        if !(length > T::zero() && length.is_finite()) {
            return;
        }
        self.kept.copy_from_slice(&self.d);
        scale(length.recip(), &mut self.kept);
        // dᵀAd = −c γ̄ dᵀMd, and ‖d‖_M is the residual norm.
        let ratio = phi_bar / length;
        (self.has_kept, self.lowest_rayleigh) = (true, rayleigh);
        self.rayleigh = rayleigh * ratio * ratio;
    }
}
