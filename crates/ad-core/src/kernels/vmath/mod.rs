//! Elementary functions one lane at a time, branch-free, so that a loop over them vectorises.

use super::isa::Isa;

/// The elementary functions of a lane. Written without branches and calls, generic over the
/// instruction set, and always inlined: a loop over one of them inside a function with
/// `#[target_feature]` becomes vector code.
pub trait Lane: Copy {
    /// `self * b + c`, fused where that is one instruction.
    fn fma<I: Isa>(self, b: Self, c: Self) -> Self;
    /// eˣ
    fn lane_exp<I: Isa>(self) -> Self;
    /// The natural logarithm.
    fn lane_ln<I: Isa>(self) -> Self;
    /// Sine, of an argument in radians.
    fn lane_sin<I: Isa>(self) -> Self;
    /// Cosine, of an argument in radians.
    fn lane_cos<I: Isa>(self) -> Self;
    /// The hyperbolic tangent.
    fn lane_tanh<I: Isa>(self) -> Self;
    /// The logistic function 1/(1 + e⁻ˣ).
    fn lane_sigmoid<I: Isa>(self) -> Self;
    /// ln(1 + eˣ).
    fn lane_softplus<I: Isa>(self) -> Self;
    /// xʸ for x ≥ 0 (and for negative x with an integer y, as the standard library has it).
    fn lane_powf<I: Isa>(self, y: Self) -> Self;
}

macro_rules! scalar_library {
    ($t:ty) => {
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
                self.exp()
            }
            #[inline(always)]
            fn lane_ln<I: Isa>(self) -> Self {
                self.ln()
            }
            #[inline(always)]
            fn lane_sin<I: Isa>(self) -> Self {
                self.sin()
            }
            #[inline(always)]
            fn lane_cos<I: Isa>(self) -> Self {
                self.cos()
            }
            #[inline(always)]
            fn lane_tanh<I: Isa>(self) -> Self {
                self.tanh()
            }
            #[inline(always)]
            fn lane_sigmoid<I: Isa>(self) -> Self {
                1.0 / (1.0 + (-self).exp())
            }
            #[inline(always)]
            fn lane_softplus<I: Isa>(self) -> Self {
                self.max(0.0) + (-self.abs()).exp().ln_1p()
            }
            #[inline(always)]
            fn lane_powf<I: Isa>(self, y: Self) -> Self {
                self.powf(y)
            }
        }
    };
}
scalar_library!(f32);
scalar_library!(f64);
