//! The iteration of minimum residuals.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};

use super::NegativeCurvature;
use super::minres::{MinresCurvature, MinresOutcome, MinresStats, MinresStop};
use super::preconditioner::{Preconditioner, precondition};
use crate::error::Quantity;
use crate::operator::{LinearOperator, apply};
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale};

/// When to stop, in the operator's type.
pub(super) struct Limits<T> {
    pub(super) relative: T,
    pub(super) absolute: T,
    pub(super) least_squares: T,
    pub(super) max_iters: usize,
    pub(super) curvature: MinresCurvature,
    /// Whether a product verifies the residual before an ending.
    pub(super) verify: bool,
}

/// The vectors of a solve, in units of a power of two near `‖b‖`.
pub(super) struct Run<'a, T, A: ?Sized, P: ?Sized> {
    a: &'a A,
    m: &'a P,
    limits: Limits<T>,
    unit: T,
    b: Vec<T>,
    x: Vec<T>,
    /// `x` at the last restart.
    start: Vec<T>,
    /// The last two Lanczos vectors before division by their norms.
    r1: Vec<T>,
    r2: Vec<T>,
    /// `M⁻¹ r2`; empty for `M = I`, where it is `r2`.
    y: Vec<T>,
    v: Vec<T>,
    q: Vec<T>,
    w: Vec<T>,
    w_old: Vec<T>,
    /// `M⁻¹ r` of the current iterate and the kept direction; empty if nobody asks.
    d: Vec<T>,
    kept: Vec<T>,
    /// `dᵀAd / dᵀd` of the kept direction, and the quotient with `dᵀMd` it was kept for.
    negative: Option<(T, T)>,
    n_iters: usize,
    n_products: usize,
    residual: T,
    normal: T,
    norm: T,
    pivots: (T, T),
    /// Whether an inner iteration has ended as [`Inner::Turned`]: one does, if endings are verified.
    turned: bool,
}

/// The rotations that turn the Lanczos matrix into a triangle (Saunders' signs, `c₀ = −1`).
struct Rotations<T> {
    c: T,
    s: T,
    /// `δ̄`, `ε` of the next column and the residual norm `φ̄`.
    delta_bar: T,
    epsilon: T,
    phi_bar: T,
}

/// How an inner iteration ended.
enum Inner {
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

/// `‖r‖` in the norm of `M⁻¹`; leaves `M⁻¹r` in `y` unless `M = I`.
fn dual_norm<T, P>(m: &P, r: &[T], y: &mut [T]) -> Result<T, MinresStop>
where
    T: Real,
    P: Preconditioner<T> + ?Sized,
{
    let bad = |what| Err(MinresStop::NonFinite { what });
    let plain = norm2(r);
    if !plain.is_finite() {
        return bad(Quantity::Product);
    }
    if m.is_identity() {
        return Ok(plain);
    }
    precondition(m, r, y);
    let square = dot(r, y);
    if !square.is_finite() {
        return bad(Quantity::Preconditioner);
    }
    if square < T::zero() || (square == T::zero() && norm2(y) > T::min_positive_value().sqrt()) {
        return Err(MinresStop::PreconditionerNotPositiveDefinite);
    }
    Ok(square.sqrt())
}

impl<'a, T, A, P> Run<'a, T, A, P>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    pub(super) fn new(
        a: &'a A,
        m: &'a P,
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
        limits: Limits<T>,
    ) -> Self {
        let n = a.dim();
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let scaled = |v: ArrayView1<'_, T>| v.iter().map(|&v| v / unit).collect::<Vec<T>>();
        let zeros = |wanted: bool| vec![T::zero(); if wanted { n } else { 0 }];
        let keep = limits.curvature != MinresCurvature::Ignore;
        Self {
            a,
            m,
            unit,
            b: scaled(b),
            x: x0.map_or_else(|| zeros(true), scaled),
            start: zeros(true),
            r1: zeros(true),
            r2: zeros(true),
            y: zeros(!m.is_identity()),
            v: zeros(true),
            q: zeros(true),
            w: zeros(true),
            w_old: zeros(true),
            d: zeros(keep),
            kept: zeros(keep),
            turned: !limits.verify,
            limits,
            negative: None,
            n_iters: 0,
            n_products: 0,
            residual: T::zero(),
            normal: T::zero(),
            norm: T::zero(),
            pivots: (T::zero(), T::infinity()),
        }
    }

