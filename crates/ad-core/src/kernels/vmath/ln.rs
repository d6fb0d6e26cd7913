//! The natural logarithm, of x and of 1 + x.

use super::super::isa::Isa;
use super::arith::{fast_two_sum, poly, two_sum};
use super::word::Word;

/// (2 atanh(s) - 2s)/s³ in z = s² on z ≤ 0.0298, by the weighted Remez exchange
/// of `tests/reference/fit.py`, with the weight z/2; the logarithm has a relative error of 2⁻⁵⁸.
pub(super) const POLY_F64: [f64; 7] = [
    0.666666666666672,
    0.39999999999485525,
    0.2857142873108031,
    0.22222199400223464,
    0.18183534949005833,
    0.1531451540733845,
    0.14793741671139884,
];

/// The same for `f32`: 2⁻²⁹.
pub(super) const POLY_F32: [f32; 3] = [0.666_667_7, 0.399_780_5, 0.298_604_43];

/// ln(1 + f) = 2 atanh(s) with s = f/(2 + f), for a mantissa 1 + f as [`Word::split`] makes them.
///
/// As f - s·rest, since 2s = f - sf, the result is mostly f itself, and the roundings of s count by
/// less than a fifth (the form of Sun's fdlibm). The division takes half the coefficients that a
/// polynomial in f would need, and the divider works beside the multiply-add units.
///
/// Returns s and the rest.
#[inline(always)]
fn atanh_parts<I: Isa, T: Word>(f: T, two_plus_f: T) -> (T, T) {
    let s = f / two_plus_f;
    let z = s * s;
    (s, (-z).fma::<I>(poly::<I, T>(z, T::LN_POLY), f))
}

/// k ln 2 + ln(1 + f) + low, with one rounding that counts: for the functions where f has a rounding
/// already.
#[inline(always)]
pub(super) fn ln_reduced<I: Isa, T: Word>(k: T, f: T, low: T) -> T {
    let (s, rest) = atanh_parts::<I, T>(f, f + T::lit(2.0));
    let low = (-s).fma::<I>(rest, k.fma::<I>(T::LN2.1, low));
    // |k·LN2.0| > |f| unless k = 0.
    let (sum, error) = fast_two_sum(k * T::LN2.0, f);
    sum + (error + low)
}

/// [`Word::split`] without its inverse, of any positive finite x.
#[inline(always)]
pub(super) fn split_any<T: Word>(x: T) -> (T, T) {
    // One choice for both numbers: of two conditions the compiler makes two whole splits.
    let (scale, shift) = if x < T::MIN_NORMAL {
        T::LIFT
    } else {
        (T::lit(1.0), T::lit(0.0))
    };
    let (k, m, _) = (x * scale).split();
    (k - shift, m)
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
    special(x, ln_split::<I, T>(split_any(x)))
}

/// ln x of a positive normal x.
#[inline(always)]
pub(super) fn ln_normal<I: Isa, T: Word>(x: T) -> T {
    let (k, m, _) = x.split();
    ln_split::<I, T>((k, m))
}

/// ln(2ᵏ m)
#[inline(always)]
fn ln_split<I: Isa, T: Word>((k, m): (T, T)) -> T {
    let one = T::lit(1.0);
    let f = m - one;
    let (s, rest) = atanh_parts::<I, T>(f, m + one);
    let ln = (-s).fma::<I>(rest, f);
    // Fused, one ln 2 does: its own rounding costs 0.4 ulp, another rounded sum would as well.
    if I::FMA {
        k.fma::<I>(T::lit(std::f64::consts::LN_2), ln)
    } else {
        k * T::LN2.0 + (k * T::LN2.1 + ln)
    }
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
