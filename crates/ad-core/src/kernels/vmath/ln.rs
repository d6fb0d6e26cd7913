//! The natural logarithm, of x and of 1 + x.

use super::super::isa::Isa;
use super::arith::{fast_two_sum, poly, two_sum};
use super::word::Word;

/// (ln(1 + f) - f + f²/2)/f³ on -0.25 ≤ f ≤ 0.5, by weighted Remez exchange
/// (`tests/reference/fit.py`); the logarithm has a relative error of 2⁻⁵⁵·⁶.
pub(super) const POLY_F64: [f64; 19] = [
    0.33333333333333404,
    -0.25000000000004896,
    0.19999999999946866,
    -0.166666666649631,
    0.14285714292032026,
    -0.12500000198913216,
    0.11111111013502524,
    -0.09999989166834744,
    0.09090892081170664,
    -0.08333628549716915,
    0.07693286864078236,
    -0.07139364836529863,
    0.06645495516093404,
    -0.062473025011490164,
    0.060676028523302894,
    -0.059565587651989216,
    0.05096780979056811,
    -0.02991156914702939,
    0.008352144275476439,
];

/// The same for `f32`: 2⁻²⁶·⁶.
pub(super) const POLY_F32: [f32; 8] = [
    0.333_334_03,
    -0.250_001_1,
    0.199_928_33,
    -0.166_486_46,
    0.144_540_98,
    -0.131_270_57,
    0.105_299_465,
    -0.046_186_503,
];

/// k ln 2 + ln(1 + f) + low, for -0.25 ≤ f < 0.5.
#[inline(always)]
pub(super) fn ln_reduced<I: Isa, T: Word>(k: T, f: T, low: T) -> T {
    let q = poly::<I, T>(f, T::LN_POLY);
    let bend = f.fma::<I>(q, T::lit(-0.5));
    let low = (f * f).fma::<I>(bend, k.fma::<I>(T::LN2.1, low));
    // |k·LN2.0| > |f| unless k = 0.
    let (sum, error) = fast_two_sum(k * T::LN2.0, f);
    sum + (error + low)
}

/// x = 2ᵏ m with m in [0.75, 1.5), for any positive finite x.
#[inline(always)]
pub(super) fn split_any<T: Word>(x: T) -> (T, T) {
    let tiny = x < T::MIN_NORMAL;
    let (k, m, _) = (if tiny { x * T::LIFT.0 } else { x }).split();
    (if tiny { k - T::LIFT.1 } else { k }, m)
}

/// `y` for positive finite x; the values of the logarithm for all other x.
#[inline(always)]
fn special<T: Word>(x: T, y: T) -> T {
    let zero = T::lit(0.0);
    let y = if x < T::INFINITY { y } else { x };
    let edge = if x == zero { -T::INFINITY } else { T::NAN };
    if x > zero { y } else { edge }
}

/// ln x
#[inline(always)]
pub(super) fn ln<I: Isa, T: Word>(x: T) -> T {
    let (k, m) = split_any(x);
    special(x, ln_reduced::<I, T>(k, m - T::lit(1.0), T::lit(0.0)))
}

/// ln(1 + x)
#[inline(always)]
pub(super) fn ln_1p<I: Isa, T: Word>(x: T) -> T {
    let one = T::lit(1.0);
    let (sum, error) = two_sum(one, x);
    let (k, m, inverse) = sum.split();
    // For k = 0 this is x again, exactly. Where the sum loses all of 1, its error no longer
    // matters, and 2⁻ᵏ need not exist.
    let f = m - one;
    let f = if x < one / (T::EPSILON * T::EPSILON) {
        error.fma::<I>(inverse, f)
    } else {
        f
    };
    let y = special(sum, ln_reduced::<I, T>(k, f, T::lit(0.0)));
    // The sign is that of x, also at -0.
    y.magnitude().flip_sign(x)
}