    pub(super) fn solve(mut self, warm: bool) -> MinresOutcome<T> {
        let mut stop = match self.outer(warm) {
            Ok(stop) | Err(stop) => stop,
        };
        scale(self.unit, &mut self.x);
        if !all_finite(&self.x) {
            // The solution is beyond the range of the type.
            self.x.fill(T::zero());
            self.residual = norm2(&self.b);
            stop = MinresStop::NonFinite {
                what: Quantity::Point,
            };
        }
        let (largest, smallest) = self.pivots;
        let stats = MinresStats {
            n_iters: self.n_iters,
            n_products: self.n_products,
            residual_norm: (self.residual * self.unit).as_f64(),
            normal_residual_norm: (self.normal * self.unit).as_f64(),
            operator_norm: self.norm.as_f64(),
            condition: if largest > T::zero() {
                (largest / smallest).as_f64()
            } else {
                1.0
            },
        };
        let direction = self.kept;
        let negative_curvature = self.negative.map(|(rayleigh, _)| NegativeCurvature {
            direction: Array1::from_vec(direction),
            rayleigh,
        });
        MinresOutcome {
            x: Array1::from_vec(self.x),
            negative_curvature,
            stop,
            stats,
        }
    }

    /// Runs until the *true* residual is within tolerance, restarting while that helps.
    fn outer(&mut self, warm: bool) -> Result<MinresStop, MinresStop> {
        const MAX_LIFTS: usize = 3;
        self.r2.copy_from_slice(&self.b);
        let b_norm = dual_norm(self.m, &self.r2, &mut self.y)?;
        self.residual = b_norm;
        let tol = (self.limits.relative * b_norm).max(self.limits.absolute / self.unit);
        if warm {
            self.true_residual()?;
        }
        let mut before = T::infinity();
        let mut lifts = 0;
        loop {
            if self.residual <= tol {
                return Ok(MinresStop::Converged);
            }
            // Each restart has to halve the true residual, so there are finitely many.
            if self.residual > T::of(0.5) * before {
                return self.at_rest();
            }
            before = self.residual;
            self.start.copy_from_slice(&self.x);
            let ended = self.inner(tol)?;
            match ended {
                Inner::Stop(MinresStop::NegativeCurvature) => {
                    return Ok(MinresStop::NegativeCurvature);
                }
                Inner::Stop(stop) if !self.limits.verify && stop != MinresStop::LeastSquares => {
                    return Ok(stop);
                }
                Inner::Done if !self.limits.verify => return Ok(MinresStop::Converged),
                _ => {}
            }
            let promised = self.residual;
            self.true_residual()?;
            // Rounding spoils the update of x with the square of the condition. After a lift the
            // residual is the least there is, and stays so up to rounding.
            let slack = if lifts > 0 {
                T::epsilon().sqrt()
            } else {
                T::zero()
            };
            if self.residual > before * (T::one() + slack) {
                self.x.copy_from_slice(&self.start);
                self.true_residual()?;
                return self.at_rest();
            }
            let kept = self.residual <= T::of(2.0) * promised;
            match ended {
                Inner::Done => {}
                Inner::Stop(MinresStop::LeastSquares) | Inner::Turned
                    if kept && self.is_least_squares()? =>
                {
                    let Some(share) = self.lift()? else {
                        return Ok(MinresStop::LeastSquares);
                    };
                    lifts += 1;
                    if lifts == MAX_LIFTS {
                        // The last one was small: better without it.
                        axpy(share, &self.start, &mut self.x);
                        self.true_residual()?;
                        return self.at_rest();
                    }
                    before = T::infinity();
                }
                // From here a new Krylov space sees what the old one lost.
                Inner::Turned => before = T::infinity(),
                Inner::Stop(MinresStop::LeastSquares) => {}
                Inner::Stop(stop) => return Ok(stop),
            }
        }
    }

    /// `r2 ← b − A x` by a product, and its norm.
    fn true_residual(&mut self) -> Result<(), MinresStop> {
        apply(self.a, &self.x, &mut self.r2);
        self.n_products += 1;
        for (r, &b) in self.r2.iter_mut().zip(&self.b) {
            *r = b - *r;
        }
        self.residual = dual_norm(self.m, &self.r2, &mut self.y)?;
        Ok(())
    }

    /// What to say where restarts no longer help; `r2` is the true residual.
    fn at_rest(&mut self) -> Result<MinresStop, MinresStop> {
        let found = self.is_least_squares()?;
        Ok(if found {
            MinresStop::LeastSquares
        } else {
            MinresStop::Stagnated
        })
    }

    /// Computes `A M⁻¹ r` and its norm; whether that is what the recurrence promised, within
    /// a factor of two.
    fn is_least_squares(&mut self) -> Result<bool, MinresStop> {
        let y = if self.m.is_identity() {
            &self.r2
        } else {
            &self.y
        };
        apply(self.a, y, &mut self.q);
        self.n_products += 1;
        self.normal = dual_norm(self.m, &self.q, &mut self.v)?;
        Ok(self.normal <= self.promised())
    }

    /// Twice what `‖A r‖` has to be.
    fn promised(&self) -> T {
        T::of(2.0) * self.limits.least_squares * self.norm * self.residual
    }

