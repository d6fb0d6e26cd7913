//! A look for copies of eigenvalues that a Krylov space has missed.

use ad_core::Real;

use super::factorisation::Factorisation;
use super::outcome::EigenStop;
use super::which::Which;
use crate::error::Quantity;
use crate::operator::{LinearOperator, apply};
use crate::random::fill_normal;
use crate::vector::{axpy, dot, norm2, scale};

/// The chance that a copy is overlooked.
const CHANCE: f64 = 1e-3;

/// Where missed eigenvalues would matter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Range {
    /// At the upper end, and at the lower one, there with all signs reversed.
    ends: [Option<Limits>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Limits {
    /// An eigenvalue above this belongs among the wanted ones.
    found: f64,
    /// Copies of wanted values are above this, also if rounding or noise has split them.
    copies: f64,
}

impl Limits {
    /// For copies of the value `high`, where `low` is the next wanted one.
    fn between(low: f64, high: f64) -> Self {
        Self {
            found: low + 0.5 * (high - low),
            copies: low + 0.75 * (high - low),
        }
    }
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Found,
    Clear,
    Open,
}

impl Range {
    /// Whether a missed eigenvalue would change nothing.
    pub(super) fn is_empty(self) -> bool {
        self.ends == [None; 2]
    }

    /// Asks at least for what is beyond the last wanted value by this much.
    fn widen(&mut self, end: usize, last: f64, margin: f64) {
        let most = self.ends[end].map_or(f64::INFINITY, |limits| limits.copies);
        if last + margin < most && margin > 0.0 {
            self.ends[end] = Some(Limits::between(last, last + margin));
        }
    }
}

/// The limits for wanted values, the most wanted first and largest, with their residuals. Values
/// that differ by less than their residuals and `slack` are copies of one another. The lowest value
/// with at least `b` copies counts that is not the last one: of the others a block of `b` has
/// shown all copies.
fn limits(wanted: &[(f64, f64)], slack: f64, b: usize) -> Option<Limits> {
    let apart = |i: usize| {
        let (more, less) = (wanted[i - 1], wanted[i]);
        more.0 - less.0 > more.1 + less.1 + slack
    };
    let mut end = wanted.len();
    while end > 0 {
        let start = (1..end).rev().find(|&i| apart(i)).unwrap_or(0);
        if end < wanted.len() && end - start >= b {
            let (lowest, next) = (wanted[end - 1].0, wanted[end].0);
            return Some(Limits::between(next, lowest));
        }
        end = start;
    }
    None
}

/// What the coefficients of a Lanczos run say about the spectrum beyond two limits.
#[derive(Debug, Clone, Copy)]
struct Gauge {
    limits: Limits,
    /// The last pivot of `T − found`: positive for an eigenvalue above.
    pivot: f64,
    /// Values at `copies` of the last two orthonormal polynomials, and the sum of all squares: the
    /// start vector's part in an eigenvector there is at most the root of its inverse.
    last: f64,
    current: f64,
    sum: f64,
    found: bool,
}

impl Gauge {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            pivot: f64::INFINITY,
            last: 0.0,
            current: 1.0,
            sum: 1.0,
            found: false,
        }
    }

    /// One more row of `T`: its diagonal, what couples it to the row before, and to the next.
    fn step(&mut self, alpha: f64, before: f64, after: f64) {
        self.pivot = alpha - self.limits.found - before * (before / self.pivot);
        if self.pivot == 0.0 {
            self.pivot = f64::MIN_POSITIVE;
        }
        self.found |= self.pivot > 0.0;
        let next = ((self.limits.copies - alpha) * self.current - before * self.last) / after;
        (self.last, self.current) = (self.current, next);
        self.sum += next * next;
    }
}

