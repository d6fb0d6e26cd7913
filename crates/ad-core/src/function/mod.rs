//! Recorded functions and what can be asked of them.

mod derived;
#[cfg(test)]
mod growth;
mod hessian;
mod identity;
mod linearization;
mod pieces;
mod point;
mod profile;
mod programs;

use std::sync::OnceLock;

use ndarray::{Array1, Array2, ArrayD, ArrayView1, ArrayViewMut1, IxDyn};

use crate::error::Error;
use crate::execute::{Pool, zeros};
use crate::graph::{Graph, NodeId, Precision};
use crate::plan::Plan;
use crate::real::Real;
use crate::record::{Recorder, Var, stack};
use crate::transform::reroll;

pub use hessian::{HessianOptions, HessianStrip, HessianWork, Join, mirror_hessian};
use identity::Identity;
pub use linearization::{Linearization, Product, Residuals};
pub use point::Point;
use point::{Inputs, finite, slice_of, slice_of_mut};
pub use profile::InstructionProfile;
use programs::{LinearizedPrograms, PanelPrograms};

/// A function of a flat parameter vector (and of data), recorded once and replayed at will.
///
/// Let n be the number of parameters. The function maps x ∈ ℝⁿ, and data arrays that are not
/// differentiated, to one array; gradients and Hessians need that array to be one number.
/// Programs for its derivatives are made when first asked for and kept; after that a call allocates
/// nothing but what it returns (the `_into` forms nothing at all). All calls take `&self` and may
/// come from several threads at once.
///
/// ```
/// use ad_core::Function;
/// use ndarray::array;
/// // 3x² + 2xy + y²
/// let f = Function::<f64>::record(2, |v| {
///     let (x, y) = (v.at(0), v.at(1));
///     3.0 * x * x + 2.0 * x * y + y * y
/// })?;
/// let at = array![1.0, -1.0];
/// assert_eq!(f.value(&at)?, 2.0);
/// assert_eq!(f.gradient(&at)?, array![4.0, 0.0]);
/// assert_eq!(f.hessian(&at)?, array![[6.0, 2.0], [2.0, 2.0]]);
/// assert_eq!(f.hvp(&at, array![1.0, 0.0].view())?, array![6.0, 2.0]);
/// # Ok::<(), ad_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Function<T> {
    graph: Graph,
    output: NodeId,
    model_output: Option<NodeId>,
    n_parameters: usize,
    data_shapes: Vec<Vec<usize>>,
    identity: Identity,
    value: Lazy<Compiled<T>>,
    gradient: Lazy<Compiled<T>>,
    jvp: Lazy<Compiled<T>>,
    vjp: Lazy<Compiled<T>>,
    hvp: Lazy<Compiled<T>>,
    /// With coefficients regrouped, and without.
    linearized: [Lazy<LinearizedPrograms<T>>; 2],
    panels: [Lazy<PanelPrograms<T>>; 2],
}

/// Made when first asked for, or the error of making it: another try would end in the same one.
pub(crate) type Lazy<P> = OnceLock<Result<P, Error>>;

/// What a function has made, or a copy of the error.
pub(crate) fn made<P>(made: &Result<P, Error>) -> Result<&P, Error> {
    made.as_ref().map_err(Clone::clone)
}

/// A plan with its workspaces.
#[derive(Debug)]
pub(crate) struct Compiled<T> {
    pub(crate) plan: Plan<T>,
    /// The instructions of the graph that was planned, before fusion.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests alone count them"))]
    n_nodes: usize,
    pool: Pool<T>,
}

impl<T: Real> Compiled<T> {
    pub(crate) fn new(graph: &Graph, outputs: &[NodeId], n_inputs: usize) -> Result<Self, Error> {
        Ok(Self {
            plan: T::compile(graph, outputs, n_inputs)?,
            n_nodes: graph.len(),
            pool: Pool::new(),
        })
    }

    pub(crate) fn run(&self, inputs: &[&[T]], outputs: &mut [&mut [T]]) -> Result<(), Error> {
        self.run_in(&self.pool, inputs, outputs)
    }

    /// Runs in workspaces that several programs share.
    pub(crate) fn run_in(
        &self,
        pool: &Pool<T>,
        inputs: &[&[T]],
        outputs: &mut [&mut [T]],
    ) -> Result<(), Error> {
        pool.with(|memory| T::run(&self.plan, memory, inputs, outputs))
    }
}

/// Which program of a function [`Function::cost`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// The value alone.
    Value,
    /// The value and the gradient.
    Gradient,
    /// Value, gradient and one Hessian-vector product in one go.
    HvpOneShot,
    /// What a linearization runs once for its point.
    Linearize,
    /// One Hessian-vector product of a linearization.
    Hvp,
    /// One Gauss–Newton product of a linearization.
    Ggnvp,
}

