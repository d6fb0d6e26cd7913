//! What several integration tests share.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses a part"
)]

use ad_core::{Function, Var};
use ndarray::{Array1, Array2, ArrayViewD, Axis};
use proptest::test_runner::Config as ProptestConfig;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// So many cases of a property, or as many as the environment variable `PROPTEST_CASES` says.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases, ..config },
    }
}

/// Numbers between −1 and 1.
pub(crate) fn random(n: usize, seed: u64) -> Array1<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array1::from_shape_fn(n, |_| rng.random_range(-1.0..1.0))
}

/// ‖found − expected‖ / ‖expected‖
pub(crate) fn relative_error(found: &Array1<f64>, expected: &Array1<f64>) -> f64 {
    let difference = found - expected;
    difference.dot(&difference).sqrt() / expected.dot(expected).sqrt()
}

/// A perceptron with tanh layers, softmax cross-entropy and random data.
pub(crate) struct Mlp {
    pub sizes: Vec<usize>,
    pub inputs: Array2<f64>,
    pub targets: Array2<f64>,
}

impl Mlp {
    pub(crate) fn new(sizes: &[usize], rows: usize) -> Self {
        let (inputs, classes) = (sizes[0], sizes[sizes.len() - 1]);
        let data = random(rows * inputs, 100).to_vec();
        let targets =
            Array2::from_shape_fn(
                (rows, classes),
                |(r, c)| {
                    if r % classes == c { 1.0 } else { 0.0 }
                },
            );
        let inputs = Array2::from_shape_vec((rows, inputs), data).unwrap();
        Self {
            sizes: sizes.to_vec(),
            inputs,
            targets,
        }
    }

    pub(crate) fn n_parameters(&self) -> usize {
        self.sizes.windows(2).map(|w| (w[0] + 1) * w[1]).sum()
    }

    pub(crate) fn data(&self) -> [ArrayViewD<'_, f64>; 2] {
        [
            self.inputs.view().into_dyn(),
            self.targets.view().into_dyn(),
        ]
    }

    pub(crate) fn function(&self) -> Function<f64> {
        let (x, t) = (self.inputs.shape(), self.targets.shape());
        Function::record_with_data(self.n_parameters(), &[x, t], |w, d| loss(&self.sizes, w, d))
            .unwrap()
    }

    pub(crate) fn function_f32(&self) -> Function<f32> {
        let (x, t) = (self.inputs.shape(), self.targets.shape());
        Function::record_with_data(self.n_parameters(), &[x, t], |w, d| loss(&self.sizes, w, d))
            .unwrap()
    }

    /// The class probabilities, computed with ndarray alone.
    pub(crate) fn probabilities(&self, w: &Array1<f64>) -> Array2<f64> {
        let mut h = self.inputs.clone();
        let mut at = 0;
        for (layer, pair) in self.sizes.windows(2).enumerate() {
            let (i, o) = (pair[0], pair[1]);
            let weights = w.slice(ndarray::s![at..at + i * o]).to_owned();
            let weights = weights.into_shape_with_order((i, o)).unwrap();
            let bias = w.slice(ndarray::s![at + i * o..at + (i + 1) * o]);
            h = h.dot(&weights) + bias;
            at += (i + 1) * o;
            if layer + 2 < self.sizes.len() {
                h.mapv_inplace(f64::tanh);
            }
        }
        h.mapv_inplace(f64::exp);
        let totals = h.sum_axis(Axis(1)).insert_axis(Axis(1));
        h / totals
    }
}

/// Weights of a layer (inputs × outputs), then its biases, layer after layer.
pub(crate) fn loss<'t>(sizes: &[usize], w: Var<'t>, data: &[Var<'t>]) -> Var<'t> {
    let mut h = data[0];
    let mut at = 0;
    for (layer, pair) in sizes.windows(2).enumerate() {
        let (i, o) = (pair[0], pair[1]);
        let weights = w.slice(0, at..at + i * o).reshape(&[i, o]);
        let bias = w.slice(0, at + i * o..at + (i + 1) * o);
        h = h.matmul(weights) + bias;
        at += (i + 1) * o;
        if layer + 2 < sizes.len() {
            h = h.tanh();
        }
    }
    h.model_output().softmax_cross_entropy(data[1])
}
