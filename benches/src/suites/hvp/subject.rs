//! An objective and the arrays that operations on it write to.

use ad_core::Program;
use hvp_solvers::dense::{DenseReal, cholesky};
use hvp_solvers::eigen::{Lanczos, Which};
use hvp_solvers::linear::{Cg, CgOutcome};
use hvp_solvers::{Curvature, CurvatureOperator, Objective, SecondOrder, SolverError};
use ndarray::{Array1, Array2};
use optim::FiniteSum;

use super::op::{BLOCK, Op};
use crate::case::Problem;

/// An objective with a point. Arrays are made by the operations that write to them, when they first
/// run, so that a first call's memory holds its results.
#[derive(Debug)]
pub(super) struct Subject<'p, T> {
    problem: &'p Problem<T>,
    objective: FiniteSum<T>,
    shift: T,
    gradient: Array1<T>,
    product: Array1<T>,
    vectors: Array2<T>,
    products: Array2<T>,
    hessian: Array2<T>,
    /// The Newton step by Cholesky.
    pub(super) direct: Option<Array1<T>>,
    /// The Newton step by conjugate gradients.
    pub(super) iterative: Option<CgOutcome<T>>,
}

/// Why an operation failed.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<'p, T: DenseReal> Subject<'p, T> {
    pub(super) fn new(problem: &'p Problem<T>, shift: T) -> Result<Self, ad_core::Error> {
        Ok(Self {
            objective: problem.objective()?,
            problem,
            shift,
            gradient: Array1::zeros(0),
            product: Array1::zeros(0),
            vectors: Array2::zeros((0, 0)),
            products: Array2::zeros((0, 0)),
            hessian: Array2::zeros((0, 0)),
            direct: None,
            iterative: None,
        })
    }

    /// Does what an operation takes as given: derives and plans its program where that can be had
    /// without running it, linearizes, and makes the vectors to multiply.
    pub(super) fn prepare(&mut self, op: Op) -> Result<(), ad_core::Error> {
        let function = self.objective.function();
        match op {
            Op::Value => function.cost(Program::Value)?,
            Op::ValueAndGrad => function.cost(Program::Gradient)?,
            _ => function.cost(Program::Linearize)?,
        };
        if op.needs_linearization() {
            self.linearize();
        }
        if op == Op::HvpBlock16 {
            self.vectors = block(&self.problem.v);
        }
        Ok(())
    }

    /// Runs an operation once.
    pub(super) fn run(&mut self, op: Op) -> Result<(), Failure> {
        let x = &self.problem.x;
        match op {
            Op::Value => {
                std::hint::black_box(self.objective.value(x.view()));
            }
            Op::ValueAndGrad => {
                reserve(&mut self.gradient, x.len());
                self.objective
                    .value_and_grad(x.view(), self.gradient.view_mut());
            }
            Op::Linearize => self.linearize(),
            Op::Hvp => {
                self.linearize();
                self.hvp();
            }
            Op::HvpLinearized => self.hvp(),
            Op::Ggnvp => {
                reserve(&mut self.product, x.len());
                let (v, product) = (self.problem.v.view(), self.product.view_mut());
                self.objective.ggnvp_into(v, product);
            }
            Op::HvpBlock16 => {
                reserve2(&mut self.products, self.vectors.dim());
                let (vectors, products) = (self.vectors.view(), self.products.view_mut());
                self.objective.hvp_block_into(vectors, products);
            }
            Op::Hessian => self.fill_hessian(),
            Op::NewtonCholesky => self.direct = Some(self.newton_cholesky()?),
            Op::NewtonCg => self.iterative = Some(self.newton_cg()?),
        }
        Ok(())
    }

    fn linearize(&mut self) {
        reserve(&mut self.gradient, self.problem.n());
        self.objective
            .linearize(self.problem.x.view(), self.gradient.view_mut());
    }

    fn hvp(&mut self) {
        reserve(&mut self.product, self.problem.n());
        self.objective
            .hvp_into(self.problem.v.view(), self.product.view_mut());
    }

    fn fill_hessian(&mut self) {
        self.linearize();
        let n = self.problem.n();
        reserve2(&mut self.hessian, (n, n));
        self.objective.hessian_into(self.hessian.view_mut());
    }

    fn newton_cholesky(&mut self) -> Result<Array1<T>, Failure> {
        self.fill_hessian();
        let shift = self.shift;
        self.hessian.diag_mut().map_inplace(|entry| *entry += shift);
        Ok(cholesky(self.hessian.view())?.solve(self.gradient.view())?)
    }

    fn newton_cg(&mut self) -> Result<CgOutcome<T>, Failure> {
        self.linearize();
        let solver = Cg {
            relative_tolerance: relative_tolerance::<T>(),
            ..Cg::default()
        };
        let operator = CurvatureOperator::new(&self.objective, Curvature::Hessian, self.shift)?;
        let outcome = solver.solve(&operator, self.gradient.view())?;
        if outcome.stop.is_converged() {
            return Ok(outcome);
        }
        let residual = outcome.stats.residual_norm;
        Err(format!(
            "conjugate gradients ended with {:?} at the residual {residual:e}",
            outcome.stop
        )
        .into())
    }

    /// A shift λ that makes H + λI positive definite, but not by much, so that conjugate gradients
    /// have work to do: a thousandth of the largest eigenvalue above 1.1 times the modulus of the
    /// most negative one.
    pub(super) fn find_shift(&mut self) -> Result<T, SolverError> {
        self.linearize();
        let h = CurvatureOperator::new(&self.objective, Curvature::Hessian, T::zero())?;
        let solver = Lanczos {
            tolerance: 1e-2,
            max_restarts: 20,
            ..Lanczos::new(1, Which::BothEnds)
        };
        let found = solver.solve(&h)?;
        let least = |pair: &hvp_solvers::eigen::EigenPair<T>| pair.value - pair.error_bound;
        let bottom = found.pairs.iter().map(least).fold(T::zero(), T::min);
        let top = found
            .pairs
            .iter()
            .map(|pair| pair.value.abs())
            .fold(T::zero(), T::max);
        Ok(T::of(1e-3) * top - T::of(1.1) * bottom)
    }

    /// ‖∇f‖ at the point.
    pub(super) fn gradient_norm(&self) -> f64 {
        norm(&self.gradient)
    }

    pub(super) fn set_shift(&mut self, shift: T) {
        self.shift = shift;
    }
}

