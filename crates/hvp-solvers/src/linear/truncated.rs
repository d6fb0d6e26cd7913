//! Conjugate gradients truncated by a trust region (Steihaug 1983, Toint 1981).

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::checks::{check_preconditioner, check_radius, check_tolerances, check_vector};
use super::piece::Piece;
use super::preconditioner::{Identity, Preconditioner, precondition};
use crate::error::{Quantity, SolverError, check_len};
use crate::operator::{LinearOperator, apply};
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale, scale_sub};

/// Approximately minimises `m(z) = gᵀz + ½ zᵀBz` subject to `‖z‖_M ≤ Δ`; `B` may be
/// indefinite or singular.
///
/// Follows the path of conjugate gradients from zero, along which `m` falls and `‖z‖_M`
/// grows, until the residual `‖g + Bz‖` is small, the path leaves the ball, or a
/// direction of nonpositive curvature turns up. In the last case the step goes to
/// whichever end of the ball along that direction has the lower model.
///
/// - **Cost**: one product per iteration, none at the boundary; the model's value,
///   the norm and the Rayleigh quotients come from numbers that the iteration has anyway.
/// - **Memory**: four vectors, five with a preconditioner, and `path_memory` more
///   for the path; see [`TruncatedWorkspace::shrink`].
/// - **Resuming**: over a [`Journal`](crate::operator::Journal).
/// - **Guarantee**: `m(z) ≤ m(Cauchy point) ≤ 0`, and `z` is finite.
///
/// References: Nocedal & Wright, *Numerical Optimization*, 2nd ed., algorithm 7.2;
/// Conn, Gould & Toint, *Trust-Region Methods*, §7.5.1.
///
/// ```
/// use hvp_solvers::{linear::{TruncatedCg, TruncatedStop}, operator::DiagonalOperator};
/// use ndarray::array;
/// // m(z) = z₁ + ½(−z₁² + z₂²): the curvature along the gradient is negative.
/// let b = DiagonalOperator::new(array![-1.0, 1.0]);
/// let solved = TruncatedCg::default().solve(&b, array![1.0, 0.0].view(), 2.0)?;
/// assert_eq!(solved.outcome.stop, TruncatedStop::NegativeCurvature);
/// assert_eq!(solved.step, array![-2.0, 0.0]);
/// assert_eq!(solved.outcome.model, -4.0);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruncatedCg {
    /// Stop inside the ball at `‖g + Bz‖ ≤ relative_tolerance · ‖g‖`. Default 1e-8.
    pub relative_tolerance: f64,
    /// At most this many products; `None` for `2n + 2`.
    pub max_iters: Option<usize>,
    /// How many directions of the path are kept for [`TruncatedWorkspace::shrink`].
    /// Default 16. Shrinking cuts the path near its beginning, so the first
    /// directions are the useful ones.
    pub path_memory: usize,
}

impl Default for TruncatedCg {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-8,
            max_iters: None,
            path_memory: 16,
        }
    }
}

/// How [`TruncatedCg`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TruncatedStop {
    /// The residual is within tolerance, inside the ball.
    Converged,
    /// The path left the ball; `‖z‖_M = Δ`.
    Boundary,
    /// A direction of nonpositive curvature was followed to the boundary.
    NegativeCurvature,
    /// The limit of products was reached, inside the ball.
    MaxIterations,
    /// Rounding prevents further progress, inside the ball.
    Stagnated,
    /// A NaN or an infinity; the step is the last good iterate, possibly zero.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

impl TruncatedStop {
    /// Whether the step ends on the boundary of the trust region.
    pub fn on_boundary(self) -> bool {
        matches!(self, Self::Boundary | Self::NegativeCurvature)
    }
}

/// What is known about a truncated step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TruncatedOutcome<T> {
    /// How it ended.
    pub stop: TruncatedStop,
    /// The model's value at the step, `gᵀz + ½zᵀBz ≤ 0`.
    pub model: T,
    /// `‖z‖_M`.
    pub step_norm: T,
    /// Products made; zero for [`TruncatedWorkspace::shrink`].
    pub n_products: usize,
}

