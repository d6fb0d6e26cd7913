//! A variable of its own: what derivatives inside of a recording are taken with respect to.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site};
use crate::graph::{Graph, NodeId};
use crate::plan::View;
use crate::shape::Shape;

/// The operand itself, through which no simplification looks.
///
/// A derivative with respect to an instruction in the middle of a program sees the paths that pass
/// through it. Simplification may lead a path around it: the reshape of a reshape reads the first
/// operand. So derivatives are taken with respect to one of these, and the attribute, a number of
/// its own, keeps two of them apart. They are taken out when the recording ends.
#[derive(Debug)]
pub(crate) struct Variable;
pub(crate) static VARIABLE: Variable = Variable;

impl Primitive for Variable {
    fn name(&self) -> &'static str {
        "variable"
    }

    fn shape(&self, _attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn apply_linear(
        &self,
        _graph: &mut Graph,
        _site: &Site<'_>,
        tangents: &[Option<NodeId>],
    ) -> NodeId {
        tangents[0].expect("at least one tangent is present")
    }

    fn transpose(
        &self,
        _graph: &mut Graph,
        _site: &Site<'_>,
        _: usize,
        cotangent: NodeId,
    ) -> NodeId {
        cotangent
    }

    fn batch(&self, _graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        call.inputs[0]
    }

    fn view(&self, _attr: &Attr, input: &View, _shape: &Shape) -> Option<View> {
        Some(input.clone())
    }
}

/// The operation that makes variable `number` of a recording.
pub(crate) fn variable(number: usize) -> Op {
    Op::new(&VARIABLE, Attr::ints(&[number]))
}
