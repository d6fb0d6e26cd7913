//! Judging a step and adapting the trust region.

use ad_core::Real;

/// How a trial value compares with what the model promised.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict<T> {
    /// Actual over predicted decrease; −∞ if the trial value is not finite.
    pub(crate) ratio: T,
    /// The rounding noise that the values have.
    pub(crate) noise: T,
}

/// Compares `f_trial` with `f − predicted`, safely near the rounding level.
///
/// Both decreases get an allowance of the `noise` that values here have (Conn, Gould &
/// Toint, §17.4.2). Where the decreases are far above it, it changes nothing; where
/// they drown in it the ratio goes to one, so that the good Newton steps at the end are
/// not rejected for noise.
pub(crate) fn judge<T: Real>(f: T, f_trial: T, predicted: T, noise: T) -> Verdict<T> {
    if !f_trial.is_finite() {
        return Verdict {
            ratio: T::neg_infinity(),
            noise: T::zero(),
        };
    }
    Verdict {
        ratio: (f - f_trial + noise) / (predicted + noise),
        noise,
    }
}

/// The next radius (Nocedal & Wright, algorithm 4.1).
///
/// Shrinks to a quarter of the *step*, which is less than a quarter of the radius when
/// the step was interior; expands only if the boundary was in the way.
pub(crate) fn next_radius<T: Real>(
    radius: T,
    max_radius: T,
    step_norm: T,
    ratio: T,
    on_boundary: bool,
) -> T {
    if ratio.is_nan() || ratio < T::of(0.25) {
        return T::of(0.25) * step_norm.min(radius);
    }
    if ratio > T::of(0.75) && on_boundary {
        return (radius + radius).min(max_radius);
    }
    radius
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_is_exact_above_noise_and_one_below() {
        let v = judge(10.0_f64, 8.0, 4.0, 1e-14);
        assert!((v.ratio - 0.5).abs() < 1e-14);
        // One unit in the last place upwards, with a tiny prediction: noise, not failure.
        let up = judge(1.0, 1.0 + f64::EPSILON, 1e-20, 10.0 * f64::EPSILON);
        assert!(up.ratio > 0.75, "{}", up.ratio);
        // At minimum zero there is no noise to hide behind.
        assert!(judge(0.0, 1e-20, 1e-20, 1e-35).ratio < 0.0);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(judge(1.0, bad, 1.0, 1e-15).ratio < f64::MIN);
        }
    }

    #[test]
    fn radius_follows_the_step() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} != {b}");
        close(next_radius(1.0, 10.0, 0.4, 0.1, false), 0.1);
        close(next_radius(1.0, 10.0, 1.0, 0.5, true), 1.0);
        close(next_radius(1.0, 10.0, 1.0, 0.9, true), 2.0);
        close(next_radius(1.0, 10.0, 0.4, 0.9, false), 1.0);
        close(next_radius(8.0, 10.0, 8.0, 0.9, true), 10.0);
        close(next_radius(1.0, 10.0, 1.0, f64::NEG_INFINITY, true), 0.25);
    }
}
