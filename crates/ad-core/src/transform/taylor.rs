//! Taylor series along a curve (Taylor mode): coefficients of any order from the same rules.
//!
//! Let x(t) = Σ xₖ tᵏ. Of y = f(x) with the slope p = ∂f/∂x follows y′ = p·x′, so with pₖ the
//! coefficients of p(x(t)): k·yₖ = Σⱼ j·pₖ₋ⱼ·xⱼ. The slope is an instruction like any other, and
//! only its coefficients before the k-th are asked for, so slopes of slopes end. For an order K
//! that takes O(K²) operations where nested derivatives would take 2ᴷ.
//! (A. Griewank and A. Walther, Evaluating Derivatives, 2nd edition, chapter 13.)

use super::jvp;
use crate::graph::{Graph, NodeId, Operands};
use crate::ops::recurrence::Recurrence;
use crate::ops::{Op, Rule, Site};

/// The derivatives of `target` along x + t·v, from the first to the one of `order`; `None` is a
/// structural zero.
pub(crate) fn directional(
    graph: &mut Graph,
    target: NodeId,
    (x, v): (NodeId, NodeId),
    order: usize,
) -> Vec<Option<NodeId>> {
    let depends = graph.depending_on(&[x]);
    let needed = graph.needed_for([target]);
    let stated = |id: NodeId| graph.op(id).def().rule() == Rule::Custom;
    let mut ids = graph.ids();
    if ids.any(|id| needed[id.index()] && depends[id.index()] && stated(id)) {
        return nested(graph, target, (x, v), order);
    }
    let mut factorial = 1.0;
    let mut derivatives = taylor(graph, target, (x, v), order);
    for (at, derivative) in derivatives.iter_mut().enumerate() {
        factorial *= (at + 1) as f64;
        *derivative = derivative.map(|coefficient| graph.scale(factorial, coefficient));
    }
    derivatives
}

/// Derivatives of derivatives: for programs with stated derivatives, which have no series.
fn nested(
    graph: &mut Graph,
    target: NodeId,
    seed: (NodeId, NodeId),
    order: usize,
) -> Vec<Option<NodeId>> {
    let mut last = Some(target);
    let mut derivatives = Vec::with_capacity(order);
    for _ in 0..order {
        last = last.and_then(|last| jvp(graph, &[last], &[seed])[0]);
        derivatives.push(last);
    }
    derivatives
}

/// The coefficients of `target` from the first to the one of `order` where `at` has the first
/// coefficient `direction` and no others; `None` is a structural zero.
fn taylor(
    graph: &mut Graph,
    target: NodeId,
    (at, direction): (NodeId, NodeId),
    order: usize,
) -> Vec<Option<NodeId>> {
    let mut parts = Parts::default();
    let target = parts.of(graph, target);
    let mut series = Series::new(graph, parts, at, direction);
    series.require(target, order);
    for k in 1..=order {
        series.advance(k);
    }
    (1..=order).map(|k| series.coefficient(target, k)).collect()
}

/// Instructions of which no slope can be had as an instruction, taken apart.
#[derive(Default)]
struct Parts {
    /// What stands for each instruction.
    moved: Vec<NodeId>,
}

impl Parts {
    /// What stands for an instruction, after a look at those that are new.
    fn of(&mut self, graph: &mut Graph, id: NodeId) -> NodeId {
        while self.moved.len() < graph.len() {
            let next = NodeId::from_index(self.moved.len());
            let node = graph.node(next).to_owned();
            let operands = node.inputs.iter().map(|x| self.moved[x.index()]);
            let inputs: Operands = operands.collect();
            let def = node.op.def();
            self.moved.push(if def.rule() == Rule::Operandwise {
                let site = Site {
                    op: &node.op,
                    inputs: &inputs,
                    output: next,
                };
                def.by_parts(graph, &site)
            } else if inputs == node.inputs {
                next
            } else {
                graph.push(node.op, inputs)
            });
        }
        self.moved[id.index()]
    }
}

/// Coefficients by instruction.
struct Series<'g> {
    graph: &'g mut Graph,
    parts: Parts,
    at: NodeId,
    /// Which instructions depend on `at`; grows with the graph.
    depends: Vec<bool>,
    /// Up to which order coefficients of an instruction are needed; grows with the graph.
    orders: Vec<usize>,
    /// The slopes of an instruction in its operands, where they are needed.
    slopes: Vec<Option<Vec<Option<NodeId>>>>,
    /// Coefficients from the first on.
    coefficients: Vec<Vec<Option<NodeId>>>,
}

impl<'g> Series<'g> {
    fn new(graph: &'g mut Graph, parts: Parts, at: NodeId, direction: NodeId) -> Self {
        let depends = graph.depending_on(&[at]);
        let len = graph.len();
        let mut coefficients = vec![Vec::new(); len];
        coefficients[at.index()] = vec![Some(direction)];
        Self {
            graph,
            parts,
            at,
            depends,
            orders: vec![0; len],
            slopes: vec![None; len],
            coefficients,
        }
    }

    /// Takes in the instructions that were pushed since the last time.
    fn catch_up(&mut self) {
        for at in self.depends.len()..self.graph.len() {
            let inputs = self.graph.inputs(NodeId::from_index(at));
            let depends = inputs.iter().any(|input| self.depends[input.index()]);
            self.depends.push(depends);
        }
        self.orders.resize(self.graph.len(), 0);
        self.slopes.resize(self.graph.len(), None);
        self.coefficients.resize(self.graph.len(), Vec::new());
    }