/// What one run of a program takes, known before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-adds in matrix products; `usize::MAX` stands for more than that.
    pub product_flops: usize,
    /// Bytes of workspace, besides inputs and outputs.
    pub workspace_bytes: usize,
    /// Bytes of residuals that a linearization keeps; 0 for other programs.
    pub residual_bytes: usize,
    /// Kernel calls.
    pub n_instructions: usize,
}

impl<T: Real> Function<T> {
    /// Records a function of a vector of `n` parameters.
    ///
    /// # Errors
    /// [`Error::Record`] for the first operation on operands that it does not take, or whose result
    /// would have more than 2⁵⁶ elements.
    #[track_caller]
    pub fn record<F>(n: usize, f: F) -> Result<Self, Error>
    where
        F: for<'t> FnOnce(Var<'t>) -> Var<'t>,
    {
        Self::record_with_data(n, &[], |x, _| f(x))
    }

    /// Records a function in scalar style: of a slice of numbers.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record_scalars(3, |x| x[0] * x[1] + x[2].exp())?;
    /// assert_eq!(f.value(&[2.0, 3.0, 0.0])?, 7.0);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Record`] as for [`Self::record`].
    #[track_caller]
    pub fn record_scalars<F>(n: usize, f: F) -> Result<Self, Error>
    where
        F: for<'t> FnOnce(&[Var<'t>]) -> Var<'t>,
    {
        Self::record(n, |x| match x.elements(n) {
            Some(scalars) => f(&scalars),
            None => x,
        })
    }

    /// Records a function of several results in scalar style; they are stacked into a vector.
    ///
    /// # Errors
    /// [`Error::Record`] as for [`Self::record`]; [`Error::Empty`] if there is no result.
    #[track_caller]
    pub fn record_vector<F>(n: usize, f: F) -> Result<Self, Error>
    where
        F: for<'t> FnOnce(&[Var<'t>]) -> Vec<Var<'t>>,
    {
        let mut empty = false;
        let function = Self::record(n, |x| {
            let Some(scalars) = x.elements(n) else {
                return x;
            };
            let results = f(&scalars);
            empty = results.is_empty();
            if empty { x } else { stack(&results) }
        })?;
        if empty {
            Err(Error::Empty {
                what: "the list of results".into(),
            })
        } else {
            Ok(function)
        }
    }

    /// Records a function of `n` parameters and of data arrays of the given shapes, which are not
    /// differentiated and can be others at each call.
    ///
    /// ```
    /// use ad_core::{Function, Point};
    /// use ndarray::array;
    /// // Linear regression: ½‖Xw − t‖²
    /// let f = Function::<f64>::record_with_data(2, &[&[3, 2], &[3]], |w, data| {
    ///     let residual = data[0].matmul(w.reshape(&[2, 1])).reshape(&[3]) - data[1];
    ///     0.5 * residual.square().sum()
    /// })?;
    /// let (x, t) = (array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], array![1.0, 2.0, 3.0]);
    /// let data = [x.view().into_dyn(), t.view().into_dyn()];
    /// assert_eq!(f.value(Point::with_data(&[1.0, 2.0], &data))?, 0.0);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Record`] as for [`Self::record`], and for more than 65,000 data arrays.
    #[track_caller]
    pub fn record_with_data<F>(n: usize, data_shapes: &[&[usize]], f: F) -> Result<Self, Error>
    where
        F: for<'t> FnOnce(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        let recorder = Recorder::new(Precision::of::<T>());
        let output = {
            let parameters = recorder.input(0, &[n]);
            // A loop, because a closure would hide the caller's line.
            let mut data = Vec::with_capacity(data_shapes.len());
            for (at, dims) in data_shapes.iter().enumerate() {
                data.push(recorder.input(at + 1, dims));
            }
            if data.len() > MAX_DATA {
                let message = format!("{} data arrays, more than {MAX_DATA}", data.len());
                recorder.refuse("record_with_data", message);
            }
            f(parameters, &data).id
        };
        let recording = recorder.finish(output)?;
        let mut targets = vec![recording.output];
        targets.extend(recording.model_output);
        let (graph, targets) = reroll(&recording.graph, &targets);
        Ok(Self {
            graph,
            output: targets[0],
            model_output: targets.get(1).copied(),
            n_parameters: n,
            data_shapes: data_shapes.iter().map(|dims| dims.to_vec()).collect(),
            identity: Identity::default(),
            value: OnceLock::new(),
            gradient: OnceLock::new(),
            jvp: OnceLock::new(),
            vjp: OnceLock::new(),
            hvp: OnceLock::new(),
            linearized: Default::default(),
            panels: Default::default(),
        })
    }

    /// The recorded program and its result.
    pub(crate) fn program(&self) -> (&Graph, NodeId) {
        (&self.graph, self.output)
    }

    /// The number of parameters n.
    pub fn n_parameters(&self) -> usize {
        self.n_parameters
    }

    /// The shapes of the data arrays.
    pub fn data_shapes(&self) -> &[Vec<usize>] {
        &self.data_shapes
    }

    /// The shape of the output; empty for a number.
    pub fn output_shape(&self) -> &[usize] {
        self.graph.shape(self.output).dims()
    }

    /// Whether a model output is marked, so that Gauss–Newton products exist.
    pub fn has_model_output(&self) -> bool {
        self.model_output.is_some()
    }

    /// The shape of the marked model output, or of the output where none is marked: what
    /// [`Product::Jvp`] yields and [`Product::Vjp`] takes, flattened.
    pub fn model_output_shape(&self) -> &[usize] {
        let model = self.model_output.unwrap_or(self.output);
        self.graph.shape(model).dims()
    }

    /// f(x), one number. Cost: one forward pass.
    ///
    /// # Errors
    /// [`Error::NotScalar`]; shapes and non-finite inputs as everywhere; [`Error::Allocation`] if
    /// there is not the memory that it takes.
    pub fn value<'a>(&self, point: impl Into<Point<'a, T>>) -> Result<T, Error> {
        let inputs = self.inputs(&point.into(), "value", true)?;
        let mut value = [T::zero()];
        self.value_program()?.run(&inputs, &mut [&mut value])?;
        Ok(value[0])
    }

    /// f(x) of any shape. Cost: one forward pass.
    ///
    /// # Errors
    /// Shapes and non-finite inputs as everywhere; [`Error::Allocation`].
    ///
    /// # Panics
    /// Never: the result has the length of the recorded shape.
    pub fn evaluate<'a>(&self, point: impl Into<Point<'a, T>>) -> Result<ArrayD<T>, Error> {
        let inputs = self.inputs(&point.into(), "evaluate", false)?;
        let mut out = self.output_array()?;
        let target = out.as_slice_mut().expect("a new array is contiguous");
        self.value_program()?.run(&inputs, &mut [target])?;
        Ok(out)
    }

    /// f(x) and ∇f(x), the gradient written to `gradient`. Cost: one forward and one reverse pass,
    /// together 2–3 evaluations; allocates nothing after the first call.
    ///
    /// # Errors
    /// [`Error::NotScalar`]; shapes and non-finite inputs as everywhere.
    pub fn value_and_grad_into<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        mut gradient: ArrayViewMut1<'_, T>,
    ) -> Result<T, Error> {
        let inputs = self.inputs(&point.into(), "a gradient", true)?;
        let gradient = slice_of_mut(&mut gradient, self.n_parameters, "the gradient")?;
        let mut value = [T::zero()];
        self.gradient_program()?
            .run(&inputs, &mut [&mut value, gradient])?;
        Ok(value[0])
    }

    /// f(x) and ∇f(x); see [`Self::value_and_grad_into`].
    ///
    /// # Errors
    /// As [`Self::value_and_grad_into`].
    pub fn value_and_grad<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
    ) -> Result<(T, Array1<T>), Error> {
        let mut gradient = vector(self.n_parameters, "the gradient")?;
        let value = self.value_and_grad_into(point, gradient.view_mut())?;
        Ok((value, gradient))
    }

    /// ∇f(x); see [`Self::value_and_grad_into`].
    ///
    /// # Errors
    /// As [`Self::value_and_grad_into`].
    pub fn gradient<'a>(&self, point: impl Into<Point<'a, T>>) -> Result<Array1<T>, Error> {
        Ok(self.value_and_grad(point)?.1)
    }

    /// f(x) and J·v, with J the Jacobian of the output (any shape) in the parameters.
    /// Cost: about two evaluations.
    ///
    /// # Errors
    /// Shapes and non-finite inputs as everywhere.
    ///
    /// # Panics
    /// Never: the results have the length of the recorded shape.
    pub fn jvp<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        v: ArrayView1<'_, T>,
    ) -> Result<(ArrayD<T>, ArrayD<T>), Error> {
        let mut inputs = Inputs::from_slice(&self.inputs(&point.into(), "jvp", false)?);
        inputs.push(finite(
            slice_of(&v, self.n_parameters, "the tangent")?,
            "the tangent",
        )?);
        let (mut out, mut tangent) = (self.output_array()?, self.output_array()?);
        let slices = [&mut out, &mut tangent].map(|a| a.as_slice_mut().expect("contiguous"));
        let [out_slice, tangent_slice] = slices;
        self.jvp_program()?
            .run(&inputs, &mut [out_slice, tangent_slice])?;
        Ok((out, tangent))
    }

    /// f(x) and Jᵀ·u, with J the Jacobian of the output and u of the output's shape, flattened.
    /// Cost: 2–3 evaluations.
    ///
    /// # Errors
    /// Shapes and non-finite inputs as everywhere.
    ///
    /// # Panics
    /// Never: the results have the length of the recorded shape.
    pub fn vjp<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        u: ArrayView1<'_, T>,
    ) -> Result<(ArrayD<T>, Array1<T>), Error> {
        let mut inputs = Inputs::from_slice(&self.inputs(&point.into(), "vjp", false)?);
        let len = self.graph.shape(self.output).len();
        inputs.push(finite(
            slice_of(&u, len, "the cotangent")?,
            "the cotangent",
        )?);
        let mut out = self.output_array()?;
        let mut result = vector(self.n_parameters, "the product")?;
        let target = out.as_slice_mut().expect("a new array is contiguous");
        let result_slice = result.as_slice_mut().expect("a new array is contiguous");
        self.vjp_program()?
            .run(&inputs, &mut [target, result_slice])?;
        Ok((out, result))
    }

    /// H·v at x by forward over reverse, written to `out`; returns f(x). Nothing is kept: for many
    /// products at one point, [`Self::linearize`] first. Cost: about two gradients; allocates
    /// nothing after the first call.
    ///
    /// # Errors
    /// [`Error::NotScalar`]; shapes and non-finite inputs as everywhere.
    pub fn hvp_into<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        v: ArrayView1<'_, T>,
        mut out: ArrayViewMut1<'_, T>,
    ) -> Result<T, Error> {
        let inputs = self.inputs(&point.into(), "a Hessian-vector product", true)?;
        let mut inputs = Inputs::from_slice(&inputs);
        inputs.push(finite(
            slice_of(&v, self.n_parameters, "the vector")?,
            "the vector",
        )?);
        let out = slice_of_mut(&mut out, self.n_parameters, "the product")?;
        let mut value = [T::zero()];
        self.hvp_program()?.run(&inputs, &mut [&mut value, out])?;
        Ok(value[0])
    }

    /// H·v at x; see [`Self::hvp_into`].
    ///
    /// # Errors
    /// As [`Self::hvp_into`].
    pub fn hvp<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        v: ArrayView1<'_, T>,
    ) -> Result<Array1<T>, Error> {
        let mut out = vector(self.n_parameters, "the product")?;
        self.hvp_into(point, v, out.view_mut())?;
        Ok(out)
    }

    fn output_array(&self) -> Result<ArrayD<T>, Error> {
        let zeros = zeros(self.graph.shape(self.output).len(), "the result")?;
        let array = ArrayD::from_shape_vec(IxDyn(self.output_shape()), zeros);
        Ok(array.expect("as many zeros as the shape has elements"))
    }

    /// Checks a point and lists the inputs of the programs at it.
    pub(crate) fn inputs<'p>(
        &self,
        point: &Point<'p, T>,
        operation: &'static str,
        scalar: bool,
    ) -> Result<Inputs<'p, T>, Error> {
        if scalar {
            self.check_scalar(operation)?;
        }
        point.inputs(self.n_parameters, &self.data_shapes)
    }

    fn check_scalar(&self, operation: &'static str) -> Result<(), Error> {
        if self.output_shape().is_empty() {
            return Ok(());
        }
        Err(Error::NotScalar {
            operation,
            found: self.output_shape().to_vec(),
        })
    }
}

/// The most data arrays of a function: inputs and outputs of a plan are counted in 16 bits.
const MAX_DATA: usize = 65_000;

/// A vector of zeros, for a result.
fn vector<T: Real>(len: usize, what: &str) -> Result<Array1<T>, Error> {
    Ok(Array1::from_vec(zeros(len, what)?))
}

/// A matrix of zeros, for a result.
fn matrix<T: Real>(rows: usize, columns: usize, what: &str) -> Result<Array2<T>, Error> {
    let too_many = || Error::Allocation {
        what: what.into(),
        bytes: rows as u128 * columns as u128 * size_of::<T>() as u128,
    };
    let len = rows.checked_mul(columns).ok_or_else(too_many)?;
    let matrix = Array2::from_shape_vec((rows, columns), zeros(len, what)?);
    matrix.map_err(|_| too_many())
}
