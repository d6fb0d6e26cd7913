//! The trust-region problem solved in Krylov spaces, to any accuracy and for any radius.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::checks::{check_radius, check_tolerances, check_vector};
use super::secular::{Found, Tridiagonal};
use crate::eigen::basis::Basis;
use crate::error::{Quantity, SolverError, check_len, check_setting};
use crate::operator::{LinearOperator, apply};
use crate::random::generator;
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale};

/// GLTR (Gould, Lucidi, Roma & Toint 1999): minimises `m(z) = gᵀz + ½ zᵀBz` subject to
/// `‖z‖ ≤ Δ`, with the multiplier `λ ≥ 0` of the boundary:
///
/// `(B + λI) z = −g`,   `B + λI ⪰ 0`,   `λ (Δ − ‖z‖) = 0`.
///
/// Lanczos from `g` gives `B V = V T + β v eᵀ`; in the coordinates `z = V h` the problem is
/// tridiagonal and solved by Newton's method on `1/‖h(λ)‖ − 1/Δ` in `O(k)` per step.
/// The residual of the first equation is `β|h_k|`. Where
/// [`TruncatedCg`](super::TruncatedCg) stops at the boundary, this goes on to the minimiser on it.
///
/// One run serves every radius and every shift: see [`GltrWorkspace::resolve`] and
/// [`GltrWorkspace::shifted`].
///
/// When `g` lies in an invariant space, or nearly so, the Krylov space ends, blind to the rest
/// of the spectrum. So a run with a stored basis that converges at `β ≤ eps^¼‖T‖` goes on
/// for `probe` products, from a random orthogonal vector where the space ends; and if they
/// bring a lower eigenvalue to light, until the residual is within tolerance again: the
/// **hard case**.
///
/// What the residual `r` says of the model: with `δ = max(0, −λ_min(B) − λ)`,
///
/// `m(z) − min m ≤ 2Δ‖r‖ + 2δΔ²`,
///
/// from `m(y) − m(z) = ½(y−z)ᵀ(B+λI)(y−z) + rᵀ(y−z) + ½λ(Δ²−‖y‖²)` for any `y` in the ball.
/// `δ` is not larger than the error of the lowest Ritz value, [`GltrWorkspace::leftmost`], and
/// mostly zero: while `λ < −λ_min`, the leftmost eigenvector `u` grows in the Krylov space as a
/// Chebyshev polynomial at `λ_min`, faster than the residual falls, as one at `−λ`. So a
/// component of `g` along `u` above the tolerance shows before the run converges. One
/// between the tolerance and what makes the run look can be missed: a smaller tolerance,
/// or [`Lanczos`](crate::eigen::Lanczos) from a random start, finds it.
///
/// A gradient of zero is the hard case at its purest: the step is a multiple of the leftmost
/// eigenvector if the curvature is negative there, and zero otherwise. The Krylov space then
/// begins at a random vector and grows for at least `probe` products; without a probe, or without
/// a stored basis, the step is zero. In place of `‖g‖`, the residual is measured against `‖B‖Δ`.
///
/// - **Cost**: one product per iteration, with a stored basis `4nk` to `8nk` flops for full
///   reorthogonalisation. [`GltrStorage::TwoPass`] makes every product twice.
/// - **Memory**: `max_iters + 1` vectors, or four with `TwoPass`.
/// - **Resuming**: over a [`Journal`](crate::operator::Journal).
///
/// ```
/// use hvp_solvers::{linear::{Gltr, GltrPlace}, operator::DiagonalOperator};
/// use ndarray::array;
/// // The hard case: g has nothing along the only direction of negative curvature.
/// let b = DiagonalOperator::new(array![-1.0, 1.0]);
/// let solved = Gltr::default().solve(&b, array![0.0, 1.0].view(), 2.0)?;
/// assert_eq!(solved.outcome.place, GltrPlace::HardCase);
/// assert!((solved.outcome.lambda - 1.0_f64).abs() < 1e-14);
/// assert!((solved.step[1] + 0.5).abs() < 1e-14);
/// assert!((solved.outcome.step_norm - 2.0).abs() < 1e-14);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gltr {
    /// Stop at `‖(B + λI)z + g‖ ≤ relative_tolerance · ‖g‖`. Default 1e-8.
    pub relative_tolerance: f64,
    /// Or stop on the boundary where the model is within this share of the lowest: at
    /// `2Δ‖r‖ ≤ model_tolerance · |m(z)|`. Default 0, for the residual alone. A trust region has no
    /// use for more than a tenth; there the residual alone costs many times the products.
    pub model_tolerance: f64,
    /// At most this many Lanczos vectors; `None` for `min(n, 300)` with a stored basis and
    /// `2n + 10` without.
    pub max_iters: Option<usize>,
    /// Whether the Lanczos vectors are kept. Default [`GltrStorage::Stored`].
    pub storage: GltrStorage,
    /// So many iterations look beyond a Krylov space that (nearly) ends. Default 30; 0
    /// never looks.
    pub probe: usize,
    /// Seed of the random vector of the probe. Default 0.
    pub seed: u64,
}