impl<T: Real> Factorisation<T> {
    /// Where a missed eigenvalue would change the wanted pairs, if `starts` vectors of the basis
    /// were random; anywhere beyond the last one, if `all`.
    pub(super) fn range(&self, which: Which, wanted: usize, starts: usize, all: bool) -> Range {
        let slack = T::of(10.0) * T::epsilon() * self.norm + self.asymmetry;
        let slack = slack.as_f64();
        let pair = |i: usize| (self.theta[i].as_f64(), self.residual[i].as_f64());
        let pairs = || self.order[..wanted].iter().map(|&i| pair(i));
        let upper = |list: &mut Vec<(f64, f64)>| list.sort_by(|a, b| b.0.total_cmp(&a.0));
        let negative = |(value, residual): (f64, f64)| (-value, residual);
        let mut lists: [Vec<(f64, f64)>; 2] = match which {
            Which::Largest => [pairs().collect(), Vec::new()],
            Which::Smallest => [Vec::new(), pairs().map(negative).collect()],
            Which::BothEnds => [
                pairs().step_by(2).collect(),
                pairs().skip(1).step_by(2).map(negative).collect(),
            ],
            Which::LargestMagnitude => {
                let moduli = || pairs().map(|(value, residual)| (value.abs(), residual));
                [moduli().collect(), moduli().collect()]
            }
        };
        let mut range = Range::default();
        let known = &self.theta[..self.done];
        let width = match (known.first(), known.last()) {
            (Some(low), Some(high)) => high.as_f64() - low.as_f64(),
            _ => 0.0,
        };
        for (end, list) in lists.iter_mut().enumerate() {
            upper(list);
            range.ends[end] = limits(list, slack, starts);
            if let (true, Some(last)) = (all, list.last()) {
                range.widen(end, last.0, 0.01 * width);
            }
        }
        range
    }

    /// Ritz vectors that a look may leave out and still see an eigenvector beyond the limits: the
    /// wanted ones, and of the others those that have converged well enough. The more of them are
    /// left out, the fewer products the look takes.
    ///
    /// With a residual of norm `r`, the part in a Ritz vector of an eigenvector for `μ` is
    /// `c ≤ r/(μ − θ)`. What is left of the eigenvector has the squared length `1 − Σc²` and
    /// the Rayleigh quotient `μ − Σ c²(μ − θ)/(1 − Σc²)`. So `Σ r²/(μ − θ)² ≤ ¼` and a sum of
    /// `r²/(μ − θ)` that is small beside the distance from the value to the limit are asked for.
    fn settled(&self, range: Range, wanted: usize) -> Vec<usize> {
        let mut chosen = self.order[..wanted].to_vec();
        // Of the squared length, and of the Rayleigh quotient in units of what it may lose.
        let parts = |&i: &usize| {
            let (theta, residual) = (self.theta[i].as_f64(), self.residual[i].as_f64());
            let ends = range.ends.iter().zip([1.0, -1.0]);
            let parts = ends.filter_map(|(limits, sign)| {
                let limits = (*limits)?;
                let distance = limits.copies - sign * theta;
                let room = 0.5 * (limits.copies - limits.found);
                let length = (residual / distance).powi(2);
                Some((length, residual / room * (residual / distance)))
            });
            parts.fold((0.0_f64, 0.0_f64), |(a, b), (c, d)| (a.max(c), b.max(d)))
        };
        let others = self.order[wanted..].iter();
        let mut others: Vec<_> = others.map(|i| (parts(i), *i)).collect();
        others.sort_by(|a, b| a.0.1.total_cmp(&b.0.1));
        let (mut hidden, mut lost) = (0.0, 0.0);
        for ((length, quotient), i) in others {
            hidden += length;
            lost += quotient;
            if hidden > 0.25 || lost > 1.0 {
                break;
            }
            chosen.push(i);
        }
        chosen
    }

    /// Takes the given Ritz vectors out of `w`, to rounding; returns what is left of its norm.
    fn leave_out(&mut self, chosen: &[usize], w: &mut [T]) -> T {
        let m = self.done;
        for _ in 0..2 {
            for j in 0..m {
                self.h[j] = dot(self.basis.row(j), w);
            }
            for (k, &i) in chosen.iter().enumerate() {
                self.scratch[k] = (0..m).map(|j| self.y[j * m + i] * self.h[j]).sum();
            }
            for j in 0..m {
                let parts = chosen.iter().zip(&self.scratch);
                let sum: T = parts.map(|(&i, &part)| self.y[j * m + i] * part).sum();
                axpy(-sum, self.basis.row(j), w);
            }
        }
        norm2(w)
    }

