//! A preconditioner from the directions of an earlier solve.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Preconditioner;
use crate::error::{SolverError, check_len, check_setting};
use crate::vector::{axpy, dot, norm2, scale};

/// Which pairs of a solve are kept.
///
/// Measured on 150 eigenvalues: with six far above a cluster, the first 10 pairs take a solve
/// from 34 products to 17, while 16 spread ones take it to 26 and 4 spread ones to 39; with six
/// far below it, 16 spread ones take it from 33 to 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PairChoice {
    /// The first: they span a whole Krylov space, which holds the eigenvectors of the largest
    /// eigenvalues first. For spectra with few large eigenvalues, as in trained networks.
    #[default]
    First,
    /// Evenly spread over the solve, by the paper: where a few small eigenvalues cost the most.
    Spread,
}

/// Pairs whose coefficients need no heap.
const INLINE: usize = 32;

/// The L-BFGS matrix of pairs `(s, y = As)` seen in an earlier solve with `A` or an operator
/// close to it (Morales & Nocedal 2000), as `M⁻¹`: on the span of the pairs it is the inverse of
/// `A`, elsewhere `γI`.
///
/// Conjugate gradients see such pairs, their directions, for free
/// ([`Cg::solve_collecting`](crate::linear::Cg::solve_collecting)). Of those offered `m` are kept,
/// by [`PairChoice`]. `M⁻¹` is symmetric positive definite whatever the
/// pairs are, because only those with `sᵀy > 0` are taken.
///
/// Collect into one while another preconditions: it must not change during a solve.
///
/// - **Cost**: `4mn` multiplications; `2mn` numbers.
///
/// ```
/// use hvp_solvers::linear::{Cg, Identity, LimitedMemory, PairChoice};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::{array, Array1};
/// let a = DiagonalOperator::new(array![1.0, 1.0, 1.0, 1.0, 1e4]);
/// let mut pairs = LimitedMemory::new(5, 4, PairChoice::First)?;
/// let b = array![1.0, 2.0, 3.0, 4.0, 5.0];
/// let first = Cg::default().solve_collecting(&a, b.view(), None, &Identity, &mut pairs)?;
/// let again = Cg::default().solve_with(&a, Array1::ones(5).view(), None, &pairs)?;
/// assert!(again.stop.is_converged() && again.stats.n_iters <= first.stats.n_iters);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LimitedMemory<T> {
    n: usize,
    capacity: usize,
    choice: PairChoice,
    /// Pairs, one per row, each scaled to `‖s‖ = 1`.
    s: Vec<T>,
    y: Vec<T>,
    /// `sᵀy` of each.
    sy: Vec<T>,
    gamma: T,
    /// Every `stride`-th pair offered is taken.
    stride: usize,
    offered: usize,
}

impl<T: Real> LimitedMemory<T> {
    /// Room for `capacity` pairs of dimension `n`; without any it is the identity.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a capacity of zero.
    pub fn new(n: usize, capacity: usize, choice: PairChoice) -> Result<Self, SolverError> {
        check_setting("capacity", capacity as f64, capacity > 0, "at least one")?;
        Ok(Self {
            n,
            capacity,
            choice,
            s: Vec::with_capacity(n * capacity),
            y: Vec::with_capacity(n * capacity),
            sy: Vec::with_capacity(capacity),
            gamma: T::one(),
            stride: 1,
            offered: 0,
        })
    }

    /// The number of pairs kept.
    pub fn len(&self) -> usize {
        self.sy.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sy.is_empty()
    }

    /// Forgets all pairs.
    pub fn clear(&mut self) {
        self.s.clear();
        self.y.clear();
        self.sy.clear();
        self.gamma = T::one();
        self.stride = 1;
        self.offered = 0;
    }

    /// Offers a pair; returns whether it was taken. It is not if it has no positive curvature,
    /// `sᵀy ≤ 100 eps ‖s‖‖y‖`, is not finite, or is not the one to keep.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`].
    pub fn offer(
        &mut self,
        s: ArrayView1<'_, T>,
        y: ArrayView1<'_, T>,
    ) -> Result<bool, SolverError> {
        check_len("s", s.len(), self.n)?;
        check_len("y", y.len(), self.n)?;
        Ok(self.take(&s.to_vec(), &y.to_vec()))
    }

    /// [`offer`](Self::offer) for slices of the right length.
    pub(in crate::linear) fn take(&mut self, s: &[T], y: &[T]) -> bool {
        let turn = self.offered;
        self.offered += 1;
        if !turn.is_multiple_of(self.stride) {
            return false;
        }
        let (s_norm, y_norm) = (norm2(s), norm2(y));
        let cosine = dot(s, y) / s_norm / y_norm;
        // Written so that NaN fails.
        if !(cosine > T::of(100.0) * T::epsilon() && y_norm.is_finite()) {
            return false;
        }
        if self.len() == self.capacity {
            if self.choice == PairChoice::First {
                return false;
            }
            self.thin_out();
            if !turn.is_multiple_of(self.stride) {
                return false;
            }
        }
        let start = self.s.len();
        self.s.extend_from_slice(s);
        self.y.extend_from_slice(y);
        scale(s_norm.recip(), &mut self.s[start..]);
        scale(s_norm.recip(), &mut self.y[start..]);
        self.sy.push(cosine * (y_norm / s_norm));
        self.gamma = cosine / (y_norm / s_norm);
        true
    }

    /// Keeps every second pair, and takes half as many from now on.
    fn thin_out(&mut self) {
        let kept = self.len().div_ceil(2);
        let n = self.n;
        for i in 1..kept {
            self.s.copy_within(2 * i * n..(2 * i + 1) * n, i * n);
            self.y.copy_within(2 * i * n..(2 * i + 1) * n, i * n);
            self.sy[i] = self.sy[2 * i];
        }
        self.s.truncate(kept * n);
        self.y.truncate(kept * n);
        self.sy.truncate(kept);
        self.stride *= 2;
    }

    fn pair(&self, i: usize) -> (&[T], &[T]) {
        let range = i * self.n..(i + 1) * self.n;
        (&self.s[range.clone()], &self.y[range])
    }

    /// The two loops of L-BFGS.
    fn precondition(&self, q: &mut [T]) {
        let mut alpha: SmallVec<[T; INLINE]> = SmallVec::new();
        for i in (0..self.len()).rev() {
            let (s, y) = self.pair(i);
            let a = dot(s, q) / self.sy[i];
            axpy(-a, y, q);
            alpha.push(a);
        }
        scale(self.gamma, q);
        for i in 0..self.len() {
            let (s, y) = self.pair(i);
            let b = dot(y, q) / self.sy[i];
            axpy(alpha[self.len() - 1 - i] - b, s, q);
        }
    }
}

impl<T: Real> Preconditioner<T> for LimitedMemory<T> {
    fn apply_into(&self, r: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        y.assign(&r);
        match y.as_slice_mut() {
            Some(y) => self.precondition(y),
            None => {
                let mut own = y.to_vec();
                self.precondition(&mut own);
                y.assign(&ArrayView1::from(&own));
            }
        }
    }

    fn dim(&self) -> Option<usize> {
        Some(self.n)
    }
}
