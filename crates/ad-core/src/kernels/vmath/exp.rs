//! eˣ and eˣ - 1, and the reduced exponential that the logistic functions share.

use super::super::isa::Isa;
use super::arith::{clamp, fast_two_sum, poly};
use super::word::Word;

/// (eʳ - 1 - r)/r² on |r| ≤ ln 2 / 2, by weighted Remez exchange (`tests/reference/fit.py`);
/// e^r - 1 has a relative error of 2⁻⁵⁵.
pub(super) const POLY_F64: [f64; 10] = [
    0.5000000000000002,
    0.16666666666666605,
    0.041666666666602396,
    0.008333333333385002,
    0.0013888888924763773,
    0.0001984126971986234,
    2.4801512237212176e-5,
    2.755741340986256e-6,
    2.762360686042976e-7,
    2.5050177096578375e-8,
];

/// The same for `f32`: 2⁻²⁸·⁹.
pub(super) const POLY_F32: [f32; 6] = [
    0.5,
    0.166_666_66,
    0.041_666_4,
    0.008_333_397,
    0.001_393_819_1,
    0.000_198_398_94,
];

/// x = n ln 2 + r with |r| ≤ ln 2 / 2.
struct Reduced<T> {
    /// n + bias in the low bits.
    k: T,
    r: T,
    /// eʳ⁺ʳ_low - 1 - r, with r_low the rounding of r.
    tail: T,
}

/// eˣ = 2ⁿ(1 + p) for x within [`Word::EXP_RANGE`]: n and the bias in the low bits of a number, and
/// p. The rounding of r, at most a quarter of an ulp of eˣ, stays.
#[inline(always)]
pub(super) fn reduce<I: Isa, T: Word>(x: T, bias: T) -> (T, T) {
    let (k, n, high) = multiple::<I, T>(x, bias);
    let r = n.fma::<I>(-T::LN2.1, high);
    (k, (r * r).fma::<I>(poly::<I, T>(r, T::EXP_POLY), r))
}

/// The reduction for x + x_low, for results that magnify the rounding of r.
#[inline(always)]
fn reduce_exactly<I: Isa, T: Word>(x: T, x_low: T, bias: T) -> Reduced<T> {
    let (k, n, high) = multiple::<I, T>(x, bias);
    let low = n.fma::<I>(-T::LN2.1, x_low);
    let r = high + low;
    let r_low = (high - r) + low;
    let tail = (r * r).fma::<I>(poly::<I, T>(r, T::EXP_POLY), r_low);
    Reduced { k, r, tail }
}

/// The multiple n of ln 2 next to x (and with the bias in the low bits of k), and x less the
/// leading part of n ln 2, which is exact.
#[inline(always)]
fn multiple<I: Isa, T: Word>(x: T, bias: T) -> (T, T, T) {
    let magic = T::MAGIC + bias;
    let k = x.fma::<I>(T::lit(std::f64::consts::LOG2_E), magic);
    let n = k - magic;
    (k, n, n.fma::<I>(-T::LN2.0, x))
}

/// eˣ
#[inline(always)]
pub(super) fn exp<I: Isa, T: Word>(x: T) -> T {
    let (k, p) = reduce::<I, T>(clamp(x, T::EXP_RANGE), T::BIAS + T::BIAS);
    let (first, second) = T::pow2_halves(k);
    (T::lit(1.0) + p) * first * second
}

/// eˣ⁺ˣ_low = 2ⁿ(1 + p): n and twice the bias in the low bits of a number, and p.
#[inline(always)]
fn exp_of_sum_parts<I: Isa, T: Word>(x: T, x_low: T) -> (T, T) {
    let (k, n, high) = multiple::<I, T>(x, T::BIAS + T::BIAS);
    let r = high + n.fma::<I>(-T::LN2.1, x_low);
    (k, (r * r).fma::<I>(poly::<I, T>(r, T::EXP_POLY), r))
}

