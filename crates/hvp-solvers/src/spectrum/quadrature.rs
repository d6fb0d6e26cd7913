//! The Gauss quadrature of one Lanczos run.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::krylov::Krylov;
use crate::eigen::symmetric::golub_welsch;

/// A Gauss quadrature for the spectral measure `μ(S) = Σ_{λᵢ ∈ S} (uᵢᵀv)²` of one unit vector `v`.
///
/// `∫ f dμ = vᵀf(A)v ≈ Σ τₖ f(θₖ)`, exactly for polynomials up to degree `2m − 1`. The
/// nodes and weights come from the Jacobi matrix `T` of the run, with the eigenvalues `θₖ`
/// and the squares of its eigenvectors' first components (Golub & Welsch 1969).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quadrature {
    /// The nodes, ascending.
    pub nodes: Vec<f64>,
    /// Their weights, which sum to 1.
    pub weights: Vec<f64>,
    /// Whether the Krylov space was exhausted: the measure is then known up to rounding.
    pub exact: bool,
    /// The diagonal of `T`.
    alpha: Vec<f64>,
    /// Below it, and the coupling to what was not seen; that is zero if `exact`.
    beta: Vec<f64>,
    /// Eigenvalues closer than this cannot be told apart.
    resolution: f64,
}

impl Quadrature {
    /// The quadrature of a run; `None` if `T` is not finite.
    pub(super) fn of<T: Real>(krylov: &Krylov<T>) -> Option<Self> {
        let wide = |x: &[T]| x.iter().map(|x| x.as_f64()).collect::<Vec<_>>();
        let (alpha, beta) = (wide(&krylov.alpha), wide(&krylov.beta));
        let (nodes, weights) = rule(alpha.clone(), &beta)?;
        let steps = alpha.len() as f64;
        Some(Self {
            nodes,
            weights,
            exact: krylov.exhausted,
            alpha,
            beta,
            // T is the exact one of a matrix some eps·‖A‖ away, with a factor that grows
            // no faster than the number of steps, and as far as the products are wrong.
            resolution: 10.0 * steps * T::epsilon().as_f64() * krylov.norm.as_f64()
                + krylov.distance().as_f64(),
        })
    }

    /// `Σ τₖ f(θₖ)`.
    pub fn integrate(&self, f: impl Fn(f64) -> f64) -> f64 {
        sum(&self.nodes, &self.weights, f)
    }

    /// Whether `f` is finite at every node, and where a node may be if it is off by the resolution.
    pub(super) fn is_finite_near(&self, f: impl Fn(f64) -> f64) -> bool {
        let d = self.resolution;
        let near = |x: f64| [f(x - d), f(x), f(x + d)].iter().all(|f| f.is_finite());
        self.nodes.iter().all(|&x| near(x))
    }

    /// How much `Σ τₖ f(θₖ)` changes if every node is off by the resolution, as far as `f` is finite
    /// there.
    pub(super) fn rounding_of(&self, f: impl Fn(f64) -> f64) -> f64 {
        let change = |x: f64| {
            let (here, d) = (f(x), self.resolution);
            let changes = [f(x - d), f(x + d)].map(|there| (there - here).abs());
            let finite = changes.into_iter().filter(|change| change.is_finite());
            finite.fold(0.0, f64::max)
        };
        sum(&self.nodes, &self.weights, change)
    }

    /// Nodes closer than this to each other or to a point are the same for all that the
    /// run can tell: a multiple of `eps·‖A‖`, and the measured error of the products.
    pub fn resolution(&self) -> f64 {
        self.resolution
    }

    /// `Σ τₖ f(θₖ)` of the Gauss–Radau quadrature, which has `node` among its `m + 1` nodes and is
    /// exact for polynomials up to degree `2m`.
    ///
    /// If no eigenvalue is below `node`, this and [`integrate`](Self::integrate) enclose the
    /// integral of each `f` whose even derivatives have one sign and whose odd ones have the
    /// other: `ln`, `1/x`, `√x`, `e⁻ˣ`. If none is above it, of each `f` whose derivatives all have
    /// one sign: `eˣ` (Golub & Meurant 1994).
    pub fn integrate_with(&self, node: f64, f: impl Fn(f64) -> f64) -> f64 {
        if self.exact {
            return self.integrate(f);
        }
        match self.radau(node) {
            Some((nodes, weights)) => {
                // A node sent to infinity has no weight, and f may not be finite there.
                let seen = |(_, w): &(&f64, &f64)| **w > 0.0;
                let terms = nodes.iter().zip(&weights).filter(seen);
                terms.map(|(&x, &w)| w * f(x)).sum()
            }
            None => f64::NAN,
        }
    }

