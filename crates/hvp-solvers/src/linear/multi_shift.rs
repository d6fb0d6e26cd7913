//! Conjugate gradients for many shifts of one operator.

use ad_core::Real;
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::Identity;
use super::cg::{Cg, CgStop};
use super::checks::{check_tolerances, check_vector};
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::{LinearOperator, Shifted, apply};
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale};

/// Conjugate gradients for `(A + σⱼI) xⱼ = b` with many shifts at the cost in products of one
/// (Frommer 2003; van den Eshof & Sleijpen 2004).
///
/// The Krylov spaces of all shifts are one: `A V = V T + β v eᵀ` implies
/// `(A + σI) V = V (T + σI) + β v eᵀ`. So one Lanczos run serves every system, each with its own
/// factorisation `T + σI = LDLᵀ` and its own direction `P = V L⁻ᵀ`. A ladder of damped Newton
/// steps costs no more products than its least damped one.
///
/// Each system stops when it has converged, and its true residual is verified by one product;
/// one that rounding has spoiled is finished by [`Cg`] from where it stands.
///
/// - **Cost**: a product and `6n` flops an iteration, `4n` more for each shift at work; a
///   product a shift to verify.
/// - **Memory**: `2k + 4` vectors for `k` shifts; nothing is allocated in the loop.
///
/// ```
/// use hvp_solvers::{linear::MultiShiftCg, operator::DiagonalOperator};
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0]);
/// let b = array![1.0, 1.0, 1.0];
/// let found = MultiShiftCg::default().solve(&a, b.view(), &[0.0, 1.0, 100.0])?;
/// assert!(found.is_converged());
/// assert!((found.x[[1, 2]] - 0.2_f64).abs() < 1e-12);
/// assert_eq!(found.n_products, 6); // three iterations and three checks
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MultiShiftCg {
    /// A system stops at `‖b − (A + σI)x‖ ≤ relative_tolerance · ‖b‖`. Default 1e-10.
    pub relative_tolerance: f64,
    /// … or at `absolute_tolerance`, whichever comes first. Default 0.
    pub absolute_tolerance: f64,
    /// At most this many iterations; `None` for `10 n + 10`.
    pub max_iters: Option<usize>,
}

impl Default for MultiShiftCg {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            absolute_tolerance: 0.0,
            max_iters: None,
        }
    }
}

/// How one of several systems ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SystemOutcome {
    /// How it ended.
    pub stop: CgStop,
    /// Iterations in which it took part.
    pub n_iters: usize,
    /// The residual's norm: recomputed if converged or stagnated, else by the recurrence.
    pub residual_norm: f64,
}

/// The solutions of several systems and how they were reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeveralOutcome<T> {
    /// The last good iterates, one a row; always finite.
    pub x: Array2<T>,
    /// How each system ended.
    pub systems: Vec<SystemOutcome>,
    /// Products with the operator, for all systems together.
    pub n_products: usize,
}

impl<T> SeveralOutcome<T> {
    /// Whether every system reached its tolerance.
    pub fn is_converged(&self) -> bool {
        self.systems.iter().all(|system| system.stop.is_converged())
    }
}

/// One shifted system, in units of `‖b‖`.
struct System<T> {
    shift: T,
    x: Vec<T>,
    /// The direction, a row of `L⁻¹Vᵀ`.
    p: Vec<T>,
    /// The last entry of `L⁻¹(‖b‖e₁)`, and of `L`.
    zeta: T,
    l: T,
    residual: T,
    n_iters: usize,
    /// `None` while it is at work.
    stop: Option<CgStop>,
}

impl<T: Real> System<T> {
    fn new(shift: T, n: usize, norm: T) -> Self {
        Self {
            shift,
            x: vec![T::zero(); n],
            p: vec![T::zero(); n],
            zeta: norm,
            l: T::zero(),
            residual: norm,
            n_iters: 0,
            stop: None,
        }
    }

    /// Takes in row `(β, α, β_next)` of the Lanczos matrix and its vector.
    fn advance(&mut self, v: &[T], alpha: T, beta: T, next: T, tol: T) {
        let pivot = alpha + self.shift - self.l * beta;
        let step = self.zeta / pivot;
        let l = next / pivot;
        if pivot <= T::zero() {
            return self.stop = Some(CgStop::NotPositiveDefinite);
        }
        if !(step.is_finite() && l.is_finite()) {
            return self.stop = Some(CgStop::Stagnated);
        }
        for (p, &v) in self.p.iter_mut().zip(v) {
            *p = v - self.l * *p;
        }
        axpy(step, &self.p, &mut self.x);
        self.l = l;
        self.zeta = -l * self.zeta;
        self.residual = self.zeta.abs();
        self.n_iters += 1;
        if self.residual <= tol {
            self.stop = Some(CgStop::Converged);
        }
    }
}

/// The vectors of the Lanczos run.
struct Run<'a, T, A: ?Sized> {
    a: &'a A,
    b: Vec<T>,
    v: Vec<T>,
    v_old: Vec<T>,
    w: Vec<T>,
    n_products: usize,
}

