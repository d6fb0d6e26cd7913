//! Initial weights.

use ad_core::Real;
use ndarray::{Array1, ArrayViewMut1};
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::Layout;

/// How the weights of a layer with i inputs and o outputs are drawn; biases start at zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Initializer {
    /// Uniform on ±√(6/(i + o)) (Glorot and Bengio 2010): for tanh and sigmoid.
    Glorot,
    /// Normal with variance 2/i (He et al. 2015): for relu and softplus.
    He,
    /// Normal with variance 1 on at most `incoming` random inputs of each unit, zero on the others
    /// (Martens 2010, with 15), times `scale`: for deep nets trained with curvature.
    Sparse {
        /// Nonzero weights into each unit.
        incoming: usize,
        /// A factor on all weights.
        scale: f64,
    },
}

impl Initializer {
    /// Draws all parameters of a layout: arrays of two axes (inputs × outputs) are weights, the
    /// others are biases. The same seed gives the same numbers everywhere, in f32 those of f64
    /// rounded.
    #[must_use]
    pub fn draw<T: Real>(self, layout: &Layout, seed: u64) -> Array1<T> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut parameters = Array1::zeros(layout.len());
        for entry in layout.entries() {
            if let [inputs, outputs] = entry.shape[..] {
                let weights = parameters.slice_mut(ndarray::s![entry.range.clone()]);
                self.fill(weights, inputs, outputs, &mut rng);
            }
        }
        parameters
    }

    fn fill<T: Real>(
        self,
        mut weights: ArrayViewMut1<'_, T>,
        inputs: usize,
        outputs: usize,
        rng: &mut ChaCha8Rng,
    ) {
        match self {
            Self::Glorot => {
                let bound = (6.0 / (inputs + outputs).max(1) as f64).sqrt();
                weights.map_inplace(|w| *w = T::of(bound * rng.random_range(-1.0..1.0)));
            }
            Self::He => {
                let deviation = (2.0 / inputs.max(1) as f64).sqrt();
                weights
                    .map_inplace(|w| *w = T::of(deviation * rng.sample::<f64, _>(StandardNormal)));
            }
            Self::Sparse { incoming, scale } => {
                for unit in 0..outputs {
                    for input in index::sample(rng, inputs, incoming.min(inputs)) {
                        let weight = scale * rng.sample::<f64, _>(StandardNormal);
                        weights[input * outputs + unit] = T::of(weight);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let mut layout = Layout::new();
        layout.push("weight", &[200, 50]);
        layout.push("bias", &[50]);
        layout
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        let n = 200.0 * 50.0;
        for (init, variance) in [
            (Initializer::Glorot, 2.0 / 250.0),
            (Initializer::He, 2.0 / 200.0),
        ] {
            let x: Array1<f64> = init.draw(&layout(), 1);
            let weights = x.slice(ndarray::s![..10_000]);
            // Five standard errors: of the mean, and of a variance of at most normal kurtosis.
            assert!(weights.sum().abs() / n <= 5.0 * (variance / n).sqrt());
            let found = weights.dot(&weights) / n;
            assert!(
                (found / variance - 1.0).abs() <= 5.0 * (2.0 / n).sqrt(),
                "{init:?}: {found}"
            );
            assert!(
                x.slice(ndarray::s![10_000..])
                    .iter()
                    .all(|b| b.abs() <= 0.0)
            );
        }
    }

    #[test]
    fn sparse_units_have_the_stated_number_of_inputs() {
        let x: Array1<f64> = Initializer::Sparse {
            incoming: 15,
            scale: 1.0,
        }
        .draw(&layout(), 2);
        for unit in 0..50 {
            let nonzero = (0..200).filter(|i| x[i * 50 + unit].abs() > 0.0).count();
            assert_eq!(nonzero, 15);
        }
    }
}
