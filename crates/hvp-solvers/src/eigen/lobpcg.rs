//! The locally optimal block preconditioned conjugate gradient method: settings and entry.

use ad_core::Real;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::lobpcg_state::LobpcgState;
use super::outcome::EigenOutcome;
use super::which::Which;
use crate::error::{SolverError, check_finite, check_len, check_setting};
use crate::linear::{Identity, Preconditioner};
use crate::operator::LinearOperator;

/// One end of the spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The smallest eigenvalues.
    Smallest,
    /// The largest eigenvalues.
    Largest,
}

impl End {
    pub(super) fn which(self) -> Which {
        match self {
            Self::Smallest => Which::Smallest,
            Self::Largest => Which::Largest,
        }
    }
}

/// Eigenpairs at one end of the spectrum by LOBPCG (Knyazev 2001), with a preconditioner.
///
/// In every iteration the Ritz vectors are taken from the span of the last ones `X`, the
/// preconditioned residuals `W = M⁻¹(AX − XΘ)` and the last steps `P`. The basis `[X P W]` is
/// orthonormal throughout: `P` is made orthogonal to `X` among the coefficients (Hetmaniuk &
/// Lehoucq 2006), `W` by repeated Gram–Schmidt that drops what is dependent (as in Duersch, Shao,
/// Yang & Gu 2018), so that no Gram matrix is inverted. Converged pairs stay in `X` but get no
/// more residuals (soft locking).
///
/// Where the solve with `M` is cheap and `M⁻¹A` has a small condition number, it needs far fewer
/// products than Lanczos. Without a preconditioner it needs more. For the largest eigenvalues `M`
/// should be close to `θ − A`.
///
/// A long solve can be done in parts: see [`Lobpcg::start`].
///
/// - **Cost**: a product, a solve with `M` and about `60·n·block` flops per iteration for each pair
///   that has not converged. Products come in blocks.
/// - **Memory**: `6·block` vectors; nothing is allocated in the loop.
/// - **Convergence**: as [`Lanczos`](super::Lanczos), by residuals that are confirmed by products and
///   of which rounding leaves `10·eps·‖A‖`.
///
/// ```
/// use hvp_solvers::eigen::{End, Lobpcg};
/// use hvp_solvers::linear::DiagonalPreconditioner;
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::Array1;
/// // Condition 1e8, but the diagonal is known.
/// let d = Array1::from_shape_fn(200, |i| 1e8_f64.powf(i as f64 / 199.0));
/// let m = DiagonalPreconditioner::new(d.clone())?;
/// let found = Lobpcg::new(2, End::Smallest).solve_with(&DiagonalOperator::new(d), None, &m)?;
/// assert!(found.stop == hvp_solvers::eigen::EigenStop::Converged);
/// assert!((found.pairs[0].value - 1.0).abs() <= found.pairs[0].error_bound);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lobpcg {
    /// How many pairs.
    pub k: usize,
    /// At which end.
    pub end: End,
    /// Vectors iterated; `None` for `k + max(2, k/4)`. More than `k` help when eigenvalue `k` is
    /// close to the next. At most `n` are used.
    pub block: Option<usize>,
    /// Relative tolerance of the residuals. Default 1e-8.
    pub tolerance: f64,
    /// Give up after this many iterations. Default 500.
    pub max_iters: usize,
    /// Seed of the random start. Default 0.
    pub seed: u64,
}

impl Lobpcg {
    /// The defaults, for `k` pairs.
    pub fn new(k: usize, end: End) -> Self {
        Self {
            k,
            end,
            block: None,
            tolerance: 1e-8,
            max_iters: 500,
            seed: 0,
        }
    }

    /// Finds the pairs from a seeded random start, without a preconditioner.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for `k > n`, a block below `k`, or a tolerance that is
    /// negative or not finite.
    pub fn solve<T, A>(&self, a: &A) -> Result<EigenOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        self.solve_with(a, None, &Identity)
    }

    /// Finds the pairs from the rows of `start`, which random vectors fill up to the block, with
    /// the preconditioner `m`.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), for rows of the wrong length or not finite, and for a
    /// preconditioner of another dimension.
    pub fn solve_with<T, A, P>(
        &self,
        a: &A,
        start: Option<ArrayView2<'_, T>>,
        m: &P,
    ) -> Result<EigenOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        check_len("preconditioner", m.dim().unwrap_or(a.dim()), a.dim())?;
        let mut state = self.start(a.dim(), start)?;
        state.advance(a, m, usize::MAX)?;
        state.into_outcome(a)
    }

    /// A solve that has not begun, for an operator of dimension `n`: no product is made yet. It is
    /// carried on by [`LobpcgState::advance`], and can be stored in between.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn start<T: Real>(
        &self,
        n: usize,
        start: Option<ArrayView2<'_, T>>,
    ) -> Result<LobpcgState<T>, SolverError> {
        let block = self.check(n)?;
        if let Some(start) = start {
            check_len("a row of the start", start.ncols(), n)?;
            start
                .rows()
                .into_iter()
                .try_for_each(|row| check_finite("a row of the start", row))?;
        }
        Ok(LobpcgState::new(*self, n, block, start))
    }

    /// The number of vectors iterated.
    pub(super) fn check(&self, n: usize) -> Result<usize, SolverError> {
        let k = self.k;
        check_setting("k", k as f64, k <= n, "at most the dimension")?;
        let tol = self.tolerance;
        let sound = tol >= 0.0 && tol.is_finite();
        check_setting("tolerance", tol, sound, "finite, at least zero")?;
        let block = self.block.unwrap_or(k + (k / 4).max(2));
        check_setting("block", block as f64, block >= k, "at least k")?;
        Ok(block.min(n))
    }
}
