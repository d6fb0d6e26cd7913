//! What the quadratures of a few random vectors say about the spectrum.

use serde::{Deserialize, Serialize};

use super::quadrature::Quadrature;
use crate::trace::outcome::Samples;
use crate::trace::{TraceEstimate, TraceStop};

/// What [`Slq`](super::Slq) found out: one quadrature for each probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpectralEstimate {
    /// The dimension `n`.
    pub dim: usize,
    /// One for each probe; fewer if a product was not finite.
    pub quadratures: Vec<Quadrature>,
    /// Products made.
    pub n_products: usize,
    /// The seed.
    pub seed: u64,
    /// [`TraceStop::Estimated`] or [`TraceStop::NonFinite`].
    pub stop: TraceStop,
}

/// A number between bounds, and how far chance may have moved the bounds.
///
/// Over the probes that were drawn the mean lies in `lower..=upper`: a theorem, for a matrix whose
/// eigenvalues are within the [`resolution`](Quadrature::resolution) of the operator's. That they were drawn is the other error. Each bound's expectation bounds the
/// exact number, and the bars (Student's factor for 95 % and `k − 1` degrees of freedom times
/// `std/√k` of the `k` probes) say how far from its expectation it may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bracket {
    /// The mean of the probes' lower bounds.
    pub lower: f64,
    /// The middle between the bounds.
    pub value: f64,
    /// The mean of the probes' upper bounds.
    pub upper: f64,
    /// The statistical error bar of `lower`.
    pub lower_bar: f64,
    /// The statistical error bar of `value`.
    pub value_bar: f64,
    /// The statistical error bar of `upper`.
    pub upper_bar: f64,
}

impl Bracket {
    /// Both errors: from `lower − lower_bar` to `upper + upper_bar`.
    ///
    /// Measured over 300 seeds on four spectra of dimension 120 with 10 probes of 12 steps, at 9 points
    /// of each, it held the exact share every time: the bounds leave room for much of the chance.
    pub fn interval(&self) -> (f64, f64) {
        (self.lower - self.lower_bar, self.upper + self.upper_bar)
    }
}

/// A blurred density of eigenvalues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// Where it is taken, ascending and equally spaced.
    pub points: Vec<f64>,
    /// The density there; its integral over the real line is 1.
    pub values: Vec<f64>,
    /// The standard errors of the values as means over random probes.
    pub standard_errors: Vec<f64>,
    /// The standard deviation of the Gaussian that each node is blurred to.
    pub width: f64,
}

impl SpectralEstimate {
    fn mean(&self, f: impl Fn(&Quadrature) -> f64) -> TraceEstimate {
        self.mean_of(self.quadratures.iter().map(f))
    }

    /// The mean of one number per probe.
    fn mean_of(&self, values: impl Iterator<Item = f64>) -> TraceEstimate {
        Samples {
            values: values.collect(),
            left_out: Vec::new(),
            rounding: 0.0,
            n_products: self.n_products,
            stop: self.stop,
        }
        .estimate(self.seed)
    }

    /// Means over the probes of `scale` times their bounds, which are in `[0, 1]`.
    fn bracket(&self, scale: f64, bounds: impl Fn(&Quadrature) -> (f64, f64)) -> Bracket {
        if self.stop != TraceStop::Estimated || self.quadratures.is_empty() {
            return Bracket {
                lower: 0.0,
                value: 0.5 * scale,
                upper: scale,
                lower_bar: 0.0,
                value_bar: 0.5 * scale,
                upper_bar: 0.0,
            };
        }
        let all: Vec<_> = self.quadratures.iter().map(bounds).collect();
        let lower = self.mean_of(all.iter().map(|(low, _)| scale * low));
        let upper = self.mean_of(all.iter().map(|(_, high)| scale * high));
        let value = self.mean_of(all.iter().map(|(low, high)| 0.5 * scale * (low + high)));
        Bracket {
            lower: lower.value,
            value: value.value,
            upper: upper.value,
            lower_bar: lower.error_bar,
            value_bar: value.error_bar,
            upper_bar: upper.error_bar,
        }
    }

