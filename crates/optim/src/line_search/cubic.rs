//! Minima of the cubic through two points and slopes.

use ad_core::Real;

use super::Trial;

/// The local minimiser of the cubic that has the values and slopes of `a` and `b`
/// (Nocedal and Wright, equation 3.59); NaN where there is none.
///
/// Exact for quadratics, up to rounding.
pub(super) fn minimiser<T: Real>(a: &Trial<T>, b: &Trial<T>) -> T {
    let three = T::of(3.0);
    let width = b.step - a.step;
    let d1 = a.slope + b.slope - three * (a.value - b.value) / (a.step - b.step);
    // Scaled, so that squares of slopes neither overflow nor vanish.
    let scale = d1.abs().max(a.slope.abs()).max(b.slope.abs());
    let (u, v, w) = (d1 / scale, a.slope / scale, b.slope / scale);
    let d2 = width.signum() * scale * (u * u - v * w).sqrt();
    b.step - width * (b.slope + d2 - d1) / (b.slope - a.slope + d2 + d2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(t: f64, f: impl Fn(f64) -> (f64, f64)) -> Trial<f64> {
        let (value, slope) = f(t);
        Trial {
            step: t,
            value,
            slope,
        }
    }

    /// (t − 2)², and t³ − 3t with its minimum at 1, from either side and at scales
    /// whose squares leave the range of f64.
    #[test]
    fn finds_minima_of_quadratics_and_cubics() {
        for scale in [1.0, 1e-200, 1e200] {
            let parabola = |t: f64| (scale * (t - 2.0).powi(2), scale * 2.0 * (t - 2.0));
            let cubic = |t: f64| (scale * (t * t * t - 3.0 * t), scale * 3.0 * (t * t - 1.0));
            for (a, b) in [(0.0, 5.0), (5.0, 0.0), (0.0, 1.0), (3.0, 4.0)] {
                let got = minimiser(&trial(a, parabola), &trial(b, parabola));
                assert!((got - 2.0).abs() < 32.0 * f64::EPSILON, "{a} {b}: {got}");
                let got = minimiser(&trial(a, cubic), &trial(b, cubic));
                // Values up to 110 enter a difference whose result is of order 1.
                assert!((got - 1.0).abs() < 1e3 * f64::EPSILON, "{a} {b}: {got}");
            }
        }
    }

    #[test]
    fn a_cubic_without_minimum_gives_nan() {
        let rising = |t: f64| (t * t * t + t, 3.0 * t * t + 1.0);
        assert!(minimiser(&trial(-1.0, rising), &trial(1.0, rising)).is_nan());
    }
}
