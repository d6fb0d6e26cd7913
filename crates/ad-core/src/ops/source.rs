//! Instructions without operands: inputs and constants.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule};
use crate::graph::{Graph, NodeId};
use crate::shape::Shape;

/// An input of the program. The attribute is its position, then its shape.
#[derive(Debug)]
pub(crate) struct Input;
pub(crate) static INPUT: Input = Input;

/// One number.
#[derive(Debug)]
pub(crate) struct Scalar;
pub(crate) static SCALAR: Scalar = Scalar;

/// A constant array. The attribute is its position in the graph's list, then its shape.
#[derive(Debug)]
pub(crate) struct Array;
pub(crate) static ARRAY: Array = Array;

macro_rules! source {
    ($type:ty, $name:literal, $shape:expr) => {
        impl Primitive for $type {
            fn name(&self) -> &'static str {
                $name
            }
            fn shape(&self, attr: &Attr, _inputs: &[&Shape]) -> Result<Shape, String> {
                let shape: fn(&Attr) -> Shape = $shape;
                Ok(shape(attr))
            }
            fn rule(&self) -> Rule {
                Rule::Constant
            }
            fn lowering(&'static self) -> Lowering {
                Lowering::Source
            }
            fn batch(&self, _graph: &mut Graph, call: &Batch<'_>) -> NodeId {
                unreachable!("{:?} depends on no tangent", call.op)
            }
        }
    };
}

source!(Input, "input", |attr| Shape::new(&attr.as_ints()[1..]));
source!(Array, "array", |attr| Shape::new(&attr.as_ints()[1..]));
source!(Scalar, "scalar", |_| Shape::scalar());

/// The operation that reads the input at `position`.
pub(crate) fn input(position: usize, shape: &Shape) -> Op {
    Op::new(&INPUT, positioned(position, shape))
}

/// The operation that reads the constant array at `position` of the graph's list.
pub(crate) fn array(position: usize, shape: &Shape) -> Op {
    Op::new(&ARRAY, positioned(position, shape))
}

/// The operation that is one number.
pub(crate) fn scalar(value: f64) -> Op {
    Op::new(&SCALAR, Attr::float(value))
}

/// The position of an input, if the operation is one.
pub(crate) fn input_position(op: &Op) -> Option<usize> {
    op.is(&INPUT).then(|| op.attr.as_ints()[0])
}

/// The position of a constant array, if the operation is one.
pub(crate) fn array_position(op: &Op) -> Option<usize> {
    op.is(&ARRAY).then(|| op.attr.as_ints()[0])
}

/// The same constant array at another position.
pub(crate) fn array_at(op: &Op, position: usize) -> Op {
    Op::new(
        &ARRAY,
        positioned(position, &Shape::new(&op.attr.as_ints()[1..])),
    )
}

fn positioned(position: usize, shape: &Shape) -> Attr {
    let mut ints = vec![position];
    ints.extend_from_slice(shape.dims());
    Attr::ints(&ints)
}
