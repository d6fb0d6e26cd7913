//! Independent samples of the quadratic form.

use ad_core::Real;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

use super::outcome::{Samples, TraceStop, rounding};
use super::sketch::{BLOCK, finite, gram, products, qr, row, signs};
use crate::operator::LinearOperator;
use crate::vector::dot;

/// `ωᵀAω` for `m` vectors of signs.
pub(super) fn hutchinson<T, A>(a: &A, m: usize, rng: &mut ChaCha8Rng) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let mut values = Vec::with_capacity(m);
    while values.len() < m {
        let omega = signs::<T>(BLOCK.min(m - values.len()), a.dim(), rng);
        let y = products(a, &omega);
        let forms = (0..omega.nrows()).map(|i| dot(row(&omega, i), row(&y, i)).as_f64());
        values.extend(forms);
    }
    let largest = values.iter().fold(0.0, |top: f64, v| top.max(v.abs()));
    Samples {
        values,
        left_out: Vec::new(),
        rounding: rounding::<T>(1, largest),
        n_products: m,
        stop: TraceStop::Estimated,
    }
}

/// `tr QᵀAQ + gᵀ(I − QQᵀ)A(I − QQᵀ)g` for `m − 2⌊m/3⌋` vectors `g`, `Q = orth(AS)`.
pub(super) fn hutch_plus_plus<T, A>(a: &A, m: usize, rng: &mut ChaCha8Rng) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let (n, k) = (a.dim(), m / 3);
    let y = products(a, &signs::<T>(k, n, rng));
    if !finite(&y) {
        return Samples::non_finite(k);
    }
    let q = qr(&y, rng).q;
    let z = products(a, &q);
    let inside: Vec<f64> = (0..k)
        .map(|i| dot(row(&q, i), row(&z, i)).as_f64())
        .collect();
    let size: f64 = inside.iter().map(|v| v.abs()).sum();
    let inside: f64 = inside.iter().sum();
    let mut g = signs::<T>(m - 2 * k, n, rng);
    let coefficients: Array2<T> = gram(&g, &q);
    g = g - coefficients.dot(&q);
    let ag = products(a, &g);
    let outside = (0..g.nrows()).map(|i| dot(row(&g, i), row(&ag, i)).as_f64());
    let values: Vec<f64> = outside.map(|v| inside + v).collect();
    let largest = values.iter().fold(size, |top, v| top.max(v.abs()));
    Samples {
        values,
        left_out: Vec::new(),
        rounding: rounding::<T>(k, largest),
        n_products: m,
        stop: TraceStop::Estimated,
    }
}