    /// Notes that the coefficients of `target` are needed up to `order`, with all that follows.
    fn require(&mut self, target: NodeId, order: usize) {
        let mut work = vec![(target, order)];
        while let Some((id, order)) = work.pop() {
            let at = id.index();
            if !self.depends[at] || id == self.at || self.orders[at] >= order {
                continue;
            }
            self.orders[at] = order;
            let node = self.graph.node(id).to_owned();
            work.extend(node.inputs.iter().map(|&input| (input, order)));
            for slope in self.slopes_of(id).into_iter().flatten() {
                work.push((slope, order - 1));
            }
        }
    }

    /// ∂y/∂x of an instruction for each operand that depends on the curve.
    fn slopes_of(&mut self, id: NodeId) -> Vec<Option<NodeId>> {
        if let Some(slopes) = &self.slopes[id.index()] {
            return slopes.clone();
        }
        let node = self.graph.node(id).to_owned();
        let (op, inputs) = (&node.op, &node.inputs[..]);
        let site = Site {
            op,
            inputs,
            output: id,
        };
        let stated = matches!(op.def().rule(), Rule::Elementwise | Rule::Reduction);
        let mut slopes = Vec::new();
        for (which, input) in inputs.iter().enumerate() {
            let wanted = stated && self.depends[input.index()];
            slopes.push(wanted.then(|| {
                let slope = op.def().partial(self.graph, &site, which);
                self.parts.of(self.graph, slope)
            }));
        }
        self.catch_up();
        self.slopes[id.index()] = Some(slopes.clone());
        slopes
    }

    fn coefficient(&self, id: NodeId, k: usize) -> Option<NodeId> {
        match k {
            0 => Some(id),
            _ => *self.coefficients[id.index()].get(k - 1)?,
        }
    }

    /// The k-th coefficients of all instructions that need them.
    fn advance(&mut self, k: usize) {
        for at in 0..self.orders.len() {
            if self.orders[at] >= k {
                let coefficient = self.next(NodeId::from_index(at), k);
                self.coefficients[at].push(coefficient);
            }
        }
        self.catch_up();
    }

    fn next(&mut self, id: NodeId, k: usize) -> Option<NodeId> {
        let node = self.graph.node(id).to_owned();
        let (op, inputs) = (&node.op, &node.inputs[..]);
        let terms = match op.def().rule() {
            Rule::Constant => return None,
            Rule::Custom => unreachable!("nested derivatives are taken of these"),
            Rule::Linear => {
                let of = |input: &NodeId| self.coefficient(*input, k);
                let coefficients: Vec<_> = inputs.iter().map(of).collect();
                if coefficients.iter().all(Option::is_none) {
                    return None;
                }
                let site = Site {
                    op,
                    inputs,
                    output: id,
                };
                return Some(op.def().apply_linear(self.graph, &site, &coefficients));
            }
            Rule::Recurrence => return self.recurrence(id, &node.op, [inputs[0], inputs[1]], k),
            Rule::Bilinear => self.convolution(&node.op, [inputs[0], inputs[1]], k),
            Rule::Operandwise => unreachable!("{:?} was taken apart", node.op),
            Rule::Elementwise | Rule::Reduction => self.by_slopes(id, inputs, k),
        };
        let sum = (!terms.is_empty()).then(|| self.graph.add_all(&terms))?;
        Some(match op.def().rule() {
            Rule::Reduction => self.graph.sum(sum, op.attr.as_ints()),
            _ => sum,
        })
    }

    /// Σⱼ aⱼ ∘ bₖ₋ⱼ
    fn convolution(&mut self, op: &Op, [a, b]: [NodeId; 2], k: usize) -> Vec<NodeId> {
        let mut terms = Vec::new();
        for j in 0..=k {
            let pair = [self.coefficient(a, j), self.coefficient(b, k - j)];
            if let [Some(a), Some(b)] = pair {
                terms.push(self.graph.push(op.clone(), Operands::from_slice(&[a, b])));
            }
        }
        terms
    }

    /// The recurrence with the coefficients a₀ of Σⱼ aⱼ·yₖ₋ⱼ + bₖ over j ≥ 1.
    fn recurrence(&mut self, id: NodeId, op: &Op, [a, b]: [NodeId; 2], k: usize) -> Option<NodeId> {
        let mut products = Vec::new();
        for j in 1..=k {
            let pair = (self.coefficient(a, j), self.coefficient(id, k - j));
            if let (Some(a), Some(y)) = pair {
                products.push(Recurrence::product(self.graph, op, a, y));
            }
        }
        let b = self.coefficient(b, k);
        let absent = products.is_empty() && b.is_none();
        (!absent).then(|| Recurrence::of_terms(self.graph, op, a, &products, b))
    }

    /// The terms (j/k)·pₖ₋ⱼ ⊙ xⱼ over all operands.
    fn by_slopes(&mut self, id: NodeId, inputs: &[NodeId], k: usize) -> Vec<NodeId> {
        let slopes = self.slopes_of(id);
        let mut terms = Vec::new();
        for (&input, slope) in inputs.iter().zip(slopes) {
            let Some(slope) = slope else { continue };
            for j in 1..=k {
                let pair = (self.coefficient(slope, k - j), self.coefficient(input, j));
                if let (Some(slope), Some(x)) = pair {
                    let product = self.graph.mul(slope, x);
                    terms.push(self.graph.scale(j as f64 / k as f64, product));
                }
            }
        }
        terms
    }
}
