//! Problems of Moré, Garbow and Hillstrom as objectives that own what they need.

use std::sync::LazyLock;

use hvp_solvers::{FunctionObjective, Objective, SecondOrder};
use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use test_problems::{Problem, problems};

static PROBLEMS: LazyLock<Vec<Problem>> = LazyLock::new(problems);

/// Those that first-order tolerances reach: neither scaled beyond 1e8 nor of a valley that takes
/// thousands of steps.
const NUMBERS: [usize; 12] = [1, 2, 3, 4, 5, 7, 8, 13, 14, 15, 16, 25];

pub(crate) struct LeastSquares {
    pub(crate) problem: &'static Problem,
    objective: FunctionObjective<'static, f64>,
}

impl LeastSquares {
    fn new(problem: &'static Problem) -> Self {
        let objective = FunctionObjective::new(&problem.function, &[]).unwrap();
        LeastSquares { problem, objective }
    }

    pub(crate) fn x0(&self) -> Array1<f64> {
        Array1::from(self.problem.start.clone())
    }
}

impl Clone for LeastSquares {
    fn clone(&self) -> Self {
        LeastSquares::new(self.problem)
    }
}

impl Objective<f64> for LeastSquares {
    fn dim(&self) -> usize {
        self.objective.dim()
    }
    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        self.objective.value(x)
    }
    fn value_and_grad(&mut self, x: ArrayView1<f64>, grad: ArrayViewMut1<f64>) -> f64 {
        self.objective.value_and_grad(x, grad)
    }
}

impl SecondOrder<f64> for LeastSquares {
    fn linearize(&mut self, x: ArrayView1<f64>, grad: ArrayViewMut1<f64>) -> f64 {
        self.objective.linearize(x, grad)
    }
    fn hvp_into(&self, v: ArrayView1<f64>, out: ArrayViewMut1<f64>) {
        self.objective.hvp_into(v, out);
    }
    fn hvp_block_into(&self, v: ArrayView2<f64>, out: ArrayViewMut2<f64>) {
        self.objective.hvp_block_into(v, out);
    }
}

pub(crate) fn rosenbrock() -> LeastSquares {
    LeastSquares::new(&PROBLEMS[0])
}

/// All 35.
pub(crate) fn every() -> Vec<LeastSquares> {
    PROBLEMS.iter().map(LeastSquares::new).collect()
}

pub(crate) fn all() -> Vec<LeastSquares> {
    let chosen = NUMBERS.iter().map(|number| &PROBLEMS[number - 1]);
    chosen.map(LeastSquares::new).collect()
}