/// A direction along which the curvature is nonpositive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NegativeCurvature<T> {
    /// The direction `d`, of norm 1.
    pub direction: Array1<T>,
    /// Its Rayleigh quotient `dᵀBd / dᵀd`, an upper bound of the smallest eigenvalue.
    pub rayleigh: T,
}

/// A truncated step with its vectors; see [`TruncatedCg::solve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruncatedSolution<T> {
    /// The step `z`.
    pub step: Array1<T>,
    /// The direction of nonpositive curvature, if one was met.
    pub negative_curvature: Option<NegativeCurvature<T>>,
    /// Ending, model value, norm, cost.
    pub outcome: TruncatedOutcome<T>,
}

/// The vectors of [`TruncatedCg::solve_into`], allocated once and used again.
#[derive(Debug, Clone)]
pub struct TruncatedWorkspace<T> {
    z: Vec<T>,
    r: Vec<T>,
    d: Vec<T>,
    q: Vec<T>,
    y: Vec<T>,
    pieces: Vec<Piece<T>>,
    directions: Vec<T>,
    /// Power of two near `‖g‖`: `g` is held in units of it, `z` and the radius in units of
    /// `unit / steepness`.
    unit: T,
    /// Power of two near `‖B‖`, the unit of products, where `‖B‖` is far from one.
    steepness: T,
    identity: bool,
    negative: Option<T>,
}

impl<T: Real> TruncatedWorkspace<T> {
    /// A workspace for dimension `n`: five vectors; the path grows on first use.
    pub fn new(n: usize) -> Self {
        let zeros = || vec![T::zero(); n];
        Self {
            z: zeros(),
            r: zeros(),
            d: zeros(),
            q: zeros(),
            y: zeros(),
            pieces: Vec::new(),
            directions: Vec::new(),
            unit: T::one(),
            steepness: T::one(),
            identity: true,
            negative: None,
        }
    }

