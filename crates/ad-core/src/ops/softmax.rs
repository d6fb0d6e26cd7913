//! The softmax family along axes: log-sum-exp, softmax, −ln softmax, and what multiplies tangents and
//! cotangents by their derivatives.
//!
//! With p = softmax(z): ∂ ln Σeᶻ = p, ṗ = p ⊙ (ż − ⟨p, ż⟩), and for ℓ = −ln p: ℓ̇ = ⟨p, ż⟩ − ż and
//! z̄ = p Σℓ̄ − ℓ̄ (the primitive is ℓ/2, since ℓ may be twice the largest number). Each is a kernel of its own, because none may cancel where one probability is all but 1
//! (see `kernels/rows.rs`, also for what *centred* means). Second orders follow from these rules.

use super::reduce::{batch_axes, nonempty_shape, spread};
use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, elementwise as ew, stretch};
use crate::graph::{Graph, NodeId, Operands};
use crate::kernels::RowKind;
use crate::shape::{Dims, Shape};

/// Every primitive of the family.
#[cfg(test)]
pub(crate) static SOFTMAX_FAMILY: &[&dyn Primitive] = &[
    &LOG_SUM_EXP,
    &SOFTMAX,
    &HALF_NEG_LOG_SOFTMAX,
    &SOFTMAX_PRODUCT,
    &LOG_PRODUCT,
    &LOG_TRANSPOSE,
];

/// ln Σ eˣ along the attribute's axes, without overflow.
#[derive(Debug)]
pub(crate) struct LogSumExp;
pub(crate) static LOG_SUM_EXP: LogSumExp = LogSumExp;

impl Primitive for LogSumExp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        nonempty_shape(attr, inputs)
    }

    fn rule(&self) -> Rule {
        Rule::Reduction
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Rows(RowKind::LogSumExp)
    }

    /// The softmax, not e^(x − y): y is rounded.
    fn partial(&self, graph: &mut Graph, site: &Site<'_>, _which: usize) -> NodeId {
        let axes = site.op.attr.as_ints();
        let centred = graph.rowwise(&SOFTMAX, axes, &[site.inputs[0]]);
        graph.map1(&ew::PROBABILITY, centred)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        batch_axes(graph, call)
    }
}

type RowRule = fn(&mut Graph, &Call<'_>, usize, NodeId) -> NodeId;

/// A function from rows to rows of the same shape, along the attribute's axes.
pub(crate) struct Rowwise {
    name: &'static str,
    kind: RowKind,
    /// The tangent for one of the operand.
    tangent: RowRule,
    /// The cotangent of one operand.
    transpose: RowRule,
    /// The same in sums, products and exponentials, which cancel where one probability is all but 1.
    by_parts: fn(&mut Graph, &Call<'_>) -> NodeId,
}

/// The instruction that a rule differentiates.
struct Call<'a> {
    site: &'a Site<'a>,
    axes: &'a [usize],
}

impl Call<'_> {
    /// The first operand, or of a softmax its result: centred probabilities.
    fn centred(&self) -> NodeId {
        self.site.inputs[0]
    }

    fn vector(&self) -> NodeId {
        self.site.inputs[1]
    }

    /// z − ln Σ eᶻ
    fn log(&self, graph: &mut Graph) -> NodeId {
        let z = self.site.inputs[0];
        let op = Op::new(&LOG_SUM_EXP, Attr::ints(self.axes));
        let total = graph.push(op, Operands::from_slice(&[z]));
        let total = spread(graph, self.site, total);
        graph.map2(&ew::SUB, z, total)
    }

    fn probability(&self, graph: &mut Graph) -> NodeId {
        graph.map1(&ew::PROBABILITY, self.centred())
    }

    /// Σ of a product along the rows, stretched back to their length.
    fn inner(&self, graph: &mut Graph, x: NodeId, y: NodeId) -> NodeId {
        let product = graph.mul(x, y);
        self.total(graph, product)
    }

    /// Σ along the rows, stretched back to their length.
    fn total(&self, graph: &mut Graph, x: NodeId) -> NodeId {
        let sum = graph.sum(x, self.axes);
        spread(graph, self.site, sum)
    }
}

impl std::fmt::Debug for Rowwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Primitive for Rowwise {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        if inputs.iter().any(|&shape| shape != inputs[0]) {
            return Err(format!("operands of the shapes {inputs:?}"));
        }
        nonempty_shape(attr, inputs).map(|_| inputs[0].clone())
    }

    fn rule(&self) -> Rule {
        Rule::Operandwise
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Rows(self.kind)
    }

    fn tangent(&self, graph: &mut Graph, site: &Site<'_>, which: usize, tangent: NodeId) -> NodeId {
        let axes = site.op.attr.as_ints();
        (self.tangent)(graph, &Call { site, axes }, which, tangent)
    }

    fn transpose(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        cotangent: NodeId,
    ) -> NodeId {
        let axes = site.op.attr.as_ints();
        (self.transpose)(graph, &Call { site, axes }, which, cotangent)
    }

    fn by_parts(&self, graph: &mut Graph, site: &Site<'_>) -> NodeId {
        let axes = site.op.attr.as_ints();
        (self.by_parts)(graph, &Call { site, axes })
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let axes: Dims = call.op.attr.as_ints().iter().map(|axis| axis + 1).collect();
        let operands = call.inputs.iter().zip(call.batched);
        let inputs: Operands = operands
            .map(|(&id, &has)| stretch(graph, id, has, call.count))
            .collect();
        graph.push(Op::new(call.op.def(), Attr::Ints(axes)), inputs)
    }
}

