//! The iteration of LSMR, in the notation of Fong & Saunders (2011).

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};

use super::lsmr::{LsmrOutcome, LsmrStats, LsmrStop};
use crate::error::Quantity;
use crate::operator::RectangularOperator;
use crate::vector::{all_finite, axpy, norm2, power_of_two_below, scale};

/// When to stop, in the operator's type.
pub(super) struct Limits<T> {
    pub(super) damping: T,
    pub(super) relative: T,
    pub(super) operator: T,
    pub(super) condition: T,
    pub(super) max_iters: usize,
}

/// The vectors of a solve, in units of a power of two near `‖b‖`.
pub(super) struct Run<'a, T, A: ?Sized> {
    a: &'a A,
    limits: Limits<T>,
    unit: T,
    b: Vec<T>,
    /// The left and right vectors of the bidiagonalisation, and products on their way in.
    u: Vec<T>,
    au: Vec<T>,
    v: Vec<T>,
    av: Vec<T>,
    h: Vec<T>,
    h_bar: Vec<T>,
    x: Vec<T>,
    n_iters: usize,
    n_products: usize,
    n_transposed: usize,
    figures: Figures<T>,
}

/// What the recurrence knows without looking at a vector.
#[derive(Debug, Clone, Copy)]
struct Figures<T> {
    /// `‖r̄‖`, `‖Āᵀr̄‖`, `‖x‖`, `‖A‖`, the condition.
    residual: T,
    normal: T,
    solution: T,
    operator: T,
    condition: T,
}

/// A rotation `(c, s)` with `[c s; s −c][a; b] = [r; 0]`.
fn rotation<T: Real>(a: T, b: T) -> (T, T, T) {
    let r = a.hypot(b);
    if r == T::zero() {
        return (T::one(), T::zero(), r);
    }
    (a / r, b / r, r)
}

/// The numbers of the two QR factorisations.
struct Factors<T> {
    alpha_bar: T,
    rho: T,
    rho_bar: T,
    c_bar: T,
    s_bar: T,
    zeta: T,
    zeta_bar: T,
    /// Largest and smallest `ρ̄`.
    extremes: (T, T),
    residual: ResidualFactors<T>,
}

/// The numbers that estimate `‖r̄‖`: a third factorisation.
struct ResidualFactors<T> {
    beta_dd: T,
    beta_d: T,
    rho_d: T,
    tau: T,
    theta: T,
    /// What damping leaves for good.
    lost: T,
}

/// Coefficients of the vectors' updates.
struct Update<T> {
    h_bar: T,
    x: T,
    h: T,
}

impl<T: Real> Factors<T> {
    fn new(alpha: T, beta: T) -> Self {
        let (zero, one) = (T::zero(), T::one());
        Self {
            alpha_bar: alpha,
            rho: one,
            rho_bar: one,
            c_bar: one,
            s_bar: zero,
            zeta: zero,
            zeta_bar: alpha * beta,
            extremes: (zero, T::infinity()),
            residual: ResidualFactors {
                beta_dd: beta,
                beta_d: zero,
                rho_d: one,
                tau: zero,
                theta: zero,
                lost: zero,
            },
        }
    }

    /// Takes in the next `α` and `β`.
    fn advance(&mut self, alpha: T, beta: T, damping: T, figures: &mut Figures<T>) -> Update<T> {
        let (c_hat, s_hat, alpha_hat) = rotation(self.alpha_bar, damping);
        let (rho_old, rho_bar_old) = (self.rho, self.rho_bar);
        let (c, s, rho) = rotation(alpha_hat, beta);
        let theta = s * alpha;
        self.alpha_bar = c * alpha;
        let theta_bar = self.s_bar * rho;
        let before = self.c_bar * rho;
        let (c_bar, s_bar, rho_bar) = rotation(before, theta);
        let zeta_old = self.zeta;
        self.zeta = c_bar * self.zeta_bar;
        self.zeta_bar = -s_bar * self.zeta_bar;
        (self.rho, self.rho_bar, self.c_bar, self.s_bar) = (rho, rho_bar, c_bar, s_bar);

        let r = &mut self.residual;
        let (beta_acute, beta_check) = (c_hat * r.beta_dd, -s_hat * r.beta_dd);
        let beta_hat = c * beta_acute;
        r.beta_dd = -s * beta_acute;
        let (c_tilde, s_tilde, rho_tilde) = rotation(r.rho_d, theta_bar);
        let theta_old = r.theta;
        r.theta = s_tilde * rho_bar;
        r.rho_d = c_tilde * rho_bar;
        r.beta_d = -s_tilde * r.beta_d + c_tilde * beta_hat;
        r.tau = (zeta_old - theta_old * r.tau) / rho_tilde;
        let tau_d = (self.zeta - r.theta * r.tau) / r.rho_d;
        r.lost = r.lost.hypot(beta_check);
        figures.residual = r.lost.hypot(r.beta_d - tau_d).hypot(r.beta_dd);
        figures.normal = self.zeta_bar.abs();

        let (top, low) = self.extremes;
        // ρ̄ of this iteration is not final yet: its successor's rotation will change it.
        figures.condition = top.max(before.abs()) / low.min(before.abs());
        self.extremes = (top.max(rho_bar), low.min(rho_bar));
        Update {
            // In this order nothing overflows: quotients of numbers of one size.
            h_bar: (theta_bar / rho_bar_old) * (rho / rho_old),
            x: self.zeta / rho / rho_bar,
            h: theta / rho,
        }
    }
}

