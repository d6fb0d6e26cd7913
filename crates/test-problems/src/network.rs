//! A small network's loss, for measurements on more than a dozen variables.

use ad_core::{Error, Function};
use ndarray::ArrayView2;

/// The number of parameters: of each layer the weights and the biases.
#[must_use]
pub fn n_parameters(sizes: &[usize]) -> usize {
    sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
}

/// The mean softmax cross-entropy of a perceptron with tanh layers over rows of inputs (rows ×
/// `sizes[0]`) and target probabilities (rows × the last size), plus ½λ|x|². Parameters: layer by
/// layer the weights (inputs × outputs, row by row), then the biases. With no hidden layer, and
/// λ > 0, f is strictly convex.
///
/// # Errors
/// [`Error::Record`] if the shapes do not fit.
pub fn classifier(
    sizes: &[usize],
    inputs: ArrayView2<'_, f64>,
    targets: ArrayView2<'_, f64>,
    lambda: f64,
) -> Result<Function<f64>, Error> {
    Function::record(n_parameters(sizes), |x| {
        let mut layer = x.constant(inputs.into_dyn());
        let mut at = 0;
        for (depth, pair) in sizes.windows(2).enumerate() {
            if depth > 0 {
                layer = layer.tanh();
            }
            let (weights, bias) = (at + pair[0] * pair[1], at + (pair[0] + 1) * pair[1]);
            let matrix = x.slice(0, at..weights).reshape(&[pair[0], pair[1]]);
            layer = layer.matmul(matrix) + x.slice(0, weights..bias);
            at = bias;
        }
        let loss = layer
            .model_output()
            .softmax_cross_entropy(x.constant(targets.into_dyn()));
        loss + (0.5 * lambda) * x.square().sum()
    })
}