    /// Estimates `tr f(A)`. The bar is that of the random probes, and what rounding of the nodes may
    /// do to `f` ([`Quadrature::resolution`]); the error of the
    /// quadrature, which falls geometrically for smooth `f`, is not in it (see
    /// [`trace_bounds`](Self::trace_bounds)). Meant for 95 %, the bar covered 92 to 93.3 % of 300
    /// seeds on four spectra (`f` an exponential, 10 probes).
    ///
    /// A function that is not finite at a node ends as [`TraceStop::OutsideDomain`], with the
    /// largest bar.
    pub fn trace_of(&self, f: impl Fn(f64) -> f64) -> TraceEstimate {
        let n = self.dim as f64;
        let mut found = self.mean(|q| n * q.integrate(&f));
        let nodes = || self.quadratures.iter().flat_map(|q| &q.nodes);
        if self.stop == TraceStop::Estimated && nodes().any(|&node| !f(node).is_finite()) {
            found.stop = TraceStop::OutsideDomain;
        } else if self.stop == TraceStop::Estimated {
            found.error_bar += self.mean(|q| n * q.rounding_of(&f)).value;
        }
        found
    }

    /// Bounds of `Σ vᵀf(A)v` over the probes, scaled to estimate `tr f(A)`, by Gauss and
    /// Gauss–Radau quadrature with a node at an end of the spectrum.
    ///
    /// For functions whose even derivatives have one sign and odd derivatives the other
    /// (`ln`, `1/x`, `√x`, `e⁻ˣ`), `end` has to be a lower bound of all eigenvalues; for functions
    /// whose derivatives all have one sign (`eˣ`) an upper bound. The bounds leave room for nodes that
    /// are off by the [`resolution`](Quadrature::resolution). `None` if `f` is not finite so near to a
    /// node, or `end` is beyond a node. See [`Quadrature::integrate_with`].
    pub fn trace_bounds(&self, end: f64, f: impl Fn(f64) -> f64) -> Option<Bracket> {
        let n = self.dim as f64;
        let (low, high) = self.extremes()?;
        let slack = self
            .quadratures
            .iter()
            .map(Quadrature::resolution)
            .fold(0.0, f64::max);
        let outside = end <= low + slack || end >= high - slack;
        let pairs = |q: &Quadrature| (q.integrate(&f), q.integrate_with(end, &f));
        let finite = |q: &Quadrature| q.is_finite_near(&f) && pairs(q).1.is_finite();
        if self.stop != TraceStop::Estimated || !outside || !self.quadratures.iter().all(finite) {
            return None;
        }
        Some(self.bracket(n, |q| {
            let ((gauss, radau), room) = (pairs(q), q.rounding_of(&f));
            (gauss.min(radau) - room, gauss.max(radau) + room)
        }))
    }

    /// Estimates `log det A = tr log A` for a positive definite operator. A node that is not
    /// above the rounding level ends as [`TraceStop::OutsideDomain`], with the largest bar.
    pub fn log_determinant(&self) -> TraceEstimate {
        let level = self
            .quadratures
            .iter()
            .map(Quadrature::resolution)
            .fold(0.0, f64::max);
        self.trace_of(|x| if x > level { x.ln() } else { f64::NAN })
    }

    /// The effective number of parameters `tr A(A + αI)⁻¹ = Σ λ/(λ + α)` (MacKay 1992), without the
    /// negative eigenvalues of an indefinite operator.
    ///
    /// # Panics
    /// If `alpha` is not positive.
    pub fn effective_dimension(&self, alpha: f64) -> TraceEstimate {
        assert!(
            alpha > 0.0,
            "effective_dimension: alpha = {alpha} is not positive"
        );
        self.trace_of(|x| x.max(0.0) / (x.max(0.0) + alpha))
    }

