//! xʸ = e^(y ln |x|), with the signs and special values of IEEE 754's `pow`.

use super::super::isa::Isa;
use super::Lane;
use super::arith::{clamp, fast_two_sum, poly, residual, two_product};
use super::exp::exp_of_sum;
use super::ln::split_any;
use super::word::Word;

/// (2 atanh(s) - 2s - 2/3 s³)/s⁵ in s² on |s| ≤ 1/5, by weighted Remez exchange
/// (`tests/reference/fit.py`); the logarithm has a relative error of 2⁻⁶⁶·⁹.
const ATANH: [f64; 9] = [
    0.4,
    0.2857142857142737,
    0.22222222222599386,
    0.18181818123355173,
    0.1538462055093991,
    0.13333055729426033,
    0.11773932917011676,
    0.10341653132642226,
    0.11540025761797323,
];

/// 2/3 and what its rounding leaves.
const TWO_THIRDS: (f64, f64) = (0.6666666666666666, 3.700743415417188e-17);

/// (ln(1 + f) - f + f²/2)/f³ as in `ln`, for results rounded to `f32`: relative error 2⁻³⁵, and
/// y ln x stays below 104 where the result is finite.
const LN_SHORT: [f64; 11] = [
    0.3333333309891536,
    -0.2499999686753819,
    0.20000047437020996,
    -0.16667076007116396,
    0.1428383696267807,
    -0.12482194055179585,
    0.11119739266950253,
    -0.10295540882920784,
    0.09589377220972063,
    -0.07161670351668907,
    0.02734434506338561,
];

/// (eʳ - 1 - r)/r² as in `exp`, for results rounded to `f32`: relative error
/// 2⁻²⁷·⁵.
const EXP_SHORT: [f64; 5] = [
    0.4999999843327169,
    0.16666549142761197,
    0.041667164523621854,
    0.008365995222195567,
    0.0013883193133089114,
];

/// |ln x| is at least 2⁻⁵³ except at 1, so that this power of anything else over- or underflows.
const LARGE_POWER: f64 = 1e200;

/// ln x in two parts for positive finite x: y ln x goes up to 745, so that the result needs
/// eleven bits more of the logarithm than a rounded one has.
#[inline(always)]
fn ln_parts<I: Isa>(x: f64) -> (f64, f64) {
    let (k, m) = split_any(x);
    let (s, s_low) = atanh_argument::<I>(m);
    let (high, low) = two_atanh::<I>(s, s_low);
    let (high, error) = fast_two_sum(k * f64::LN2.0, high);
    fast_two_sum(high, error + k.fma::<I>(f64::LN2.1, low))
}

/// (m - 1)/(m + 1) in two parts.
#[inline(always)]
fn atanh_argument<I: Isa>(m: f64) -> (f64, f64) {
    let f = m - 1.0;
    let (d, d_low) = fast_two_sum(1.0, m);
    let reciprocal = 1.0 / d;
    let s = f * reciprocal;
    let rest = (-s).fma::<I>(d_low, residual::<I, f64>(s, d, f));
    (s, rest * reciprocal)
}

/// 2 atanh(s + s_low) = 2s + s·z·(2/3 + z·A(z)), z = s², in two parts but for A: its rounding
/// changes the logarithm by less than 2⁻⁶⁴ of itself, and a result near the ends of the range by
/// less than half an ulp.
#[inline(always)]
fn two_atanh<I: Isa>(s: f64, s_low: f64) -> (f64, f64) {
    let z = square::<I>(s, s_low);
    let (a, a_low) = multiply::<I>(z, (poly::<I, f64>(z.0, &ATANH), 0.0));
    let (b, b_low) = fast_two_sum(TWO_THIRDS.0, a);
    let zb = multiply::<I>(z, (b, b_low + (a_low + TWO_THIRDS.1)));
    let (t, t_low) = multiply::<I>((s, s_low), zb);
    let (high, low) = fast_two_sum(s + s, t);
    (high, low + (t_low + (s_low + s_low)))
}

