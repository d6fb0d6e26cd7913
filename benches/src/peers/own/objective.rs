//! Operations on an objective, however it came to be.

use hvp_solvers::dense::DenseReal;
use hvp_solvers::eigen::Lanczos;
use hvp_solvers::{Curvature, CurvatureOperator, SecondOrder};
use ndarray::{Array1, Array2, ArrayView1};
use optim::FiniteSum;

use super::super::candidate::{Call, Failure};
use super::super::measurement::Digest;
use crate::case::Problem;
use crate::suites::hvp::{Op, block};

/// An operation at a point, on memory that it keeps.
pub(super) struct ObjectiveCall<'a, T, O> {
    objective: O,
    x: &'a Array1<T>,
    v: &'a Array1<T>,
    op: Op,
    value: T,
    /// The gradient or the product.
    vector: Array1<T>,
    /// Vectors of a block.
    vectors: Array2<T>,
    /// Products of a block, or the Hessian.
    matrix: Array2<T>,
}

impl<'a, T: DenseReal, O: SecondOrder<T>> ObjectiveCall<'a, T, O> {
    /// Makes what the operation writes to, and linearizes where it takes that as given.
    pub(super) fn new(mut objective: O, x: &'a Array1<T>, v: &'a Array1<T>, op: Op) -> Self {
        let mut vector = Array1::zeros(x.len());
        if op.needs_linearization() {
            objective.linearize(x.view(), vector.view_mut());
        }
        let is_block = op == Op::HvpBlock16;
        let vectors = if is_block {
            block(v)
        } else {
            Array2::zeros((0, 0))
        };
        let dim = if op == Op::Hessian {
            (x.len(), x.len())
        } else {
            vectors.dim()
        };
        Self {
            matrix: Array2::zeros(dim),
            vectors,
            objective,
            x,
            v,
            op,
            value: T::zero(),
            vector,
        }
    }
}

impl<T: DenseReal, O: SecondOrder<T>> Call for ObjectiveCall<'_, T, O> {
    fn run(&mut self) -> Result<(), Failure> {
        let (x, v) = (self.x.view(), self.v.view());
        let (objective, vector) = (&mut self.objective, self.vector.view_mut());
        match self.op {
            Op::Value => self.value = objective.value(x),
            Op::ValueAndGrad => self.value = objective.value_and_grad(x, vector),
            Op::Linearize => self.value = objective.linearize(x, vector),
            Op::Hvp => {
                objective.linearize(x, vector);
                objective.hvp_into(v, self.vector.view_mut());
            }
            Op::HvpLinearized => objective.hvp_into(v, vector),
            Op::Ggnvp => objective.ggnvp_into(v, vector),
            Op::HvpBlock16 => objective.hvp_block_into(self.vectors.view(), self.matrix.view_mut()),
            Op::Hessian => {
                objective.linearize(x, vector);
                self.objective.hessian_into(self.matrix.view_mut());
            }
            Op::NewtonCholesky | Op::NewtonCg => {
                return Err(format!("{} is no operation of engines", self.op.name()).into());
            }
        }
        Ok(())
    }

    fn digest(&self) -> Digest {
        let value = Some(self.value.as_f64());
        match self.op {
            Op::Value => Digest {
                value,
                ..Digest::default()
            },
            Op::ValueAndGrad => Digest {
                value,
                ..of_vector(&self.vector, self.v)
            },
            Op::HvpBlock16 => {
                let rows = self.matrix.rows();
                let dots = rows.into_iter().map(|row| dot(&row, self.v));
                of_matrix(&self.matrix, dots.sum())
            }
            Op::Hessian => {
                let rows = self.matrix.rows().into_iter().zip(self.v);
                let dots = rows.map(|(row, v)| dot(&row, self.v) * v.as_f64());
                of_matrix(&self.matrix, dots.sum())
            }
            _ => of_vector(&self.vector, self.v),
        }
    }
}

/// The digest of a gradient or a product.
pub(super) fn of_vector<T: DenseReal>(a: &Array1<T>, v: &Array1<T>) -> Digest {
    Digest {
        value: None,
        norm: Some(dot(&a.view(), a).sqrt()),
        dot: Some(dot(&a.view(), v)),
    }
}

fn of_matrix<T: DenseReal>(a: &Array2<T>, dot: f64) -> Digest {
    let squares = a.iter().map(|entry| entry.as_f64().powi(2));
    Digest {
        value: None,
        norm: Some(squares.sum::<f64>().sqrt()),
        dot: Some(dot),
    }
}

fn dot<T: DenseReal>(a: &ArrayView1<'_, T>, b: &Array1<T>) -> f64 {
    let terms = a.iter().zip(b);
    terms.map(|(a, b)| a.as_f64() * b.as_f64()).sum()
}

/// The largest eigenvalues of the Hessian at a point that was linearized before.
pub(super) struct Eigenvalues<T> {
    objective: FiniteSum<T>,
    solver: Lanczos,
    values: Vec<f64>,
}

impl<T: DenseReal> Eigenvalues<T> {
    pub(super) fn new(problem: &Problem<T>, solver: Lanczos) -> Result<Self, Failure> {
        let mut objective = problem.objective()?;
        let mut gradient = Array1::zeros(problem.n());
        objective.linearize(problem.x.view(), gradient.view_mut());
        Ok(Self {
            objective,
            solver,
            values: Vec::new(),
        })
    }
}

impl<T: DenseReal> Call for Eigenvalues<T> {
    fn run(&mut self) -> Result<(), Failure> {
        let h = CurvatureOperator::new(&self.objective, Curvature::Hessian, T::zero())?;
        let found = self.solver.solve(&h)?;
        self.values = found.pairs.iter().map(|pair| pair.value.as_f64()).collect();
        Ok(())
    }

    fn digest(&self) -> Digest {
        let squares = self.values.iter().map(|value| value * value);
        Digest {
            norm: Some(squares.sum::<f64>().sqrt()),
            ..Digest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn digests_are_norms_and_products_with_the_vector() {
        let v = array![1.0, -2.0];
        let found = of_vector(&array![3.0, 4.0], &v);
        assert_eq!((found.norm, found.dot), (Some(5.0), Some(-5.0)));
        let found = of_matrix(&array![[1.0, 1.0], [1.0, 1.0_f64]], 7.0);
        assert_eq!((found.norm, found.dot), (Some(2.0), Some(7.0)));
    }
}
