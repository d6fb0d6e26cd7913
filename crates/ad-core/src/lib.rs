//! Automatic differentiation over `ndarray`: gradients, Hessian-vector products and Gauss–Newton
//! products of functions recorded once and replayed without allocation.
//!
//! A function is recorded on a tape, and everything else is a transformation of tapes: the gradient
//! is the reverse sweep, the Hessian-vector product is the tangent sweep of the gradient (forward
//! over reverse). The same pipeline then simplifies, fuses, lays out memory and runs whichever tape
//! it is given:
//!
//! ```text
//! closure ─record─▶ graph ─transform─▶ graph ─plan─▶ kernel calls ─execute─▶ numbers
//! ```
//!
//! Start at [`Function`]; [`Var`] is what recorded code computes with, and [`Linearization`] gives
//! many products at one point.

#![allow(
    clippy::needless_pass_by_value,
    reason = "array views are small handles, passed by value as ndarray itself does"
)]

#[cfg(test)]
extern crate self as ad_core;

mod check;
mod engine;
mod error;
mod execute;
mod function;
mod graph;
mod kernels;
mod ops;
mod plan;
mod real;
mod record;
mod shape;
mod transform;

pub use check::{CheckError, Finding, Report, check_gradient, check_hvp};
pub use error::Error;
pub use function::{
    Cost, Function, HessianOptions, HessianStrip, HessianWork, InstructionProfile, Join,
    Linearization, Point, Product, Program, Residuals, mirror_hessian,
};
pub use kernels::{add_product, all_finite, dot};
pub use real::Real;
pub use record::{
    IntoConstant, JvpRule, Operand, Scalar, Var, VjpRule, concatenate, custom_jvp, custom_vjp,
    einsum, stack, stack_arrays,
};
