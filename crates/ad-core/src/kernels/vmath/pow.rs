//! xʸ = e^(y ln |x|), with the signs and special values of IEEE 754's `pow`.

use super::super::isa::Isa;
use super::Lane;
use super::arith::{clamp, fast_two_sum, poly, residual, two_product};
use super::exp::exp_of_sum;
use super::ln::split_any;
use super::word::Word;

/// (2 atanh(s) - 2s - 2/3 s³ - 2/5 s⁵)/s⁷ in s² on |s| ≤ 1/5, by weighted Remez exchange
/// (`tests/reference/fit.py`); the logarithm has a relative error of 2⁻⁶⁹.
const ATANH: [f64; 8] = [
    0.2857142857142853,
    0.2222222222226879,
    0.18181818167711153,
    0.1538461729522444,
    0.1333319432423098,
    0.11770516958459283,
    0.10386895986454195,
    0.11290815900861753,
];

/// 2/3 and 2/5, each with what its rounding leaves.
const TWO_THIRDS: (f64, f64) = (0.6666666666666666, 3.700743415417188e-17);
const TWO_FIFTHS: (f64, f64) = (0.4, -2.2204460492503132e-17);

/// (ln(1 + f) - f + f²/2)/f³ as in `ln`, for results rounded to `f32`: relative error 2⁻⁴⁰.
const LN_SHORT: [f64; 13] = [
    0.3333333334105006,
    -0.2499999999670574,
    0.1999999744863949,
    -0.1666666282086318,
    0.14285907706473713,
    -0.12500548500981254,
    0.11105761411249557,
    -0.09976990534174526,
    0.09134160541049166,
    -0.08694396241271779,
    0.08052961580947335,
    -0.056755622752630484,
    0.019875365505303586,
];

/// (eʳ - 1 - r)/r² as in `exp`, for results rounded to `f32`: relative error 2⁻³¹·⁶.
const EXP_SHORT: [f64; 6] = [
    0.5000000029778455,
    0.1666666636108634,
    0.0416664009648415,
    0.008333396740013835,
    0.001393819090225068,
    0.00019839892992200883,
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

/// 2 atanh(s + s_low) = 2s + s·z·(2/3 + z·(2/5 + z·A(z))), z = s², the outer steps in two parts.
#[inline(always)]
fn two_atanh<I: Isa>(s: f64, s_low: f64) -> (f64, f64) {
    let z = square::<I>(s, s_low);
    let (a, a_low) = fast_two_sum(TWO_FIFTHS.0, z.0 * poly::<I, f64>(z.0, &ATANH));
    let (b, b_low) = multiply::<I>(z, (a, a_low + TWO_FIFTHS.1));
    let (c, c_low) = fast_two_sum(TWO_THIRDS.0, b);
    let zc = multiply::<I>(z, (c, c_low + (b_low + TWO_THIRDS.1)));
    let (t, t_low) = multiply::<I>((s, s_low), zc);
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