/// How [`Gltr`] gets from the coordinates `h` to the step `V h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum GltrStorage {
    /// Keeps all Lanczos vectors, orthogonal to working accuracy.
    #[default]
    Stored,
    /// Keeps none and runs the recurrence again for each step. Orthogonality is lost
    /// on the way, which delays convergence; nothing looks for the hard case.
    TwoPass,
}

impl Default for Gltr {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-8,
            model_tolerance: 0.0,
            max_iters: None,
            storage: GltrStorage::default(),
            probe: 30,
            seed: 0,
        }
    }
}

/// How [`Gltr`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GltrStop {
    /// The residual, or the model, is within tolerance.
    Converged,
    /// The limit of iterations was reached; the step is the best of the Krylov space.
    MaxIterations,
    /// The Krylov space of the run, asked again, is too small for this accuracy.
    SpaceTooSmall,
    /// A NaN or an infinity; the step is the best of the space before, possibly zero.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

/// Where the step lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GltrPlace {
    /// Inside the ball: `λ = 0`; or the shift was given.
    Interior,
    /// On the boundary, with the multiplier `λ`.
    Boundary,
    /// On the boundary with `λ = −λ_min`: a multiple of the leftmost eigenvector was added,
    /// and its sign is arbitrary.
    HardCase,
}

/// What is known about a step by [`Gltr`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GltrOutcome<T> {
    /// How it ended.
    pub stop: GltrStop,
    /// Where the step lies.
    pub place: GltrPlace,
    /// The multiplier `λ ≥ 0`, or the given shift.
    pub lambda: T,
    /// The model's value at the step, `gᵀz + ½zᵀBz ≤ 0`.
    pub model: T,
    /// `‖z‖`.
    pub step_norm: T,
    /// `‖(B + λI)z + g‖`, by the recurrence; with the rounding of the small problem, which
    /// the tolerance does not look at.
    pub residual_norm: T,
    /// Products made for this outcome.
    pub n_products: usize,
    /// The dimension of the Krylov space.
    pub n_iters: usize,
}

/// A step by [`Gltr`] with its vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GltrSolution<T> {
    /// The step `z`.
    pub step: Array1<T>,
    /// Ending, multiplier, model value, cost.
    pub outcome: GltrOutcome<T>,
}

/// The Krylov space of a run, allocated once and used again.
#[derive(Debug)]
pub struct GltrWorkspace<T> {
    config: Gltr,
    capacity: usize,
    /// Products that a solve may make, at most the capacity.
    limit: usize,
    t: Tridiagonal<T>,
    basis: Option<Basis<T>>,
    /// Coefficients of the reorthogonalisation.
    c: Vec<T>,
    g: Vec<T>,
    w: Vec<T>,
    v: Vec<T>,
    v_old: Vec<T>,
    z: Vec<T>,
    /// Power of two near `‖g‖`: `g`, `z` and the radius are held in units of it.
    unit: T,
    tol: T,
    norm: T,
    n_products: usize,
}

/// Finds the best coordinates `h` in the space so far.
pub(crate) type Rule<'r, T> = dyn FnMut(&mut Tridiagonal<T>) -> Found<T> + 'r;

