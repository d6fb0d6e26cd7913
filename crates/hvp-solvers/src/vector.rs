//! Kernels on contiguous vectors, with a fixed order of summation.
//!
//! Inner products and norms of long vectors are sums by a fixed tree
//! ([`ad_core::dot`]), those of short ones sums of few terms in each of sixteen
//! lanes: the result depends neither on the number of threads nor on the processor,
//! and the rounding error grows like the logarithm of the length.
//!
//! All functions panic if their arguments differ in length.

use ad_core::Real;
pub use ad_core::all_finite;
use ndarray::Array1;

/// The numbers of an owned vector.
///
/// # Panics
/// If the vector was sliced in place with a step.
pub fn slice<T>(vector: &Array1<T>) -> &[T] {
    vector.as_slice().expect("owned vectors are contiguous")
}

/// [`slice()`], to write to.
///
/// # Panics
/// If the vector was sliced in place with a step.
pub fn slice_mut<T>(vector: &mut Array1<T>) -> &mut [T] {
    vector.as_slice_mut().expect("owned vectors are contiguous")
}

/// Interleaved accumulators of a short inner product.
const LANES: usize = 16;

/// The longest vector that is short: as many terms in a lane as in a run of the tree, or a few more.
/// The tree pays from here on; below, choosing a kernel for the processor costs as much as the sum.
const SHORT: usize = 20 * LANES;

/// The inner product `xᵀy`.
///
/// ```
/// assert_eq!(hvp_solvers::vector::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// ```
///
/// # Panics
/// If the lengths differ.
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    assert_eq!(x.len(), y.len(), "dot: lengths differ");
    if x.len() > SHORT {
        return ad_core::dot(x, y);
    }
    let mut lanes = [T::zero(); LANES];
    let (x_lines, x_rest) = x.as_chunks::<LANES>();
    let (y_lines, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_lines.iter().zip(y_lines) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (&x, &y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *lane += x * y;
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            let other = lanes[lane + half];
            lanes[lane] += other;
        }
        half /= 2;
    }
    lanes[0]
}

/// `y ← y + a x`.
///
/// # Panics
/// If the lengths differ.
pub fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    assert_eq!(x.len(), y.len(), "axpy: lengths differ");
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// `y ← b y − x`, the update of a search direction from a preconditioned residual.
///
/// # Panics
/// If the lengths differ.
pub fn scale_sub<T: Real>(b: T, x: &[T], y: &mut [T]) {
    assert_eq!(x.len(), y.len(), "scale_sub: lengths differ");
    for (y, &x) in y.iter_mut().zip(x) {
        *y = b * *y - x;
    }
}

/// `x ← a x`.
pub fn scale<T: Real>(a: T, x: &mut [T]) {
    for x in x {
        *x *= a;
    }
}

/// The largest magnitude `max |xᵢ|`, zero for an empty vector; NaN if any entry is.
pub fn norm_max<T: Real>(x: &[T]) -> T {
    let mut top = T::zero();
    for &v in x {
        if v.is_nan() {
            return v;
        }
        top = top.max(v.abs());
    }
    top
}

/// Entries that [`norm2`] scales at a time.
const PIECE: usize = 512;

/// The Euclidean norm `‖x‖₂`, without overflow or underflow in the squares.
///
/// One pass in the usual case. Only when the plain sum of squares leaves the
/// range in which it is accurate are the entries scaled by their largest
/// magnitude first. A NaN or an infinity in `x` shows in the result.
///
/// ```
/// use hvp_solvers::vector::norm2;
/// assert_eq!(norm2(&[3.0, 4.0]), 5.0);
/// for scale in [1e-200_f64, 1e200] {
///     assert!((norm2(&[3.0 * scale, 4.0 * scale]) / (5.0 * scale) - 1.0).abs() < 1e-15);
/// }
/// assert!(norm2(&[f64::NAN, 1.0]).is_nan());
/// ```
pub fn norm2<T: Real>(x: &[T]) -> T {
    let plain = dot(x, x);
    // Below `floor` the squares of some contributing entries may have lost bits.
    let floor = T::min_positive_value() / (T::epsilon() * T::epsilon());
    if plain.is_nan() || (plain.is_finite() && plain > floor) {
        return plain.sqrt();
    }
    let top = norm_max(x);
    // Zero, infinite or NaN: that is the norm.
    if top == T::zero() || !top.is_finite() {
        return top;
    }
    let factor = if top.is_normal() {
        power_of_two_below(top)
    } else {
        top
    };
    // In pieces, so that the scaled entries need little memory; the pieces' sums in double
    // precision, so that many of them add no error to that of each.
    let mut scaled = [T::zero(); PIECE];
    let mut sum = 0.0;
    for piece in x.chunks(PIECE) {
        let scaled = &mut scaled[..piece.len()];
        for (scaled, &v) in scaled.iter_mut().zip(piece) {
            *scaled = v / factor;
        }
        sum += dot(scaled, scaled).as_f64();
    }
    factor * T::of(sum.sqrt())
}

