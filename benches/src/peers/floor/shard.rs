//! The operands of a part of the rows, made beforehand.

use faer::linalg::matmul::matmul;
use faer::traits::RealField;
use faer::{Accum, MatMut, MatRef, Par};
use hvp_solvers::dense::DenseReal;

use super::steps::{Factors, Step};
use crate::suites::hvp::BLOCK;

/// A matrix, row by row.
struct Matrix<T> {
    rows: usize,
    columns: usize,
    values: Vec<T>,
}

impl<T: DenseReal> Matrix<T> {
    /// Small numbers that are not all alike, so that no kernel meets zeros or infinities.
    fn new(rows: usize, columns: usize) -> Self {
        let value = |at: usize| T::of((0.7 * at as f64).sin() / 16.0);
        Self {
            rows,
            columns,
            values: (0..rows * columns).map(value).collect(),
        }
    }

    fn view(&self) -> MatRef<'_, T> {
        MatRef::from_row_major_slice(&self.values, self.rows, self.columns)
    }

    fn view_mut(&mut self) -> MatMut<'_, T> {
        MatMut::from_row_major_slice_mut(&mut self.values, self.rows, self.columns)
    }
}

/// What belongs to a vector that is multiplied.
struct Tangents<T> {
    v: Matrix<T>,
    h: Matrix<T>,
    d: Matrix<T>,
    weights: Matrix<T>,
}

/// A layer's operands and results.
struct Layer<T> {
    w: Matrix<T>,
    h: Matrix<T>,
    d: Matrix<T>,
    /// Results: rows × outputs, inputs × outputs, rows × inputs.
    z: Matrix<T>,
    weights: Matrix<T>,
    back: Matrix<T>,
    along: Vec<Tangents<T>>,
}

/// The operands of a part of the rows.
pub(super) struct Shard<T> {
    layers: Vec<Layer<T>>,
}

impl<T: DenseReal> Shard<T> {
    pub(super) fn new(sizes: &[usize], rows: usize) -> Self {
        let layer = |pair: &[usize]| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let tangents = |_| Tangents {
                v: Matrix::new(inputs, outputs),
                h: Matrix::new(rows, inputs),
                d: Matrix::new(rows, outputs),
                weights: Matrix::new(inputs, outputs),
            };
            Layer {
                w: Matrix::new(inputs, outputs),
                h: Matrix::new(rows, inputs),
                d: Matrix::new(rows, outputs),
                z: Matrix::new(rows, outputs),
                weights: Matrix::new(inputs, outputs),
                back: Matrix::new(rows, inputs),
                along: (0..BLOCK).map(tangents).collect(),
            }
        };
        Self {
            layers: sizes.windows(2).map(layer).collect(),
        }
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> usize {
        self.layers[0].h.rows
    }
}

impl<T: DenseReal + RealField> Shard<T> {
    /// One product; tangents are those of the given vector of a block.
    pub(super) fn multiply(&mut self, step: Step, vector: usize) {
        let Layer {
            w,
            h,
            d,
            z,
            weights,
            back,
            along,
        } = &mut self.layers[step.layer];
        let t = &mut along[vector];
        let (new, more) = (Accum::Replace, Accum::Add);
        let (w, h, d) = (w.view(), h.view(), d.view());
        match step.factors {
            Factors::Forward => into(z, new, h, w),
            Factors::Weights => into(weights, new, h.transpose(), d),
            Factors::Back => into(back, new, d, w.transpose()),
            Factors::ForwardAlong => into(z, new, h, t.v.view()),
            Factors::ForwardTangent => into(z, more, t.h.view(), w),
            Factors::WeightsTangent => into(&mut t.weights, new, h.transpose(), t.d.view()),
            Factors::WeightsAlong => into(&mut t.weights, more, t.h.view().transpose(), d),
            Factors::BackTangent => into(back, new, t.d.view(), w.transpose()),
            Factors::BackAlong => into(back, more, d, t.v.view().transpose()),
        }
    }
}

fn into<T: DenseReal + RealField>(
    result: &mut Matrix<T>,
    accumulate: Accum,
    a: MatRef<'_, T>,
    b: MatRef<'_, T>,
) {
    let one = T::of(1.0);
    matmul(result.view_mut(), accumulate, a, b, one, Par::Seq);
}

#[cfg(test)]
mod tests {
    use super::super::steps::{gradient, with_hessian};
    use super::*;

    #[test]
    fn every_product_fits_its_operands() {
        let mut shard = Shard::<f32>::new(&[5, 4, 3, 2], 7);
        for step in gradient(3).into_iter().chain(with_hessian(3)) {
            shard.multiply(step, 3);
        }
        let values = shard.layers.iter().flat_map(|layer| &layer.z.values);
        assert!(values.clone().all(|value| value.is_finite()));
        assert!(values.clone().any(|value| *value != 0.0));
    }
}
