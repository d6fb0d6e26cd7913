//! Factorisations of matrices small enough to write down.
//!
//! One small interface, two backends: by default Cholesky factors by blocks of our own and
//! eigenvalues by the pure-Rust `faer`, with the cargo feature `lapack` all of it by LAPACK
//! through `ndarray-linalg`. Both run on one thread
//! here, so that results do not depend on how many there are (OpenBLAS follows its
//! own environment variable `OPENBLAS_NUM_THREADS`).

#[cfg_attr(feature = "lapack", path = "lapack.rs")]
#[cfg_attr(not(feature = "lapack"), path = "pure.rs")]
mod backend;
#[cfg(not(feature = "lapack"))]
mod blocked;
mod classify;

use ad_core::Real;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1};

pub(crate) use classify::kind as classify_kind;
pub use classify::{Classification, PointKind, classify};

use crate::SolverError;
use crate::error::check_len;
use crate::vector::{axpy, dot};

/// The scalars that the dense backend factorises: `f32` and `f64`, and sealed.
///
/// The backend is compiled for them here, not again in every crate that factorises.
pub trait DenseReal: Real {
    /// `Lᵀ` of `A = LLᵀ` into the upper triangle of the row-major `a`; or the bad pivot.
    #[doc(hidden)]
    fn factorise(a: &mut [Self], n: usize) -> Result<(), usize>;

    /// Ascending eigenvalues of the symmetric matrix in the upper triangle of `a`.
    #[doc(hidden)]
    fn eigenvalues(a: Array2<Self>) -> Option<Array1<Self>>;

    /// The same, and eigenvectors, one per row.
    #[doc(hidden)]
    fn eigenpairs(a: Array2<Self>) -> Option<(Array1<Self>, Array2<Self>)>;
}

macro_rules! dense_real {
    ($($scalar:ty),*) => {$(
        impl DenseReal for $scalar {
            fn factorise(a: &mut [Self], n: usize) -> Result<(), usize> {
                backend::factorise(a, n)
            }
            fn eigenvalues(a: Array2<Self>) -> Option<Array1<Self>> {
                backend::eigenvalues(a)
            }
            fn eigenpairs(a: Array2<Self>) -> Option<(Array1<Self>, Array2<Self>)> {
                backend::eigenpairs(a)
            }
        }
    )*};
}

dense_real!(f32, f64);

/// The name of the backend in this build, `"faer"` or `"lapack"`.
pub const BACKEND: &str = backend::NAME;

/// A matrix turned out not to be positive definite (or not finite).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the matrix is not positive definite: pivot {pivot} is not positive")]
pub struct NotPositiveDefinite {
    /// The first pivot that is not positive; for a matrix that is not finite, the first
    /// row with such an entry.
    pub pivot: usize,
}

/// The factorisation `A = LLᵀ` of a symmetric positive definite matrix.
///
/// ```
/// use hvp_solvers::dense::cholesky;
/// use ndarray::array;
/// let factor = cholesky(array![[4.0, 2.0], [2.0, 3.0]].view())?;
/// let x = factor.solve(array![8.0, 7.0].view())?;
/// assert!((x[0] - 1.25_f64).abs() < 1e-15 && (x[1] - 1.5_f64).abs() < 1e-15);
/// assert!(cholesky(array![[1.0, 2.0], [2.0, 1.0]].view()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cholesky<T> {
    n: usize,
    /// `Lᵀ` in the upper triangle, row-major: the columns of `L` are contiguous.
    upper: Vec<T>,
}

/// Factorises `A = LLᵀ`; reads the upper triangle of `a` only.
///
/// Costs `n³/3` flops and one copy of the matrix.
///
/// # Errors
/// [`NotPositiveDefinite`], also for a matrix with an entry that is not finite.
///
/// # Panics
/// If `a` is not square.
pub fn cholesky<T: DenseReal>(a: ArrayView2<'_, T>) -> Result<Cholesky<T>, NotPositiveDefinite> {
    let n = a.nrows();
    assert_eq!(
        a.ncols(),
        n,
        "cholesky: the matrix is {n}×{}, not square",
        a.ncols()
    );
    let mut upper: Array2<T> = a.to_owned();
    cholesky_in_place(&mut upper)?;
    Ok(Cholesky {
        n,
        upper: upper.into_raw_vec_and_offset().0,
    })
}