#[inline(always)]
fn square<I: Isa>(s: f64, s_low: f64) -> (f64, f64) {
    let (z, error) = two_product::<I, f64>(s, s);
    (z, (s + s).fma::<I>(s_low, error))
}

#[inline(always)]
fn multiply<I: Isa>(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (p, error) = two_product::<I, f64>(a.0, b.0);
    (p, a.0.fma::<I>(b.1, a.1.fma::<I>(b.0, error)))
}

/// ln |x| at 0, infinity and NaN, where the reduction gives nonsense; `ln` elsewhere.
#[inline(always)]
fn ln_edges<T: Word>(size: T, ln: T) -> T {
    let ln = if size < T::INFINITY { ln } else { size };
    if size == T::lit(0.0) {
        -T::INFINITY
    } else {
        ln
    }
}

/// The distance of |y| from the nearest even integer: 0 for even, 1 for odd integers.
#[inline(always)]
fn from_even<I: Isa, T: Word>(y: T) -> T {
    // From 2/ε on all values are even integers; up to there, adding 1/ε rounds y/2 to an integer.
    let units = T::lit(1.0) / T::EPSILON;
    let size = y.magnitude();
    let size = if size > units + units {
        units + units
    } else {
        size
    };
    let whole = size.fma::<I>(T::lit(0.5), units) - units;
    whole.fma::<I>(T::lit(-2.0), size).magnitude()
}

/// xʸ from |x|ʸ: signs, and the arguments where the logarithm does not decide.
#[inline(always)]
fn signed<I: Isa, T: Word>(x: T, y: T, power: T) -> T {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    let rest = from_even::<I, T>(y);
    let power = power.flip_sign(if rest == one { x } else { zero });
    // A finite negative x has a power only at integers.
    let no_integer = (rest > zero) & (rest < one);
    let power = if (x < zero) & (x > -T::INFINITY) & no_integer {
        T::NAN
    } else {
        power
    };
    // 1 even where the other argument is NaN.
    if (x == one) | (y == zero) { one } else { power }
}

/// xʸ
#[inline(always)]
pub(super) fn powf_f64<I: Isa>(x: f64, y: f64) -> f64 {
    let size = x.magnitude();
    let (ln, ln_low) = ln_parts::<I>(size);
    let ln = ln_edges(size, ln);
    // A finite y, so that (-1)^(±inf) = e⁰; any other x still goes to 0 or infinity.
    let bounded = clamp(y, (-LARGE_POWER, LARGE_POWER));
    let p = bounded * ln;
    let p_low = bounded.fma::<I>(ln_low, -residual::<I, f64>(bounded, ln, p));
    // Where the result is 0 or infinite, the error of the product need not exist.
    let p_low = if p.magnitude() < 800.0 { p_low } else { 0.0 };
    signed::<I, f64>(x, y, exp_of_sum::<I, f64>(clamp(p, f64::EXP_RANGE), p_low))
}

/// xʸ, in `f64` up to the last rounding.
#[inline(always)]
pub(super) fn powf_f32<I: Isa>(x: f32, y: f32) -> f32 {
    let size = f64::from(x.magnitude());
    let (k, m, _) = size.split();
    let f = m - 1.0;
    let bend = f.fma::<I>(poly::<I, f64>(f, &LN_SHORT), -0.5);
    let ln = k.fma::<I>(std::f64::consts::LN_2, (f * f).fma::<I>(bend, f));
    let bounded = clamp(f64::from(y), (-LARGE_POWER, LARGE_POWER));
    let p = clamp(bounded * ln_edges(size, ln), (-700.0, 700.0));
    let magic = f64::MAGIC + f64::BIAS;
    let k = p.fma::<I>(std::f64::consts::LOG2_E, magic);
    let r = (k - magic).fma::<I>(-std::f64::consts::LN_2, p);
    let e = (r * r).fma::<I>(poly::<I, f64>(r, &EXP_SHORT), r) + 1.0;
    signed::<I, f32>(x, y, (e * f64::pow2(k)) as f32)
}
