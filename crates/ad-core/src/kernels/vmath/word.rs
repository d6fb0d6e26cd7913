//! What the algorithms need of a floating-point type, written once for `f32` and `f64`: bit
//! patterns, the constants that depend on the format, and the fitted polynomials.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Lane, exp, ln};

/// The lower end of the mantissas of [`Word::split`], near 1/√2. With it one interval of
/// [`super::table`] reaches from 1 - 2⁻⁹·⁷ to 1 + 2⁻⁷·⁵ and has c = 1: there ln c = 0, r = m - 1, and
/// a logarithm near 0 keeps its relative accuracy. Of the ends that allow this, in steps of 2⁻¹²,
/// it keeps |r| smallest beside |ln m| in the other intervals.
pub(super) const LOW: f64 = 0.705810546875;

/// A floating-point type seen as a word of bits.
pub(super) trait Word:
    Lane
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The distance from 1 to the next value.
    const EPSILON: Self;
    /// The smallest normal value.
    const MIN_NORMAL: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// 2^p + 1, which Dekker's splitting into halves multiplies by.
    const SPLITTER: Self;
    /// 1.5·2ᵐ with m mantissa bits: adding it rounds to an integer and leaves that integer in the
    /// low bits, without a conversion instruction.
    const MAGIC: Self;
    /// The exponent bias.
    const BIAS: Self;
    /// A power of two that makes every subnormal value normal (also those of an exponential at the
    /// lower end of [`Self::EXP_RANGE`]), and its exponent.
    const LIFT: (Self, Self);
    /// ln 2 in two parts; the first times any exponent is exact.
    const LN2: (Self, Self);
    /// Below this eˣ rounds to zero, and above it overflows; still safe to reduce.
    const EXP_RANGE: (Self, Self);
    /// tanh x rounds to x below this.
    const TANH_LINEAR: Self;
    /// See [`exp::POLY_F64`].
    const EXP_POLY: &'static [Self];
    /// See [`ln::POLY_F64`].
    const LN_POLY: &'static [Self];

    /// The constant nearest to `value`.
    fn lit(value: f64) -> Self;
    /// |x|
    fn magnitude(self) -> Self;
    /// `self` with its sign flipped where `other` is negative.
    fn flip_sign(self, other: Self) -> Self;
    /// `self` with its sign flipped where the integer in the low bits of `k` is odd.
    fn flip_odd(self, k: Self) -> Self;
    /// 2ⁿ, from n + [`Self::BIAS`] in the low bits of `k`.
    fn pow2(k: Self) -> Self;
    /// Two factors of 2ⁿ about equally large, from n + 2 [`Self::BIAS`] in the low bits of `k`:
    /// neither overflows where 2ⁿ does, and only multiplying by the second one rounds.
    fn pow2_halves(k: Self) -> (Self, Self);
    /// x = 2ᵏ m with m in [[`LOW`], 2 [`LOW`]), for positive normal x: k, m and 2⁻ᵏ.
    fn split(self) -> (Self, Self, Self);
}

macro_rules! word {
    (
        $t:ident, $bits:ident, mantissa: $mantissa:literal, bias: $bias:literal,
        lift: $lift:expr, splitter: $splitter:expr, ln2: $ln2:expr, exp_range: $exp_range:expr,
        tanh_linear: $tanh_linear:expr, exp_poly: $exp_poly:expr, ln_poly: $ln_poly:expr
    ) => {
        impl Word for $t {
            const EPSILON: Self = $t::EPSILON;
            const MIN_NORMAL: Self = $t::MIN_POSITIVE;
            const INFINITY: Self = $t::INFINITY;
            const NAN: Self = $t::NAN;
            const SPLITTER: Self = $splitter;
            const MAGIC: Self = 3.0 * (1_u64 << ($mantissa - 1)) as $t;
            const BIAS: Self = $bias as $t;
            const LIFT: (Self, Self) = $lift;
            const LN2: (Self, Self) = $ln2;
            const EXP_RANGE: (Self, Self) = $exp_range;
            const TANH_LINEAR: Self = $tanh_linear;
            const EXP_POLY: &'static [Self] = $exp_poly;
            const LN_POLY: &'static [Self] = $ln_poly;

            #[inline(always)]
            fn lit(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                $t::from_bits(self.to_bits() & ($bits::MAX >> 1))
            }
            #[inline(always)]
            fn flip_sign(self, other: Self) -> Self {
                let sign = other.to_bits() & !($bits::MAX >> 1);
                $t::from_bits(self.to_bits() ^ sign)
            }
            #[inline(always)]
            fn flip_odd(self, k: Self) -> Self {
                $t::from_bits(self.to_bits() ^ (k.to_bits() << ($bits::BITS - 1)))
            }
            #[inline(always)]
            fn pow2(k: Self) -> Self {
                $t::from_bits(k.to_bits() << $mantissa)
            }
            #[inline(always)]
            fn pow2_halves(k: Self) -> (Self, Self) {
                let first = (k.to_bits() >> 1) << $mantissa;
                let second = (k.to_bits() << $mantissa).wrapping_sub(first);
                ($t::from_bits(first), $t::from_bits(second))
            }
            #[inline(always)]
            fn split(self) -> (Self, Self, Self) {
                // Adding moves the exponent boundary from 1 to `START`, and k up by `bias` + 1 so
                // that it stays positive.
                const START: $bits = (LOW as $t).to_bits();
                const UP: $bits = $bias + 1;
                let moved = self.to_bits().wrapping_add((UP << $mantissa) - START);
                let k_up = moved >> $mantissa;
                let m = $t::from_bits((moved & ((1 << $mantissa) - 1)) + START);
                // The exponent of 2^mantissa leaves unit steps in the low bits.
                const UNITS: $t = (1_u64 << $mantissa) as $t;
                let k = $t::from_bits(k_up | UNITS.to_bits()) - (UNITS + UP as $t);
                let inverse = $t::from_bits((UP + $bias).wrapping_sub(k_up) << $mantissa);
                (k, m, inverse)
            }
        }
    };
}

word!(
    f64, u64, mantissa: 52, bias: 1023,
    lift: (18_446_744_073_709_551_616.0, 64.0),
    splitter: 134_217_729.0,
    // 40 bits, so that 11 more of an exponent fit.
    ln2: (0.6931471805592082, 7.371002565167799e-13),
    exp_range: (-750.0, 710.0),
    // x²/3 < 2⁻⁵⁷
    tanh_linear: 3.725290298461914e-9,
    exp_poly: &exp::POLY_F64,
    ln_poly: &ln::POLY_F64
);
word!(
    f32, u32, mantissa: 23, bias: 127,
    lift: (4_294_967_296.0, 32.0),
    splitter: 4097.0,
    // 13 bits, so that 8 more of an exponent fit.
    ln2: (0.693_115_23, 3.194_618_3e-5),
    exp_range: (-105.0, 89.0),
    // x²/3 < 2⁻²⁷
    tanh_linear: 1.220_703_1e-4,
    exp_poly: &exp::POLY_F32,
    ln_poly: &ln::POLY_F32
);
