//! The factorisations of LSMR, in the notation of Fong & Saunders (2011).

use ad_core::Real;
use serde::{Deserialize, Serialize};

use crate::bits;

/// What the recurrence knows without looking at a vector.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct Figures<T> {
    /// `‖r̄‖` and `‖Āᵀr̄‖`.
    #[serde(with = "bits::scalar")]
    pub(super) residual: T,
    #[serde(with = "bits::scalar")]
    pub(super) normal: T,
    /// `‖x‖`.
    #[serde(with = "bits::scalar")]
    pub(super) solution: T,
    /// `‖A‖` and the condition.
    #[serde(with = "bits::scalar")]
    pub(super) operator: T,
    #[serde(with = "bits::scalar")]
    pub(super) condition: T,
}

/// A rotation `(c, s)` with `[c s; s −c][a; b] = [r; 0]`.
fn rotation<T: Real>(a: T, b: T) -> (T, T, T) {
    let r = a.hypot(b);
    if r == T::zero() {
        return (T::one(), T::zero(), r);
    }
    (a / r, b / r, r)
}

/// The numbers of the two QR factorisations.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct Factors<T> {
    #[serde(with = "bits::scalar")]
    alpha_bar: T,
    #[serde(with = "bits::scalar")]
    rho: T,
    #[serde(with = "bits::scalar")]
    rho_bar: T,
    #[serde(with = "bits::scalar")]
    c_bar: T,
    #[serde(with = "bits::scalar")]
    s_bar: T,
    #[serde(with = "bits::scalar")]
    zeta: T,
    #[serde(with = "bits::scalar")]
    zeta_bar: T,
    /// Largest and smallest `ρ̄`.
    #[serde(with = "bits::scalar")]
    largest: T,
    #[serde(with = "bits::scalar")]
    smallest: T,
    residual: ResidualFactors<T>,
}

/// The numbers that estimate `‖r̄‖`: a third factorisation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
struct ResidualFactors<T> {
    #[serde(with = "bits::scalar")]
    beta_dd: T,
    #[serde(with = "bits::scalar")]
    beta_d: T,
    #[serde(with = "bits::scalar")]
    rho_d: T,
    #[serde(with = "bits::scalar")]
    tau: T,
    #[serde(with = "bits::scalar")]
    theta: T,
    /// What damping leaves for good.
    #[serde(with = "bits::scalar")]
    lost: T,
}

/// Coefficients of the vectors' updates.
pub(super) struct Update<T> {
    pub(super) h_bar: T,
    pub(super) x: T,
    pub(super) h: T,
}

impl<T: Real> Factors<T> {
    pub(super) fn new(alpha: T, beta: T) -> Self {
        let (zero, one) = (T::zero(), T::one());
        Self {
            alpha_bar: alpha,
            rho: one,
            rho_bar: one,
            c_bar: one,
            s_bar: zero,
            zeta: zero,
            zeta_bar: alpha * beta,
            largest: zero,
            smallest: T::infinity(),
            residual: ResidualFactors {
                beta_dd: beta,
                beta_d: zero,
                rho_d: one,
                tau: zero,
                theta: zero,
                lost: zero,
            },
        }
    }

    /// Takes in the next `α` and `β`.
    pub(super) fn advance(
        &mut self,
        alpha: T,
        beta: T,
        damping: T,
        figures: &mut Figures<T>,
    ) -> Update<T> {
        let (c_hat, s_hat, alpha_hat) = rotation(self.alpha_bar, damping);
        let (rho_old, rho_bar_old) = (self.rho, self.rho_bar);
        let (c, s, rho) = rotation(alpha_hat, beta);
        let theta = s * alpha;
        self.alpha_bar = c * alpha;
        let theta_bar = self.s_bar * rho;
        let before = self.c_bar * rho;
        let (c_bar, s_bar, rho_bar) = rotation(before, theta);
        let zeta_old = self.zeta;
        self.zeta = c_bar * self.zeta_bar;
        self.zeta_bar = -s_bar * self.zeta_bar;
        (self.rho, self.rho_bar, self.c_bar, self.s_bar) = (rho, rho_bar, c_bar, s_bar);

        let r = &mut self.residual;
        let (beta_acute, beta_check) = (c_hat * r.beta_dd, -s_hat * r.beta_dd);
        let beta_hat = c * beta_acute;
        r.beta_dd = -s * beta_acute;
        let (c_tilde, s_tilde, rho_tilde) = rotation(r.rho_d, theta_bar);
        let theta_old = r.theta;
        r.theta = s_tilde * rho_bar;
        r.rho_d = c_tilde * rho_bar;
        r.beta_d = -s_tilde * r.beta_d + c_tilde * beta_hat;
        r.tau = (zeta_old - theta_old * r.tau) / rho_tilde;
        let tau_d = (self.zeta - r.theta * r.tau) / r.rho_d;
        r.lost = r.lost.hypot(beta_check);
        figures.residual = r.lost.hypot(r.beta_d - tau_d).hypot(r.beta_dd);
        figures.normal = self.zeta_bar.abs();

        // ρ̄ of this iteration is not final yet: its successor's rotation will change it.
        figures.condition = self.largest.max(before.abs()) / self.smallest.min(before.abs());
        self.largest = self.largest.max(rho_bar);
        self.smallest = self.smallest.min(rho_bar);
        Update {
            // In this order nothing overflows: quotients of numbers of one size.
            h_bar: (theta_bar / rho_bar_old) * (rho / rho_old),
            x: self.zeta / rho / rho_bar,
            h: theta / rho,
        }
    }
}