impl<T: Real> GltrWorkspace<T> {
    /// The step of the last solve.
    pub fn step(&self) -> ArrayView1<'_, T> {
        ArrayView1::from(&self.z)
    }

    pub(crate) fn step_slice(&self) -> &[T] {
        &self.z
    }

    /// The smallest eigenvalue of `T`, an upper bound of the smallest eigenvalue of `B`; and
    /// zero before the first solve.
    pub fn leftmost(&mut self) -> T {
        self.t.leftmost()
    }

    /// Solves for another radius in the Krylov space of the last run.
    ///
    /// Costs no product with a stored basis (`2nk` flops), `k` products without.
    /// A smaller radius is the easier problem; for a larger one the outcome may be
    /// [`GltrStop::SpaceTooSmall`], and says how good the step is. `b` has to be the
    /// operator of the run.
    ///
    /// # Errors
    /// [`SolverError`] for a radius that is not positive and finite, or another dimension.
    pub fn resolve<B>(&mut self, b: &B, radius: T) -> Result<GltrOutcome<T>, SolverError>
    where
        B: LinearOperator<T> + ?Sized,
    {
        check_len("operator", b.dim(), self.g.len())?;
        check_radius(radius)?;
        let radius = self.scaled_radius(radius);
        Ok(self.resolve_by(b, &mut |t| t.minimise(radius)))
    }

    /// [`resolve`](Self::resolve) with another rule for the small problem.
    pub(crate) fn resolve_by<B>(&mut self, b: &B, rule: &mut Rule<'_, T>) -> GltrOutcome<T>
    where
        B: LinearOperator<T> + ?Sized,
    {
        self.n_products = 0;
        let found = rule(&mut self.t);
        self.finish(b, found, GltrStop::SpaceTooSmall)
    }

    /// The power of two near `‖g‖` that the small problem is in units of.
    pub(crate) fn unit(&self) -> T {
        self.unit
    }

    /// Another accuracy, and at most so many products, for the solves to come.
    pub(crate) fn restrict(&mut self, relative_tolerance: f64, max_products: usize) {
        self.config.relative_tolerance = relative_tolerance;
        self.limit = max_products.min(self.capacity);
    }

    /// `z = −V(T + shift·I)⁻¹Vᵀg`: the damped Newton step, as [`resolve`](Self::resolve) for a
    /// given multiplier. A ladder of shifts costs no product with a stored basis.
    ///
    /// `None` if `T + shift·I` is not positive definite: then `B + shift·I` is not.
    ///
    /// # Errors
    /// [`SolverError`] for a shift that is not finite, or another dimension.
    pub fn shifted<B>(&mut self, b: &B, shift: T) -> Result<Option<GltrOutcome<T>>, SolverError>
    where
        B: LinearOperator<T> + ?Sized,
    {
        check_len("operator", b.dim(), self.g.len())?;
        check_setting("shift", shift.as_f64(), shift.is_finite(), "finite")?;
        self.n_products = 0;
        if self.t.shifted(shift).is_none() {
            return Ok(None);
        }
        let mut outcome = self.finish(b, Found::Boundary(shift), GltrStop::SpaceTooSmall);
        outcome.place = GltrPlace::Interior;
        Ok(Some(outcome))
    }

    fn scaled_radius(&self, radius: T) -> T {
        (radius / self.unit).min(T::max_value())
    }

    /// One step of the recurrence in `v`, `v_old`; returns `α` and `β`, or `None` if not finite.
    fn lanczos<B: LinearOperator<T> + ?Sized>(&mut self, b: &B, beta: T) -> Option<(T, T)> {
        apply(b, &self.v, &mut self.w);
        self.n_products += 1;
        axpy(-beta, &self.v_old, &mut self.w);
        let alpha = dot(&self.v, &self.w);
        axpy(-alpha, &self.v, &mut self.w);
        let mut next = norm2(&self.w);
        if let Some(basis) = &mut self.basis {
            (_, next) = basis.orthogonalise(&mut self.w, &mut self.c);
        }
        (alpha.is_finite() && next.is_finite()).then_some((alpha, next))
    }

    /// Makes `w / β` the current vector.
    fn turn(&mut self, beta: T) {
        std::mem::swap(&mut self.v_old, &mut self.v);
        self.v.copy_from_slice(&self.w);
        scale(beta.recip(), &mut self.v);
    }

    /// Starts at `g`.
    fn start(&mut self, norm: T) {
        self.v.copy_from_slice(&self.g);
        scale(norm.recip(), &mut self.v);
        self.v_old.fill(T::zero());
    }

    /// `z ← V h`, from the stored basis or by running the recurrence again.
    fn recover<B: LinearOperator<T> + ?Sized>(&mut self, b: &B) {
        self.z.fill(T::zero());
        if let Some(basis) = &self.basis {
            for (i, &h) in self.t.h.iter().enumerate() {
                axpy(h, basis.row(i), &mut self.z);
            }
            return;
        }
        self.start(self.t.gamma);
        let mut beta = T::zero();
        for i in 0..self.t.h.len() {
            axpy(self.t.h[i], &self.v, &mut self.z);
            if i + 1 == self.t.h.len() {
                break;
            }
            match self.lanczos(b, beta) {
                Some((_, next)) if next > T::zero() => beta = next,
                // The operator does not repeat its products; what is finite stays.
                _ => break,
            }
            self.turn(beta);
        }
    }

    /// Whether the residual of the small problem's solution is small enough, or its model low enough.
    fn is_enough(&self, found: Found<T>) -> bool {
        let outside = self.t.residual();
        let tol = if self.t.gamma > T::zero() {
            self.tol
        } else {
            self.tol * norm2(&self.t.h)
        };
        let low = match found {
            Found::Interior => false,
            Found::Boundary(lambda) | Found::Hard(lambda) => {
                let share = T::of(self.config.model_tolerance);
                let length = norm2(&self.t.h);
                // Both sides divided by the length, which may be near the largest number.
                let drop = self.t.model_in(lambda, length.recip()) * length;
                T::of(2.0) * outside <= share * drop.abs()
            }
        };
        outside <= tol || low
    }

    /// From the coordinates to the step and the caller's units.
    fn finish<B>(&mut self, b: &B, found: Found<T>, otherwise: GltrStop) -> GltrOutcome<T>
    where
        B: LinearOperator<T> + ?Sized,
    {
        let (place, lambda) = match found {
            Found::Interior => (GltrPlace::Interior, T::zero()),
            Found::Boundary(lambda) => (GltrPlace::Boundary, lambda),
            Found::Hard(lambda) => (GltrPlace::HardCase, lambda),
        };
        let residual = self.t.residual().hypot(self.t.residual_inside(lambda));
        let stop = if self.is_enough(found) && !matches!(otherwise, GltrStop::NonFinite { .. }) {
            GltrStop::Converged
        } else {
            otherwise
        };
        self.recover(b);
        scale(self.unit, &mut self.z);
        let mut outcome = GltrOutcome {
            stop,
            place,
            lambda,
            model: self.t.model_in(lambda, self.unit),
            step_norm: norm2(&self.z),
            residual_norm: residual * self.unit,
            n_products: self.n_products,
            n_iters: self.t.len(),
        };
        if !(outcome.step_norm.is_finite() && outcome.model.is_finite() && all_finite(&self.z)) {
            self.z.fill(T::zero());
            outcome.stop = GltrStop::NonFinite {
                what: Quantity::Point,
            };
            outcome.model = T::zero();
            outcome.step_norm = T::zero();
        }
        outcome
    }
}

