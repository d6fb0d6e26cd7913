//! Wrong rules, each of which the tester must catch.

use super::case::Case;
use super::{identities, primitives, samples};
use crate::graph::{Graph, NodeId};
use crate::kernels::RowKind;
use crate::ops::{
    Attr, Batch, Lowering, Op, Primitive, Reduction, Rule, Site, elementwise as ew, layout,
};
use crate::plan::View;
use crate::shape::Shape;

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Every derivative times 1.05: satisfies the adjoint identity where all rules have it.
    Scaled,
    /// Every derivative with the wrong sign.
    Negated,
    /// No derivative in the last input.
    LostInput,
    /// The derivatives of two inputs exchanged.
    SwappedInputs,
    /// The first order is right; what multiplies the tangent or cotangent counts as constant.
    FirstOrderOnly,
    /// The tangents of a primitive that states them times 1.05.
    ScaledTangent,
    /// The tangent of a linear primitive times 1.05.
    ScaledApply,
    /// The cotangents times 1.05.
    ScaledTranspose,
    /// The result for a stack times 1.05.
    ScaledBatch,
    /// The first operand of a stack in place of all.
    BatchOfFirst,
    /// A derivative where there is none.
    PassesDerivative,
    /// Another kernel.
    WrongKernel,
    /// Nothing: the wrapper itself.
    None,
}

const FAULTS: [Fault; 12] = [
    Fault::Scaled,
    Fault::Negated,
    Fault::LostInput,
    Fault::SwappedInputs,
    Fault::FirstOrderOnly,
    Fault::ScaledTangent,
    Fault::ScaledApply,
    Fault::ScaledTranspose,
    Fault::ScaledBatch,
    Fault::BatchOfFirst,
    Fault::PassesDerivative,
    Fault::WrongKernel,
];

impl Fault {
    /// Whether the fault makes a difference to a case.
    fn applies(self, case: &Case) -> bool {
        let rule = case.def.rule();
        let elementwise = matches!(rule, Rule::Elementwise | Rule::Reduction);
        // Their derivative is the same everywhere (or on each side of a kink), so that there is no
        // second order to be wrong.
        let straight = matches!(
            case.name,
            "add"
                | "sub"
                | "scale"
                | "regrouped_constant"
                | "offset"
                | "relu"
                | "abs"
                | "probability"
                | "max"
                | "taken"
                | "kept"
                | "minimum"
                | "maximum"
                | "rem"
        );
        let alike = || {
            let mut graph = Graph::default();
            let inputs = case
                .record(&mut graph)
                .map_or(Vec::new(), |(_, y)| graph.inputs(y).to_vec());
            inputs.len() == 2 && graph.shape(inputs[0]) == graph.shape(inputs[1])
        };
        match self {
            Self::Scaled | Self::Negated | Self::LostInput => rule != Rule::Constant,
            // Both derivatives of a sum are 1.
            Self::SwappedInputs => rule != Rule::Constant && case.name != "add" && alike(),
            Self::FirstOrderOnly => rule != Rule::Constant && !(elementwise && straight),
            Self::ScaledTangent => rule == Rule::Operandwise,
            Self::ScaledApply => rule == Rule::Linear,
            Self::ScaledTranspose => {
                matches!(rule, Rule::Linear | Rule::Bilinear | Rule::Operandwise)
            }
            Self::ScaledBatch | Self::BatchOfFirst => true,
            Self::PassesDerivative => rule == Rule::Constant && case.operands.len() == 1,
            Self::WrongKernel => {
                matches!(
                    case.def.lowering(),
                    Lowering::Map(_) | Lowering::Reduce(_) | Lowering::Rows(_)
                )
            }
            Self::None => false,
        }
    }
}

/// A primitive with one wrong rule.
#[derive(Debug)]
struct Mutant {
    inner: &'static dyn Primitive,
    fault: Fault,
    name: &'static str,
}

impl Mutant {
    fn leak(inner: &'static dyn Primitive, fault: Fault) -> &'static Self {
        let name = Box::leak(format!("{} [{fault:?}]", inner.name()).into_boxed_str());
        Box::leak(Box::new(Self { inner, fault, name }))
    }

    fn spoil(&self, graph: &mut Graph, site: &Site<'_>, which: usize, right: NodeId) -> NodeId {
        let last = which + 1 == site.inputs.len();
        match self.fault {
            Fault::Scaled => graph.scale(1.05, right),
            Fault::Negated => graph.scale(-1.0, right),
            Fault::LostInput if last => zeros_like(graph, right),
            Fault::FirstOrderOnly => stopped(graph, right),
            _ => right,
        }
    }

    fn other(&self, which: usize) -> usize {
        if self.fault == Fault::SwappedInputs {
            1 - which
        } else {
            which
        }
    }
}

fn zeros_like(graph: &mut Graph, like: NodeId) -> NodeId {
    let shape = graph.shape(like).clone();
    graph.full(0.0, &shape)
}

fn stopped(graph: &mut Graph, x: NodeId) -> NodeId {
    let op = Op::new(&layout::STOP_GRADIENT, Attr::None);
    graph.push(op, [x].as_slice().into())
}

impl Primitive for Mutant {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        self.inner.shape(attr, inputs)
    }

    fn rule(&self) -> Rule {
        if self.fault == Fault::PassesDerivative {
            Rule::Elementwise
        } else {
            self.inner.rule()
        }
    }

