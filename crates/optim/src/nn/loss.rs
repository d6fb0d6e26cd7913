//! Losses: from a model's output and targets to one number, the mean over the cases.

use ad_core::Var;
use serde::{Deserialize, Serialize};

/// A loss, averaged over the cases (rows).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// −Σⱼ tⱼ ln softmax(z)ⱼ for logits z and target probabilities t.
    SoftmaxCrossEntropy,
    /// Σⱼ softplus(zⱼ) − tⱼ zⱼ: the cross-entropy of independent yes–no outputs with logits z and
    /// targets t between 0 and 1.
    SigmoidCrossEntropy,
    /// ½‖z − t‖²
    SquaredError,
}

impl Loss {
    /// Records the mean loss of the output `z` (cases × outputs) for targets of the same shape, and
    /// marks `z` as the model's output for Gauss–Newton products.
    ///
    /// All three are convex in z, so that their Gauss–Newton matrices are positive semidefinite.
    #[must_use]
    pub fn record<'t>(self, z: Var<'t>, targets: Var<'t>) -> Var<'t> {
        let z = z.model_output();
        let cases = z.shape().first().copied().unwrap_or(1).max(1) as f64;
        match self {
            Self::SoftmaxCrossEntropy => z.softmax_cross_entropy(targets),
            Self::SigmoidCrossEntropy => (z.softplus() - targets * z).sum() * (1.0 / cases),
            Self::SquaredError => (z - targets).square().sum() * (0.5 / cases),
        }
    }
}