/// z ↦ q, the centred softmax. Its tangent is that of p: they differ by a constant.
pub(crate) static SOFTMAX: Rowwise = Rowwise {
    name: "softmax",
    kind: RowKind::Softmax,
    tangent: |g, c, _, t| g.rowwise(&SOFTMAX_PRODUCT, c.axes, &[c.site.output, t]),
    transpose: |g, c, _, u| g.rowwise(&SOFTMAX_PRODUCT, c.axes, &[c.site.output, u]),
    by_parts: |g, c| {
        let log = c.log(g);
        g.map1(&ew::EXP, log)
    },
};

/// z ↦ −½ ln p, which any finite z has: twice of it may be beyond the largest number.
pub(crate) static HALF_NEG_LOG_SOFTMAX: Rowwise = Rowwise {
    name: "half_neg_log_softmax",
    kind: RowKind::HalfNegLogSoftmax,
    tangent: |g, c, _, t| {
        let centred = g.rowwise(&SOFTMAX, c.axes, &[c.site.inputs[0]]);
        let half = g.scale(0.5, t);
        g.rowwise(&LOG_PRODUCT, c.axes, &[centred, half])
    },
    transpose: |g, c, _, u| {
        let centred = g.rowwise(&SOFTMAX, c.axes, &[c.site.inputs[0]]);
        let half = g.scale(0.5, u);
        g.rowwise(&LOG_TRANSPOSE, c.axes, &[centred, half])
    },
    by_parts: |g, c| {
        let log = c.log(g);
        g.scale(-0.5, log)
    },
};

/// (q, v) ↦ p ⊙ (v − ⟨p, v⟩): symmetric, hence its own transpose in v.
pub(crate) static SOFTMAX_PRODUCT: Rowwise = Rowwise {
    name: "softmax_product",
    kind: RowKind::SoftmaxProduct,
    tangent: |g, c, which, t| {
        if which == 1 {
            return g.rowwise(&SOFTMAX_PRODUCT, c.axes, &[c.centred(), t]);
        }
        // ṗ ⊙ (v − ⟨p, v⟩) − p⟨ṗ, v⟩
        let p = c.probability(g);
        let inner = c.inner(g, t, c.vector());
        let (own, other) = (minus_deviation(g, c), g.mul(p, inner));
        let own = g.mul(own, t);
        let sum = g.add(own, other);
        g.neg(sum)
    },
    transpose: |g, c, which, u| {
        if which == 1 {
            return g.rowwise(&SOFTMAX_PRODUCT, c.axes, &[c.centred(), u]);
        }
        // u ⊙ (v − ⟨p, v⟩) − v⟨u, p⟩
        let p = c.probability(g);
        let inner = c.inner(g, u, p);
        let (own, other) = (minus_deviation(g, c), g.mul(c.vector(), inner));
        let own = g.mul(own, u);
        let sum = g.add(own, other);
        g.neg(sum)
    },
    by_parts: |g, c| {
        let p = c.probability(g);
        let mean = c.inner(g, p, c.vector());
        let deviation = g.map2(&ew::SUB, c.vector(), mean);
        g.mul(p, deviation)
    },
};

/// ⟨p, v⟩ − v
fn minus_deviation(graph: &mut Graph, call: &Call<'_>) -> NodeId {
    graph.rowwise(&LOG_PRODUCT, call.axes, &[call.centred(), call.vector()])
}

/// (q, v) ↦ ⟨p, v⟩ − v, what −ln p makes of a tangent.
pub(crate) static LOG_PRODUCT: Rowwise = Rowwise {
    name: "log_softmax_product",
    kind: RowKind::LogProduct,
    tangent: |g, c, which, t| match which {
        0 => c.inner(g, t, c.vector()),
        _ => g.rowwise(&LOG_PRODUCT, c.axes, &[c.centred(), t]),
    },
    transpose: |g, c, which, u| match which {
        0 => {
            let total = c.total(g, u);
            g.mul(c.vector(), total)
        }
        _ => g.rowwise(&LOG_TRANSPOSE, c.axes, &[c.centred(), u]),
    },
    by_parts: |g, c| {
        let p = c.probability(g);
        let mean = c.inner(g, p, c.vector());
        g.map2(&ew::SUB, mean, c.vector())
    },
};

/// (q, v) ↦ p Σv − v, what −ln p makes of a cotangent.
pub(crate) static LOG_TRANSPOSE: Rowwise = Rowwise {
    name: "log_softmax_transpose",
    kind: RowKind::LogTranspose,
    tangent: |g, c, which, t| match which {
        0 => {
            let total = c.total(g, c.vector());
            g.mul(total, t)
        }
        _ => g.rowwise(&LOG_TRANSPOSE, c.axes, &[c.centred(), t]),
    },
    transpose: |g, c, which, u| match which {
        0 => {
            let total = c.total(g, c.vector());
            g.mul(total, u)
        }
        _ => g.rowwise(&LOG_PRODUCT, c.axes, &[c.centred(), u]),
    },
    by_parts: |g, c| {
        let (p, total) = (c.probability(g), c.total(g, c.vector()));
        let product = g.mul(p, total);
        g.map2(&ew::SUB, product, c.vector())
    },
};