    fn lowering(&'static self) -> Lowering {
        match (self.fault, self.inner.lowering()) {
            (Fault::WrongKernel, Lowering::Map(op)) if op.arity == 2 => {
                let same = std::ptr::eq(op, &ew::SUB);
                Lowering::Map(if same { &ew::MUL } else { &ew::SUB })
            }
            (Fault::WrongKernel, Lowering::Map(op)) => {
                let same = std::ptr::eq(op, &ew::COS);
                Lowering::Map(if same { &ew::SIN } else { &ew::COS })
            }
            (Fault::WrongKernel, Lowering::Reduce(kind)) => Lowering::Reduce(match kind {
                Reduction::Sum | Reduction::Mean => Reduction::Max,
                Reduction::Max => Reduction::Sum,
            }),
            (Fault::WrongKernel, Lowering::Rows(kind)) => Lowering::Rows(match kind {
                RowKind::LogSumExp | RowKind::Norm => return Lowering::Reduce(Reduction::Max),
                RowKind::Softmax => RowKind::HalfNegLogSoftmax,
                RowKind::HalfNegLogSoftmax | RowKind::SoftmaxAndHalfNegLog => RowKind::Softmax,
                RowKind::SoftmaxProduct | RowKind::LogTranspose => RowKind::LogProduct,
                RowKind::LogProduct => RowKind::LogTranspose,
            }),
            (_, lowering) => lowering,
        }
    }

    fn times_partial(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        factor: NodeId,
    ) -> NodeId {
        if self.fault == Fault::PassesDerivative {
            return factor;
        }
        let which_right = self.other(which);
        if self.fault == Fault::FirstOrderOnly {
            let shape = graph.shape(site.output).clone();
            let one = graph.full(1.0, &shape);
            let partial = self.inner.times_partial(graph, site, which_right, one);
            let partial = stopped(graph, partial);
            return graph.mul(partial, factor);
        }
        let right = self.inner.times_partial(graph, site, which_right, factor);
        self.spoil(graph, site, which, right)
    }

    fn partial(&self, graph: &mut Graph, site: &Site<'_>, which: usize) -> NodeId {
        let right = self.inner.partial(graph, site, self.other(which));
        self.spoil(graph, site, which, right)
    }

    fn tangent(&self, graph: &mut Graph, site: &Site<'_>, which: usize, tangent: NodeId) -> NodeId {
        let right = self.inner.tangent(graph, site, self.other(which), tangent);
        if self.fault == Fault::ScaledTangent {
            return graph.scale(1.05, right);
        }
        self.spoil(graph, site, which, right)
    }

    fn apply_linear(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        tangents: &[Option<NodeId>],
    ) -> NodeId {
        let mut tangents = tangents.to_vec();
        match self.fault {
            Fault::LostInput => tangents[site.inputs.len() - 1] = None,
            Fault::SwappedInputs => tangents.swap(0, 1),
            _ => {}
        }
        if tangents.iter().all(Option::is_none) {
            return zeros_like(graph, site.output);
        }
        let right = self.inner.apply_linear(graph, site, &tangents);
        match self.fault {
            Fault::Scaled | Fault::ScaledApply => graph.scale(1.05, right),
            Fault::Negated => graph.scale(-1.0, right),
            _ => right,
        }
    }

    fn transpose(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        cotangent: NodeId,
    ) -> NodeId {
        let right = self
            .inner
            .transpose(graph, site, self.other(which), cotangent);
        if self.fault == Fault::ScaledTranspose {
            return graph.scale(1.05, right);
        }
        self.spoil(graph, site, which, right)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let mut inputs = call.inputs.to_vec();
        if self.fault == Fault::BatchOfFirst {
            let which = call.batched.iter().position(|&has| has).unwrap_or(0);
            let shape = graph.shape(inputs[which]).clone();
            let first = graph.slice(inputs[which], 0, 0, 1);
            inputs[which] = graph.broadcast(first, &shape);
        }
        let inputs = inputs.as_slice();
        let right = self.inner.batch(graph, &Batch { inputs, ..*call });
        if self.fault == Fault::ScaledBatch {
            graph.scale(1.05, right)
        } else {
            right
        }
    }

    fn view(&self, attr: &Attr, input: &View, shape: &Shape) -> Option<View> {
        self.inner.view(attr, input, shape)
    }
}

#[test]
fn every_wrong_rule_of_every_primitive_is_caught() {
    let (mut escaped, mut caught) = (Vec::new(), 0);
    for inner in primitives() {
        for fault in FAULTS {
            let cases: Vec<_> = samples::of(inner)
                .into_iter()
                .filter(|case| fault.applies(case))
                .collect();
            if cases.is_empty() {
                continue;
            }
            let mutant = Mutant::leak(inner, fault);
            let check = |case: &Case| identities::check(&case.with_primitive(mutant)).err();
            match cases.iter().find_map(check) {
                Some(message) if message.starts_with(inner.name()) => caught += 1,
                Some(message) => escaped.push(format!("{} is not named: {message}", mutant.name)),
                None => escaped.push(format!("{} passes", mutant.name)),
            }
        }
    }
    assert!(escaped.is_empty(), "{}", escaped.join("\n"));
    // Every primitive has at least the two faults of stacks.
    assert!(caught >= 2 * primitives().len(), "{caught} mutants");
}

/// The wrapper itself changes nothing: what is caught above is the fault.
#[test]
fn a_wrapper_without_a_fault_passes() {
    for inner in primitives() {
        for case in samples::of(inner) {
            let wrapped = case.with_primitive(Mutant::leak(inner, Fault::None));
            assert_eq!(identities::check(&wrapped), Ok(()));
        }
    }
}

#[test]
fn a_failure_names_the_primitive_the_identity_and_the_input() {
    let mutant = Mutant::leak(&ew::DIV, Fault::LostInput);
    let case = samples::of(&ew::DIV)[0].with_primitive(mutant);
    let message = identities::check(&case).unwrap_err();
    assert!(message.starts_with("div"), "{message}");
    assert!(message.contains("the tangent for input 1"), "{message}");
}
