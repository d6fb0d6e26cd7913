//! Polynomials and error-free arithmetic, with and without a fused multiply-add.

use super::super::isa::Isa;
use super::word::Word;

/// c₀ + c₁x + c₂x² + …, four coefficients at a time: a chain a quarter as long as Horner's keeps
/// both multiply-add ports of a core busy, for two extra products. The coefficients are a
/// constant, so that the loop unrolls and the remainder is chosen at compile time.
#[inline(always)]
pub(super) fn poly<I: Isa, T: Word>(x: T, c: &[T]) -> T {
    let x2 = x * x;
    let x4 = x2 * x2;
    let head = c.len() - (c.len() - 1) % 4 - 1;
    let mut sum = match c.len() - head {
        1 => c[head],
        2 => c[head + 1].fma::<I>(x, c[head]),
        3 => c[head + 2].fma::<I>(x2, c[head + 1].fma::<I>(x, c[head])),
        _ => cubic::<I, T>(x, x2, &c[head..]),
    };
    for i in (0..head / 4).rev() {
        sum = sum.fma::<I>(x4, cubic::<I, T>(x, x2, &c[4 * i..4 * i + 4]));
    }
    sum
}

#[inline(always)]
fn cubic<I: Isa, T: Word>(x: T, x2: T, c: &[T]) -> T {
    let low = c[1].fma::<I>(x, c[0]);
    let high = c[3].fma::<I>(x, c[2]);
    high.fma::<I>(x2, low)
}

/// a + b as a rounded sum and its error, for |a| ≥ |b| or a = 0 (Dekker).
#[inline(always)]
pub(super) fn fast_two_sum<T: Word>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    (sum, (a - sum) + b)
}

/// a + b as a rounded sum and its error (Knuth).
#[inline(always)]
pub(super) fn two_sum<T: Word>(a: T, b: T) -> (T, T) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// a·b as a rounded product and its error.
#[inline(always)]
pub(super) fn two_product<I: Isa, T: Word>(a: T, b: T) -> (T, T) {
    let product = a * b;
    if I::FMA {
        return (product, a.fma::<I>(b, -product));
    }
    let (a_high, a_low) = halves(a);
    let (b_high, b_low) = halves(b);
    let error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low);
    (product, error)
}

/// Two halves of the mantissa, whose products are exact (Veltkamp).
#[inline(always)]
fn halves<T: Word>(a: T) -> (T, T) {
    let scaled = a * T::SPLITTER;
    let high = scaled - (scaled - a);
    (high, a - high)
}

/// c - a·b where the two nearly cancel: exact if the result can be represented.
#[inline(always)]
pub(super) fn residual<I: Isa, T: Word>(a: T, b: T, c: T) -> T {
    if I::FMA {
        return (-a).fma::<I>(b, c);
    }
    let (product, error) = two_product::<I, T>(a, b);
    (c - product) - error
}

/// (n + n_low) / (d + d_low), with an error of little more than the final rounding. `reciprocal` is
/// 1/d rounded: the one division, and the correction reuses it.
#[inline(always)]
pub(super) fn divide<I: Isa, T: Word>((n, n_low): (T, T), (d, d_low): (T, T), reciprocal: T) -> T {
    let q = n * reciprocal;
    let rest = residual::<I, T>(q, d, n) + (-q).fma::<I>(d_low, n_low);
    rest.fma::<I>(reciprocal, q)
}

/// `x` kept within `low..=high`; NaN stays NaN, which `max` and `min` would lose.
#[inline(always)]
pub(super) fn clamp<T: Word>(x: T, (low, high): (T, T)) -> T {
    let x = if x > high { high } else { x };
    if x < low { low } else { x }
}
