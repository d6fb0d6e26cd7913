//! Recording: Rust code over [`Var`]s becomes a graph.

mod call;
mod constant;
mod contraction;
mod custom;
mod derivative;
mod functions;
mod index;
mod operators;
mod scalar;
mod select;

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;

use crate::error::Error;
use crate::graph::{Graph, NodeId, Operands, Precision, without_variables};
use crate::ops::{Op, source};
use crate::shape::{MAX_RECORDED, Shape};

pub use constant::IntoConstant;
pub use contraction::einsum;
pub use custom::{JvpRule, VjpRule, custom_jvp, custom_vjp};
pub use functions::{concatenate, stack};
pub use index::stack_arrays;
pub use scalar::Scalar;
pub use select::Operand;

/// Takes down what is done with [`Var`]s.
///
/// The first operation on operands that it does not take is kept as the recording's error, with
/// its line; what is recorded after it does not matter any more.
#[derive(Default)]
pub(crate) struct Recorder {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    graph: Graph,
    model_output: Option<NodeId>,
    error: Option<Error>,
}

/// What a recording leaves.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) graph: Graph,
    pub(crate) output: NodeId,
    pub(crate) model_output: Option<NodeId>,
}

impl Recorder {
    pub(crate) fn new(precision: Precision) -> Self {
        let recorder = Self::default();
        recorder.state.borrow_mut().graph.precision = precision;
        recorder
    }

    #[track_caller]
    pub(crate) fn input(&self, position: usize, dims: &[usize]) -> Var<'_> {
        self.build("input", |graph| {
            let shape = Shape::new(dims).check(MAX_RECORDED)?;
            graph.try_push(source::input(position, &shape), Operands::new())
        })
    }

    /// Ends the recording in an error, unless it has one already.
    #[track_caller]
    pub(crate) fn refuse(&self, op: &'static str, message: String) {
        self.build(op, |_| Err(message));
    }

    /// Ends the recording with its result, or with the first error.
    pub(crate) fn finish(&self, output: NodeId) -> Result<Recording, Error> {
        let model_output = self.state.borrow().model_output;
        let mut targets = vec![output];
        targets.extend(model_output);
        let (graph, targets) = self.take(&targets)?;
        Ok(Recording {
            graph,
            output: targets[0],
            model_output: targets.get(1).copied(),
        })
    }

    /// Ends the recording of several results, and takes out what only the recording needed.
    fn take(&self, targets: &[NodeId]) -> Result<(Graph, Vec<NodeId>), Error> {
        let State { graph, error, .. } = self.state.take();
        if let Some(error) = error {
            return Err(error);
        }
        if !graph.has_variables() {
            return Ok((graph, targets.to_vec()));
        }
        if let Some(location) = graph.stray_placeholder(targets) {
            let message = "the row is used outside of the closure that it was given to".into();
            return Err(Error::Record {
                op: "map_rows",
                location,
                message,
            });
        }
        Ok(without_variables(&graph, targets))
    }

    /// Changes the graph, unless an error was recorded before.
    #[track_caller]
    fn build(
        &self,
        op: &'static str,
        build: impl FnOnce(&mut Graph) -> Result<NodeId, String>,
    ) -> Var<'_> {
        let location = Location::caller();
        let mut state = self.state.borrow_mut();
        let built = build(&mut state.graph).and_then(|id| {
            let shape = state.graph.shape(id);
            shape.checked(MAX_RECORDED).map(|()| id)
        });
        let id = match built {
            Ok(id) => {
                state.graph.set_site(id, location);
                id
            }
            Err(message) => {
                state.error.get_or_insert(Error::Record {
                    op,
                    location,
                    message,
                });
                state.graph.scalar(f64::NAN)
            }
        };
        Var { recorder: self, id }
    }
}

/// A value of a function while it is recorded: a number or an array whose shape is known and whose
/// elements are not.
///
/// Operators, methods and free functions on it record instructions. Arrays broadcast against each
/// other as in `ndarray` and NumPy: axes are matched from the last, and a size of 1 stretches.
/// An operation on operands that do not fit never panics: the recording goes on with a placeholder,
/// and [`Function::record`](crate::Function::record) returns the error with the caller's line.
///
/// ```
/// use ad_core::Function;
/// let f = Function::<f64>::record(3, |x| (x * x).sum() + x.at(0).sin())?;
/// assert_eq!(f.value(&[0.0, 1.0, 2.0])?, 5.0);
///
/// let wrong = Function::<f64>::record(3, |x| x.reshape(&[2, 2]).sum());
/// assert!(wrong.unwrap_err().to_string().contains("[3] has 3 elements, [2, 2] has 4"));
/// # Ok::<(), ad_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Var<'t> {
    recorder: &'t Recorder,
    pub(crate) id: NodeId,
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Var({}, shape {})", self.id.index(), self.dims())
    }
}

impl<'t> Var<'t> {
    /// The sizes along the axes; empty for a number.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.dims().dims().to_vec()
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims().len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn dims(&self) -> Shape {
        self.recorder.state.borrow().graph.shape(self.id).clone()
    }

    /// The first `n` elements of this vector as numbers, or `None` and an error of the recording if
    /// they are more than a graph has instructions for: each takes two.
    #[track_caller]
    pub(crate) fn elements(self, n: usize) -> Option<Vec<Self>> {
        if n >= Graph::MAX_NODES / 2 {
            let message = format!("{n} parameters one by one, more than instructions are counted");
            self.recorder.refuse("record_scalars", message);
            return None;
        }
        let mut elements = Vec::with_capacity(n);
        // A loop, because a closure would hide the caller's line.
        for at in 0..n {
            elements.push(self.at(at));
        }
        Some(elements)
    }

    fn same_recording(self, other: Self) -> Result<(), String> {
        if std::ptr::eq(self.recorder, other.recorder) {
            Ok(())
        } else {
            Err("the operands belong to two recordings".into())
        }
    }

    #[track_caller]
    fn unary(self, op: Op) -> Self {
        let name = op.name();
        self.recorder.build(name, |graph| {
            graph.try_push(op, Operands::from_slice(&[self.id]))
        })
    }

    /// An elementwise operation of two operands, each stretched to their common shape.
    #[track_caller]
    fn binary(self, op: Op, other: Self) -> Self {
        let name = op.name();
        self.recorder.build(name, |graph| {
            self.same_recording(other)?;
            let (x, y) = (graph.shape(self.id), graph.shape(other.id));
            // Scalar code records thousands of these.
            if x == y {
                return graph.try_push(op, Operands::from_slice(&[self.id, other.id]));
            }
            let Some(shape) = x.broadcast(y) else {
                return Err(format!("the shapes {x} and {y} do not broadcast"));
            };
            let x = graph.try_broadcast_to(self.id, &shape)?;
            let y = graph.try_broadcast_to(other.id, &shape)?;
            graph.try_push(op, Operands::from_slice(&[x, y]))
        })
    }

    /// Marks this variable as the model's output: what comes before it is the model, what comes
    /// after it the loss.
    ///
    /// The Gauss–Newton matrix of the function is Jᵀ H_L J, with J the Jacobian of the model and
    /// H_L the Hessian of the loss in the model's output; terms of the loss that depend on the
    /// parameters directly (a penalty, say) keep their exact Hessian. `jvp` and `vjp` of a
    /// [`Linearization`](crate::Linearization) refer to J.
    #[must_use]
    pub fn model_output(self) -> Self {
        self.recorder.state.borrow_mut().model_output = Some(self.id);
        self
    }
}
