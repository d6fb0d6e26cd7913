//! How fast a Taylor remainder falls with the step.

use super::CheckError;

/// Steps h are ½, ¼, … of the size of the point.
const N_STEPS: i32 = 40;

/// How far the slopes of two pairs of steps that follow each other may be apart. Where one power of h
/// takes over from the next they differ by a sixth at most, with rounding by a third; more where
/// the remainder is about to change its sign.
const AGREES: f64 = 0.4;

/// What Taylor's formula leaves, with its sign if it has one, and the size of the numbers that it is a
/// difference of.
pub(super) struct Remainder {
    pub(super) remainder: f64,
    pub(super) size: f64,
}

/// The slope of ln |remainder| over ln h at the smallest three steps at which the remainder stands
/// out from rounding; infinite if there are none, 0 if it does not vanish with h at all. Steps between
/// which the remainder changes its sign, or is about to, say nothing about the power with which it falls,
/// and larger ones are taken.
pub(super) fn slope(
    remainder: &dyn Fn(f64) -> Result<Remainder, CheckError>,
    size: f64,
    epsilon: f64,
) -> Result<f64, CheckError> {
    // At such steps a remainder is rounding, unless it falls more slowly than it should: that is
    // found below, because it then is far larger at all steps.
    let tiny = size * epsilon.powf(0.75);
    let (mut noise, mut near) = (0.0_f64, 0.0_f64);
    for factor in [1.0, 1.3, 1.7, 2.2] {
        noise = noise.max(remainder(factor * tiny)?.remainder.abs());
        // Several steps: at one of them the function may vanish.
        let size = remainder(factor * size * 2.0_f64.powi(-10))?.size;
        near = near.max(if size.is_finite() {
            size
        } else {
            f64::INFINITY
        });
    }
    if noise > epsilon.sqrt() * near {
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
        above.push((remainder.is_finite() && remainder.abs() > floor).then_some(remainder));
    }
    if !any_finite {
        let what = "the function in the neighbourhood";
        return Err(CheckError::NonFinite { what });
    }
    Ok(smallest(&above))
}

/// The slope at the smallest three steps that are of use, of remainders at h, h/2, h/4, …
fn smallest(above: &[Option<f64>]) -> f64 {
    let mut any = None;
    for three in above.windows(3).rev() {
        let &[Some(far), Some(middle), Some(close)] = three else {
            continue;
        };
        let pairs = [(far / middle).log2(), (middle / close).log2()];
        let slope = (far / close).abs().log2() / 2.0;
        any.get_or_insert(slope);
        // A change of sign makes a NaN.
        if (pairs[0] - pairs[1]).abs() <= AGREES {
            return slope;
        }
    }
    any.unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slope of |c|·hᵖ with rounding of size 1e-16 on top.
    fn of_power(c: f64, power: i32) -> f64 {
        let remainder = |h: f64| {
            let rounding = 1e-16 * (1e9 * h).sin();
            let remainder = c * h.powi(power) + rounding;
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

    /// h³ − h⁴/h₀ falls like h³ although it is as small as can be near h₀; h² − h³/h₀ like h².
    #[test]
    fn a_change_of_sign_is_no_slope() {
        for power in [2, 3] {
            for at in 1..200 {
                let change = 2.0_f64.powf(-f64::from(at) / 16.0);
                let remainder = |h: f64| {
                    let rounding = 1e-16 * (1e16 * h).sin();
                    let remainder = h.powi(power) * (1.0 - h / change) + rounding;
                    let size = 1e-3;
                    Ok(Remainder { remainder, size })
                };
                let slope = slope(&remainder, 1.0, f64::EPSILON).unwrap();
                let off = slope - f64::from(power);
                assert!(off.abs() < 0.5, "h^{power}, {change}: {slope}");
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
