//! An orthonormal basis that grows one vector at a time.

use ad_core::Real;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::bits;
use crate::random::fill_normal;
use crate::vector::{axpy, dot, norm2, scale};

/// Orthonormal vectors, one per row of a single allocation.
///
/// It is stored without what is free; [`make_room`](Self::make_room) brings that back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real", from = "Stored<T>", into = "Stored<T>")]
pub(crate) struct Basis<T> {
    n: usize,
    rows: Vec<T>,
    len: usize,
    /// Scratch for one set of coefficients.
    coefficients: Vec<T>,
    /// Scratch for [`rotate`](Self::rotate).
    tile: Vec<T>,
}

/// The vectors of a [`Basis`].
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Real")]
struct Stored<T> {
    n: usize,
    #[serde(with = "bits::vector")]
    rows: Vec<T>,
}

impl<T: Real> From<Basis<T>> for Stored<T> {
    fn from(mut basis: Basis<T>) -> Self {
        basis.rows.truncate(basis.len * basis.n);
        let Basis { n, rows, .. } = basis;
        Self { n, rows }
    }
}

impl<T: Real> From<Stored<T>> for Basis<T> {
    fn from(stored: Stored<T>) -> Self {
        Self {
            n: stored.n,
            len: stored.rows.len() / stored.n.max(1),
            rows: stored.rows,
            coefficients: Vec::new(),
            tile: Vec::new(),
        }
    }
}

/// Columns that [`Basis::rotate`] handles at a time, so that a tile stays in cache.
const TILE: usize = 64;

impl<T: Real> Basis<T> {
    /// Room for `capacity` vectors of dimension `n`.
    pub(crate) fn new(n: usize, capacity: usize) -> Self {
        Self {
            n,
            rows: vec![T::zero(); n * capacity],
            len: 0,
            coefficients: vec![T::zero(); capacity],
            tile: vec![T::zero(); capacity * TILE],
        }
    }

    /// Whether this holds at most `capacity` whole vectors of dimension `n`.
    pub(crate) fn fits(&self, n: usize, capacity: usize) -> bool {
        let stored = self.tile.is_empty() && self.rows.len() == self.len * n;
        let whole = stored || self.rows.len() == n * capacity;
        self.n == n && self.len <= capacity && whole
    }