    /// The step of the last solve or shrink.
    pub fn step(&self) -> ArrayView1<'_, T> {
        ArrayView1::from(&self.z)
    }

    pub(crate) fn step_slice(&self) -> &[T] {
        &self.z
    }

    /// The direction of nonpositive curvature that the last solve ended on, with its
    /// Rayleigh quotient. The direction has norm one.
    pub fn negative_curvature(&self) -> Option<NegativeCurvature<T>> {
        let rayleigh = self.negative?;
        let mut direction = self.d.clone();
        scale(norm2(&direction).recip(), &mut direction);
        Some(NegativeCurvature {
            direction: Array1::from_vec(direction),
            rayleigh,
        })
    }

    /// [`negative_curvature`](Self::negative_curvature), not scaled and not copied.
    pub(crate) fn negative_direction(&self) -> Option<(&[T], T)> {
        Some((&self.d, self.negative?))
    }

    /// Repeats the last solve with a smaller radius, without any product.
    ///
    /// The path does not depend on the radius, only the point where it is cut does.
    /// So the result is what [`TruncatedCg::solve_into`] would return, up to rounding.
    /// `None` if the cut lies beyond the stored part of the path; then the last step
    /// is lost and the problem has to be solved again. Costs `2n` flops a piece.
    pub fn shrink(&mut self, radius: T) -> Option<TruncatedOutcome<T>> {
        let n = self.z.len();
        let radius = radius / self.unit * self.steepness;
        let stored = self.directions.len() / n.max(1);
        self.z.fill(T::zero());
        for i in 0..stored {
            let piece = self.pieces[i];
            let d = &self.directions[i * n..(i + 1) * n];
            if let Some(tau) = piece.leaves(radius) {
                self.d.copy_from_slice(d);
                return Some(self.finish_on_boundary(piece, tau));
            }
            if piece.negative {
                return None;
            }
            axpy(piece.alpha(), d, &mut self.z);
        }
        None
    }

    /// Moves along the piece to the boundary and returns to the caller's units.
    fn finish_on_boundary(&mut self, piece: Piece<T>, tau: T) -> TruncatedOutcome<T> {
        axpy(tau, &self.d, &mut self.z);
        self.negative = piece.negative.then_some(piece.rayleigh * self.steepness);
        let stop = if piece.negative {
            TruncatedStop::NegativeCurvature
        } else {
            TruncatedStop::Boundary
        };
        self.finish(stop, piece.model_at(tau), piece.norm_at(tau))
    }

    fn finish(&mut self, stop: TruncatedStop, model: T, norm: T) -> TruncatedOutcome<T> {
        let unit = self.unit / self.steepness;
        scale(unit, &mut self.z);
        let model = model * unit * self.unit;
        let step_norm = norm * unit;
        if step_norm.is_finite() && model.is_finite() && all_finite(&self.z) {
            return TruncatedOutcome {
                stop,
                model,
                step_norm,
                n_products: 0,
            };
        }
        self.z.fill(T::zero());
        let stop = TruncatedStop::NonFinite {
            what: Quantity::Point,
        };
        TruncatedOutcome {
            stop,
            model: T::zero(),
            step_norm: T::zero(),
            n_products: 0,
        }
    }

    /// Resets everything for a new gradient; returns `‖g‖` in the new units.
    fn start(&mut self, g: ArrayView1<'_, T>, identity: bool) -> T {
        for (r, &g) in self.r.iter_mut().zip(g) {
            *r = g;
        }
        self.unit = power_of_two_below(norm2(&self.r));
        self.steepness = T::one();
        let unit = self.unit;
        for r in &mut self.r {
            *r /= unit;
        }
        self.z.fill(T::zero());
        self.d.fill(T::zero());
        self.pieces.clear();
        self.directions.clear();
        self.identity = identity;
        self.negative = None;
        norm2(&self.r)
    }

    /// Chooses the unit of products by the first one, and returns the radius in the new unit of
    /// steps. Steps are of length `‖g‖/‖B‖`, whose square may leave the type's range. One, which
    /// costs nothing, wherever no condition of the operator could bring that about.
    fn choose_steepness(&mut self, radius: T) -> T {
        let size = norm2(&self.q) / norm2(&self.d);
        if size < T::epsilon() || size > T::epsilon().recip() {
            self.steepness = power_of_two_below(size);
        }
        if radius.is_infinite() {
            return radius;
        }
        (radius * self.steepness).min(T::max_value())
    }

    /// `q ← B d`, in units.
    fn apply<B: LinearOperator<T> + ?Sized>(&mut self, b: &B) {
        apply(b, &self.d, &mut self.q);
        self.divide();
    }

    fn divide(&mut self) {
        let steepness = self.steepness;
        if steepness != T::one() {
            self.q.iter_mut().for_each(|q| *q /= steepness);
        }
    }
}

impl TruncatedCg {
    /// Solves without a preconditioner (`M = I`), with a workspace of its own.
    ///
    /// # Errors
    /// As [`solve_into`](Self::solve_into).
    pub fn solve<T: Real, B: LinearOperator<T> + ?Sized>(
        &self,
        b: &B,
        g: ArrayView1<'_, T>,
        radius: T,
    ) -> Result<TruncatedSolution<T>, SolverError> {
        let mut work = TruncatedWorkspace::new(b.dim());
        let outcome = self.solve_into(b, g, radius, &Identity, &mut work)?;
        let negative_curvature = work.negative_curvature();
        Ok(TruncatedSolution {
            step: Array1::from_vec(work.z),
            negative_curvature,
            outcome,
        })
    }

