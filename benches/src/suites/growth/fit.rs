//! The slope of a line through logarithms.

/// The exponent a of y ∝ xᵃ that fits best: least squares of ln y over ln x. `None` for fewer than
/// two different x, and for numbers that have no logarithm.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<_> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|log| log.0), mean(|log| log.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        let terms = logs.iter().map(|(x, y)| of(x - x_mean, y - y_mean));
        terms.sum::<f64>()
    };
    let (squares, products) = (sum(&|x, _| x * x), sum(&|x, y| x * y));
    let slope = products / squares;
    (squares > 0.0 && slope.is_finite()).then_some(slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_give_their_exponents() {
        for power in [-1.0, 0.0, 0.5, 2.0] {
            let points = [1.0, 2.0, 8.0, 100.0].map(|x: f64| (x, 3e-6 * x.powf(power)));
            let found = exponent(&points).unwrap();
            // Logarithms of up to 13 with a rounding each.
            assert!((found - power).abs() < 1e-13, "{found}");
        }
    }

    #[test]
    fn errors_that_cancel_leave_the_slope() {
        // In logarithms −1, 0, 1 with errors 1, −2, 1, which no line explains.
        let points = [(-1.0, 1.0), (0.0, -2.0), (1.0, 1.0)];
        let points = points.map(|(x, error): (f64, f64)| (x.exp(), (0.7 * x + error).exp()));
        assert!((exponent(&points).unwrap() - 0.7).abs() < 1e-14);
    }

    #[test]
    fn what_makes_no_line_has_no_exponent() {
        assert_eq!(exponent(&[]), None);
        assert_eq!(exponent(&[(2.0, 1.0)]), None);
        assert_eq!(exponent(&[(2.0, 1.0), (2.0, 3.0)]), None);
        assert_eq!(exponent(&[(1.0, 1.0), (2.0, 0.0)]), None);
    }
}