    /// Room for `capacity` vectors, after it was stored.
    pub(crate) fn make_room(&mut self, capacity: usize) {
        self.rows.resize(self.n * capacity, T::zero());
        self.coefficients.resize(capacity, T::zero());
        self.tile.resize(capacity * TILE, T::zero());
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Vector `i`.
    pub(crate) fn row(&self, i: usize) -> &[T] {
        &self.rows[i * self.n..(i + 1) * self.n]
    }

    /// Vectors `from..from + count` in one piece.
    pub(crate) fn rows(&self, from: usize, count: usize) -> &[T] {
        &self.rows[from * self.n..(from + count) * self.n]
    }

    /// Appends `count` vectors, which the caller writes.
    pub(crate) fn extend(&mut self, count: usize) -> &mut [T] {
        let from = self.len;
        self.len += count;
        &mut self.rows[from * self.n..self.len * self.n]
    }

    /// Forgets all but the first `len` vectors.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Appends `w / norm`, which the caller has made orthogonal to the others.
    pub(crate) fn push(&mut self, w: &[T], norm: T) {
        let row = &mut self.rows[self.len * self.n..(self.len + 1) * self.n];
        row.copy_from_slice(w);
        scale(norm.recip(), row);
        self.len += 1;
    }

    /// `w ← (I − VVᵀ) w`; the coefficients `Vᵀw` are added up in `h`.
    ///
    /// Classical Gram–Schmidt, repeated as long as a pass removes a good part of the
    /// vector (Daniel, Gragg, Kaufman & Stewart 1976), with ARPACK's threshold. Two
    /// passes nearly always suffice, three always do. Returns the norms of `w` before
    /// and after.
    pub(crate) fn orthogonalise(&mut self, w: &mut [T], h: &mut [T]) -> (T, T) {
        const ENOUGH: f64 = 0.717;
        const MAX_PASSES: usize = 3;
        h[..self.len].fill(T::zero());
        let before = norm2(w);
        let mut norm = before;
        for _ in 0..MAX_PASSES {
            for i in 0..self.len {
                self.coefficients[i] = dot(self.row(i), w);
            }
            for (i, h) in h[..self.len].iter_mut().enumerate() {
                *h += self.coefficients[i];
                axpy(-self.coefficients[i], self.row(i), w);
            }
            let after = norm2(w);
            let enough = after > T::of(ENOUGH) * norm;
            norm = after;
            if enough || !norm.is_finite() {
                break;
            }
        }
        (before, norm)
    }

    /// Appends a random direction orthogonal to all vectors; false if none is left.
    pub(crate) fn push_random(&mut self, rng: &mut ChaCha8Rng, w: &mut [T]) -> bool {
        const TRIES: usize = 3;
        if self.len >= self.n {
            return false;
        }
        let mut h = std::mem::take(&mut self.tile);
        let mut found = false;
        for _ in 0..TRIES {
            fill_normal(rng, w);
            let (before, after) = self.orthogonalise(w, &mut h);
            // What is left of a random vector in a space of one dimension is about
            // 1/√n of it; rounding leaves eps.
            if after > T::of(100.0) * T::epsilon() * before {
                self.push(w, after);
                found = true;
                break;
            }
        }
        self.tile = h;
        found
    }

    /// Replaces the first `y_cols.len()` vectors by `V Y`: new vector `k` is
    /// `Σᵢ vᵢ y[i, y_cols[k]]` with the row-major `len×len` matrix `y`.
    ///
    /// Works on tiles of columns, so that it needs no second basis.
    pub(crate) fn rotate(&mut self, y: &[T], y_cols: &[usize]) {
        let m = self.len;
        for start in (0..self.n).step_by(TILE) {
            let width = TILE.min(self.n - start);
            for (k, &col) in y_cols.iter().enumerate() {
                let out = &mut self.tile[k * TILE..k * TILE + width];
                out.fill(T::zero());
                for i in 0..m {
                    let row = &self.rows[i * self.n + start..i * self.n + start + width];
                    axpy(y[i * m + col], row, out);
                }
            }
            for k in 0..y_cols.len() {
                let out = &self.tile[k * TILE..k * TILE + width];
                self.rows[k * self.n + start..k * self.n + start + width].copy_from_slice(out);
            }
        }
        self.len = y_cols.len();
    }

    /// Rotates the first `m` vectors and moves the others up behind them.
    pub(crate) fn rotate_head(&mut self, m: usize, y: &[T], y_cols: &[usize]) {
        let (all, n) = (self.len, self.n);
        self.len = m;
        self.rotate(y, y_cols);
        self.rows.copy_within(m * n..all * n, self.len * n);
        self.len += all - m;
    }

    /// `max |VᵀV − I|`, the loss of orthogonality.
    pub(crate) fn orthogonality(&self) -> T {
        let mut worst = T::zero();
        for i in 0..self.len {
            for j in 0..=i {
                let expected = if i == j { T::one() } else { T::zero() };
                worst = worst.max((dot(self.row(i), self.row(j)) - expected).abs());
            }
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;

    #[test]
    fn fills_the_space_and_stays_orthonormal() {
        let n = 70;
        let mut basis = Basis::<f64>::new(n, n);
        let mut rng = generator(3);
        let mut w = vec![0.0; n];
        for _ in 0..n {
            assert!(basis.push_random(&mut rng, &mut w));
        }
        assert!(!basis.push_random(&mut rng, &mut w));
        assert!(basis.orthogonality() < 4.0 * f64::EPSILON * (n as f64).sqrt());
    }

    #[test]
    fn orthogonalise_survives_a_vector_almost_inside_the_span() {
        let n = 100;
        let mut basis = Basis::<f64>::new(n, 3);
        let mut rng = generator(4);
        let mut w = vec![0.0; n];
        basis.push_random(&mut rng, &mut w);
        basis.push_random(&mut rng, &mut w);
        let mut noise = vec![0.0; n];
        fill_normal(&mut rng, &mut noise);
        let mut w: Vec<f64> = (0..n)
            .map(|i| basis.row(0)[i] - 2.0 * basis.row(1)[i] + 1e-12 * noise[i])
            .collect();
        let mut h = [0.0; 3];
        let (_, norm) = basis.orthogonalise(&mut w, &mut h);
        basis.push(&w, norm);
        assert!((h[0] - 1.0).abs() < 1e-10 && (h[1] + 2.0).abs() < 1e-10);
        assert!(basis.orthogonality() < 8.0 * f64::EPSILON);
    }

    #[test]
    fn rotate_is_a_product() {
        let n = 130; // two full tiles and a rest
        let mut basis = Basis::<f64>::new(n, 3);
        let mut rng = generator(5);
        let mut w = vec![0.0; n];
        for _ in 0..3 {
            basis.push_random(&mut rng, &mut w);
        }
        let y = [0.6, 0.0, -0.8, 0.0, 1.0, 0.0, 0.8, 0.0, 0.6];
        let expected: Vec<f64> = (0..n)
            .map(|j| -0.8 * basis.row(0)[j] + 0.6 * basis.row(2)[j])
            .collect();
        let second = basis.row(1).to_vec();
        basis.rotate(&y, &[2, 1]);
        assert_eq!(basis.len(), 2);
        for j in 0..n {
            assert!((basis.row(0)[j] - expected[j]).abs() < f64::EPSILON);
            assert!((basis.row(1)[j] - second[j]).abs() < f64::EPSILON);
        }
    }
}