    /// Solves in a caller's workspace; the step is then [`TruncatedWorkspace::step`].
    ///
    /// # Errors
    /// [`SolverError`] for lengths that do not match the operator, a gradient that is
    /// not finite, a radius that is not positive and finite, or a negative tolerance.
    pub fn solve_into<T, B, P>(
        &self,
        b: &B,
        g: ArrayView1<'_, T>,
        radius: T,
        m: &P,
        work: &mut TruncatedWorkspace<T>,
    ) -> Result<TruncatedOutcome<T>, SolverError>
    where
        T: Real,
        B: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let n = b.dim();
        check_vector("gradient", g, n)?;
        check_len("workspace", work.z.len(), n)?;
        check_preconditioner(m.dim(), n)?;
        check_radius(radius)?;
        let tol = self.relative_tolerance;
        check_tolerances(&[("relative_tolerance", tol)])?;
        let g_norm = work.start(g, m.is_identity());
        let radius = (radius / work.unit).min(T::max_value());
        Ok(self.run(b, radius, g_norm, m, work))
    }

    /// Solves without a ball, for a gradient that is finite: at a direction of nonpositive
    /// curvature the step is the iterate before, possibly zero, and the direction is
    /// [`TruncatedWorkspace::negative_direction`].
    pub(crate) fn solve_unbounded<T, B>(
        &self,
        b: &B,
        g: ArrayView1<'_, T>,
        work: &mut TruncatedWorkspace<T>,
    ) -> TruncatedOutcome<T>
    where
        T: Real,
        B: LinearOperator<T> + ?Sized,
    {
        let g_norm = work.start(g, true);
        self.run(b, T::infinity(), g_norm, &Identity, work)
    }

    /// Iterates unless the gradient vanishes.
    fn run<T, B, P>(
        &self,
        b: &B,
        radius: T,
        g_norm: T,
        m: &P,
        work: &mut TruncatedWorkspace<T>,
    ) -> TruncatedOutcome<T>
    where
        T: Real,
        B: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let tol = T::of(self.relative_tolerance) * g_norm;
        if g_norm <= tol || g_norm == T::zero() {
            return work.finish(TruncatedStop::Converged, T::zero(), T::zero());
        }
        let (mut outcome, n_products) = self.iterate(b, radius, tol, m, work);
        outcome.n_products = n_products;
        outcome
    }

    /// The loop of conjugate gradients, in units of `work.unit`.
    fn iterate<T, B, P>(
        &self,
        b: &B,
        mut radius: T,
        tol: T,
        m: &P,
        work: &mut TruncatedWorkspace<T>,
    ) -> (TruncatedOutcome<T>, usize)
    where
        T: Real,
        B: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let max_iters = self.max_iters.unwrap_or(2 * work.z.len() + 2);
        let mut path = PathState::default();
        for k in 0..max_iters {
            let (slope, plain) = match path.turn(m, work) {
                Ok(turned) => turned,
                Err(stop) => return (work.finish(stop, path.model, path.zz.sqrt()), k),
            };
            work.apply(b);
            if k == 0 {
                radius = work.choose_steepness(radius);
                work.divide();
            }
            let curvature = dot(&work.d, &work.q);
            let bad = |what| TruncatedStop::NonFinite { what };
            if !curvature.is_finite() {
                let stop = bad(Quantity::Product);
                return (work.finish(stop, path.model, path.zz.sqrt()), k + 1);
            }
            let piece = path.piece(slope, curvature, plain);
            self.store(piece, work);
            if let Some(tau) = piece.leaves(radius) {
                return (work.finish_on_boundary(piece, tau), k + 1);
            }
            let alpha = piece.alpha();
            if piece.negative && radius.is_infinite() {
                work.negative = Some(piece.rayleigh * work.steepness);
                let stop = TruncatedStop::NegativeCurvature;
                return (work.finish(stop, path.model, path.zz.sqrt()), k + 1);
            }
            if piece.negative || !alpha.is_finite() {
                let stop = bad(Quantity::Point);
                return (work.finish(stop, path.model, path.zz.sqrt()), k + 1);
            }
            axpy(alpha, &work.d, &mut work.z);
            axpy(alpha, &work.q, &mut work.r);
            path.advance(piece, alpha);
            if norm2(&work.r) <= tol {
                let norm = path.zz.sqrt();
                return (
                    work.finish(TruncatedStop::Converged, path.model, norm),
                    k + 1,
                );
            }
        }
        let stop = TruncatedStop::MaxIterations;
        (work.finish(stop, path.model, path.zz.sqrt()), max_iters)
    }

    fn store<T: Real>(&self, piece: Piece<T>, work: &mut TruncatedWorkspace<T>) {
        if work.pieces.len() < self.path_memory {
            work.pieces.push(piece);
            work.directions.extend_from_slice(&work.d);
        }
    }
}

