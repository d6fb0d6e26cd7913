//! Accuracy of the lane functions, through slice loops compiled for each instruction set.
//!
//! `reference` holds `f64` to multiple-precision values, `sweep` holds `f32` to the standard
//! library in `f64`, `special` has the values that the definition settles.

mod reference;
mod run;
mod special;
mod sweep;
mod ulp;