/// A factorisation that lies in the matrix of which it was made; see [`cholesky_in_place`].
#[derive(Debug)]
pub struct CholeskyInPlace<'a, T> {
    n: usize,
    /// `Lᵀ` in the upper triangle, row-major: the columns of `L` are contiguous.
    upper: &'a [T],
}

/// Bytes that [`cholesky_in_place`] takes beside the matrix, at the first call as at any other: 192 KiB for a large
/// one in `f64`, none up to 64 rows; with LAPACK none that are known here.
pub const fn cholesky_in_place_bytes<T>(n: usize) -> usize {
    backend::factorise_bytes::<T>(n)
}

/// [`cholesky`] without a copy: `Lᵀ` replaces the upper triangle of `a` and its diagonal, and
/// what is below is of no meaning any more.
///
/// ```
/// use hvp_solvers::dense::cholesky_in_place;
/// use ndarray::array;
/// let mut a = array![[4.0, 2.0], [2.0, 3.0]];
/// let mut x = array![8.0, 7.0];
/// cholesky_in_place(&mut a)?.solve_in_place(x.as_slice_mut().unwrap());
/// assert!((x[0] - 1.25_f64).abs() < 1e-15 && (x[1] - 1.5_f64).abs() < 1e-15);
/// # Ok::<(), hvp_solvers::dense::NotPositiveDefinite>(())
/// ```
///
/// # Errors
/// As [`cholesky`]; the matrix is lost.
///
/// # Panics
/// If `a` is not square, or not row-major without gaps.
pub fn cholesky_in_place<T: DenseReal>(
    a: &mut Array2<T>,
) -> Result<CholeskyInPlace<'_, T>, NotPositiveDefinite> {
    let (n, columns) = a.dim();
    assert_eq!(
        n, columns,
        "cholesky: the matrix is {n}×{columns}, not square"
    );
    let is_bad = |(i, row): (usize, ArrayView1<'_, T>)| row.iter().skip(i).any(|v| !v.is_finite());
    if let Some(pivot) = a.rows().into_iter().enumerate().position(is_bad) {
        return Err(NotPositiveDefinite { pivot });
    }
    let upper = a.as_slice_mut().expect("the matrix is row-major");
    if n > 0 {
        T::factorise(upper, n).map_err(|pivot| NotPositiveDefinite { pivot })?;
    }
    // A matrix at the edge of overflow can factorise into infinities.
    match (0..n).find(|&i| !(upper[i * n + i] > T::zero() && upper[i * n + i].is_finite())) {
        None => Ok(CholeskyInPlace { n, upper }),
        Some(pivot) => Err(NotPositiveDefinite { pivot }),
    }
}

impl<T: Real> CholeskyInPlace<'_, T> {
    /// Solves `A x = b` into `x`. Costs `2n²` flops.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`].
    pub fn solve_into(
        &self,
        b: ArrayView1<'_, T>,
        mut x: ArrayViewMut1<'_, T>,
    ) -> Result<(), SolverError> {
        check_len("b", b.len(), self.n)?;
        check_len("x", x.len(), self.n)?;
        x.assign(&b);
        match x.as_slice_mut() {
            Some(x) => self.solve_in_place(x),
            None => {
                let mut contiguous = x.to_vec();
                self.solve_in_place(&mut contiguous);
                x.assign(&ArrayView1::from(&contiguous));
            }
        }
        Ok(())
    }

    /// Replaces the right-hand side `x` by the solution.
    ///
    /// # Panics
    /// If the length is not the dimension.
    pub fn solve_in_place(&self, x: &mut [T]) {
        let n = self.n;
        assert_eq!(x.len(), n, "solve: the right-hand side has another length");
        // L y = b by columns of L, then Lᵀ x = y by rows of Lᵀ: both contiguous.
        for i in 0..n {
            let row = &self.upper[i * n..(i + 1) * n];
            let (head, tail) = x.split_at_mut(i + 1);
            head[i] /= row[i];
            axpy(-head[i], &row[i + 1..], tail);
        }
        for i in (0..n).rev() {
            let row = &self.upper[i * n..(i + 1) * n];
            x[i] = (x[i] - dot(&row[i + 1..], &x[i + 1..])) / row[i];
        }
    }
}

impl<T: Real> Cholesky<T> {
    /// The dimension.
    pub fn dim(&self) -> usize {
        self.n
    }

