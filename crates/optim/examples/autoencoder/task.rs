//! The problem: the digits through a code of six numbers, and back.

use ad_core::{Function, Point, Var};
use ndarray::{Array1, ArrayD};
use optim::data::{Scaler, digits};
use optim::nn::{Initializer, Layout, Loss};
use optim::{CurvatureBatches, Sharding};

/// Anything that can go wrong before training.
pub(crate) type TrainError = Box<dyn std::error::Error + Send + Sync>;

/// Pixels, the layers down to the code, and the same back.
pub(crate) const SIZES: [usize; 13] = [64, 400, 200, 100, 50, 25, 6, 25, 50, 100, 200, 400, 64];

/// The layer whose output is the code, which has no sigmoid.
const CODE: usize = 5;

/// The factor λ of the penalty ½λ‖w‖² in the loss (Martens 2010).
const PENALTY: f64 = 2e-5;

pub(crate) struct Task {
    layout: Layout,
    sizes: Vec<usize>,
    data: Vec<ArrayD<f64>>,
}

impl Task {
    /// All digits, pixels scaled to 0–1. `quick` keeps one case in ten, and the outer layers narrow.
    pub(crate) fn digits(quick: bool) -> Result<Self, TrainError> {
        let mut data = digits::<f64>();
        Scaler::by(16.0, data.n_features())?.apply(&mut data)?;
        let step = if quick { 10 } else { 1 };
        let pixels = data
            .features()
            .slice_move(ndarray::s![..;step, ..])
            .to_owned();
        let narrow = |size: usize| if quick { size.min(64) } else { size };
        let sizes: Vec<usize> = SIZES.into_iter().map(narrow).collect();
        let mut layout = Layout::new();
        for (layer, pair) in sizes.windows(2).enumerate() {
            layout.push(format!("layer{layer}.weight"), pair);
            layout.push(format!("layer{layer}.bias"), &pair[1..]);
        }
        Ok(Self {
            layout,
            sizes,
            data: vec![pixels.into_dyn()],
        })
    }

    pub(crate) fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    pub(crate) fn n_parameters(&self) -> usize {
        self.layout.len()
    }

    pub(crate) fn n_cases(&self) -> usize {
        self.data[0].shape()[0]
    }

    pub(crate) fn data(&self) -> Vec<ArrayD<f64>> {
        self.data.clone()
    }

    /// Fifteen incoming weights a unit, normal with variance 1, and no biases.
    pub(crate) fn start(&self, seed: u64) -> Array1<f64> {
        let sparse = Initializer::Sparse {
            incoming: 15,
            scale: 1.0,
        };
        sparse.draw(&self.layout, seed)
    }

    /// The logits of the pixels.
    fn forward<'t>(&self, w: Var<'t>, pixels: Var<'t>) -> Var<'t> {
        let layers = self.layout.entries().chunks_exact(2);
        let last = layers.len() - 1;
        layers.enumerate().fold(pixels, |h, (layer, pair)| {
            let z = h.matmul(pair[0].var(w)) + pair[1].var(w);
            if layer == CODE || layer == last {
                z
            } else {
                z.sigmoid()
            }
        })
    }

    /// The mean cross-entropy over cases of pixels and their reconstruction, with the penalty.
    pub(crate) fn loss<'t>(&self, w: Var<'t>, data: &[Var<'t>]) -> Var<'t> {
        let z = self.forward(w, data[0]);
        Loss::SigmoidCrossEntropy.record(z, data[0]) + (0.5 * PENALTY) * w.square().sum()
    }

    /// The loss of all cases as one objective, with products over a batch of them.
    pub(crate) fn objective(&self, batch: usize) -> Result<CurvatureBatches<f64>, TrainError> {
        Ok(CurvatureBatches::new(
            self.n_parameters(),
            self.data(),
            batch,
            1,
            Sharding::default(),
            |w, data| self.loss(w, data),
        )?)
    }

    /// The squared error of a case's reconstruction, averaged over all cases.
    pub(crate) fn error(&self) -> Result<Error, TrainError> {
        let shapes: [&[usize]; 1] = [self.data[0].shape()];
        let cases = self.n_cases() as f64;
        let function = Function::record_with_data(self.n_parameters(), &shapes, |w, data| {
            (self.forward(w, data[0]).sigmoid() - data[0])
                .square()
                .sum()
                / cases
        })?;
        let pixels = self.data[0].clone();
        Ok(Error { function, pixels })
    }
}

/// The training error as a function of the parameters.
pub(crate) struct Error {
    function: Function<f64>,
    pixels: ArrayD<f64>,
}

impl Error {
    pub(crate) fn at(&self, w: &Array1<f64>) -> Result<f64, TrainError> {
        let data = [self.pixels.view()];
        Ok(self.function.value(Point::with_data(w, &data))?)
    }
}
