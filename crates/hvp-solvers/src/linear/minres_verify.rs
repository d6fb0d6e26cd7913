//! What holds the recurrence of minimum residuals against true residuals, and lifts solutions of
//! least squares.

use ad_core::Real;

use super::minres::MinresStop;
use super::minres_state::MinresState;
use super::minres_step::Inner;
use super::preconditioner::{Preconditioner, precondition};
use crate::error::Quantity;
use crate::operator::{LinearOperator, apply};
use crate::vector::{axpy, dot, norm2};

/// `‖r‖` in the norm of `M⁻¹`; leaves `M⁻¹r` in `y` unless `M = I`.
pub(super) fn dual_norm<T, P>(m: &P, r: &[T], y: &mut [T]) -> Result<T, MinresStop>
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

impl<T: Real> MinresState<T> {
    /// Holds what the recurrence promised against the true residual; an ending, or `None` for a
    /// restart.
    pub(super) fn verify<A, P>(
        &mut self,
        a: &A,
        m: &P,
        ended: Inner,
    ) -> Result<Option<MinresStop>, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let promised = self.residual;
        self.true_residual(a, m)?;
        // Rounding spoils the update of x with the square of the condition. After a lift the
        // residual is the least there is, and stays so up to rounding.
        let slack = if self.lifts > 0 {
            T::epsilon().sqrt()
        } else {
            T::zero()
        };
        if self.residual > self.before * (T::one() + slack) {
            self.x.copy_from_slice(&self.start);
            self.true_residual(a, m)?;
            return self.at_rest(a, m).map(Some);
        }
        let kept = self.residual <= T::of(2.0) * promised;
        match ended {
            Inner::Done => Ok(None),
            Inner::Stop(MinresStop::LeastSquares) | Inner::Turned
                if kept && self.is_least_squares(a, m)? =>
            {
                self.lift(a, m)
            }
            Inner::Turned => {
                // From here a new Krylov space sees what the old one lost.
                self.before = T::infinity();
                Ok(None)
            }
            Inner::Stop(MinresStop::LeastSquares) => Ok(None),
            Inner::Stop(stop) => Ok(Some(stop)),
        }
    }

    /// `r2 ← b − A x` by a product, and its norm.
    pub(super) fn true_residual<A, P>(&mut self, a: &A, m: &P) -> Result<(), MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        apply(a, &self.x, &mut self.r2);
        self.n_products += 1;
        for (r, &b) in self.r2.iter_mut().zip(&self.b) {
            *r = b - *r;
        }
        self.residual = dual_norm(m, &self.r2, &mut self.y)?;
        Ok(())
    }

    /// What to say where restarts no longer help; `r2` is the true residual.
    pub(super) fn at_rest<A, P>(&mut self, a: &A, m: &P) -> Result<MinresStop, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let found = self.is_least_squares(a, m)?;
        Ok(if found {
            MinresStop::LeastSquares
        } else {
            MinresStop::Stagnated
        })
    }

    /// Computes `A M⁻¹ r` and its norm; whether that is what the recurrence promised, within
    /// a factor of two.
    fn is_least_squares<A, P>(&mut self, a: &A, m: &P) -> Result<bool, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let y = if m.is_identity() { &self.r2 } else { &self.y };
        apply(a, y, &mut self.q);
        self.n_products += 1;
        self.normal = dual_norm(m, &self.q, &mut self.v)?;
        let promised = self.limits.least_squares * self.norm * self.residual;
        Ok(self.normal <= T::of(2.0) * promised)
    }

    /// Takes out of `x` what the null vector `M⁻¹r` contributes; `q` holds `A M⁻¹ r`.
    ///
    /// If that was so much that the roughness of the null vector now shows in `‖Ar‖`, a restart
    /// mends what it has spoiled, and the next lift is a small one.
    fn lift<A, P>(&mut self, a: &A, m: &P) -> Result<Option<MinresStop>, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        const MAX_LIFTS: u32 = 3;
        let square = self.residual * self.residual;
        if square <= T::zero() {
            return Ok(Some(MinresStop::LeastSquares));
        }
        let share = dot(&self.r2, &self.x) / square;
        let y = if m.is_identity() { &self.r2 } else { &self.y };
        self.start.copy_from_slice(y);
        axpy(-share, &self.start, &mut self.x);
        // The new residual is r + share·A M⁻¹r.
        axpy(share, &self.q, &mut self.r2);
        let (before, normal) = (self.residual, self.normal);
        self.residual = dual_norm(m, &self.r2, &mut self.y)?;
        if self.residual > before * (T::one() + T::epsilon().sqrt()) {
            // Not a null vector after all: the system is ill-conditioned, not singular.
            axpy(share, &self.start, &mut self.x);
            (self.residual, self.normal) = (before, normal);
            return Ok(Some(MinresStop::LeastSquares));
        }
        if self.is_least_squares(a, m)? {
            return Ok(Some(MinresStop::LeastSquares));
        }
        self.lifts += 1;
        if self.lifts < MAX_LIFTS {
            self.before = T::infinity();
            return Ok(None);
        }
        // The last one was small: better without it.
        axpy(share, &self.start, &mut self.x);
        self.true_residual(a, m)?;
        self.at_rest(a, m).map(Some)
    }
}
