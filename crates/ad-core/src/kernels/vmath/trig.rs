//! Sine and cosine, by reduction to [-π/2, π/2], where one odd polynomial serves both.
//!
//! The lane functions hold for |x| ≤ [`RANGE_F64`] or [`RANGE_F32`]; beyond, an exact reduction
//! would need a product with hundreds of digits of 2/π, which no loop should pay for every lane.
//! [`super::slice`] checks a block and sends it to the functions of the standard library.

use super::super::isa::Isa;
use super::Lane;
use super::arith::{poly, residual, two_product, two_sum};
use super::word::Word;

/// (sin r - r)/r³ in r² on |r| ≤ π/2, by weighted Remez exchange (`tests/reference/fit.py`);
/// the sine has a relative error of 2⁻⁵⁸.
const POLY: [f64; 8] = [
    -0.16666666666666666,
    0.008333333333333201,
    -0.00019841269841211186,
    2.7557319211410668e-6,
    -2.505210689369788e-8,
    1.6058940600091033e-10,
    -7.643011575187387e-13,
    2.7213593224586087e-15,
];

/// The same to 2⁻³⁵, for results rounded to `f32`.
const POLY_SHORT: [f64; 5] = [
    -0.1666666662731468,
    0.008333331142624344,
    -0.0001984087152858022,
    2.752551674292609e-6,
    -2.3890762948160322e-8,
];

/// 2³⁰: the reduction keeps the leading 160 bits of π/2, and no `f64` up to here comes closer
/// than 2⁻⁶² to a multiple of it.
pub(super) const RANGE_F64: f64 = 1_073_741_824.0;

/// 2²⁸: multiples of π/2 have 28 bits, and 24 more of each part of π/2 make exact products.
pub(super) const RANGE_F32: f32 = 268_435_456.0;

/// π/2 in three parts of 53 bits.
const HALF_PI: [f64; 3] = [
    std::f64::consts::FRAC_PI_2,
    6.123233995736766e-17,
    -1.4973849048591698e-33,
];

/// π/2 in parts of 24, 24 and 53 bits.
const HALF_PI_SHORT: [f64; 3] = [
    1.570796251296997,
    7.549789415861596e-8,
    5.390302858158119e-15,
];

/// The multiple of π/2 next to x, even for the sine and odd for the cosine, and an integer in
/// the low bits that is odd where the polynomial's sign flips.
#[inline(always)]
fn multiple<I: Isa>(x: f64, cosine: bool) -> (f64, f64) {
    let inverse = std::f64::consts::FRAC_1_PI;
    if cosine {
        // x = (n - 1/2) π + r makes cos x = (-1)ⁿ sin r.
        let k = x.fma::<I>(inverse, 0.5) + f64::MAGIC;
        let n = k - f64::MAGIC;
        (n + n - 1.0, k)
    } else {
        let k = x.fma::<I>(inverse, f64::MAGIC);
        let n = k - f64::MAGIC;
        (n + n, k)
    }
}

/// sin r for |r| ≤ π/2.
#[inline(always)]
fn sin_reduced<I: Isa>(r: f64) -> f64 {
    // Near π/2 the cubic term is half the result: r² keeps its error, and the rounding of the
    // higher terms is small before the first coefficient joins them.
    let (z, z_low) = two_product::<I, f64>(r, r);
    let higher = z_low.fma::<I>(POLY[0], (z * z) * poly::<I, f64>(z, &POLY[1..]));
    let w = z.fma::<I>(POLY[0], higher);
    r.fma::<I>(w, r)
}

#[inline(always)]
fn wide<I: Isa>(x: f64, cosine: bool) -> f64 {
    let (j, k) = multiple::<I>(x, cosine);
    let near = residual::<I, f64>(j, HALF_PI[0], x);
    let (high, low) = two_product::<I, f64>(j, HALF_PI[1]);
    let (r, error) = two_sum(near, -high);
    let r = r + (-j).fma::<I>(HALF_PI[2], error - low);
    sin_reduced::<I>(r).flip_odd(k)
}

#[inline(always)]
fn short<I: Isa>(x: f32, cosine: bool) -> f32 {
    let x = f64::from(x);
    let (j, k) = multiple::<I>(x, cosine);
    let r = HALF_PI_SHORT
        .iter()
        .fold(x, |r, &part| (-j).fma::<I>(part, r));
    let z = r * r;
    // As a product, -0 keeps its sign.
    (r * z.fma::<I>(poly::<I, f64>(z, &POLY_SHORT), 1.0)).flip_odd(k) as f32
}

/// sin x for |x| ≤ [`RANGE_F64`]; on |x|, so that -0 keeps its sign.
#[inline(always)]
pub(super) fn sin_f64<I: Isa>(x: f64) -> f64 {
    wide::<I>(x.magnitude(), false).flip_sign(x)
}
/// cos x for |x| ≤ [`RANGE_F64`].
#[inline(always)]
pub(super) fn cos_f64<I: Isa>(x: f64) -> f64 {
    wide::<I>(x, true)
}
/// sin x for |x| ≤ [`RANGE_F32`].
#[inline(always)]
pub(super) fn sin_f32<I: Isa>(x: f32) -> f32 {
    short::<I>(x, false)
}
/// cos x for |x| ≤ [`RANGE_F32`].
#[inline(always)]
pub(super) fn cos_f32<I: Isa>(x: f32) -> f32 {
    short::<I>(x, true)
}
