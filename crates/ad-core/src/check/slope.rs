//! How fast a Taylor remainder falls with the step.

use super::CheckError;

/// Steps h are ½, ¼, … of the size of the point.
const N_STEPS: i32 = 40;

/// What Taylor's formula leaves, and the size of the numbers that it is a difference of.
pub(super) struct Remainder {
    pub(super) remainder: f64,
    pub(super) size: f64,
}

/// The slope of ln remainder over ln h at the smallest three steps at which the remainder stands
/// out from rounding; infinite if there are none, 0 if it does not vanish with h at all.
pub(super) fn slope(
    remainder: &dyn Fn(f64) -> Result<Remainder, CheckError>,
    size: f64,
    epsilon: f64,
) -> Result<f64, CheckError> {
    // At such steps a remainder is rounding, unless it falls more slowly than it should: that is
    // found below, because it then is far larger at all steps.
    let tiny = size * epsilon.powf(0.75);
    let mut noise = 0.0_f64;
    for factor in [1.0, 1.3, 1.7, 2.2] {
        noise = noise.max(remainder(factor * tiny)?.remainder);
    }
    let near = remainder(size * 2.0_f64.powi(-10))?;
    if near.size.is_finite() && noise > epsilon.sqrt() * near.size {
        return Ok(0.0);
    }
    let mut above: Vec<Option<f64>> = Vec::new();
    let mut any_finite = false;
    for at in 1..=N_STEPS {
        let h = size * 2.0_f64.powi(-at);
        if h < tiny {
            break;
        }
        let Remainder { remainder, size } = remainder(h)?;
        any_finite |= remainder.is_finite();
        let floor = (64.0 * epsilon * size).max(10.0 * noise);
        // Outside the function's domain there is nothing to measure.
        above.push((remainder.is_finite() && remainder > floor).then_some(remainder));
    }
    if !any_finite {
        let what = "the function in the neighbourhood";
        return Err(CheckError::NonFinite { what });
    }
    let triple = |three: &&[Option<f64>]| three.iter().all(Option::is_some);
    let last = above.windows(3).rev().find(triple);
    Ok(match last {
        Some(&[Some(far), _, Some(close)]) => (far / close).log2() / 2.0,
        _ => f64::INFINITY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slope of |c|·hᵖ with rounding of size 1e-16 on top.
    fn of_power(c: f64, power: i32) -> f64 {
        let remainder = |h: f64| {
            let rounding = 1e-16 * (1e9 * h).sin();
            let remainder = (c * h.powi(power) + rounding).abs();
            let size = 1.0;
            Ok(Remainder { remainder, size })
        };
        slope(&remainder, 1.0, f64::EPSILON).unwrap_or(f64::NAN)
    }

    #[test]
    fn the_slope_is_the_power() {
        for power in 1..=4 {
            for c in [1e-3, 1.0, 1e3] {
                let slope = of_power(c, power);
                assert!(
                    (slope - f64::from(power)).abs() < 0.1,
                    "{c} h^{power}: {slope}"
                );
            }
        }
    }

    #[test]
    fn a_remainder_of_rounding_has_an_infinite_slope_and_a_jump_has_none() {
        assert_eq!(of_power(0.0, 1).to_bits(), f64::INFINITY.to_bits());
        assert_eq!(of_power(1.0, 0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_function_without_a_neighbourhood_is_refused() {
        let nan = |_: f64| {
            let (remainder, size) = (f64::NAN, f64::NAN);
            Ok(Remainder { remainder, size })
        };
        assert!(slope(&nan, 1.0, f64::EPSILON).is_err());
    }
}
