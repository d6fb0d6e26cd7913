//! Newton and Krylov methods that need only products with a matrix.
//!
//! Everything here works on a [`LinearOperator`]: something that can
//! multiply a vector, usually the Hessian of a loss that nobody could afford to
//! write down. The methods know nothing of automatic differentiation; an
//! [`Objective`] with products ([`SecondOrder`]) is all a Newton method asks for.
//!
//! | module | what it answers |
//! |---|---|
//! | [`operator`] | what is `A x`? Matrices, closures, sums, parts, damping; is it what it says? |
//! | [`objective`] | what are `f`, `∇f`, `Hv`, `Gv` at this point? |
//! | [`linear`] | which `x` solves `A x = b`, in least squares too, or minimises a quadratic in a ball? |
//! | [`newton`] | where is a minimum of `f`? |
//! | [`minimize`](mod@minimize) | the driver of all minimisers: limits, observers, outcomes, resuming |
//! | [`eigen`] | what are the extreme eigenpairs of `A`, and how sure is that? |
//! | [`trace`] | what are `tr A` and `diag A`, and how sure is that? |
//! | [`spectrum`] | how are the eigenvalues of `A` spread? What are `tr f(A)` and `f(A) v`? |
//! | [`landscape`] | is this point a minimum or a saddle, and how sharp? |
//! | [`dense`] | the same for a matrix small enough to factorise |
//! | [`bits`] | states that survive serialisation to the last bit |
//!
//! Not converging is an outcome, with its reason and the best point so far; an
//! [`SolverError`] means that the call itself made no sense. The unit of cost is
//! the product `A v`, and every outcome says how many it used.
//!
//! ```
//! use hvp_solvers::{linear::Cg, operator::DenseOperator};
//! use ndarray::array;
//!
//! let a = DenseOperator::new(array![[4.0, 1.0], [1.0, 3.0]])?;
//! let solved = Cg::default().solve(&a, array![1.0, 2.0].view())?;
//! assert!(solved.stop.is_converged());
//! assert!((solved.x[0] - 1.0_f64 / 11.0).abs() < 1e-12);
//! assert_eq!(solved.stats.n_products, 3); // two iterations and one check
//! # Ok::<(), hvp_solvers::SolverError>(())
//! ```

#![allow(
    clippy::needless_pass_by_value,
    reason = "array views are pointers and strides: ndarray's own functions take them by value"
)]

pub mod bits;
mod curvature;
pub mod dense;
pub mod eigen;
mod error;
pub mod landscape;
pub mod linear;
pub mod minimize;
pub mod newton;
pub mod objective;
pub mod operator;
mod random;
mod rounding;
pub mod spectrum;
pub mod trace;
pub mod vector;

pub use curvature::{FunctionObjective, LinearizedJacobian, LinearizedOperator, case_gradients};
pub use error::{Quantity, SolverError};
pub use objective::{Curvature, CurvatureOperator, Objective, SecondOrder};
pub use operator::LinearOperator;
