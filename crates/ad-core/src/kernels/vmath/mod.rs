//! Elementary functions one lane at a time, branch-free, so that a loop over them vectorises.
//!
//! At most 2 ulp from the exact result over the whole range of arguments; the measured errors
//! stand in `docs/notes/vmath.md`.

mod arith;
mod exp;
mod hyperbolic;
mod ln;
mod logistic;
mod pow;
mod table;
mod trig;
mod word;

#[cfg(test)]
mod tests;

use super::isa::Isa;

/// The elementary functions of a lane. Written without branches and calls, generic over the
/// instruction set, and always inlined: a loop over one of them inside a function with
/// `#[target_feature]` becomes vector code.
pub trait Lane: Copy {
    /// `self * b + c`, fused where that is one instruction.
    fn fma<I: Isa>(self, b: Self, c: Self) -> Self;
    /// eˣ
    fn lane_exp<I: Isa>(self) -> Self;
    /// eˣ - 1
    fn lane_exp_m1<I: Isa>(self) -> Self;
    /// The natural logarithm.
    fn lane_ln<I: Isa>(self) -> Self;
    /// Whether the value is positive, finite and not subnormal.
    fn is_positive_normal(self) -> bool;
    /// The same as [`Lane::lane_ln`] where [`Lane::is_positive_normal`], in less time.
    fn lane_ln_normal<I: Isa>(self) -> Self;
    /// ln(1 + x)
    fn lane_ln_1p<I: Isa>(self) -> Self;
    /// Whether [`Lane::lane_sin`] and [`Lane::lane_cos`] hold for this argument: |x| ≤ 2³⁰ for
    /// `f64`, 2²⁸ for `f32`. Larger ones, infinities and NaN belong to the scalar library.
    fn in_trig_range(self) -> bool;
    /// Sine, of an argument in radians within [`Lane::in_trig_range`].
    fn lane_sin<I: Isa>(self) -> Self;
    /// Cosine, of an argument in radians within [`Lane::in_trig_range`].
    fn lane_cos<I: Isa>(self) -> Self;
    /// The hyperbolic tangent.
    fn lane_tanh<I: Isa>(self) -> Self;
    /// The hyperbolic tangent, with the bits of [`Lane::lane_tanh`], and its derivative sech² x.
    fn lane_tanh_with_slope<I: Isa>(self) -> (Self, Self);
    /// The logistic function 1/(1 + e⁻ˣ).
    fn lane_sigmoid<I: Isa>(self) -> Self;
    /// The logistic function, with the bits of [`Lane::lane_sigmoid`], and its derivative.
    fn lane_sigmoid_with_slope<I: Isa>(self) -> (Self, Self);
    /// e^(x + low) for x ≤ 0 and the rounding `low` of x; 0 for x below the exponential's range,
    /// whatever `low` is.
    fn lane_exp_of_difference<I: Isa>(self, low: Self) -> Self;
    /// ln(1 + eˣ).
    fn lane_softplus<I: Isa>(self) -> Self;
    /// xʸ for any x and y, by the rules of IEEE 754's `pow`.
    fn lane_powf<I: Isa>(self, y: Self) -> Self;
    /// Whether [`Lane::lane_powf_normal`] holds for xʸ: 2⁻⁶⁰ ≤ x ≤ 2⁶⁰ and |y| ≤ 16.
    fn is_normal_power(self, y: Self) -> bool;
    /// The same as [`Lane::lane_powf`] where [`Lane::is_normal_power`], in less time.
    fn lane_powf_normal<I: Isa>(self, y: Self) -> Self;
}

macro_rules! lane {
    ($t:ident, $bits:ident, $sin:ident, $cos:ident, $powf:ident, $powf_normal:ident, $trig_range:expr) => {
        impl Lane for $t {
            #[inline(always)]
            fn fma<I: Isa>(self, b: Self, c: Self) -> Self {
                if I::FMA {
                    self.mul_add(b, c)
                } else {
                    self * b + c
                }
            }
            #[inline(always)]
            fn lane_exp<I: Isa>(self) -> Self {
                exp::exp::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_exp_m1<I: Isa>(self) -> Self {
                exp::exp_m1::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_ln<I: Isa>(self) -> Self {
                ln::ln::<I, Self>(self)
            }
            #[inline(always)]
            fn is_positive_normal(self) -> bool {
                const FIRST: $bits = $t::MIN_POSITIVE.to_bits();
                const COUNT: $bits = $t::INFINITY.to_bits() - FIRST;
                self.to_bits().wrapping_sub(FIRST) < COUNT
            }
            #[inline(always)]
            fn lane_ln_normal<I: Isa>(self) -> Self {
                ln::ln_normal::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_ln_1p<I: Isa>(self) -> Self {
                ln::ln_1p::<I, Self>(self)
            }
            #[inline(always)]
            fn in_trig_range(self) -> bool {
                self.abs() <= $trig_range
            }
            #[inline(always)]
            fn lane_sin<I: Isa>(self) -> Self {
                trig::$sin::<I>(self)
            }
            #[inline(always)]
            fn lane_cos<I: Isa>(self) -> Self {
                trig::$cos::<I>(self)
            }
            #[inline(always)]
            fn lane_tanh<I: Isa>(self) -> Self {
                hyperbolic::tanh::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_tanh_with_slope<I: Isa>(self) -> (Self, Self) {
                hyperbolic::tanh_with_slope::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_sigmoid<I: Isa>(self) -> Self {
                logistic::sigmoid::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_sigmoid_with_slope<I: Isa>(self) -> (Self, Self) {
                logistic::sigmoid_with_slope::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_exp_of_difference<I: Isa>(self, low: Self) -> Self {
                exp::exp_of_difference::<I, Self>(self, low)
            }
            #[inline(always)]
            fn lane_softplus<I: Isa>(self) -> Self {
                logistic::softplus::<I, Self>(self)
            }
            #[inline(always)]
            fn lane_powf<I: Isa>(self, y: Self) -> Self {
                pow::$powf::<I>(self, y)
            }
            #[inline(always)]
            fn is_normal_power(self, y: Self) -> bool {
                const FIRST: $bits = (1.0 / pow::NORMAL_BASE as $t).to_bits();
                const COUNT: $bits = (pow::NORMAL_BASE as $t).to_bits() - FIRST;
                let inside = self.to_bits().wrapping_sub(FIRST) <= COUNT;
                inside & (y.abs() <= pow::NORMAL_EXPONENT as $t)
            }
            #[inline(always)]
            fn lane_powf_normal<I: Isa>(self, y: Self) -> Self {
                pow::$powf_normal::<I>(self, y)
            }
        }
    };
}
lane!(
    f32,
    u32,
    sin_f32,
    cos_f32,
    powf_f32,
    powf_normal_f32,
    trig::RANGE_F32
);
lane!(
    f64,
    u64,
    sin_f64,
    cos_f64,
    powf_f64,
    powf_normal_f64,
    trig::RANGE_F64
);