impl<'a, T: Real, A: RectangularOperator<T> + ?Sized> Run<'a, T, A> {
    pub(super) fn new(a: &'a A, b: ArrayView1<'_, T>, limits: Limits<T>) -> Self {
        let (m, n) = (a.nrows(), a.ncols());
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let b: Vec<T> = b.iter().map(|&b| b / unit).collect();
        let zeros = |len| vec![T::zero(); len];
        let zero = T::zero();
        let figures = Figures {
            residual: norm2(&b),
            normal: zero,
            solution: zero,
            operator: zero,
            condition: T::one(),
        };
        Self {
            a,
            limits,
            unit,
            u: b.clone(),
            au: zeros(m),
            b,
            v: zeros(n),
            av: zeros(n),
            h: zeros(n),
            h_bar: zeros(n),
            x: zeros(n),
            n_iters: 0,
            n_products: 0,
            n_transposed: 0,
            figures,
        }
    }

    pub(super) fn solve(mut self) -> LsmrOutcome<T> {
        let mut stop = match self.iterate() {
            Ok(stop) | Err(stop) => stop,
        };
        if stop.is_converged() {
            stop = self.verify(stop);
        }
        scale(self.unit, &mut self.x);
        let mut figures = self.figures;
        if !all_finite(&self.x) {
            // The solution is beyond the range of the type.
            self.x.fill(T::zero());
            figures.residual = norm2(&self.b);
            figures.solution = T::zero();
            let what = Quantity::Point;
            stop = LsmrStop::NonFinite { what };
        }
        let stats = LsmrStats {
            n_iters: self.n_iters,
            n_products: self.n_products,
            n_transposed: self.n_transposed,
            residual_norm: (figures.residual * self.unit).as_f64(),
            normal_residual_norm: (figures.normal * self.unit).as_f64(),
            solution_norm: (figures.solution * self.unit).as_f64(),
            operator_norm: figures.operator.as_f64(),
            condition: figures.condition.as_f64(),
        };
        LsmrOutcome {
            x: Array1::from_vec(self.x),
            stop,
            stats,
        }
    }

    fn iterate(&mut self) -> Result<LsmrStop, LsmrStop> {
        let b_norm = self.figures.residual;
        if b_norm == T::zero() || b_norm <= self.limits.relative * b_norm {
            return Ok(LsmrStop::Converged);
        }
        scale(b_norm.recip(), &mut self.u);
        let mut alpha = self.next_right(T::zero())?;
        if alpha == T::zero() {
            return Ok(LsmrStop::LeastSquares);
        }
        self.h.copy_from_slice(&self.v);
        self.figures.operator = alpha;
        self.figures.normal = alpha * b_norm;
        let mut factors = Factors::new(alpha, b_norm);
        while self.n_iters < self.limits.max_iters {
            let beta = self.next_left(alpha)?;
            // ‖Av‖ for the last v: whatever orthogonality is lost, no more than ‖A‖.
            self.figures.operator = self.figures.operator.max(alpha.hypot(beta));
            alpha = if beta > T::zero() {
                self.next_right(beta)?
            } else {
                T::zero()
            };
            let mut figures = self.figures;
            let update = factors.advance(alpha, beta, self.limits.damping, &mut figures);
            if !(update.x.is_finite() && update.h.is_finite() && figures.residual.is_finite()) {
                return Ok(LsmrStop::Stagnated);
            }
            self.update(&update);
            self.n_iters += 1;
            figures.solution = norm2(&self.x);
            self.figures = figures;
            if let Some(stop) = self.judge(b_norm) {
                return Ok(stop);
            }
        }
        Ok(LsmrStop::MaxIterations)
    }

