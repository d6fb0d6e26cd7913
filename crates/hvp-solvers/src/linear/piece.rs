//! The path of conjugate gradients, piece by piece.

use ad_core::Real;

use super::boundary::boundary_steps;

/// One straight piece of the path: `z + τd`, `τ ≥ 0`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<T> {
    /// `‖z‖²_M`, `zᵀMd`, `‖d‖²_M` where the piece starts.
    pub(super) zz: T,
    pub(super) zd: T,
    pub(super) dd: T,
    /// The model along the piece: `model + τ·slope + ½τ²·curvature`.
    pub(super) model: T,
    pub(super) slope: T,
    pub(super) curvature: T,
    /// `dᵀBd / dᵀd`.
    pub(super) rayleigh: T,
    /// Whether the curvature counts as nonpositive.
    pub(super) negative: bool,
}

impl<T: Real> Piece<T> {
    pub(super) fn model_at(&self, tau: T) -> T {
        self.model + tau * (self.slope + T::of(0.5) * tau * self.curvature)
    }

    /// `‖z + τd‖_M`.
    pub(super) fn norm_at(&self, tau: T) -> T {
        let squared = self.zz + tau * (T::of(2.0) * self.zd + tau * self.dd);
        squared.max(T::zero()).sqrt()
    }

    /// The minimiser along the piece.
    pub(super) fn alpha(&self) -> T {
        -self.slope / self.curvature
    }

    /// The step to the boundary if the piece leaves the ball of this radius.
    pub(super) fn leaves(&self, radius: T) -> Option<T> {
        if self.negative {
            let (minus, plus) = boundary_steps(self.zz, self.zd, self.dd, radius)?;
            let back = self.model_at(minus) < self.model_at(plus);
            return Some(if back { minus } else { plus });
        }
        // Written so that an infinite or NaN norm counts as outside.
        if self.norm_at(self.alpha()) < radius {
            return None;
        }
        boundary_steps(self.zz, self.zd, self.dd, radius).map(|(_, plus)| plus)
    }
}
