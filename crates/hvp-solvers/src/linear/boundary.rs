//! Where a line leaves a ball.

use ad_core::Real;

/// Both steps `τ₋ ≤ 0 ≤ τ₊` with `‖z + τd‖ = radius`, from the products of `z` and `d`
/// in the ball's inner product. `None` if `d` is zero or nothing finite comes out.
///
/// Solves the quadratic in units of the radius, where it reads
/// `t² + 2bt − c = 0` with `b = ẑᵀd̂`, `c = 1 − ‖ẑ‖²`: its coefficients cannot
/// overflow. Of the two roots the one without cancellation is computed first and
/// the other follows from their product, −c.
pub(crate) fn boundary_steps<T: Real>(zz: T, zd: T, dd: T, radius: T) -> Option<(T, T)> {
    let d_norm = dd.sqrt();
    if !(d_norm > T::zero() && radius > T::zero()) {
        return None;
    }
    let z_norm = zz.max(T::zero()).sqrt() / radius;
    let b = zd / d_norm / radius;
    // Rounding can put z slightly outside: it then counts as on the boundary.
    let c = ((T::one() - z_norm) * (T::one() + z_norm)).max(T::zero());
    let far = b.abs() + (b * b + c).sqrt();
    let near = if far > T::zero() { c / far } else { T::zero() };
    let (minus, plus) = if b > T::zero() {
        (-far, near)
    } else {
        (-near, far)
    };
    let unit = radius / d_norm;
    let (minus, plus) = (minus * unit, plus * unit);
    (minus.is_finite() && plus.is_finite()).then_some((minus, plus))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn roots_survive_cancellation_and_extreme_scales() {
        // z almost on the boundary and d pointing outwards: τ₊ = c / 2b nearly.
        let (z, d, radius) = (1.0 - 1e-12, 1.0_f64, 1.0);
        let (minus, plus) = boundary_steps(z * z, z * d, d * d, radius).unwrap();
        assert!((plus / (radius - z) - 1.0).abs() < 1e-3, "{plus:e}");
        assert!((minus + radius + z).abs() < 1e-12, "{minus}");
        for scale in [1e-150_f64, 1e150] {
            let (m, p) = boundary_steps(0.0, 0.0, scale * scale, 2.0 * scale).unwrap();
            assert!((m + 2.0).abs() < 1e-14 && (p - 2.0).abs() < 1e-14);
        }
        assert!(boundary_steps(0.0, 0.0, 0.0, 1.0).is_none());
        assert!(boundary_steps(0.0, 0.0, 1.0, f64::INFINITY).is_none());
        assert!(boundary_steps(f64::NAN, f64::NAN, f64::NAN, 1.0).is_none());
    }

    proptest! {
        #[test]
        fn both_roots_lie_on_the_boundary(
            z in prop::array::uniform3(-1.0..1.0_f64),
            d in prop::array::uniform3(-1.0..1.0_f64),
            slack in 1e-3..10.0_f64,
        ) {
            let dot = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            prop_assume!(dot(d, d) > 1e-6);
            let radius = dot(z, z).sqrt() + slack;
            let (minus, plus) = boundary_steps(dot(z, z), dot(z, d), dot(d, d), radius).unwrap();
            prop_assert!(minus <= 0.0 && plus >= 0.0);
            for t in [minus, plus] {
                let p = [z[0] + t * d[0], z[1] + t * d[1], z[2] + t * d[2]];
                // A few roundings each in τ, p and its norm.
                prop_assert!((dot(p, p).sqrt() / radius - 1.0).abs() < 32.0 * f64::EPSILON);
            }
        }
    }
}