    /// Takes out of `x` what the null vector `M⁻¹r` contributes; `q` holds `A M⁻¹ r`, and `start`
    /// keeps the vector. `Some(share)` if that was so much that the roughness of the null vector
    /// now shows in `‖Ar‖`: what it has spoiled a restart mends, and the next lift is a small one.
    fn lift(&mut self) -> Result<Option<T>, MinresStop> {
        let square = self.residual * self.residual;
        if square <= T::zero() {
            return Ok(None);
        }
        let share = dot(&self.r2, &self.x) / square;
        let y = if self.m.is_identity() {
            &self.r2
        } else {
            &self.y
        };
        self.start.copy_from_slice(y);
        axpy(-share, &self.start, &mut self.x);
        // The new residual is r + share·A M⁻¹r.
        axpy(share, &self.q, &mut self.r2);
        let (before, normal) = (self.residual, self.normal);
        self.residual = dual_norm(self.m, &self.r2, &mut self.y)?;
        if self.residual <= before * (T::one() + T::epsilon().sqrt()) {
            return Ok((!self.is_least_squares()?).then_some(share));
        }
        // Not a null vector after all: the system is ill-conditioned, not singular.
        axpy(share, &self.start, &mut self.x);
        (self.residual, self.normal) = (before, normal);
        Ok(None)
    }

    /// Iterates on the residual in `r2` until it ends. An `Err` leaves the iterate before.
    fn inner(&mut self, tol: T) -> Result<Inner, MinresStop> {
        let mut beta = self.residual;
        let mut beta_old = T::zero();
        let mut first = true;
        let mut lowest = T::infinity();
        let mut rotations = Rotations::new(beta);
        self.w.fill(T::zero());
        self.w_old.fill(T::zero());
        let y = if self.m.is_identity() {
            &self.r2
        } else {
            &self.y
        };
        self.d.iter_mut().zip(y).for_each(|(d, &y)| *d = y);
        while self.residual > tol {
            if self.n_iters >= self.limits.max_iters {
                return Ok(Inner::Stop(MinresStop::MaxIterations));
            }
            let (alpha, beta_next) = self.lanczos(beta, beta_old)?;
            (beta_old, beta) = (beta, beta_next);
            // Column k of the Lanczos matrix; the first β is ‖r‖, no entry of it.
            let above = if first { T::zero() } else { beta_old };
            first = false;
            self.norm = self.norm.max(alpha.hypot(beta).hypot(above));
            let column = rotations.column(alpha, beta);
            self.normal = rotations.phi_bar * column.normal;
            let negative = column.rayleigh <= T::epsilon() * self.norm;
            if negative {
                self.keep_direction(column.rayleigh, rotations.phi_bar);
            }
            if column.normal <= self.limits.least_squares * self.norm {
                return Ok(Inner::Stop(MinresStop::LeastSquares));
            }
            if self.turns(&column, beta, &mut lowest) {
                return Ok(Inner::Turned);
            }
            if negative && self.limits.curvature == MinresCurvature::Stop {
                return Ok(Inner::Stop(MinresStop::NegativeCurvature));
            }
            let (gamma, phi) = rotations.turn(column.gamma_bar, beta);
            if !(phi / gamma).is_finite() {
                return Ok(Inner::Stop(MinresStop::Stagnated));
            }
            self.pivots = (self.pivots.0.max(gamma), self.pivots.1.min(gamma));
            self.update(&column, gamma, phi);
            self.update_residual(&rotations, beta);
            self.n_iters += 1;
            self.residual = rotations.phi_bar;
            // What is left of the next Lanczos vector is rounding.
            if beta <= T::epsilon() * self.norm {
                break;
            }
        }
        Ok(Inner::Done)
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
    fn lanczos(&mut self, beta: T, beta_old: T) -> Result<(T, T), MinresStop> {
        let y = if self.m.is_identity() {
            &self.r2
        } else {
            &self.y
        };
        for (v, &y) in self.v.iter_mut().zip(y) {
            *v = y / beta;
        }
        apply(self.a, &self.v, &mut self.q);
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
        let next = dual_norm(self.m, &self.r2, &mut self.y)?;
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
    fn update_residual(&mut self, rotations: &Rotations<T>, beta: T) {
        if self.d.is_empty() || beta <= T::zero() {
            return;
        }
        let y = if self.m.is_identity() {
            &self.r2
        } else {
            &self.y
        };
        let keep = rotations.s * rotations.s;
        let add = rotations.phi_bar * rotations.c / beta;
        for (d, &y) in self.d.iter_mut().zip(y) {
            *d = keep * *d - add * y;
        }
    }

    /// Keeps the residual as a direction if its curvature is the lowest so far.
    fn keep_direction(&mut self, rayleigh: T, phi_bar: T) {
        let lowest = self.negative.is_none_or(|(_, lowest)| rayleigh < lowest);
        if self.d.is_empty() || !lowest {
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
        self.negative = Some((rayleigh * ratio * ratio, rayleigh));
    }
}
