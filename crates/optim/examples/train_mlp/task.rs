//! The problem: digits, a network, and its loss with a small penalty on the weights.

use ad_core::Var;
use ndarray::{Array1, ArrayD, Axis};
use optim::data::{Dataset, Scaler, digits};
use optim::nn::{Activation, Loss, Mlp};
use optim::{FiniteSum, Sharding};

/// The factor λ of the penalty ½λ‖w‖² in the loss.
const PENALTY: f64 = 1e-3;

/// Anything that can go wrong before training.
pub(crate) type TrainError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) struct Task {
    pub(crate) net: Mlp,
    pub(crate) seed: u64,
    train: Dataset<f64>,
    test: Dataset<f64>,
}

impl Task {
    /// 4/5 of the digits to train on, 1/5 to test on, pixels scaled to 0–1.
    pub(crate) fn digits(hidden: &[usize], seed: u64) -> Result<Self, TrainError> {
        let mut data = digits();
        Scaler::by(16.0, data.n_features())?.apply(&mut data)?;
        let split = data.split_stratified(0.2, seed)?;
        let sizes = [&[data.n_features()], hidden, &[data.n_classes()]].concat();
        let net = Mlp::new(&sizes, Activation::Tanh)?;
        Ok(Self {
            net,
            seed,
            train: split.train,
            test: split.test,
        })
    }

    pub(crate) fn n_train(&self) -> usize {
        self.train.len()
    }

    pub(crate) fn n_test(&self) -> usize {
        self.test.len()
    }

    /// Inputs and one-hot targets, cases along the first axis.
    pub(crate) fn data(&self) -> Vec<ArrayD<f64>> {
        vec![
            self.train.features().to_owned().into_dyn(),
            self.train.one_hot().into_dyn(),
        ]
    }

    /// The mean cross-entropy of some cases, with the penalty.
    pub(crate) fn loss<'t>(&self, w: Var<'t>, data: &[Var<'t>]) -> Var<'t> {
        let logits = self.net.forward(w, data[0]);
        Loss::SoftmaxCrossEntropy.record(logits, data[1]) + (0.5 * PENALTY) * w.square().sum()
    }

    /// The loss of all training cases as one objective.
    pub(crate) fn objective(&self) -> Result<FiniteSum<f64>, TrainError> {
        let n = self.net.n_parameters();
        Ok(FiniteSum::new(
            n,
            self.data(),
            Sharding::default(),
            |w, data| self.loss(w, data),
        )?)
    }

    pub(crate) fn start(&self) -> Array1<f64> {
        self.net.init(self.seed)
    }

    /// The share of test cases that are classified right.
    pub(crate) fn accuracy(&self, w: &Array1<f64>) -> Result<f64, TrainError> {
        let labels: Vec<usize> = self.test.labels().to_vec();
        debug_assert_eq!(labels.len(), self.test.features().len_of(Axis(0)));
        Ok(self.net.accuracy(w.view(), self.test.features(), &labels)?)
    }
}