    /// The first test that holds.
    fn judge(&self, b_norm: T) -> Option<LsmrStop> {
        let (limits, now) = (&self.limits, &self.figures);
        let reach = now.operator * now.solution;
        if now.residual <= limits.relative * b_norm + limits.operator * reach {
            return Some(LsmrStop::Converged);
        }
        if now.normal <= limits.operator * now.operator * now.residual {
            return Some(LsmrStop::LeastSquares);
        }
        if now.condition >= limits.condition || now.condition.is_nan() {
            return Some(LsmrStop::ConditionLimit);
        }
        None
    }

    /// `h̄ ← h − … h̄`, `x ← x + … h̄`, `h ← v − … h`.
    fn update(&mut self, update: &Update<T>) {
        for (h_bar, &h) in self.h_bar.iter_mut().zip(&self.h) {
            *h_bar = h - update.h_bar * *h_bar;
        }
        axpy(update.x, &self.h_bar, &mut self.x);
        for (h, &v) in self.h.iter_mut().zip(&self.v) {
            *h = v - update.h * *h;
        }
    }

    fn product(&mut self) {
        let (from, to) = (ArrayView1::from(&self.v), ArrayViewMut1::from(&mut self.au));
        self.a.apply_into(from, to);
        self.n_products += 1;
    }

    fn transposed_product(&mut self) {
        let (from, to) = (ArrayView1::from(&self.u), ArrayViewMut1::from(&mut self.av));
        self.a.apply_transposed_into(from, to);
        self.n_transposed += 1;
    }

    /// `βu ← Av − αu`.
    fn next_left(&mut self, alpha: T) -> Result<T, LsmrStop> {
        self.product();
        for (u, &av) in self.u.iter_mut().zip(&self.au) {
            *u = av - alpha * *u;
        }
        normalise(&mut self.u)
    }

    /// `αv ← Aᵀu − βv`.
    fn next_right(&mut self, beta: T) -> Result<T, LsmrStop> {
        self.transposed_product();
        for (v, &au) in self.v.iter_mut().zip(&self.av) {
            *v = au - beta * *v;
        }
        normalise(&mut self.v)
    }

    /// Recomputes the figures; whether they keep what the recurrence promised, within a factor
    /// of two.
    fn verify(&mut self, promised: LsmrStop) -> LsmrStop {
        if self.n_iters == 0 {
            return promised;
        }
        let bad = LsmrStop::NonFinite {
            what: Quantity::Product,
        };
        self.v.copy_from_slice(&self.x);
        self.product();
        for ((u, &ax), &b) in self.u.iter_mut().zip(&self.au).zip(&self.b) {
            *u = b - ax;
        }
        self.transposed_product();
        let damping = self.limits.damping;
        for (v, &aty) in self.v.iter_mut().zip(&self.av) {
            *v = aty - damping * (damping * *v);
        }
        let residual = norm2(&self.u).hypot(damping * self.figures.solution);
        let normal = norm2(&self.v);
        if !(residual.is_finite() && normal.is_finite()) {
            return bad;
        }
        self.figures.residual = residual;
        self.figures.normal = normal;
        let (now, limits) = (&self.figures, &self.limits);
        let b_norm = norm2(&self.b);
        let reach = limits.relative * b_norm + limits.operator * now.operator * now.solution;
        let two = T::of(2.0);
        if residual <= two * reach {
            LsmrStop::Converged
        } else if normal <= two * limits.operator * now.operator * residual {
            LsmrStop::LeastSquares
        } else {
            LsmrStop::Stagnated
        }
    }
}

/// Makes a vector one of length one; returns the length it had.
fn normalise<T: Real>(x: &mut [T]) -> Result<T, LsmrStop> {
    let norm = norm2(x);
    if !norm.is_finite() {
        return Err(LsmrStop::NonFinite {
            what: Quantity::Product,
        });
    }
    if norm > T::zero() {
        for x in x {
            *x /= norm;
        }
    }
    Ok(norm)
}