    /// Solves `A x = b`. Costs `2n²` flops.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`].
    pub fn solve(&self, b: ArrayView1<'_, T>) -> Result<Array1<T>, SolverError> {
        let mut x = Array1::zeros(self.n);
        self.solve_into(b, x.view_mut())?;
        Ok(x)
    }

    /// Solves `A x = b` into `x`.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`].
    pub fn solve_into(
        &self,
        b: ArrayView1<'_, T>,
        x: ArrayViewMut1<'_, T>,
    ) -> Result<(), SolverError> {
        self.as_factor().solve_into(b, x)
    }

    fn as_factor(&self) -> CholeskyInPlace<'_, T> {
        CholeskyInPlace {
            n: self.n,
            upper: &self.upper,
        }
    }

    /// `log det A = 2 Σ log Lᵢᵢ`.
    pub fn log_determinant(&self) -> T {
        let sum: T = (0..self.n).map(|i| self.upper[i * (self.n + 1)].ln()).sum();
        T::of(2.0) * sum
    }
}

/// All eigenvalues of a symmetric matrix, ascending; reads the upper triangle only.
///
/// Costs about `4n³/3` flops and one copy of the matrix.
///
/// ```
/// use hvp_solvers::dense::eigenvalues;
/// use ndarray::array;
/// let values = eigenvalues(array![[2.0, 1.0], [1.0, 2.0]].view())?;
/// assert!((values[0] - 1.0_f64).abs() < 1e-15 && (values[1] - 3.0).abs() < 1e-15);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
///
/// # Errors
/// [`SolverError::NotSquare`], [`SolverError::NonFiniteInput`], or
/// [`SolverError::DenseEigenFailed`].
pub fn eigenvalues<T: DenseReal>(a: ArrayView2<'_, T>) -> Result<Array1<T>, SolverError> {
    let a = symmetric(a)?;
    if a.is_empty() {
        return Ok(Array1::zeros(0));
    }
    let values = T::eigenvalues(a).ok_or(SolverError::DenseEigenFailed)?;
    if values.iter().all(|v| v.is_finite()) {
        return Ok(values);
    }
    Err(SolverError::DenseEigenFailed)
}

/// All eigenvalues of a symmetric matrix, ascending, and its eigenvectors, one per *row*; reads the
/// upper triangle only.
///
/// Costs about `9n³` flops and two copies of the matrix. At the first call on a thread `faer` also reserves
/// buffers for products, twice the last-level cache, of which few pages are touched; they stay.
///
/// ```
/// use hvp_solvers::dense::eigenpairs;
/// use ndarray::array;
/// let (values, vectors) = eigenpairs(array![[2.0, 1.0], [1.0, 2.0]].view())?;
/// assert!((values[1] - 3.0_f64).abs() < 1e-15);
/// // (1, 1)/√2, up to its sign.
/// assert!((vectors[[1, 0]] - vectors[[1, 1]]).abs() < 1e-15);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
///
/// # Errors
/// As [`eigenvalues`].
pub fn eigenpairs<T: DenseReal>(
    a: ArrayView2<'_, T>,
) -> Result<(Array1<T>, Array2<T>), SolverError> {
    let a = symmetric(a)?;
    if a.is_empty() {
        return Ok((Array1::zeros(0), Array2::zeros((0, 0))));
    }
    let (values, vectors) = T::eigenpairs(a).ok_or(SolverError::DenseEigenFailed)?;
    if values.iter().chain(&vectors).all(|v| v.is_finite()) {
        return Ok((values, vectors));
    }
    Err(SolverError::DenseEigenFailed)
}

/// A copy of a square, finite matrix with the upper triangle in both.
fn symmetric<T: DenseReal>(a: ArrayView2<'_, T>) -> Result<Array2<T>, SolverError> {
    let (rows, cols) = a.dim();
    if rows != cols {
        return Err(SolverError::NotSquare {
            what: "matrix",
            rows,
            cols,
        });
    }
    if let Some(index) = a.iter().position(|v| !v.is_finite()) {
        return Err(SolverError::NonFiniteInput {
            what: "matrix",
            index,
        });
    }
    let mut copy: Array2<T> = a.as_standard_layout().into_owned();
    // ndarray-linalg takes the lower triangle of a row-major matrix when asked for the
    // upper one; with both filled in, backends cannot differ.
    for i in 0..rows {
        for j in 0..i {
            copy[[i, j]] = copy[[j, i]];
        }
    }
    Ok(copy)
}
