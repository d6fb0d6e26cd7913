//! The multilayer perceptron.

use ad_core::{Error, Function, Point, Real, Var};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{Initializer, Layout, Loss};

/// The function between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// The logistic function.
    Sigmoid,
    /// max(x, 0)
    Relu,
    /// ln(1 + eˣ)
    Softplus,
}

impl Activation {
    fn record(self, x: Var<'_>) -> Var<'_> {
        match self {
            Self::Tanh => x.tanh(),
            Self::Sigmoid => x.sigmoid(),
            Self::Relu => x.relu(),
            Self::Softplus => x.softplus(),
        }
    }

    /// The initialiser that keeps variances level through this activation.
    fn initializer(self) -> Initializer {
        match self {
            Self::Tanh | Self::Sigmoid => Initializer::Glorot,
            Self::Relu | Self::Softplus => Initializer::He,
        }
    }
}

/// What is wrong with the description of a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Fewer than two sizes, or a size of zero.
    #[error("layer sizes {found:?}: at least two are needed, none of them 0")]
    Sizes {
        /// The sizes that were given.
        found: Vec<usize>,
    },
}

/// A multilayer perceptron: hₗ₊₁ = φ(hₗ·Wₗ + bₗ), the last layer without φ.
///
/// ```
/// use optim::nn::{Activation, Loss, Mlp};
/// let net = Mlp::new(&[64, 20, 15, 10], Activation::Tanh)?;
/// assert_eq!(net.n_parameters(), 1775);
/// let x = net.init::<f64>(1);
/// let logits = net.predict(x.view(), ndarray::Array2::zeros((3, 64)).view())?;
/// assert_eq!(logits.dim(), (3, 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mlp {
    sizes: Vec<usize>,
    activation: Activation,
    layout: Layout,
}

impl Mlp {
    /// A perceptron with the given sizes: inputs, hidden layers, outputs.
    ///
    /// # Errors
    /// [`NetworkError::Sizes`] for fewer than two sizes or a size of 0.
    pub fn new(sizes: &[usize], activation: Activation) -> Result<Self, NetworkError> {
        if sizes.len() < 2 || sizes.contains(&0) {
            return Err(NetworkError::Sizes {
                found: sizes.to_vec(),
            });
        }
        let mut layout = Layout::new();
        for (layer, pair) in sizes.windows(2).enumerate() {
            layout.push(format!("layer{layer}.weight"), pair);
            layout.push(format!("layer{layer}.bias"), &pair[1..]);
        }
        Ok(Self {
            sizes: sizes.to_vec(),
            activation,
            layout,
        })
    }

