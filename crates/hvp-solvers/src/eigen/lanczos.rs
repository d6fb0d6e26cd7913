//! Lanczos with full reorthogonalisation and thick restarts.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::lanczos_run::LanczosRun;
use super::outcome::EigenOutcome;
use super::which::{MultiplicityProbe, Which};
use crate::error::{SolverError, check_finite, check_len, check_setting};
use crate::operator::LinearOperator;

/// Extreme eigenpairs of a symmetric operator by thick-restart Lanczos (Wu & Simon 2000).
///
/// Builds an orthonormal basis `V` of a Krylov space with
///
/// `A V = V T + r eᵀ`,   `VᵀV = I`,
///
/// takes the eigenpairs `(θ, y)` of the small matrix `T`, and restarts with the best
/// vectors `V y` and the residual vector `r` when `ncv` vectors are full. All vectors
/// stay orthogonal to working accuracy by repeated Gram–Schmidt; when the space is
/// exhausted (identity, few distinct eigenvalues) it goes on with a random vector.
/// Copies of eigenvalues that the space of one vector cannot hold are looked for once the pairs
/// have converged ([`MultiplicityProbe`]), and [`EigenOutcome::copies`] says with which result.
///
/// With a [`block`](Self::block) of `b > 1` the space is that of `b` vectors, `T` has `2b + 1`
/// diagonals (Ruhe 1979) and `r` is `b` vectors. Products come in blocks of `b`, and up to `b`
/// copies of an eigenvalue are found without looking for them. It takes more products than one
/// vector does, and pays where a block costs less than its vectors one by one.
///
/// - **Cost**: one product and about `4·n·ncv` to `8·n·ncv` flops per step, `2·n·ncv²` per
///   restart, and one product for each returned pair, for its true residual.
/// - **Memory**: `ncv + 2b` vectors and `2·ncv²` numbers, three vectors more to look for copies;
///   nothing is allocated between restarts.
/// - **Convergence**: looked for every few columns. The residual of every wanted pair is at most
///   `tolerance · max(|θ|, eps^⅔·‖A‖)`, or at the rounding level `eps·‖A‖`. At a loose tolerance the wanted
///   number of pairs may converge before one among them that the random start holds little of has
///   shown. The bounds hold for what is returned; [`MultiplicityProbe::Always`] looks further.
///
/// ```
/// use hvp_solvers::eigen::{Lanczos, Which};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::Array1;
/// let a = DiagonalOperator::new(Array1::linspace(-1.0, 8.0, 10));
/// let found = Lanczos::new(2, Which::BothEnds).solve(&a)?;
/// let values: Vec<f64> = found.pairs.iter().map(|p| p.value).collect();
/// for (value, exact) in values.iter().zip([-1.0, 0.0, 7.0, 8.0]) {
///     assert!((value - exact).abs() < 1e-13);
/// }
/// assert!(found.pairs.iter().all(|p| p.error_bound < 1e-12 && p.angle_bound < 1e-12));
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lanczos {
    /// How many pairs (at each end, for [`Which::BothEnds`]).
    pub k: usize,
    /// Which pairs.
    pub which: Which,
    /// Vectors held; `None` for `max(2w + 10, 30, w + 8b)` with `w` the number of wanted
    /// pairs and blocks of `b`, and more where restarts are slow, as
    /// [`max_basis_bytes`](Self::max_basis_bytes) allows. At most `n` are used; needs at least
    /// `w + b + 1` if that is below `n`.
    pub ncv: Option<usize>,
    /// Without an `ncv`, a basis half as large again takes the place of a restart if the last one
    /// has not brought the largest residual down tenfold, up to ten times the first size and as
    /// long as the basis has at most so many bytes. Default 256 MiB.
    pub max_basis_bytes: usize,
    /// Vectors multiplied at a time. Default 1.
    pub block: usize,
    /// Relative tolerance of the residuals; 0, the default, for the machine epsilon.
    pub tolerance: f64,
    /// Give up after this many restarts. Default 300.
    pub max_restarts: usize,
    /// Seed of the start vector and of the random vectors after a breakdown. Default 0.
    pub seed: u64,
    /// When to look for missed copies.
    pub probe: MultiplicityProbe,
}