/// The relative residual at which conjugate gradients stop: what single precision can reach, and
/// in double precision a step as good as the direct one for any use.
pub(super) fn relative_tolerance<T: DenseReal>() -> f64 {
    if T::NAME == "f32" { 1e-5 } else { 1e-10 }
}

/// ‖a − b‖ / ‖b‖
pub(super) fn relative_difference<T: DenseReal>(a: &Array1<T>, b: &Array1<T>) -> f64 {
    norm(&(a - b)) / norm(b)
}

fn norm<T: DenseReal>(a: &Array1<T>) -> f64 {
    a.iter()
        .map(|entry| entry.as_f64().powi(2))
        .sum::<f64>()
        .sqrt()
}

/// The vector turned by 0, 1, …: the block that is multiplied.
pub(crate) fn block<T: DenseReal>(v: &Array1<T>) -> Array2<T> {
    Array2::from_shape_fn((BLOCK, v.len()), |(row, column)| {
        v[(column + row) % v.len()]
    })
}

fn reserve<T: DenseReal>(array: &mut Array1<T>, len: usize) {
    if array.len() != len {
        *array = Array1::zeros(len);
    }
}

fn reserve2<T: DenseReal>(array: &mut Array2<T>, dim: (usize, usize)) {
    if array.dim() != dim {
        *array = Array2::zeros(dim);
    }
}