impl Gltr {
    /// A workspace for dimension `n` and these settings.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a tolerance that is negative or NaN.
    pub fn workspace<T: Real>(&self, n: usize) -> Result<GltrWorkspace<T>, SolverError> {
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("model_tolerance", self.model_tolerance),
        ])?;
        let stored = self.storage == GltrStorage::Stored;
        let capacity = match (stored, self.max_iters) {
            (true, limit) => limit.unwrap_or(300).min(n),
            (false, limit) => limit.unwrap_or(2 * n + 10),
        };
        let zeros = |len| vec![T::zero(); len];
        Ok(GltrWorkspace {
            config: self.clone(),
            capacity,
            limit: capacity,
            t: Tridiagonal::with_capacity(capacity),
            basis: stored.then(|| Basis::new(n, capacity + 1)),
            c: zeros(if stored { capacity + 1 } else { 0 }),
            g: zeros(n),
            w: zeros(n),
            v: zeros(n),
            v_old: zeros(n),
            z: zeros(n),
            unit: T::one(),
            tol: T::zero(),
            norm: T::zero(),
            n_products: 0,
        })
    }

    /// Solves with a workspace of its own.
    ///
    /// # Errors
    /// As [`workspace`](Self::workspace) and [`GltrWorkspace::solve`].
    pub fn solve<T: Real, B: LinearOperator<T> + ?Sized>(
        &self,
        b: &B,
        g: ArrayView1<'_, T>,
        radius: T,
    ) -> Result<GltrSolution<T>, SolverError> {
        let mut work = self.workspace(b.dim())?;
        let outcome = work.solve(b, g, radius)?;
        Ok(GltrSolution {
            step: Array1::from_vec(work.z),
            outcome,
        })
    }
}

impl<T: Real> GltrWorkspace<T> {
    /// Runs the iteration for a new gradient; the step is then [`step`](Self::step).
    ///
    /// # Errors
    /// [`SolverError`] for lengths that do not match, a gradient that is not finite, or a
    /// radius that is not positive and finite.
    pub fn solve<B: LinearOperator<T> + ?Sized>(
        &mut self,
        b: &B,
        g: ArrayView1<'_, T>,
        radius: T,
    ) -> Result<GltrOutcome<T>, SolverError> {
        check_len("operator", b.dim(), self.g.len())?;
        check_vector("gradient", g, self.g.len())?;
        check_radius(radius)?;
        self.begin(g);
        let radius = self.scaled_radius(radius);
        Ok(self.solve_by(b, &mut |t| t.minimise(radius)))
    }