    /// The sizes of the layers.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The number of parameters n.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.layout.len()
    }

    /// Names, ranges and shapes of the weights (inputs × outputs) and biases.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Initial parameters: Glorot for tanh and sigmoid, He for relu and softplus, biases zero.
    #[must_use]
    pub fn init<T: Real>(&self, seed: u64) -> Array1<T> {
        self.activation.initializer().draw(&self.layout, seed)
    }

    /// Records the outputs (cases × outputs) of inputs (cases × inputs).
    #[must_use]
    pub fn forward<'t>(&self, parameters: Var<'t>, inputs: Var<'t>) -> Var<'t> {
        let mut h = inputs;
        let layers = self.layout.entries().chunks_exact(2);
        let last = layers.len() - 1;
        for (layer, pair) in layers.enumerate() {
            h = h.matmul(pair[0].var(parameters)) + pair[1].var(parameters);
            if layer < last {
                h = self.activation.record(h);
            }
        }
        h
    }

    /// Records the mean loss over cases, with inputs and targets as data arrays of `cases` rows.
    ///
    /// # Errors
    /// [`Error::Empty`] for no cases.
    pub fn loss<T: Real>(&self, loss: Loss, cases: usize) -> Result<Function<T>, Error> {
        if cases == 0 {
            return Err(Error::Empty {
                what: "the batch".into(),
            });
        }
        let (inputs, outputs) = (self.sizes[0], self.sizes[self.sizes.len() - 1]);
        let shapes: [&[usize]; 2] = [&[cases, inputs], &[cases, outputs]];
        Function::record_with_data(self.n_parameters(), &shapes, |w, data| {
            loss.record(self.forward(w, data[0]), data[1])
        })
    }

    /// The outputs (cases × outputs) for inputs (cases × inputs).
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::NonFinite`] and the like for parameters and inputs.
    ///
    /// # Panics
    /// Never: the outputs are recorded with two axes.
    pub fn predict<T: Real>(
        &self,
        parameters: ArrayView1<'_, T>,
        inputs: ArrayView2<'_, T>,
    ) -> Result<Array2<T>, Error> {
        let shape = inputs.shape();
        let function = Function::record_with_data(self.n_parameters(), &[shape], |w, data| {
            self.forward(w, data[0])
        })?;
        let inputs = inputs.as_standard_layout();
        let parameters = parameters.as_standard_layout();
        let data = [inputs.view().into_dyn()];
        let out = function.evaluate(Point::with_data(parameters.view(), &data))?;
        Ok(out.into_dimensionality().expect("recorded with two axes"))
    }

    /// The share of cases whose largest output is that of their label.
    ///
    /// # Errors
    /// As [`Self::predict`]; [`Error::Shape`] if there is not one label per case, [`Error::Empty`] for
    /// no cases.
    pub fn accuracy<T: Real>(
        &self,
        parameters: ArrayView1<'_, T>,
        inputs: ArrayView2<'_, T>,
        labels: &[usize],
    ) -> Result<f64, Error> {
        if labels.len() != inputs.nrows() {
            let (expected, found) = (vec![inputs.nrows()], vec![labels.len()]);
            return Err(Error::Shape {
                what: "the labels".into(),
                expected,
                found,
            });
        }
        if labels.is_empty() {
            return Err(Error::Empty {
                what: "the batch".into(),
            });
        }
        let outputs = self.predict(parameters, inputs)?;
        let hits = outputs
            .axis_iter(Axis(0))
            .zip(labels)
            .filter(|(row, label)| {
                let best = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
                (0..row.len()).fold(0, best) == **label
            });
        Ok(hits.count() as f64 / labels.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_outputs_are_those_of_the_formula() {
        let net = Mlp::new(&[2, 2, 1], Activation::Tanh).unwrap();
        // W₀ = [[1, 2], [3, 4]], b₀ = (5, 6), W₁ = (7, 8)ᵀ, b₁ = 9.
        let w: Array1<f64> = (1..=9).map(f64::from).collect();
        let out = net.predict(w.view(), array![[0.1, -0.2]].view()).unwrap();
        let h = [(0.1 - 0.6 + 5.0_f64).tanh(), (0.2 - 0.8 + 6.0_f64).tanh()];
        let expected = 7.0 * h[0] + 8.0 * h[1] + 9.0;
        assert!((out[[0, 0]] - expected).abs() <= 8.0 * f64::EPSILON * expected);
    }

    #[test]
    fn descriptions_without_layers_are_refused() {
        for sizes in [&[][..], &[3], &[3, 0, 2]] {
            let error = Mlp::new(sizes, Activation::Relu).unwrap_err();
            assert_eq!(
                error,
                NetworkError::Sizes {
                    found: sizes.to_vec()
                }
            );
        }
    }

    #[test]
    fn a_batch_of_nothing_and_of_wrong_width_is_refused() {
        let net = Mlp::new(&[2, 1], Activation::Relu).unwrap();
        assert!(matches!(
            net.loss::<f64>(Loss::SquaredError, 0),
            Err(Error::Empty { .. })
        ));
        let w = net.init::<f64>(1);
        let wide = net
            .predict(w.view(), Array2::zeros((1, 3)).view())
            .unwrap_err();
        assert!(wide.to_string().contains("matmul"), "{wide}");
        let labels = net
            .accuracy(w.view(), Array2::zeros((1, 2)).view(), &[])
            .unwrap_err();
        assert!(matches!(labels, Error::Shape { .. }));
    }
}
