//! Conjugate gradients for several right-hand sides at once.

use ad_core::Real;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::block_cg_state::BlockCgState;
use super::checks::{check_preconditioner, check_tolerances, check_vector};
use super::preconditioner::{Identity, Preconditioner};
use super::several::SeveralOutcome;
use crate::error::{SolverError, check_len};
use crate::operator::LinearOperator;

/// Block conjugate gradients (O'Leary 1980) for `A xⱼ = bⱼ`, `A ≻ 0`, `j ≤ k`.
///
/// All systems share one space, which grows by up to `k` dimensions per iteration: each profits
/// from the directions of the others, and the operator multiplies whole blocks
/// ([`apply_block_into`](LinearOperator::apply_block_into)). The residuals are carried as
/// `R = Q C` with orthonormal `Q` (Dubrulle 2001), so that nothing is lost when they become
/// nearly dependent, as they do when the same eigenvector is the last to go in all of them. A
/// direction of `Q` whose share in every residual is well below its tolerance is left out. So
/// equal, dependent or zero right-hand sides are welcome, and neither they nor systems that have
/// converged cost products.
///
/// The true residuals are computed before success is reported (one more block); systems whose
/// residual is too large start again together, as long as that halves it.
///
/// A long solve can be done in parts: see [`BlockCg::start`].
///
/// - **Cost**: at most `k` products, `k` preconditioners and about `12nk²` flops per iteration.
/// - **Memory**: `5k` vectors, `6k + 1` with a preconditioner; nothing is allocated in the loop.
///
/// ```
/// use hvp_solvers::{linear::BlockCg, operator::DiagonalOperator};
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0]);
/// let b = array![[1.0, 0.0, 4.0], [1.0, 2.0, 0.0]];
/// let found = BlockCg::default().solve(&a, b.view())?;
/// assert!(found.is_converged());
/// assert!((found.x[[0, 2]] - 1.0_f64).abs() < 1e-12 && (found.x[[1, 1]] - 1.0).abs() < 1e-12);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BlockCg {
    /// System `j` stops at `‖bⱼ − Axⱼ‖ ≤ relative_tolerance · ‖bⱼ‖`. Default 1e-10,
    /// and never less than `16 eps` of the type, 2e-6 in single precision: what rounding leaves of
    /// a residual.
    pub relative_tolerance: f64,
    /// … or at `absolute_tolerance`, whichever comes first. Default 0.
    pub absolute_tolerance: f64,
    /// At most this many iterations of the block; `None` for `10 n + 10`.
    pub max_iters: Option<usize>,
}

impl Default for BlockCg {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            absolute_tolerance: 0.0,
            max_iters: None,
        }
    }
}

impl BlockCg {
    /// Solves for the rows of `b` (`k×n`) from zero, without a preconditioner.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve<T, A>(&self, a: &A, b: ArrayView2<'_, T>) -> Result<SeveralOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        self.solve_with(a, b, None, &Identity)
    }

    /// Solves for the rows of `b` from the rows of `x0` (zero if `None`), with a
    /// preconditioner.
    ///
    /// # Errors
    /// [`SolverError`] for shapes that do not match, input that is not finite, or a tolerance
    /// that is negative or NaN.
    pub fn solve_with<T, A, P>(
        &self,
        a: &A,
        b: ArrayView2<'_, T>,
        x0: Option<ArrayView2<'_, T>>,
        m: &P,
    ) -> Result<SeveralOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        check_len("rows of b", b.ncols(), a.dim())?;
        check_preconditioner(m.dim(), a.dim())?;
        let mut state = self.start(b, x0)?;
        state.advance(a, m, usize::MAX)?;
        Ok(state.into_outcome())
    }

    /// A solve that has not begun: no product is made yet. It is carried on by
    /// [`BlockCgState::advance`], and can be stored in between.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with), where the operator's dimension is taken to be that of
    /// the rows of `b`.
    pub fn start<T: Real>(
        &self,
        b: ArrayView2<'_, T>,
        x0: Option<ArrayView2<'_, T>>,
    ) -> Result<BlockCgState<T>, SolverError> {
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
        ])?;
        let (k, n) = b.dim();
        b.rows()
            .into_iter()
            .try_for_each(|b| check_vector("b", b, n))?;
        if let Some(x0) = x0 {
            check_len("x0", x0.nrows(), k)?;
            x0.rows()
                .into_iter()
                .try_for_each(|x0| check_vector("x0", x0, n))?;
        }
        Ok(BlockCgState::new(self, b, x0))
    }
}