    /// Takes a new gradient, finite and of the workspace's length.
    pub(crate) fn begin(&mut self, g: ArrayView1<'_, T>) {
        self.g.iter_mut().zip(g).for_each(|(own, &g)| *own = g);
        self.unit = power_of_two_below(norm2(&self.g));
        let unit = self.unit;
        self.g.iter_mut().for_each(|g| *g /= unit);
        self.t.clear(norm2(&self.g));
    }

    /// Grows the Krylov space of the gradient until the step by this rule is good enough.
    pub(crate) fn solve_by<B>(&mut self, b: &B, rule: &mut Rule<'_, T>) -> GltrOutcome<T>
    where
        B: LinearOperator<T> + ?Sized,
    {
        let norm = self.t.gamma;
        self.tol = T::of(self.config.relative_tolerance) * norm;
        self.norm = T::zero();
        self.n_products = 0;
        let mut rng = generator(self.config.seed);
        if norm > T::zero() {
            self.start(norm);
            if let Some(basis) = &mut self.basis {
                basis.truncate(0);
                basis.push(&self.g, norm);
            }
        } else {
            if let Some(basis) = &mut self.basis {
                basis.truncate(0);
            }
            self.v_old.fill(T::zero());
            if self.config.probe == 0 || !self.restart(&mut rng) {
                return self.finish(b, Found::Interior, GltrStop::Converged);
            }
        }
        let stop = self.expand(b, rule, &mut rng);
        let found = rule(&mut self.t);
        self.finish(b, found, stop)
    }

    /// Grows the Krylov space until its best step is good enough, and on for a look at what
    /// else there is if the space hardly leads out of itself.
    fn expand<B>(&mut self, b: &B, rule: &mut Rule<'_, T>, rng: &mut ChaCha8Rng) -> GltrStop
    where
        B: LinearOperator<T> + ?Sized,
    {
        // Iterations of the look that are left. Without a gradient there is nothing but the look.
        let blind = self.t.gamma == T::zero();
        let mut look = blind.then_some(self.config.probe);
        let mut beta = T::zero();
        while self.t.len() < self.limit {
            let Some((alpha, next)) = self.lanczos(b, beta) else {
                return GltrStop::NonFinite {
                    what: Quantity::Product,
                };
            };
            self.norm = self.norm.max(alpha.hypot(next).hypot(beta));
            if blind {
                self.tol = T::of(self.config.relative_tolerance) * self.norm;
            }
            let exhausted = self.is_exhausted(next);
            beta = if exhausted { T::zero() } else { next };
            self.t.push(alpha, beta);
            look = look.map(|left| left.saturating_sub(1));
            if look.unwrap_or(0) == 0 {
                let found = rule(&mut self.t);
                if self.is_enough(found) {
                    if look.is_some() || !self.has_reason_to_look(beta) {
                        return GltrStop::Converged;
                    }
                    look = Some(self.config.probe);
                }
            }
            if !exhausted {
                self.turn(beta);
                if let Some(basis) = &mut self.basis {
                    basis.push(&self.w, beta);
                }
            } else if !self.restart(rng) {
                break;
            }
        }
        GltrStop::MaxIterations
    }

    /// Whether what is left of the next Lanczos vector after orthogonalisation is rounding:
    /// the space is invariant, or all there is.
    fn is_exhausted(&self, next: T) -> bool {
        let n = self.g.len();
        let level = T::epsilon() * self.norm * T::of((n as f64).sqrt().max(10.0));
        next <= level || (self.basis.is_some() && self.t.len() + 1 >= n)
    }

    /// Whether the residual `β|h_k|` owes its size to the coupling `β`, and not only to the
    /// coordinates of the step: then what is outside may have been overlooked. At
    /// `eps^¼ ‖T‖` the coupling moves the eigenvalues that are known by `√eps`, while sound
    /// convergence leaves `β` at a good part of `‖T‖`.
    fn has_reason_to_look(&self, beta: T) -> bool {
        let weak = beta <= T::epsilon().sqrt().sqrt() * self.norm;
        weak && self.config.probe > 0 && self.basis.is_some() && self.t.len() < self.g.len()
    }

    /// Makes a random vector orthogonal to the space the current one; false if there is none.
    fn restart(&mut self, rng: &mut ChaCha8Rng) -> bool {
        let Some(basis) = &mut self.basis else {
            return false;
        };
        let found = basis.push_random(rng, &mut self.w);
        if found {
            self.v.copy_from_slice(basis.row(basis.len() - 1));
        }
        found
    }
}
