//! What grows, and the subject of each point.

use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, Array2};
use optim::FiniteSum;

use crate::case::{Case, Problem};
use crate::suites::hvp::Op;

/// An operation while one size grows.
#[derive(Debug)]
pub(super) struct Series {
    /// What grows.
    pub(super) variable: &'static str,
    /// Its values.
    pub(super) values: &'static [usize],
    /// The operation.
    pub(super) op: Op,
    /// The network, in words.
    pub(super) network: &'static str,
    /// The network and the number of vectors at a value.
    at: fn(usize) -> (Case, usize),
}

const BATCHES: &[usize] = &[64, 128, 256, 512, 1024];
const WIDTHS: &[usize] = &[32, 64, 128, 256];
const TANGENTS: &[usize] = &[1, 2, 4, 8, 16, 32];

/// All series.
pub(super) const SERIES: &[Series] = &[
    batches(Op::ValueAndGrad),
    batches(Op::HvpLinearized),
    widths(Op::ValueAndGrad),
    widths(Op::HvpLinearized),
    Series {
        variable: "tangents",
        values: TANGENTS,
        op: Op::HvpBlock16,
        network: "64-64-32-10, batch 256",
        at: |tangents| (case([64, 64, 32, 10], 256), tangents),
    },
];

const fn batches(op: Op) -> Series {
    Series {
        variable: "batch",
        values: BATCHES,
        op,
        network: "64-64-32-10",
        at: |batch| (case([64, 64, 32, 10], batch), 1),
    }
}

const fn widths(op: Op) -> Series {
    Series {
        variable: "width",
        values: WIDTHS,
        op,
        network: "64-width-width-10, batch 256",
        at: |width| (case([64, width, width, 10], 256), 1),
    }
}

fn case(sizes: [usize; 4], batch: usize) -> Case {
    Case {
        sizes: sizes.to_vec(),
        batch,
    }
}

impl Series {
    /// What is measured at a value.
    pub(super) fn subject(
        &self,
        value: usize,
    ) -> Result<Subject, Box<dyn std::error::Error + Send + Sync>> {
        let (case, vectors) = (self.at)(value);
        let problem = Problem::<f64>::new(&case)?;
        let mut objective = problem.objective()?;
        let mut gradient = Array1::zeros(problem.n());
        objective.linearize(problem.x.view(), gradient.view_mut());
        let turned = |(row, at): (usize, usize)| problem.v[(at + row) % problem.n()];
        let vectors = Array2::from_shape_fn((vectors, problem.n()), turned);
        Ok(Subject {
            products: Array2::zeros(vectors.dim()),
            vectors,
            objective,
            x: problem.x,
            gradient,
        })
    }
}

/// A linearized objective with vectors.
pub(super) struct Subject {
    objective: FiniteSum<f64>,
    x: Array1<f64>,
    gradient: Array1<f64>,
    vectors: Array2<f64>,
    products: Array2<f64>,
}

impl Subject {
    /// A gradient, a product, or a block of all vectors.
    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::ValueAndGrad => {
                let (x, gradient) = (self.x.view(), self.gradient.view_mut());
                self.objective.value_and_grad(x, gradient);
            }
            Op::HvpLinearized => {
                let (v, product) = (self.vectors.row(0), self.products.row_mut(0));
                self.objective.hvp_into(v, product);
            }
            _ => {
                let (v, products) = (self.vectors.view(), self.products.view_mut());
                self.objective.hvp_block_into(v, products);
            }
        }
    }
}
