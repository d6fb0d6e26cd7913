//! The problems that are measured: perceptrons on the digits.

use ad_core::{Error, Real, Var};
use ndarray::{Array1, Array2, ArrayD};
use optim::data::digits;
use optim::nn::{Activation, Loss, Mlp, NetworkError};
use optim::{FiniteSum, Sharding};

/// Seed of the initial parameters.
const SEED: u64 = 1;

/// The digits' pixels are whole numbers up to this.
const WHITE: f64 = 16.0;

/// The sizes of a perceptron's layers and the number of cases in its loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Inputs, hidden layers, outputs.
    pub sizes: Vec<usize>,
    /// Rows of data.
    pub batch: usize,
}

impl Case {
    /// `<layer sizes>/b<batch>`
    #[must_use]
    pub fn name(&self) -> String {
        let sizes: Vec<_> = self.sizes.iter().map(ToString::to_string).collect();
        format!("{}/b{}", sizes.join("-"), self.batch)
    }

    /// The case of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (sizes, batch) = name.split_once("/b")?;
        let sizes = sizes.split('-').map(|size| size.parse().ok());
        Some(Self {
            sizes: sizes.collect::<Option<_>>()?,
            batch: batch.parse().ok()?,
        })
    }

    /// The perceptron: tanh between the layers.
    ///
    /// # Errors
    /// [`NetworkError`] for sizes that make no network.
    pub fn network(&self) -> Result<Mlp, NetworkError> {
        Mlp::new(&self.sizes, Activation::Tanh)
    }
}

/// A case in one number type: the network, its data, a point and vectors to multiply.
#[derive(Clone, Debug)]
pub struct Problem<T> {
    network: Mlp,
    data: Vec<ArrayD<T>>,
    /// The initial parameters.
    pub x: Array1<T>,
    /// A vector to multiply by the Hessian.
    pub v: Array1<T>,
}

/// What can be wrong with the parts of a problem.
#[derive(Debug, thiserror::Error)]
pub enum ProblemError {
    /// The layer sizes.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// An array of another length than the layer sizes ask for.
    #[error("{what} has {found} numbers instead of {expected}")]
    Length {
        /// Which array.
        what: &'static str,
        /// Numbers that there should be.
        expected: usize,
        /// Numbers that there are.
        found: usize,
    },
}

/// The vector that is multiplied everywhere: cos(1.7 i + 0.3), whose entries have all signs and sizes.
#[must_use]
pub fn vector<T: Real>(n: usize) -> Array1<T> {
    (0..n)
        .map(|i| T::of((1.7 * i as f64 + 0.3).cos()))
        .collect()
}

/// Inputs and targets: the first `batch` digits, from the start again if there are fewer, with
/// pixels in [0, 1]; where the network has another number of inputs, column j is pixel j mod 64.
/// Targets are the labels as unit rows.
pub(crate) fn rows(case: &Case) -> (Array2<f64>, Array2<f64>) {
    let digits = digits::<f64>();
    let (pixels, labels) = (digits.features(), digits.labels());
    let (rows, columns) = pixels.dim();
    let (n_inputs, n_outputs) = (case.sizes[0], case.sizes[case.sizes.len() - 1]);
    let inputs = Array2::from_shape_fn((case.batch, n_inputs), |(row, column)| {
        pixels[[row % rows, column % columns]] / WHITE
    });
    let targets = Array2::from_shape_fn((case.batch, n_outputs), |(row, output)| {
        f64::from(labels[row % rows] % n_outputs == output)
    });
    (inputs, targets)
}

impl<T: Real> Problem<T> {
    /// A case on the digits, with the data of `rows`. The vector to multiply is [`vector`].
    ///
    /// # Errors
    /// [`NetworkError`] for sizes that make no network.
    pub fn new(case: &Case) -> Result<Self, NetworkError> {
        let network = case.network()?;
        let (inputs, targets) = rows(case);
        let (inputs, targets) = (inputs.mapv(T::of), targets.mapv(T::of));
        let x = network.init(SEED);
        Ok(Self {
            v: vector(x.len()),
            data: vec![inputs.into_dyn(), targets.into_dyn()],
            network,
            x,
        })
    }