/// Where a solve starts.
pub(super) enum Start<'a, T> {
    Random,
    Vector(ArrayView1<'a, T>),
    Basis(ArrayView2<'a, T>),
}

impl Lanczos {
    /// The defaults, for `k` pairs.
    pub fn new(k: usize, which: Which) -> Self {
        Self {
            k,
            which,
            ncv: None,
            max_basis_bytes: 256 << 20,
            block: 1,
            tolerance: 0.0,
            max_restarts: 300,
            seed: 0,
            probe: MultiplicityProbe::default(),
        }
    }

    /// Finds the pairs from a seeded random start.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for `k > n`, an `ncv` too small, a block of none, or a
    /// tolerance that is negative or NaN.
    pub fn solve<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
    ) -> Result<EigenOutcome<T>, SolverError> {
        self.run(a, Start::Random)
    }

    /// Finds the pairs from a given start vector.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), and for a start of the wrong length or not finite.
    pub fn solve_from<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        start: ArrayView1<'_, T>,
    ) -> Result<EigenOutcome<T>, SolverError> {
        check_len("start", start.len(), a.dim())?;
        check_finite("start", start)?;
        self.run(a, Start::Vector(start))
    }

    /// Finds the pairs from an earlier basis, such as the eigenvectors of an operator that has
    /// changed a little since ([`EigenOutcome::vectors`]); one vector per row.
    ///
    /// Multiplies the basis and takes the Ritz pairs in its span. If the wanted ones are
    /// within tolerance, that is all: `k` products and `k` for the residuals. Otherwise Lanczos
    /// starts from their sum, in which everything unwanted is already small.
    ///
    /// Like every restart it trusts that the wanted pairs have a part in the basis. A pair that
    /// has come up from elsewhere since can be missed when all others are within tolerance;
    /// [`MultiplicityProbe::Always`] looks for those.
    ///
    /// ```
    /// use hvp_solvers::eigen::{Lanczos, Which};
    /// use hvp_solvers::operator::DenseOperator;
    /// use ndarray::{Array1, Array2};
    /// let mut a = Array2::from_diag(&Array1::linspace(0.0, 1.0, 100));
    /// let config = Lanczos { tolerance: 1e-6, ..Lanczos::new(3, Which::Largest) };
    /// let cold = config.solve(&DenseOperator::new(a.clone())?)?;
    /// a[[0, 1]] = 1e-5;
    /// a[[1, 0]] = 1e-5;
    /// let basis = cold.vectors();
    /// let warm = config.solve_from_basis(&DenseOperator::new(a)?, basis.view())?;
    /// assert!(warm.stop == cold.stop && warm.stats.n_products == 6);
    /// # Ok::<(), hvp_solvers::SolverError>(())
    /// ```
    ///
    /// # Errors
    /// As [`solve`](Self::solve), for rows of the wrong length or not finite, and for more rows
    /// than `ncv`.
    pub fn solve_from_basis<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        basis: ArrayView2<'_, T>,
    ) -> Result<EigenOutcome<T>, SolverError> {
        check_len("a row of the basis", basis.ncols(), a.dim())?;
        for row in basis.rows() {
            check_finite("a row of the basis", row)?;
        }
        let (_, ncv) = self.sizes(a.dim())?;
        let rows = basis.nrows();
        check_setting("rows of the basis", rows as f64, rows <= ncv, "at most ncv")?;
        self.run(a, Start::Basis(basis))
    }

    /// The number of wanted pairs and of vectors held.
    pub(super) fn sizes(&self, n: usize) -> Result<(usize, usize), SolverError> {
        check_setting("k", self.k as f64, self.k <= n, "at most the dimension")?;
        check_setting("block", self.block as f64, self.block >= 1, "at least 1")?;
        let tol = self.tolerance;
        check_setting(
            "tolerance",
            tol,
            tol >= 0.0 && tol.is_finite(),
            "finite, at least zero",
        )?;
        let wanted = match self.which {
            Which::BothEnds => n.min(2 * self.k),
            _ => self.k,
        };
        let usual = (2 * wanted + 10)
            .max(30)
            .max(wanted + 8 * self.block.min(n));
        let ncv = self.ncv.unwrap_or(usual).min(n);
        let room = ncv == n || ncv > wanted + self.block;
        check_setting(
            "ncv",
            ncv as f64,
            room,
            "more than the wanted pairs and a block",
        )?;
        Ok((wanted, ncv))
    }

    /// The next larger size of a basis of `ncv` vectors, or the same.
    pub(super) fn larger<T>(&self, n: usize, ncv: usize) -> usize {
        const MOST: usize = 10;
        let Ok((_, first)) = self.sizes(n) else {
            return ncv;
        };
        if self.ncv.is_some() {
            return ncv;
        }
        let vectors = self.max_basis_bytes / (size_of::<T>() * n.max(1));
        let room = vectors.saturating_sub(self.block).min(MOST * first).min(n);
        room.min(ncv + ncv / 2).max(ncv)
    }

    /// Prepares a solve from a seeded random start, to be advanced restart by restart.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    pub fn begin<T: Real>(&self, n: usize) -> Result<LanczosRun<T>, SolverError> {
        self.begin_from(n, Start::Random)
    }

    fn begin_from<T: Real>(
        &self,
        n: usize,
        start: Start<'_, T>,
    ) -> Result<LanczosRun<T>, SolverError> {
        let (wanted, ncv) = self.sizes(n)?;
        Ok(LanczosRun::new(self.clone(), n, wanted, ncv, start))
    }

    fn run<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        start: Start<'_, T>,
    ) -> Result<EigenOutcome<T>, SolverError> {
        let mut run = self.begin_from(a.dim(), start)?;
        while run.advance(a)?.is_none() {}
        run.finish(a)
    }
}