impl MultiShiftCg {
    /// Solves `(A + σⱼI) xⱼ = b` from zero, for shifts of which each has to make the operator
    /// positive definite; the others end as [`CgStop::NotPositiveDefinite`].
    ///
    /// # Errors
    /// [`SolverError`] for a right-hand side of another length or not finite, a shift that is
    /// not finite, or a tolerance that is negative or NaN.
    pub fn solve<T, A>(
        &self,
        a: &A,
        b: ArrayView1<'_, T>,
        shifts: &[T],
    ) -> Result<SeveralOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let n = a.dim();
        check_vector("b", b, n)?;
        for shift in shifts {
            check_setting("shift", shift.as_f64(), shift.is_finite(), "finite")?;
        }
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
        ])?;
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let zeros = || vec![T::zero(); n];
        let mut run = Run {
            a,
            b: b.iter().map(|&b| b / unit).collect(),
            v: zeros(),
            v_old: zeros(),
            w: zeros(),
            n_products: 0,
        };
        let norm = norm2(&run.b);
        let relative = T::of(self.relative_tolerance) * norm;
        let tol = relative.max(T::of(self.absolute_tolerance) / unit);
        let mut systems: Vec<System<T>> = shifts.iter().map(|&s| System::new(s, n, norm)).collect();
        let max_iters = self.max_iters.unwrap_or(10 * n + 10);
        if norm > tol {
            run.iterate(&mut systems, norm, tol, max_iters);
            for system in &mut systems {
                run.verify(system, tol, max_iters);
            }
        } else {
            for system in &mut systems {
                system.stop = Some(CgStop::Converged);
            }
        }
        let n_products = run.n_products;
        Ok(finish(systems, unit, norm, n, n_products))
    }
}

impl<T: Real, A: LinearOperator<T> + ?Sized> Run<'_, T, A> {
    /// Runs the recurrence until no system is at work.
    fn iterate(&mut self, systems: &mut [System<T>], norm: T, tol: T, max_iters: usize) {
        self.v.copy_from_slice(&self.b);
        scale(norm.recip(), &mut self.v);
        let mut beta = T::zero();
        for _ in 0..max_iters {
            apply(self.a, &self.v, &mut self.w);
            self.n_products += 1;
            axpy(-beta, &self.v_old, &mut self.w);
            let alpha = dot(&self.v, &self.w);
            axpy(-alpha, &self.v, &mut self.w);
            let next = norm2(&self.w);
            let working = systems.iter_mut().filter(|system| system.stop.is_none());
            if !(alpha.is_finite() && next.is_finite()) {
                let what = Quantity::Product;
                working.for_each(|system| system.stop = Some(CgStop::NonFinite { what }));
                return;
            }
            working.for_each(|system| system.advance(&self.v, alpha, beta, next, tol));
            // The space is invariant: every residual is zero.
            if next == T::zero() || systems.iter().all(|system| system.stop.is_some()) {
                break;
            }
            std::mem::swap(&mut self.v_old, &mut self.v);
            for (v, &w) in self.v.iter_mut().zip(&self.w) {
                *v = w / next;
            }
            beta = next;
        }
        for system in systems.iter_mut().filter(|system| system.stop.is_none()) {
            system.stop = Some(CgStop::MaxIterations);
        }
    }

    /// Computes the true residual of a system that converged; goes on with [`Cg`] if it is too
    /// large.
    fn verify(&mut self, system: &mut System<T>, tol: T, max_iters: usize) {
        if system.stop != Some(CgStop::Converged) || !all_finite(&system.x) {
            return;
        }
        apply(self.a, &system.x, &mut self.w);
        self.n_products += 1;
        for ((w, &x), &b) in self.w.iter_mut().zip(&system.x).zip(&self.b) {
            *w = b - (*w + system.shift * x);
        }
        let residual = norm2(&self.w);
        if !residual.is_finite() {
            let what = Quantity::Product;
            return system.stop = Some(CgStop::NonFinite { what });
        }
        system.residual = residual;
        if residual <= tol {
            return;
        }
        let rest = Cg {
            relative_tolerance: 0.0,
            absolute_tolerance: tol.as_f64(),
            max_iters: Some(max_iters.saturating_sub(system.n_iters)),
        };
        let shifted = Shifted::new(self.a, system.shift);
        let (b, x) = (ArrayView1::from(&self.b), ArrayView1::from(&system.x));
        // What was checked above holds still: an error would leave the system as it is.
        if let Ok(found) = rest.solve_with(&shifted, b, Some(x), &Identity) {
            self.n_products += found.stats.n_products;
            system.n_iters += found.stats.n_iters;
            system.residual = T::of(found.stats.residual_norm);
            system.stop = Some(found.stop);
            system.x = found.x.to_vec();
        }
    }
}

/// Returns to the caller's units.
fn finish<T: Real>(
    systems: Vec<System<T>>,
    unit: T,
    norm: T,
    n: usize,
    n_products: usize,
) -> SeveralOutcome<T> {
    let mut x = Array2::zeros((systems.len(), n));
    let mut endings = Vec::with_capacity(systems.len());
    for (mut system, mut row) in systems.into_iter().zip(x.rows_mut()) {
        scale(unit, &mut system.x);
        let mut stop = system.stop.unwrap_or(CgStop::MaxIterations);
        if all_finite(&system.x) {
            row.assign(&ArrayView1::from(&system.x));
        } else {
            // The solution is beyond the range of the type.
            system.residual = norm;
            let what = Quantity::Point;
            stop = CgStop::NonFinite { what };
        }
        endings.push(SystemOutcome {
            stop,
            n_iters: system.n_iters,
            residual_norm: (system.residual * unit).as_f64(),
        });
    }
    SeveralOutcome {
        x,
        systems: endings,
        n_products,
    }
}
