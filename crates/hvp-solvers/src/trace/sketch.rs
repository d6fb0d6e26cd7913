//! Blocks of random vectors (one per row) and the small matrices they lead to.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::eigen::basis::Basis;
use crate::operator::LinearOperator;
use crate::random::fill_normal;
use crate::vector::{dot, norm2, scale};

/// Rows in a block where a method is free to choose.
pub(super) const BLOCK: usize = 32;

/// `x A`, row by row.
pub(crate) fn products<T, A>(a: &A, x: &Array2<T>) -> Array2<T>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let mut y = Array2::zeros(x.dim());
    a.apply_block_into(x.view(), y.view_mut());
    y
}

pub(crate) fn finite<T: Real>(x: &Array2<T>) -> bool {
    x.iter().all(|v| v.is_finite())
}

/// `k` vectors of random signs.
pub(crate) fn signs<T: Real>(k: usize, n: usize, rng: &mut ChaCha8Rng) -> Array2<T> {
    Array2::from_shape_fn((k, n), |_| {
        if rng.random::<bool>() {
            T::one()
        } else {
            -T::one()
        }
    })
}

/// `k` random directions, uniform on the sphere of radius `√n`.
pub(super) fn spheres<T: Real>(k: usize, n: usize, rng: &mut ChaCha8Rng) -> Array2<T> {
    let mut x = Array2::zeros((k, n));
    for mut row in x.rows_mut() {
        if let Some(row) = row.as_slice_mut() {
            fill_normal(rng, row);
            let norm = norm2(row);
            scale(T::of((n as f64).sqrt()) / norm, row);
        }
    }
    x
}

/// A row of a standard-layout matrix as a slice.
pub(crate) fn row<T>(x: &Array2<T>, i: usize) -> &[T] {
    let n = x.ncols();
    x.as_slice().map_or(&[], |all| &all[i * n..(i + 1) * n])
}

/// Inner products of all rows: `x yᵀ`.
pub(crate) fn gram<T: Real>(x: &Array2<T>, y: &Array2<T>) -> Array2<T> {
    Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| dot(row(x, i), row(y, j)))
}

/// The factors of `yᵀ = qᵀ r`: orthonormal rows `q` and the upper triangle `r`.
pub(crate) struct Qr<T> {
    pub(crate) q: Array2<T>,
    pub(crate) r: Array2<T>,
    /// The rows of `q` that are random, and orthogonal to the others, because a row of `y` depends
    /// on those before it to working accuracy; `r` is singular there.
    pub(crate) random: Vec<usize>,
}

/// Orthonormalises rows by Gram–Schmidt with repetition.
pub(crate) fn qr<T: Real>(y: &Array2<T>, rng: &mut ChaCha8Rng) -> Qr<T> {
    let (k, n) = y.dim();
    let mut basis = Basis::new(n, k);
    let mut r = Array2::zeros((k, k));
    let mut h = vec![T::zero(); k];
    let mut w = vec![T::zero(); n];
    let mut largest = T::zero();
    let mut random = Vec::new();
    for j in 0..k {
        w.copy_from_slice(row(y, j));
        let (before, after) = basis.orthogonalise(&mut w, &mut h);
        largest = largest.max(before);
        for i in 0..j {
            r[[i, j]] = h[i];
        }
        if after > T::of(100.0) * T::epsilon() * largest {
            r[[j, j]] = after;
            basis.push(&w, after);
        } else {
            if !basis.push_random(rng, &mut w) {
                break;
            }
            random.push(j);
        }
    }
    let mut q = Array2::zeros((basis.len(), n));
    for (i, mut out) in q.rows_mut().into_iter().enumerate() {
        out.assign(&ArrayView1::from(basis.row(i)));
    }
    Qr { q, r, random }
}

/// The rows of `r⁻¹` for an upper triangle, each scaled to norm 1: row `i` is the unit
/// vector `s` with `Σ_a r[a, j] s_a = 0` for all `j ≠ i`, the part of the basis that only
/// vector `i` spans.
pub(super) fn unit_inverse_rows<T: Real>(r: &Array2<T>) -> Array2<T> {
    let k = r.nrows();
    let mut s = Array2::<T>::zeros((k, k));
    for i in 0..k {
        // Solve sᵀ r = c eᵢᵀ; s is zero before i. The scale c is free: rescaling at every
        // step keeps the numbers in range.
        let mut v = vec![T::zero(); k];
        v[i] = T::one();
        for j in i + 1..k {
            let sum: T = (i..j).map(|a| v[a] * r[[a, j]]).sum();
            v[j] = -sum / r[[j, j]];
            let top = v[j].abs();
            if top > T::of(1e6) {
                scale(top.recip(), &mut v);
            }
        }
        let norm = norm2(&v);
        for (s, v) in s.row_mut(i).iter_mut().zip(&v) {
            *s = *v / norm;
        }
    }
    s
}

/// The lower factor of `h = l lᵀ`, or `None` if a pivot is not positive.
pub(crate) fn cholesky<T: Real>(h: ArrayView2<'_, T>) -> Option<Array2<T>> {
    let k = h.nrows();
    let mut l = Array2::<T>::zeros((k, k));
    for i in 0..k {
        for j in 0..=i {
            let done: T = (0..j).map(|a| l[[i, a]] * l[[j, a]]).sum();
            let rest = h[[i, j]] - done;
            if i == j {
                if !(rest > T::zero() && rest.is_finite()) {
                    return None;
                }
                l[[i, i]] = rest.sqrt();
            } else {
                l[[i, j]] = rest / l[[j, j]];
            }
        }
    }
    Some(l)
}

/// `x ← l⁻¹ x` for a lower triangle, the rows of `x` being the right-hand sides' rows.
pub(crate) fn forward_solve<T: Real>(l: &Array2<T>, x: &mut Array2<T>) {
    for i in 0..l.nrows() {
        for j in 0..i {
            let (above, mut here) = x.multi_slice_mut((ndarray::s![j, ..], ndarray::s![i, ..]));
            here.scaled_add(-l[[i, j]], &above);
        }
        let pivot = l[[i, i]];
        x.row_mut(i).mapv_inplace(|v| v / pivot);
    }
}