/// The largest power of two not above `x`, so that scaling by it loses no bits.
///
/// One for anything that is not a normal positive number.
pub fn power_of_two_below<T: Real>(x: T) -> T {
    if !(x.is_normal() && x > T::zero()) {
        return T::one();
    }
    let (_, exponent, _) = x.integer_decode();
    // `integer_decode` gives x = mantissa · 2^exponent with an integer mantissa of
    // `digits` bits; the leading bit stands for 2^(exponent + digits − 1).
    let digits = -T::epsilon().log2().round().as_f64() as i32 + 1;
    T::of(2.0).powi(i32::from(exponent) + digits - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_of_every_length_matches_the_plain_sum() {
        for n in (0..70).chain([SHORT - 1, SHORT, SHORT + 1, 4000]) {
            let n = n as i32;
            let x: Vec<f64> = (0..n).map(|i| f64::from(i) + 1.0).collect();
            let y: Vec<f64> = (0..n).map(|i| 2.0 - f64::from(i)).collect();
            // Integers far below 2^53: every order of summation is exact.
            let plain: f64 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
            assert!((dot(&x, &y) - plain).abs() < 0.5, "n = {n}");
        }
    }

    /// Equal terms are the worst case: all additions of a run round to the same side.
    #[test]
    fn sums_of_equal_entries_are_right_to_a_millionth() {
        for n in [SHORT, SHORT + 1, 10_000, 10_000_000] {
            for entry in [0.1_f32, 0.7, 1.0 / 3.0, 1e-22, 3e22] {
                let x = vec![entry; n];
                let expected = (n as f64).sqrt() * f64::from(entry);
                let error = (f64::from(norm2(&x)) / expected - 1.0).abs();
                assert!(error < 1e-6, "norm of {n} times {entry}: {error:e}");
                let found = f64::from(dot(&x, &vec![1.0; n]));
                let error = (found / (n as f64 * f64::from(entry)) - 1.0).abs();
                assert!(error < 1e-6, "sum of {n} times {entry}: {error:e}");
            }
        }
    }

    #[test]
    fn norm2_at_extreme_scales() {
        for scale in [1e-310_f64, 1e-200, 1e-150, 1.0, 1e150, 1e200, 1e307] {
            let x = [3.0 * scale, 0.0, -4.0 * scale];
            let relative = (norm2(&x) / (5.0 * scale) - 1.0).abs();
            // A subnormal entry carries fewer bits.
            let tol = if scale < 1e-300 {
                1e-10
            } else {
                4.0 * f64::EPSILON
            };
            assert!(relative < tol, "scale {scale:e}: {relative:e}");
        }
        assert_eq!(norm2::<f64>(&[]).to_bits(), 0);
        assert!(norm2(&[f64::INFINITY, 1.0]).is_infinite());
        assert!(norm2(&[f64::INFINITY, f64::NAN]).is_nan());
        assert!((norm2(&[3e-30_f32, 4e-30]) / 5e-30 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn powers_of_two() {
        for (x, expected) in [
            (1.0_f64, 1.0_f64),
            (1.5, 1.0),
            (2.0, 2.0),
            (0.3, 0.25),
            (1023.0, 512.0),
        ] {
            assert_eq!(power_of_two_below(x).to_bits(), expected.to_bits());
        }
        assert_eq!(power_of_two_below(3.0_f32).to_bits(), 2.0_f32.to_bits());
        assert_eq!(
            power_of_two_below(f64::MIN_POSITIVE).to_bits(),
            f64::MIN_POSITIVE.to_bits()
        );
        assert_eq!(
            power_of_two_below(f64::MAX).to_bits(),
            2.0_f64.powi(1023).to_bits()
        );
        assert_eq!(power_of_two_below(0.0_f64).to_bits(), 1.0_f64.to_bits());
    }
}