/// eˣ⁺ˣ_low, for x in range and a small x_low.
#[inline(always)]
pub(super) fn exp_of_sum<I: Isa, T: Word>(x: T, x_low: T) -> T {
    let (k, p) = exp_of_sum_parts::<I, T>(x, x_low);
    let (first, second) = T::pow2_halves(k);
    (T::lit(1.0) + p) * first * second
}

/// The same bits where eˣ is neither subnormal nor infinite.
#[inline(always)]
pub(super) fn normal_exp_of_sum<I: Isa, T: Word>(x: T, x_low: T) -> T {
    let (k, p) = exp_of_sum_parts::<I, T>(x, x_low);
    (T::lit(1.0) + p) * T::pow2(k - T::BIAS)
}

/// eˣ for x ≤ 0 in range, not yet scaled: mantissa, its error, and the scale times
/// [`Word::LIFT`], which keeps it normal.
#[inline(always)]
pub(super) fn exp_parts<I: Isa, T: Word>(x: T) -> (T, T, T) {
    let (k, p) = reduce::<I, T>(x, T::BIAS + T::LIFT.1);
    let (high, low) = fast_two_sum(T::lit(1.0), p);
    (high, low, T::pow2(k))
}

/// eˣ - 1
#[inline(always)]
pub(super) fn exp_m1<I: Isa, T: Word>(x: T) -> T {
    // Half of 2ⁿ: the scale of the largest results would overflow. -50 is far below where the
    // result rounds to -1.
    let half = T::lit(0.5);
    let range = (T::lit(-50.0), T::EXP_RANGE.1);
    let e = reduce_exactly::<I, T>(clamp(x, range), T::lit(0.0), T::BIAS - T::lit(1.0));
    let scale = T::pow2(e.k);
    let (high, low) = fast_two_sum(scale - half, scale * e.r);
    let sum = high + scale.fma::<I>(e.tail, low);
    // Below ε/4 x itself is right to a quarter of an ulp: signed zeros and subnormals.
    if x.magnitude() < T::EPSILON * T::lit(0.25) {
        x
    } else {
        sum + sum
    }
}

/// eˣ - 1 in two parts, for -50 ≤ x ≤ 0.
#[inline(always)]
pub(super) fn exp_m1_parts<I: Isa, T: Word>(x: T) -> (T, T) {
    let e = reduce_exactly::<I, T>(x, T::lit(0.0), T::BIAS);
    let scale = T::pow2(e.k);
    let (high, low) = fast_two_sum(scale - T::lit(1.0), scale * e.r);
    fast_two_sum(high, scale.fma::<I>(e.tail, low))
}

/// eˣ and eˣ - 1 of one reduction.
pub(super) struct ExpAndM1<T> {
    /// 4eˣ is their product.
    pub(super) mantissa: T,
    pub(super) four_scales: T,
    /// eˣ - 1 in two parts.
    pub(super) m1: (T, T),
}

/// 4eˣ and eˣ - 1, for x ≤ 0 with a normal 4eˣ or one binade below, where the first is 0; the second with the bits of [`exp_m1_parts`].
#[inline(always)]
pub(super) fn exp_and_m1_parts<I: Isa, T: Word>(x: T) -> ExpAndM1<T> {
    let one = T::lit(1.0);
    let e = reduce_exactly::<I, T>(x, T::lit(0.0), T::BIAS + T::lit(2.0));
    let four_scales = T::pow2(e.k);
    let scale = four_scales * T::lit(0.25);
    let (high, low) = fast_two_sum(scale - one, scale * e.r);
    ExpAndM1 {
        mantissa: one + (e.r + e.tail),
        four_scales,
        m1: fast_two_sum(high, scale.fma::<I>(e.tail, low)),
    }
}

/// e^(x + low) for x ≤ 0 with its rounding `low`.
#[inline(always)]
pub(super) fn exp_of_difference<I: Isa, T: Word>(x: T, low: T) -> T {
    // A difference of large numbers may be -∞, and its rounding then is none.
    let low = if x > T::EXP_RANGE.0 { low } else { T::lit(0.0) };
    exp_of_sum::<I, T>(clamp(x, T::EXP_RANGE), low)
}