    /// The share of eigenvalues below `t`, and that up to `t`: the bounds hold for both. See
    /// [`Quadrature::cumulative_bounds`].
    pub fn cumulative(&self, t: f64) -> Bracket {
        self.bracket(1.0, |q| q.cumulative_bounds(t))
    }

    /// The number of eigenvalues below `t`.
    pub fn count_below(&self, t: f64) -> Bracket {
        self.bracket(self.dim as f64, |q| q.cumulative_bounds(t))
    }

    /// The number of eigenvalues between `low` and `high`. Whether those at the ends are
    /// counted is open, as in [`cumulative`](Self::cumulative).
    pub fn count_between(&self, low: f64, high: f64) -> Bracket {
        self.bracket(self.dim as f64, |q| {
            let (before, to) = (q.cumulative_bounds(low), q.cumulative_bounds(high));
            ((to.0 - before.1).max(0.0), (to.1 - before.0).max(0.0))
        })
    }

    /// The number of negative eigenvalues: [`count_below`](Self::count_below) zero. Eigenvalues
    /// within rounding of zero are in `upper` but not in `lower`.
    pub fn negative_eigenvalues(&self) -> Bracket {
        self.count_below(0.0)
    }

    /// The density at `t`, every node blurred to a Gaussian of this width; its integral is 1.
    ///
    /// # Panics
    /// If `width` is not positive.
    pub fn density(&self, t: f64, width: f64) -> f64 {
        self.density_at(t, width).value
    }

    fn density_at(&self, t: f64, width: f64) -> TraceEstimate {
        assert!(width > 0.0, "density: the width {width} is not positive");
        let height = (std::f64::consts::TAU.sqrt() * width).recip();
        let bell = |node: f64| height * (-0.5 * ((t - node) / width).powi(2)).exp();
        self.mean(|q| q.integrate(bell))
    }

    /// The density at `points` places, from four widths below the lowest to four above the highest
    /// node.
    ///
    /// Without a width, one hundredth of the distance of the extreme nodes is taken (or of
    /// their modulus, if that is zero). `None` without a quadrature, or for fewer than two
    /// points or a width that is not positive.
    pub fn densities(&self, points: usize, width: Option<f64>) -> Option<Density> {
        let (low, high) = self.extremes()?;
        let own = if high > low {
            high - low
        } else {
            low.abs().max(f64::MIN_POSITIVE)
        };
        let width = width.unwrap_or(0.01 * own);
        if points < 2 || !(width > 0.0 && width.is_finite()) {
            return None;
        }
        let (from, to) = (low - 4.0 * width, high + 4.0 * width);
        let share = |i: usize| i as f64 / (points - 1) as f64;
        let points: Vec<f64> = (0..points).map(|i| from + (to - from) * share(i)).collect();
        let found: Vec<_> = points.iter().map(|&t| self.density_at(t, width)).collect();
        Some(Density {
            values: found.iter().map(|d| d.value).collect(),
            standard_errors: found.iter().map(|d| d.standard_error).collect(),
            points,
            width,
        })
    }

    /// The extreme nodes: an upper bound of the smallest and a lower bound of the largest
    /// eigenvalue, to the [`resolution`](Quadrature::resolution). `None` without a quadrature.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        let ends = self.quadratures.iter().filter_map(|q| {
            let (first, last) = (q.nodes.first()?, q.nodes.last()?);
            Some((*first, *last))
        });
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// `θ_max / θ_min`, a lower bound of the condition of a positive definite operator, up to
    /// the [`resolution`](Quadrature::resolution). `None` if a node is not above that.
    pub fn condition(&self) -> Option<f64> {
        let (low, high) = self.extremes()?;
        let level = self
            .quadratures
            .iter()
            .map(Quadrature::resolution)
            .fold(0.0, f64::max);
        (low > level).then(|| high / low)
    }
}