/// The numbers that conjugate gradients carry from one piece of the path to the next.
#[derive(Debug, Default)]
struct PathState<T> {
    /// `‖z‖²_M`, `zᵀMd`, `‖d‖²_M`.
    zz: T,
    zd: T,
    dd: T,
    model: T,
    /// `rᵀM⁻¹r`.
    rz: T,
    alpha: T,
    /// The largest Rayleigh quotient so far.
    steepest: T,
}

impl<T: Real> PathState<T> {
    /// Turns to the next direction; returns the slope `rᵀd < 0` and `‖d‖²`.
    fn turn<P: Preconditioner<T> + ?Sized>(
        &mut self,
        m: &P,
        work: &mut TruncatedWorkspace<T>,
    ) -> Result<(T, T), TruncatedStop> {
        let previous = self.rz;
        self.rz = next_direction(m, work, previous);
        if !self.rz.is_finite() {
            let what = Quantity::Preconditioner;
            return Err(TruncatedStop::NonFinite { what });
        }
        let plain = dot(&work.d, &work.d);
        // The recurrences hold while rᵀz = 0, which rounding erodes. Without a
        // preconditioner the products themselves cost next to nothing.
        if work.identity {
            (self.zz, self.zd) = (dot(&work.z, &work.z), dot(&work.z, &work.d));
            self.dd = plain;
        } else if previous > T::zero() {
            let beta = self.rz / previous;
            self.zd = beta * (self.zd + self.alpha * self.dd);
            self.dd = self.rz + beta * beta * self.dd;
        } else {
            self.dd = self.rz;
        }
        let slope = dot(&work.r, &work.d);
        if self.rz <= T::zero() || slope >= T::zero() {
            return Err(TruncatedStop::Stagnated);
        }
        Ok((slope, plain))
    }

    /// The piece that starts here along the current direction.
    fn piece(&mut self, slope: T, curvature: T, plain: T) -> Piece<T> {
        let rayleigh = curvature / plain;
        self.steepest = self.steepest.max(rayleigh);
        // Below this the sign of the curvature is a matter of rounding.
        let negative = rayleigh <= T::epsilon() * self.steepest;
        Piece {
            zz: self.zz,
            zd: self.zd,
            dd: self.dd,
            model: self.model,
            slope,
            // What counts as nonpositive may not turn the model up on the way to the boundary.
            curvature: if negative {
                curvature.min(T::zero())
            } else {
                curvature
            },
            rayleigh,
            negative,
        }
    }

    /// Moves to the minimiser along the piece.
    fn advance(&mut self, piece: Piece<T>, alpha: T) {
        let norm = piece.norm_at(alpha);
        self.zz = norm * norm;
        self.model = piece.model_at(alpha);
        self.alpha = alpha;
    }
}

/// `d ← −M⁻¹r + βd`; returns `rᵀM⁻¹r`.
fn next_direction<T, P>(m: &P, work: &mut TruncatedWorkspace<T>, previous: T) -> T
where
    T: Real,
    P: Preconditioner<T> + ?Sized,
{
    let rz = if work.identity {
        dot(&work.r, &work.r)
    } else {
        precondition(m, &work.r, &mut work.y);
        dot(&work.r, &work.y)
    };
    let beta = if previous > T::zero() {
        rz / previous
    } else {
        T::zero()
    };
    let y = if work.identity { &work.r } else { &work.y };
    scale_sub(beta, y, &mut work.d);
    rz
}
