//! Recorded functions inside of other recordings.

use super::Var;
use crate::function::Function;
use crate::graph::splice;
use crate::real::Real;
use crate::shape::Shape;

impl<T: Real> Function<T> {
    /// The function's value at variables of another recording: its instructions are recorded there,
    /// with `x` in place of the parameters and `data` in place of the data arrays.
    ///
    /// Derivatives pass through all arguments, data too. Arguments may be anything of the right
    /// shape: parameters, constants, results. A mark of the model's output stays behind.
    ///
    /// ```
    /// use ad_core::Function;
    /// let square = Function::<f64>::record(2, |x| x.square().sum())?;
    /// let quartic = Function::<f64>::record(2, |x| square.call(x, &[]).square())?;
    /// assert_eq!(quartic.value(&[1.0, 2.0])?, 25.0);
    /// assert_eq!(quartic.gradient(&[1.0, 2.0])?.to_vec(), [20.0, 40.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// Arguments of other shapes are a recording error at the caller's line.
    #[track_caller]
    #[must_use]
    pub fn call<'t>(&self, x: Var<'t>, data: &[Var<'t>]) -> Var<'t> {
        x.recorder.build("call", |graph| {
            let mut inputs = vec![x.id];
            for &array in data {
                x.same_recording(array)?;
                inputs.push(array.id);
            }
            let shapes = self.data_shapes().iter().map(Vec::as_slice);
            let parameters = [self.n_parameters()];
            let expected: Vec<&[usize]> = std::iter::once(&parameters[..]).chain(shapes).collect();
            if expected.len() != inputs.len() {
                return Err(format!(
                    "{} data arrays for a function of {}",
                    inputs.len() - 1,
                    expected.len() - 1
                ));
            }
            for (at, (&id, expected)) in inputs.iter().zip(expected).enumerate() {
                if graph.shape(id).dims() != expected {
                    return Err(format!(
                        "argument {at} has the shape {}, but the function takes {}",
                        graph.shape(id),
                        Shape::new(expected)
                    ));
                }
            }
            let (program, output) = self.program();
            Ok(splice(graph, program, &[output], &inputs)[0])
        })
    }
}
