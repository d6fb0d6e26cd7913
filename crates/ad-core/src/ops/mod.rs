//! The primitives: every operation with its name, shape rule, derivative rule and lowering.
//!
//! A primitive is a unit of its own in its family's file. The stages of the pipeline know it
//! through [`Primitive`] alone: transformations ask for its [`Rule`], planning for its
//! [`Lowering`]. So a new primitive touches its family's file and that family's list.

pub(crate) mod custom;
pub(crate) mod elementwise;
pub(crate) mod indexed;
pub(crate) mod layout;
pub(crate) mod matmul;
pub(crate) mod recurrence;
pub(crate) mod reduce;
pub(crate) mod softmax;
pub(crate) mod source;
#[cfg(test)]
mod tests;
pub(crate) mod variable;

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::graph::{Graph, NodeId};
use crate::kernels::RowKind;
use crate::plan::View;
use crate::shape::{Dims, Shape};

pub(crate) use elementwise::Elementwise;
pub(crate) use reduce::Reduction;
pub(crate) use softmax::Rowwise;

/// The parameters of an operation that are not operands: a constant, or sizes and axes.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) enum Attr {
    None,
    /// The bits of an `f64`.
    Float(u64),
    Ints(Dims),
}

impl Clone for Attr {
    /// Copies the numbers in one piece, which a derived clone does one by one.
    fn clone(&self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Float(bits) => Self::Float(*bits),
            Self::Ints(values) => Self::Ints(Dims::from_slice(values)),
        }
    }
}

impl Attr {
    pub(crate) fn float(value: f64) -> Self {
        Self::Float(value.to_bits())
    }

    pub(crate) fn ints(values: &[usize]) -> Self {
        Self::Ints(Dims::from_slice(values))
    }

    /// The constant, or 0 where there is none.
    pub(crate) fn as_float(&self) -> f64 {
        match self {
            Self::Float(bits) => f64::from_bits(*bits),
            _ => 0.0,
        }
    }

    /// The sizes or axes, or an empty list where there are none.
    pub(crate) fn as_ints(&self) -> &[usize] {
        match self {
            Self::Ints(values) => values,
            _ => &[],
        }
    }
}

/// A primitive, with its name at hand: it is asked for many times for each instruction.
#[derive(Clone, Copy)]
struct Def {
    primitive: &'static dyn Primitive,
    name: &'static str,
}

/// An operation: a primitive and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Op {
    def: Def,
    pub(crate) attr: Attr,
}

impl Op {
    pub(crate) fn new(primitive: &'static dyn Primitive, attr: Attr) -> Self {
        let name = primitive.name();
        let def = Def { primitive, name };
        Self { def, attr }
    }

    #[inline]
    pub(crate) fn def(&self) -> &'static dyn Primitive {
        self.def.primitive
    }

    /// The primitive's name, without asking it.
    #[inline]
    pub(crate) fn name(&self) -> &'static str {
        self.def.name
    }

    #[inline]
    pub(crate) fn is(&self, primitive: &impl Primitive) -> bool {
        same_name(self.def.name, primitive.name())
    }
}

impl PartialEq for Def {
    fn eq(&self, other: &Self) -> bool {
        same_name(self.name, other.name)
    }
}
impl Eq for Def {}
impl Hash for Def {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A primitive has one name, in one place.
        state.write_usize(self.name.as_ptr().addr());
    }
}

/// Equality of names, which mostly are at the same place if they are equal.
#[inline]
fn same_name(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}
impl fmt::Debug for Def {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a primitive is differentiated. All transformations follow from this one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No derivative passes: sources, steps, stopped gradients.
    Constant,
    /// yᵢ depends on the operands' i-th elements; [`Primitive::times_partial`] states ∂y/∂xₖ times a
    /// tangent or cotangent.
    Elementwise,
    /// Linear in all operands together: the tangent is [`Primitive::apply_linear`] of the
    /// tangents, the cotangents are [`Primitive::transpose`].
    Linear,
    /// Linear in each of two operands: tangents by the operation itself, cotangents by
    /// [`Primitive::transpose`].
    Bilinear,
    /// Whatever the user states: [`custom`].
    Custom,
    /// A linear recurrence ([`recurrence`]): [`Primitive::apply_linear`] and [`Primitive::transpose`]
    /// state tangent and cotangents, in which the result stands too.
    Recurrence,
    /// Of no such form: [`Primitive::tangent`] states the tangent for one of each operand, and
    /// [`Primitive::transpose`] the cotangents.
    Operandwise,
    /// Reduces the axes of its attribute; [`Primitive::partial`] states the weights ∂y/∂x, of the
    /// operand's shape.
    Reduction,
}

