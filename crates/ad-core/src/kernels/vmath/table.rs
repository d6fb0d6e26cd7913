//! The table behind the logarithm of `f64` powers: reciprocals 1/c and logarithms ln c of 128 points.
//!
//! A mantissa m in [[`LOW`], 2 [`LOW`]) is close to the point c of its interval, and r = m/c - 1 is
//! at most [`REACH`] in size. The scheme is Tang's ("Table-driven implementation of the logarithm
//! function in IEEE floating-point arithmetic", 1990), the choice of the points that of ARM's
//! optimized routines: 1/c has at most nine bits, so that r is exact.

use super::super::isa::Isa;
use super::Lane;
use super::word::LOW;

/// Intervals: as many bits of the mantissa as index the table.
const INDEX_BITS: u32 = 7;
const POINTS: usize = 1 << INDEX_BITS;

/// A bound of |r|.
pub(super) const REACH: f64 = 1.0 / 170.0;

/// ln c has this many bits after the point, so that adding multiples of the leading part of ln 2 is
/// exact; a second number has the rest.
const LEADING: u32 = 42;

/// One array of each kind rather than an array of points: the index needs no scaling.
struct Points {
    inverse: [f64; POINTS],
    ln: [f64; POINTS],
    ln_low: [f64; POINTS],
}

static TABLE: Points = points();

/// Worked out by the compiler, in integers.
const fn points() -> Points {
    let mut all = Points {
        inverse: [1.0; POINTS],
        ln: [0.0; POINTS],
        ln_low: [0.0; POINTS],
    };
    let mut i = 0;
    while i < POINTS {
        let step = f64::MANTISSA_DIGITS - 1 - INDEX_BITS;
        let middle = LOW.to_bits() + ((i as u64) << step) + (1 << (step - 1));
        let middle = f64::from_bits(middle);
        // 1/c in units of 2⁻⁸; below 1, where mantissas have a bit more, of 2⁻⁷.
        let n = if middle < 1.0 {
            2 * (128.0 / middle + 0.5) as i128
        } else {
            (256.0 / middle + 0.5) as i128
        };
        all.inverse[i] = n as f64 / 256.0;
        let ln = -ln_of_ratio(n, 256);
        let unit = FIXED - LEADING;
        let leading = (ln + (1 << (unit - 1))) >> unit;
        all.ln[i] = leading as f64 / (1_u64 << LEADING) as f64;
        all.ln_low[i] = (ln - (leading << unit)) as f64 / (1_u128 << FIXED) as f64;
        i += 1;
    }
    all
}

/// Bits after the point of [`ln_of_ratio`].
const FIXED: u32 = 108;

/// ln(a/b) = 2 atanh((a - b)/(a + b)), by its series to the last term that is not zero.
const fn ln_of_ratio(a: i128, b: i128) -> i128 {
    let (difference, sum) = (a - b, a + b);
    let mut power = ((2 * difference) << FIXED) / sum;
    let mut ln = 0;
    let mut odd = 1;
    while power != 0 {
        ln += power / odd;
        power = power * difference * difference / (sum * sum);
        odd += 2;
    }
    ln
}

/// ln m for a mantissa: r, and ln c in two parts.
pub(super) struct NearPoint {
    pub(super) r: f64,
    pub(super) ln: (f64, f64),
}

/// The table's point next to `m`, which lies within `LOW..2 * LOW`.
#[inline(always)]
pub(super) fn near_point<I: Isa>(m: f64) -> NearPoint {
    let offset = m.to_bits().wrapping_sub(LOW.to_bits());
    let index = (offset >> (f64::MANTISSA_DIGITS - 1 - INDEX_BITS)) as usize % POINTS;
    let inverse = TABLE.inverse[index];
    NearPoint {
        r: product_less_one::<I>(m, inverse),
        ln: (TABLE.ln[index], TABLE.ln_low[index]),
    }
}

/// m·s - 1, exactly, for an s of few bits near 1/m.
#[inline(always)]
fn product_less_one<I: Isa>(m: f64, s: f64) -> f64 {
    if I::FMA {
        return m.fma::<I>(s, -1.0);
    }
    let high = f64::from_bits(m.to_bits() & (u64::MAX << 27));
    (high * s - 1.0) + (m - high) * s
}
