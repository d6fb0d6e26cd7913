//! How accurately a Newton system is solved.

use ad_core::Real;
use serde::{Deserialize, Serialize};

/// The forcing sequence `ηₖ`: conjugate gradients stop at `‖g + Hp‖ ≤ ηₖ‖g‖`.
///
/// Accuracy far from the solution is wasted; near it, `ηₖ → 0` is what makes the
/// convergence superlinear (Dembo, Eisenstat & Steihaug 1982).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Forcing {
    /// `ηₖ = min(cap, γₖ^exponent)` with `γₖ = min(‖gₖ‖, ‖gₖ‖/‖g₀‖)`.
    ///
    /// The exponent ½ gives superlinear, 1 quadratic convergence. Measuring relative to
    /// `g₀` as well makes the sequence work for objectives of any scale.
    Power {
        /// The largest `η`.
        cap: f64,
        /// The order of convergence less one.
        exponent: f64,
    },
    /// `ηₖ` is this constant: a small one gives (nearly) exact Newton steps.
    Constant(f64),
}

impl Default for Forcing {
    /// `Power { cap: 0.5, exponent: 0.5 }`.
    fn default() -> Self {
        Self::Power {
            cap: 0.5,
            exponent: 0.5,
        }
    }
}

impl Forcing {
    /// `ηₖ` for the current and the first gradient norm.
    pub(crate) fn eta<T: Real>(self, g_norm: T, g_norm_start: T) -> f64 {
        match self {
            Self::Constant(eta) => eta,
            Self::Power { cap, exponent } => {
                let g = g_norm.as_f64();
                let start = g_norm_start.as_f64();
                let relative = if start > 0.0 { g / start } else { 1.0 };
                g.min(relative).powf(exponent).min(cap)
            }
        }
    }

    /// Whether the settings make sense.
    pub(crate) fn is_usable(self) -> bool {
        let unit = |v: f64| (0.0..1.0).contains(&v);
        match self {
            Self::Constant(eta) => unit(eta),
            Self::Power { cap, exponent } => unit(cap) && exponent >= 0.0 && exponent.is_finite(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_with_the_gradient_at_every_scale() {
        let f = Forcing::default();
        for scale in [1e-6, 1.0, 1e6] {
            let etas: Vec<f64> = [1.0, 1e-2, 1e-8]
                .map(|g| f.eta(g * scale, scale))
                .into_iter()
                .collect();
            assert!(etas[0] <= 0.5 && etas[1] <= 0.1 + 1e-15 && etas[2] <= 1e-4 + 1e-15);
        }
        assert!(!Forcing::Constant(1.0).is_usable());
        assert!(!Forcing::Constant(f64::NAN).is_usable());
    }
}
