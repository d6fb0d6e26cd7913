//! How accurately a Newton system is solved.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use crate::bits;
use crate::error::{SolverError, check_setting};

/// The forcing sequence `ηₖ`: conjugate gradients stop at `‖g + Hp‖ ≤ ηₖ‖g‖`.
///
/// Accuracy far from the solution is wasted; near it, `ηₖ → 0` is what makes the
/// convergence superlinear (Dembo, Eisenstat & Steihaug 1982).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Forcing {
    /// `ηₖ = min(cap, γₖ^exponent)` with `γₖ = ‖gₖ‖/‖g₀‖`.
    ///
    /// The exponent ½ gives superlinear, 1 quadratic convergence. Measured relative to
    /// `g₀`, the sequence is the same in all units of `f` and `x`.
    Power {
        /// The largest `η`.
        cap: f64,
        /// The order of convergence less one.
        exponent: f64,
    },
    /// `ηₖ = min(cap, γ(‖gₖ‖/‖gₖ₋₁‖)^exponent)`, and not below `γ ηₖ₋₁^exponent` while that is
    /// above 0.1: the second choice of Eisenstat & Walker (1996), which asks for the accuracy
    /// that the last step has shown to be worth while. They recommend `γ = 0.9` and the
    /// exponent 2; the order of convergence is the exponent.
    EisenstatWalker {
        /// The largest `η`, and the first.
        cap: f64,
        /// The factor `γ ≤ 1`.
        gamma: f64,
        /// The order of convergence, in (1, 2].
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
    /// The second choice of Eisenstat & Walker with their constants: `cap` 0.5, `γ` 0.9 and
    /// exponent 2.
    pub fn eisenstat_walker() -> Self {
        Self::EisenstatWalker {
            cap: 0.5,
            gamma: 0.9,
            exponent: 2.0,
        }
    }

    /// `ηₖ` for the current and the first gradient norm. The memory belongs to the run.
    pub(crate) fn eta<T: Real>(self, g_norm: T, g_norm_start: T, memory: &mut Memory) -> f64 {
        /// A safeguard below this would only hold back.
        const SAFEGUARD: f64 = 0.1;
        match self {
            Self::Constant(eta) => eta,
            Self::EisenstatWalker {
                cap,
                gamma,
                exponent,
            } => {
                let g = g_norm.as_f64();
                let wish = if memory.gradient_norm > 0.0 {
                    gamma * (g / memory.gradient_norm).powf(exponent)
                } else {
                    cap
                };
                let held = gamma * memory.eta.powf(exponent);
                let eta = if held > SAFEGUARD {
                    wish.max(held)
                } else {
                    wish
                }
                .min(cap);
                *memory = Memory {
                    gradient_norm: g,
                    eta,
                };
                eta
            }
            Self::Power { cap, exponent } => {
                let start = g_norm_start.as_f64();
                let relative = if start > 0.0 {
                    g_norm.as_f64() / start
                } else {
                    1.0
                };
                relative.powf(exponent).min(cap)
            }
        }
    }

    pub(crate) fn check(self) -> Result<(), SolverError> {
        let (Self::Constant(v) | Self::Power { cap: v, .. } | Self::EisenstatWalker { cap: v, .. }) =
            self;
        let requirement = "in [0, 1), with exponents that make it fall";
        check_setting("forcing", v, self.is_usable(), requirement)
    }

    fn is_usable(self) -> bool {
        let unit = |v: f64| (0.0..1.0).contains(&v);
        match self {
            Self::EisenstatWalker {
                cap,
                gamma,
                exponent,
            } => unit(cap) && (0.0..=1.0).contains(&gamma) && exponent > 1.0 && exponent <= 2.0,
            Self::Constant(eta) => unit(eta),
            Self::Power { cap, exponent } => unit(cap) && exponent >= 0.0 && exponent.is_finite(),
        }
    }
}

/// What the next `η` needs of the last iteration. Zeros before the first.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    #[serde(with = "bits::scalar")]
    gradient_norm: f64,
    #[serde(with = "bits::scalar")]
    eta: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_with_the_gradient_at_every_scale() {
        let f = Forcing::default();
        for scale in [1e-6, 1.0, 1e6] {
            let etas: Vec<f64> = [1.0, 1e-2, 1e-8]
                .map(|g| f.eta(g * scale, scale, &mut Memory::default()))
                .into_iter()
                .collect();
            assert!(etas[0] <= 0.5 && etas[1] <= 0.1 + 1e-15 && etas[2] <= 1e-4 + 1e-15);
        }
        assert!(!Forcing::Constant(1.0).is_usable());
        assert!(!Forcing::Constant(f64::NAN).is_usable());
    }
    #[test]
    fn the_second_choice_follows_the_last_step() {
        let f = Forcing::eisenstat_walker();
        let mut memory = Memory::default();
        let mut eta = |g: f64| f.eta(g, 1.0, &mut memory);
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 2.0 * f64::EPSILON, "{a} {b}");
        close(eta(1.0), 0.5);
        // 0.9·0.1² is held up by 0.9·0.5² = 0.225 …
        close(eta(0.1), 0.225);
        // … whose own square is below the safeguard.
        close(eta(0.01), 0.009);
        close(eta(1.0), 0.5);
    }
}
