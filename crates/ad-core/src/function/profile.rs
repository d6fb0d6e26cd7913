//! Where the time of a program goes.

use std::time::{Duration, Instant};

use ndarray::ArrayView1;

use super::point::{Point, finite, slice_of};
use super::{Compiled, Function, Inputs, Product, Program, Residuals};
use crate::error::Error;
use crate::execute::zeros;
use crate::real::Real;

/// One kernel call of a program, measured.
#[derive(Clone, Debug, PartialEq)]
pub struct InstructionProfile {
    /// What it does, as [`Function::explain`] says it.
    pub text: String,
    /// The shortest time over the rounds.
    pub time: Duration,
    /// Bytes read and written, each operand once.
    pub bytes: usize,
    /// Multiply-adds, if it is a matrix product.
    pub product_flops: usize,
}

impl<T: Real> Function<T> {
    /// Runs a program `rounds` times at a point, with `v` as the vector of products, and measures
    /// each kernel call. The sum of the times lacks what lies between the calls, and each has the
    /// cost of reading a clock in it, some tens of nanoseconds.
    ///
    /// # Errors
    /// As the calls themselves: [`Error::NotScalar`], [`Error::NoModelOutput`], shapes and
    /// non-finite inputs.
    pub fn profile<'a>(
        &self,
        program: Program,
        point: impl Into<Point<'a, T>>,
        v: ArrayView1<'_, T>,
        rounds: usize,
    ) -> Result<Vec<InstructionProfile>, Error> {
        let point = point.into();
        let inputs = Inputs::from_slice(&self.inputs(&point, "a profile", true)?);
        let v = finite(slice_of(&v, self.n_parameters, "the vector")?, "the vector")?;
        let (Some(compiled), _) = self.compiled_program(program)? else {
            return Ok(Vec::new());
        };
        let mut residuals = Residuals::new();
        let mut gradient = super::vector(self.n_parameters, "the gradient")?;
        let inputs = match program {
            Program::HvpOneShot => [&inputs[..], &[v]].concat(),
            Program::Hvp | Program::Ggnvp => {
                self.linearize_into(point, &mut residuals, gradient.view_mut())?;
                super::linearization::with_tangent(Product::Hvp, &inputs, &residuals, v).to_vec()
            }
            _ => inputs.to_vec(),
        };
        compiled.profile(&inputs, rounds)
    }
}

impl<T: Real> Compiled<T> {
    fn profile(&self, inputs: &[&[T]], rounds: usize) -> Result<Vec<InstructionProfile>, Error> {
        let outputs = self.plan.outputs.iter();
        let outputs: Result<Vec<Vec<T>>, Error> =
            outputs.map(|&len| zeros(len, "a result")).collect();
        let mut outputs = outputs?;
        let mut times = vec![Duration::MAX; self.plan.instrs.len()];
        for _ in 0..rounds.max(1) {
            let mut outputs: Vec<&mut [T]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
            self.pool.with(|memory| {
                let mut last = Instant::now();
                T::run_observed(&self.plan, memory, inputs, &mut outputs, &mut |at| {
                    let now = Instant::now();
                    times[at] = times[at].min(now - last);
                    last = Instant::now();
                })
            })?;
        }
        let instrs = self.plan.instrs.iter().zip(times);
        let profiles = instrs.map(|(instr, time)| InstructionProfile {
            text: instr.to_string(),
            time,
            bytes: instr.traffic() * size_of::<T>(),
            product_flops: usize::try_from(instr.product_flops()).unwrap_or(usize::MAX),
        });
        Ok(profiles.collect())
    }
}