/// What is done with a list of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexed {
    Gather,
    ScatterAdd,
}

/// How a primitive runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lowering {
    /// Its value is there before the program starts.
    Source,
    /// A step of an elementwise chain.
    Map(&'static Elementwise),
    /// Another way to read its operand's memory; [`Primitive::view`] says which.
    View,
    /// Its operands side by side in one array, zeros in between.
    Place,
    /// A reduction of one array along some axes.
    Reduce(Reduction),
    /// Elements by a list of positions.
    Indexed(Indexed),
    /// A linear recurrence along the last axis.
    Recurrence,
    /// A function of all elements along some axes.
    Rows(RowKind),
    /// A matrix product.
    MatMul,
}

/// What a derivative rule may look at: the instruction that it differentiates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) op: &'a Op,
    pub(crate) inputs: &'a [NodeId],
    pub(crate) output: NodeId,
}

/// An instruction to be run for a stack of operands: those that `batched` marks have one more axis
/// in front, of size `count`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) op: &'a Op,
    /// The shape of the result without the axis.
    pub(crate) shape: &'a Shape,
    pub(crate) inputs: &'a [NodeId],
    pub(crate) batched: &'a [bool],
    pub(crate) count: usize,
}

/// A primitive operation. Each method states one fact; the stages ask for those that the
/// [`Rule`] and the [`Lowering`] call for.
pub(crate) trait Primitive: Sync {
    /// The name in texts, errors and hashes; unique.
    fn name(&self) -> &'static str;

    /// The shape of the result, or what is wrong with the operands.
    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String>;

    fn rule(&self) -> Rule;

    fn lowering(&'static self) -> Lowering;

    /// An equal instruction that is cheaper, where these operands allow one.
    fn simplify(&self, _graph: &mut Graph, _op: &Op, _inputs: &[NodeId]) -> Option<NodeId> {
        None
    }

    /// ∂output/∂inputₖ times a tangent or cotangent of the same shape, for [`Rule::Elementwise`].
    fn times_partial(
        &self,
        _graph: &mut Graph,
        _site: &Site<'_>,
        _which: usize,
        _factor: NodeId,
    ) -> NodeId {
        unreachable!("{} states no partial derivative", self.name())
    }

    /// ∂output/∂inputₖ for [`Rule::Elementwise`] and [`Rule::Reduction`], of the operand's shape.
    fn partial(&self, _graph: &mut Graph, _site: &Site<'_>, _which: usize) -> NodeId {
        unreachable!("{} states no partial derivative", self.name())
    }

    /// The result for tangents in place of operands ([`Rule::Linear`]); absent ones are zero, and
    /// at least one is present.
    fn apply_linear(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        tangents: &[Option<NodeId>],
    ) -> NodeId {
        let present = tangents.iter().flatten().copied().collect();
        graph.push(site.op.clone(), present)
    }

    /// An equal expression, but for its rounding, in primitives of the other rules
    /// ([`Rule::Operandwise`]), for transformations that need slopes as instructions.
    fn by_parts(&self, _graph: &mut Graph, _site: &Site<'_>) -> NodeId {
        unreachable!("{} has no parts", self.name())
    }

    /// The result's tangent for a tangent of one operand alone ([`Rule::Operandwise`]).
    fn tangent(
        &self,
        _graph: &mut Graph,
        _site: &Site<'_>,
        _which: usize,
        _tangent: NodeId,
    ) -> NodeId {
        unreachable!("{} states no tangent", self.name())
    }

    /// The cotangent of one operand ([`Rule::Linear`], [`Rule::Bilinear`], [`Rule::Operandwise`]).
    fn transpose(
        &self,
        _graph: &mut Graph,
        _site: &Site<'_>,
        _which: usize,
        _cotangent: NodeId,
    ) -> NodeId {
        unreachable!("{} states no transpose", self.name())
    }

    /// The result for a stack of operands; at least one is batched, and so is the result.
    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId;

    /// For [`Lowering::View`]: the result as another way to read the operand, if strides can say
    /// it; otherwise the operand is copied first.
    fn view(&self, _attr: &Attr, _input: &View, _shape: &Shape) -> Option<View> {
        None
    }
}

impl fmt::Debug for dyn Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Gives an operand without the batch axis one, by repeating it.
pub(crate) fn stretch(graph: &mut Graph, id: NodeId, batched: bool, count: usize) -> NodeId {
    if batched {
        return id;
    }
    let shape = graph.shape(id).clone();
    let with_one = graph.reshape(id, &shape.prefixed(1));
    graph.broadcast(with_one, &shape.prefixed(count))
}