    /// The same with inputs, targets (both row by row), point and vector from elsewhere.
    ///
    /// # Errors
    /// [`ProblemError`] for sizes that make no network and arrays that do not fit it.
    pub fn from_parts(
        sizes: &[usize],
        [inputs, targets]: [Vec<T>; 2],
        [x, v]: [Vec<T>; 2],
    ) -> Result<Self, ProblemError> {
        let network = Mlp::new(sizes, Activation::Tanh)?;
        let (n_inputs, n_outputs) = (sizes[0], sizes[sizes.len() - 1]);
        let rows = inputs.len() / n_inputs;
        let n = network.n_parameters();
        for (what, values, expected) in [("x", &x, n), ("v", &v, n)] {
            if values.len() != expected {
                return Err(ProblemError::Length {
                    what,
                    expected,
                    found: values.len(),
                });
            }
        }
        let array = |what, values: Vec<T>, columns| {
            let (expected, found) = (rows * columns, values.len());
            let array = Array2::from_shape_vec((rows, columns), values);
            array
                .map(Array2::into_dyn)
                .map_err(|_| ProblemError::Length {
                    what,
                    expected,
                    found,
                })
        };
        Ok(Self {
            data: vec![
                array("inputs", inputs, n_inputs)?,
                array("targets", targets, n_outputs)?,
            ],
            network,
            x: x.into(),
            v: v.into(),
        })
    }

    /// The number of parameters.
    #[must_use]
    pub fn n(&self) -> usize {
        self.x.len()
    }

    /// Inputs and targets.
    #[must_use]
    pub fn data(&self) -> &[ArrayD<T>] {
        &self.data
    }

    /// Records the mean softmax cross-entropy over the rows of `data`.
    #[must_use]
    pub fn loss<'t>(&self, parameters: Var<'t>, data: &[Var<'t>]) -> Var<'t> {
        let outputs = self.network.forward(parameters, data[0]);
        Loss::SoftmaxCrossEntropy.record(outputs, data[1])
    }

    /// The loss over the batch, in shards over threads; new on every call.
    ///
    /// # Errors
    /// What recording reports.
    pub fn objective(&self) -> Result<FiniteSum<T>, Error> {
        FiniteSum::new(
            self.n(),
            self.data.clone(),
            Sharding::default(),
            |x, data| self.loss(x, data),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_cases_belong_together() {
        let case = Case {
            sizes: vec![64, 20, 15, 10],
            batch: 256,
        };
        assert_eq!(case.name(), "64-20-15-10/b256");
        assert_eq!(Case::from_name(&case.name()), Some(case));
        for name in ["", "64-10", "64-/b2", "a-b/b2", "64-10/bx"] {
            assert_eq!(Case::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn parts_make_the_same_problem_and_wrong_lengths_are_named() {
        let case = Case::from_name("3-2-2/b5").unwrap();
        let problem = Problem::<f64>::new(&case).unwrap();
        let data = || [0, 1].map(|at| problem.data[at].iter().copied().collect::<Vec<_>>());
        let points = || [problem.x.to_vec(), problem.v.to_vec()];
        let same = Problem::from_parts(&case.sizes, data(), points()).unwrap();
        assert_eq!(same.data, problem.data);
        let [inputs, mut targets] = data();
        targets.pop();
        let error = Problem::from_parts(&case.sizes, [inputs, targets], points()).unwrap_err();
        assert!(error.to_string().contains("targets"), "{error}");
    }

    #[test]
    fn wide_inputs_repeat_the_pixels_and_long_batches_the_rows() {
        let case = Case::from_name("130-10/b1800").unwrap();
        let problem = Problem::<f64>::new(&case).unwrap();
        let (inputs, targets) = (&problem.data[0], &problem.data[1]);
        assert_eq!(
            (inputs.shape(), targets.shape()),
            (&[1800, 130][..], &[1800, 10][..])
        );
        for column in 0..130 {
            assert_eq!(
                inputs[[5, column]].to_bits(),
                inputs[[5, column % 64]].to_bits()
            );
            assert_eq!(
                inputs[[1797, column]].to_bits(),
                inputs[[0, column]].to_bits()
            );
        }
        assert!(inputs.iter().all(|pixel| (0.0..=1.0).contains(pixel)));
        assert!(
            targets
                .rows()
                .into_iter()
                .all(|row| (row.sum() - 1.0).abs() < 1e-15)
        );
    }
}
