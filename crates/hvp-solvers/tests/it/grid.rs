//! The five-point Laplacian, whose spectrum has a closed form.

use std::f64::consts::PI;

use hvp_solvers::LinearOperator;
use hvp_solvers::operator::FnOperator;
use ndarray::{ArrayView1, ArrayViewMut1};

/// On a `p×q` grid with zero boundary.
pub(crate) fn laplacian(p: usize, q: usize) -> impl LinearOperator<f64> {
    FnOperator::new(
        p * q,
        move |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
            for i in 0..p {
                for j in 0..q {
                    let k = i * q + j;
                    let mut sum = 4.0 * x[k];
                    if i > 0 {
                        sum -= x[k - q];
                    }
                    if i + 1 < p {
                        sum -= x[k + q];
                    }
                    if j > 0 {
                        sum -= x[k - 1];
                    }
                    if j + 1 < q {
                        sum -= x[k + 1];
                    }
                    y[k] = sum;
                }
            }
        },
    )
}

pub(crate) fn laplacian_spectrum(p: usize, q: usize) -> Vec<f64> {
    let c = |i: usize, n: usize| 2.0 * (i as f64 * PI / (n as f64 + 1.0)).cos();
    let mut all: Vec<f64> = (1..=p)
        .flat_map(|i| (1..=q).map(move |j| 4.0 - c(i, p) - c(j, q)))
        .collect();
    all.sort_by(f64::total_cmp);
    all
}
