//! A network on digits after a little training, and its loss.

use ad_core::Function;
use hvp_solvers::{FunctionObjective, Objective};
use ndarray::{Array1, ArrayD, ArrayViewD};
use optim::data::{Scaler, digits};
use optim::nn::{Activation, Loss, Mlp};

pub(crate) type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// Steps of gradient descent before the spectrum is taken.
const STEPS: usize = 60;
const STEP_SIZE: f64 = 0.5;

/// The mean cross-entropy of a 64-120-40-10 network on 300 digits: 13,050 parameters.
pub(crate) struct Task {
    pub(crate) loss: Function<f64>,
    pub(crate) data: [ArrayD<f64>; 2],
    pub(crate) parameters: Array1<f64>,
}

impl Task {
    pub(crate) fn new() -> Result<Self, TaskError> {
        let mut all = digits();
        Scaler::by(16.0, all.n_features())?.apply(&mut all)?;
        let some = all.select(&(0..300).collect::<Vec<_>>())?;
        let net = Mlp::new(&[64, 120, 40, 10], Activation::Tanh)?;
        let mut task = Self {
            loss: net.loss(Loss::SoftmaxCrossEntropy, some.len())?,
            data: [
                some.features().to_owned().into_dyn(),
                some.one_hot().into_dyn(),
            ],
            parameters: net.init(1),
        };
        task.descend()?;
        Ok(task)
    }

    pub(crate) fn views(&self) -> [ArrayViewD<'_, f64>; 2] {
        [self.data[0].view(), self.data[1].view()]
    }

    fn descend(&mut self) -> Result<(), TaskError> {
        let mut w = self.parameters.clone();
        let mut gradient = Array1::zeros(w.len());
        let views = self.views();
        let mut objective = FunctionObjective::new(&self.loss, &views)?;
        for _ in 0..STEPS {
            objective.value_and_grad(w.view(), gradient.view_mut());
            w.scaled_add(-STEP_SIZE, &gradient);
        }
        self.parameters = w;
        Ok(())
    }
}
