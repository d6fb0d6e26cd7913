//! xʸ = e^(y ln |x|), with the signs and special values of IEEE 754's `pow`.

use super::super::isa::Isa;
use super::Lane;
use super::arith::{clamp, fast_two_sum, poly, residual, two_product};
use super::exp::{exp_of_sum, normal_exp_of_sum};
use super::ln::split_any;
use super::table::{self, NearPoint, near_point};
use super::word::Word;

/// (ln(1 + f) - f + f²/2)/f³ on |f| ≤ h = [`table::REACH`]: Taylor's series up to f⁸, with the
/// term in f⁹ = f⁵f⁴ put down to f⁷ and f⁵ by f⁴ ≈ h²f² - h⁴/8 (Chebyshev's T₄). Relative error of
/// the logarithm 2⁻⁶⁸.
const LN_LONG: [f64; 6] = {
    const H2: f64 = table::REACH * table::REACH;
    [
        1.0 / 3.0,
        -1.0 / 4.0,
        1.0 / 5.0 - H2 * H2 / 72.0,
        -1.0 / 6.0,
        1.0 / 7.0 + H2 / 9.0,
        -1.0 / 8.0,
    ]
};

/// (2 atanh(s) - 2s)/s³ in s² as in `ln::POLY_F64`, for results rounded to `f32`: relative error 2⁻³⁷, and
/// y ln x stays below 104 where the result is finite.
const ATANH_SHORT: [f64; 4] = [
    0.6666666569798886,
    0.4000032942241774,
    0.2853743111378787,
    0.23583136020812104,
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

/// ln(2ᵏ m) in two parts: y ln x goes up to 745, so that the result needs eleven bits more of the
/// logarithm than a rounded one has.
#[inline(always)]
fn ln_parts<I: Isa>((k, m): (f64, f64)) -> (f64, f64) {
    let NearPoint { r: f, ln: ln_c } = near_point::<I>(m);
    let low = k.fma::<I>(f64::LN2.1, ln_c.1);
    // Exact, and larger than f unless it is 0; f itself is exact too.
    let (high, f_low) = fast_two_sum(k.fma::<I>(f64::LN2.0, ln_c.0), f);
    let half = 0.5 * f;
    let (square, square_low) = two_product::<I, f64>(half, f);
    let (high, sum_low) = fast_two_sum(high, -square);
    let cube = (f * f) * f;
    let tail = cube.fma::<I>(
        poly::<I, f64>(f, &LN_LONG),
        (low + f_low) + (sum_low - square_low),
    );
    fast_two_sum(high, tail)
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

/// What decides a power beside the logarithm.
struct Signs<T> {
    /// |x| where y is an integer and the sign of x need not decide, otherwise x.
    base: T,
    /// Negative where the power is.
    sign: T,
}

#[inline(always)]
fn signs<I: Isa, T: Word>(x: T, y: T) -> Signs<T> {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    let rest = from_even::<I, T>(y);
    let odd = rest == one;
    Signs {
        // NaN is no integer.
        base: if odd | (rest == zero) {
            x.magnitude()
        } else {
            x
        },
        sign: if odd { x } else { zero },
    }
}

/// ln |x| also where the reduction gives nonsense, or the power of a finite negative x is none.
#[inline(always)]
fn ln_edges<T: Word>(size: T, base: T, ln: T) -> T {
    let zero = T::lit(0.0);
    let ln = if base < zero { T::NAN } else { ln };
    let ln = if size < T::INFINITY { ln } else { size };
    if size == zero { -T::INFINITY } else { ln }
}

/// xʸ from |x|ʸ.
#[inline(always)]
fn signed<T: Word>(Signs { base, sign }: Signs<T>, y: T, power: T) -> T {
    // 1 even where the other argument is NaN, and (-1)^±∞.
    let one = T::lit(1.0);
    let one_anyhow = (base == one) | (y == T::lit(0.0));
    (if one_anyhow { one } else { power }).flip_sign(sign)
}

/// y ln x and its error.
#[inline(always)]
fn times_ln<I: Isa>(y: f64, (ln, ln_low): (f64, f64)) -> (f64, f64) {
    let p = y * ln;
    (p, y.fma::<I>(ln_low, -residual::<I, f64>(y, ln, p)))
}

/// Powers are normal `f64` where neither x nor 1/x is larger than this and y is not larger than
/// [`NORMAL_EXPONENT`]: |y ln x| ≤ 666.
pub(super) const NORMAL_BASE: u64 = 1 << 60;
/// See [`NORMAL_BASE`].
pub(super) const NORMAL_EXPONENT: u32 = 16;

/// xʸ within [`NORMAL_BASE`]: without anything that decides on signs, zeros, infinities and NaN.
#[inline(always)]
pub(super) fn powf_normal_f64<I: Isa>(x: f64, y: f64) -> f64 {
    let (k, m, _) = x.split();
    let (p, p_low) = times_ln::<I>(y, ln_parts::<I>((k, m)));
    normal_exp_of_sum::<I, f64>(p, p_low)
}

/// The same in `f64` up to the last rounding.
#[inline(always)]
pub(super) fn powf_normal_f32<I: Isa>(x: f32, y: f32) -> f32 {
    exp_short::<I>(f64::from(y) * ln_short::<I>(f64::from(x)))
}

/// xʸ
#[inline(always)]
pub(super) fn powf_f64<I: Isa>(x: f64, y: f64) -> f64 {
    let size = x.magnitude();
    let signs = signs::<I, f64>(x, y);
    let (ln, ln_low) = ln_parts::<I>(split_any(size));
    let ln = ln_edges(size, signs.base, ln);
    let (p, p_low) = times_ln::<I>(y, (ln, ln_low));
    // Where the result is 0 or infinite, the error of the product may be large or NaN.
    let p_low = if p_low < 0.1 { p_low } else { 0.1 };
    let p_low = if p_low > -0.1 { p_low } else { -0.1 };
    let power = exp_of_sum::<I, f64>(clamp(p, f64::EXP_RANGE), p_low);
    signed(signs, y, power)
}

/// xʸ, in `f64` up to the last rounding.
#[inline(always)]
pub(super) fn powf_f32<I: Isa>(x: f32, y: f32) -> f32 {
    let signs = signs::<I, f32>(x, y);
    let size = f64::from(x.magnitude());
    let ln = ln_edges(size, f64::from(signs.base), ln_short::<I>(size));
    // Far beyond what `f32` has, and still safe to reduce.
    let p = clamp(f64::from(y) * ln, (-700.0, 700.0));
    signed(signs, y, exp_short::<I>(p))
}

/// ln x to 37 bits, for positive finite x that `f32` has.
#[inline(always)]
fn ln_short<I: Isa>(x: f64) -> f64 {
    let (k, m, _) = x.split();
    let f = m - 1.0;
    let s = f / (m + 1.0);
    let z = s * s;
    let rest = (-z).fma::<I>(poly::<I, f64>(z, &ATANH_SHORT), f);
    k.fma::<I>(std::f64::consts::LN_2, (-s).fma::<I>(rest, f))
}

/// eᵖ for |p| ≤ 700, rounded to `f32`.
#[inline(always)]
fn exp_short<I: Isa>(p: f64) -> f32 {
    let magic = f64::MAGIC + f64::BIAS;
    let k = p.fma::<I>(std::f64::consts::LOG2_E, magic);
    let r = (k - magic).fma::<I>(-std::f64::consts::LN_2, p);
    let e = (r * r).fma::<I>(poly::<I, f64>(r, &EXP_SHORT), r) + 1.0;
    (e * f64::pow2(k)) as f32
}