    /// Runs Lanczos from a random vector in what is orthogonal to the pairs that have converged, for
    /// at most `most` products. It is not reorthogonalised in itself: that only repeats what it has
    /// shown.
    pub(super) fn look<A>(
        &mut self,
        a: &A,
        range: Range,
        wanted: usize,
        most: usize,
    ) -> Result<Look, EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let chosen = self.settled(range, wanted);
        let free = self.n - chosen.len();
        if free == 0 {
            return Ok(Look::Clear);
        }
        self.n_probes += 1;
        // The square of a random unit vector's part along one axis is below t with a chance of at
        // most √(2t·dim/π).
        let enough = 2.0 * free as f64 / (std::f64::consts::PI * CHANCE * CHANCE);
        let mut gauges: Vec<Gauge> = range.ends[0].map(Gauge::new).into_iter().collect();
        let upper = gauges.len();
        gauges.extend(range.ends[1].map(Gauge::new));
        let mut v = vec![T::zero(); self.n];
        let mut w = v.clone();
        let mut old = v.clone();
        fill_normal(&mut self.rng, &mut v);
        let before = norm2(&v);
        let size = self.leave_out(&chosen, &mut v);
        if size <= T::of(100.0) * T::epsilon() * before {
            return Ok(Look::Clear);
        }
        scale(size.recip(), &mut v);
        let mut beta = T::zero();
        for _ in 0..most {
            apply(a, &v, &mut w);
            self.n_products += 1;
            self.n_probe_products += 1;
            let size = norm2(&w);
            axpy(-beta, &old, &mut w);
            let alpha = dot(&v, &w);
            axpy(-alpha, &v, &mut w);
            let next = self.leave_out(&chosen, &mut w);
            if !(size.is_finite() && alpha.is_finite() && next.is_finite()) {
                let what = Quantity::Product;
                return Err(EigenStop::NonFinite { what });
            }
            self.norm = self.norm.max(size);
            for (i, gauge) in gauges.iter_mut().enumerate() {
                let sign = if i < upper { 1.0 } else { -1.0 };
                gauge.step(sign * alpha.as_f64(), beta.as_f64(), next.as_f64());
            }
            if gauges.iter().any(|gauge| gauge.found) {
                return Ok(Look::Found);
            }
            // What is left is rounding: all that the vector holds has been seen.
            let ended = next <= self.level();
            if ended || gauges.iter().all(|gauge| gauge.sum >= enough) {
                return Ok(Look::Clear);
            }
            std::mem::swap(&mut old, &mut v);
            for (v, &w) in v.iter_mut().zip(&w) {
                *v = w / next;
            }
            beta = next;
        }
        Ok(Look::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_at_the_lowest_value_that_is_not_the_last() {
        let exact = |values: &[f64]| values.iter().map(|&v| (v, 1e-9)).collect::<Vec<_>>();
        let at = |values: &[f64], b| limits(&exact(values), 1e-12, b).map(|l| (l.found, l.copies));
        assert_eq!(at(&[5.0, 4.0, 2.0], 1), Some((3.0, 3.5)));
        assert_eq!(at(&[5.0, 4.0, 2.0, 2.0], 1), Some((3.0, 3.5)));
        assert_eq!(at(&[5.0, 5.0], 1), None);
        assert_eq!(at(&[5.0], 1), None);
        assert_eq!(at(&[], 1), None);
        // A block of two has shown all copies of 4.
        assert_eq!(at(&[5.0, 5.0, 4.0, 2.0], 2), Some((4.5, 4.75)));
        assert_eq!(at(&[5.0, 4.0, 2.0], 2), None);
    }

    /// The Jacobi matrix of n equal masses at the zeros of a Chebyshev polynomial, whose weights
    /// and values are known: β₁ = 1/√2, the others 1/2, α = 0.
    #[test]
    fn the_sum_bounds_the_mass_of_a_point() {
        let mut gauge = Gauge::new(Limits {
            found: 1.0,
            copies: 1.25,
        });
        let mut sum = 1.0;
        for k in 0..6 {
            let before = match k {
                0 => 0.0,
                1 => 0.5_f64.sqrt(),
                _ => 0.5,
            };
            let after = if k == 0 { 0.5_f64.sqrt() } else { 0.5 };
            gauge.step(0.0, before, after);
            // √2 T_{k+1}(5/4), and 5/4 = (2 + 1/2)/2.
            let value = 0.5 * (2.0_f64.powi(k + 1) + 2.0_f64.powi(-k - 1));
            sum += 2.0 * value * value;
            assert!((gauge.sum / sum - 1.0).abs() < 16.0 * f64::EPSILON);
            assert!(!gauge.found);
        }
    }
}