    /// Bounds of `μ((−∞, t))` and of `μ((−∞, t])` alike, the best that the moments admit.
    ///
    /// Among all measures with the moments of `μ` up to order `2m`, the Gauss–Radau quadrature
    /// with a node at `t` has least mass below `t` and most up to it (Chebyshev, Markov,
    /// Stieltjes; Akhiezer 1965, ch. 2). Taken at `t ∓ resolution`, so that they also hold for
    /// eigenvalues that cannot be told from `t`. Beyond that, errors of the products count as much as for any
    /// spectral projection: `resolution` over the distance from `t` to the next eigenvalue.
    pub fn cumulative_bounds(&self, t: f64) -> (f64, f64) {
        let (low, high) = (t - self.resolution, t + self.resolution);
        if self.exact {
            let up_to = |t: f64| {
                let below = self.nodes.partition_point(|&node| node <= t);
                self.weights[..below].iter().sum::<f64>().min(1.0)
            };
            return (up_to(low), up_to(high));
        }
        // The weights carry rounding errors too.
        let slack = 10.0 * self.nodes.len() as f64 * f64::EPSILON;
        let lower = self.mass_at(low).map_or(0.0, |(below, _)| below - slack);
        let upper = self.mass_at(high).map_or(1.0, |(_, up_to)| up_to + slack);
        (lower.clamp(0.0, 1.0), upper.clamp(0.0, 1.0))
    }

    /// Mass below `t` and up to `t` of the rule with a node there.
    fn mass_at(&self, t: f64) -> Option<(f64, f64)> {
        let (nodes, weights) = self.radau(t)?;
        let distance = |i: &usize| (nodes[*i] - t).abs();
        let here = (0..nodes.len()).min_by(|i, j| distance(i).total_cmp(&distance(j)))?;
        let below = weights[..here].iter().sum::<f64>();
        Some((below, below + weights[here]))
    }

    /// The rule of `T` with one more row, whose diagonal `t + β²/δ` makes `t` an eigenvalue;
    /// `δ` is the last pivot of `T − t`.
    fn radau(&self, t: f64) -> Option<(Vec<f64>, Vec<f64>)> {
        let m = self.alpha.len();
        let size = self
            .alpha
            .iter()
            .chain(&self.beta)
            .fold(t.abs(), |m, x| m.max(x.abs()));
        // A pivot below rounding stands for t being a node of T itself: then the new node goes
        // to infinity and takes no weight.
        let floor = (f64::EPSILON * size).max(f64::MIN_POSITIVE);
        let guard = |d: f64| {
            if d.abs() < floor {
                floor.copysign(d)
            } else {
                d
            }
        };
        let mut pivot = guard(self.alpha[0] - t);
        for (alpha, beta) in self.alpha[1..].iter().zip(&self.beta) {
            pivot = guard(alpha - t - beta * (beta / pivot));
        }
        let mut alpha = self.alpha.clone();
        alpha.push(t + self.beta[m - 1] * (self.beta[m - 1] / pivot));
        rule(alpha, &self.beta)
    }
}

/// `Σ wₖ f(xₖ)`.
fn sum(nodes: &[f64], weights: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    nodes.iter().zip(weights).map(|(&x, &w)| w * f(x)).sum()
}

/// Nodes and weights of the Jacobi matrix with this diagonal and, below it, the first of `beta`.
fn rule(mut alpha: Vec<f64>, beta: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let m = alpha.len();
    let mut e = vec![0.0; m];
    e[1..].copy_from_slice(&beta[..m - 1]);
    let mut first = vec![0.0; m];
    if !golub_welsch(&mut alpha, &mut e, &mut first) {
        return None;
    }
    let squares: Vec<f64> = first.iter().map(|y| y * y).collect();
    let total: f64 = squares.iter().sum();
    Some((alpha, squares.iter().map(|w| w / total).collect()))
}

#[cfg(test)]
#[path = "quadrature_tests.rs"]
mod tests;
