//! The scalar types that functions run in: `f32` and `f64`.

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;

use num_traits::{Float, NumAssignOps};

use crate::engine::Engine;
use crate::kernels::{GemmScalar, Lane, Level, MapKernel, MapTable, TwinKernel, TwinTable};

/// A floating-point type that recorded functions, solvers and optimisers run in.
///
/// Implemented for `f32` and `f64`, and sealed: the kernels know exactly these two.
///
/// ```
/// use ad_core::Real;
/// fn half<T: Real>(x: T) -> T { x * T::of(0.5) }
/// assert_eq!(half(3.0_f32), 1.5);
/// assert_eq!(f64::NAME, "f64");
/// ```
pub trait Real:
    Float
    + NumAssignOps
    + Sum
    + Debug
    + Display
    + LowerExp
    + Default
    + Send
    + Sync
    + Lane
    + GemmScalar
    + Engine
    + 'static
{
    /// The type's name, `"f32"` or `"f64"`.
    const NAME: &'static str;

    /// The nearest value of this type to `value`.
    fn of(value: f64) -> Self;

    /// This value as `f64`, exactly.
    fn as_f64(self) -> f64;

    /// The loop of an elementwise operation for this type.
    #[doc(hidden)]
    fn kernel(table: &MapTable, level: Level) -> MapKernel<Self>;

    /// The loop of two elementwise operations at once for this type.
    #[doc(hidden)]
    fn twin_kernel(table: &TwinTable, level: Level) -> TwinKernel<Self>;
}

impl Real for f32 {
    const NAME: &'static str = "f32";
    fn of(value: f64) -> Self {
        value as f32
    }
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
    fn kernel(table: &MapTable, level: Level) -> MapKernel<Self> {
        table.for_f32(level)
    }
    fn twin_kernel(table: &TwinTable, level: Level) -> TwinKernel<Self> {
        table.for_f32(level)
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";
    fn of(value: f64) -> Self {
        value
    }
    fn as_f64(self) -> f64 {
        self
    }
    fn kernel(table: &MapTable, level: Level) -> MapKernel<Self> {
        table.for_f64(level)
    }
    fn twin_kernel(table: &TwinTable, level: Level) -> TwinKernel<Self> {
        table.for_f64(level)
    }
}
