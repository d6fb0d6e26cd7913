//! Elementwise primitives: yᵢ = f(xᵢ) or f(xᵢ, zᵢ), operands of one shape.
//!
//! Broadcasting is an operation of its own (see `layout`), so that no rule here mentions it.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, layout, stretch};
use crate::graph::{Graph, NodeId};
use crate::kernels::{Isa, LaneOp, MapTable};
use crate::real::Real;
use crate::shape::Shape;

type PartialRule = fn(&mut Graph, &Site<'_>, usize) -> NodeId;
type Algebra = fn(&mut Graph, f64, &[NodeId]) -> Option<NodeId>;

/// An elementwise primitive: its kernel, its derivative as an expression, its algebra.
pub(crate) struct Elementwise {
    pub(crate) name: &'static str,
    pub(crate) arity: usize,
    /// Whether it costs a few instructions, so that computing it again beats storing it.
    pub(crate) cheap: bool,
    pub(crate) kernels: MapTable,
    /// ∂y/∂xₖ, or none for functions that are constant between their jumps.
    partial: Option<PartialRule>,
    /// Rewritings beyond those that every elementwise operation has.
    algebra: Algebra,
    /// Where sample operands of tests lie: smooth, and away from poles.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests alone draw samples"))]
    pub(crate) domain: (f64, f64),
}

impl std::fmt::Debug for Elementwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Elementwise {
    /// The function of one element, for constants known while building.
    pub(crate) fn eval(&self, c: f64, x: f64, y: f64) -> f64 {
        self.kernels.eval(c, x, y)
    }

    /// f of an array that repeats a smaller one is the repetition of f of the smaller one.
    fn inside_broadcast(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let node = graph.node(inputs[0]);
        if self.arity != 1 || !node.op.is(&layout::BROADCAST) {
            return None;
        }
        let (small, shape) = (node.inputs[0], node.shape.clone());
        let inner = graph.push(op.clone(), [small].as_slice().into());
        Some(graph.broadcast(inner, &shape))
    }
}

impl Primitive for Elementwise {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self, _attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        match inputs {
            [x] if self.arity == 1 => Ok((*x).clone()),
            [x, y] if x == y => Ok((*x).clone()),
            _ => Err(format!("operands of the shapes {inputs:?}")),
        }
    }

    fn rule(&self) -> Rule {
        if self.partial.is_some() {
            Rule::Elementwise
        } else {
            Rule::Constant
        }
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Map(self)
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        (self.algebra)(graph, op.attr.as_float(), inputs)
            .or_else(|| self.inside_broadcast(graph, op, inputs))
    }

    fn partial(&self, graph: &mut Graph, site: &Site<'_>, which: usize) -> NodeId {
        let rule = self.partial.expect("asked only under Rule::Elementwise");
        rule(graph, site, which)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let operands = call.inputs.iter().zip(call.batched);
        let inputs = operands
            .map(|(&id, &has)| stretch(graph, id, has, call.count))
            .collect();
        graph.push(call.op.clone(), inputs)
    }
}

/// Declares the primitives and their list. A row: name, text name, cost class, the lane function
/// of (constant, x, y) and which arguments it covers, the partial derivative, the algebra, the sample domain.
macro_rules! elementwise {
    ($($static:ident = $name:literal / $arity:literal, $cost:ident, $domain:expr,
        |$c:ident, $x:ident, $y:ident| $lane:expr,
        $(covers: $covers:expr, else $scope:ident: $rare:expr,)?
        partial: $partial:expr,
        algebra: $algebra:expr;)*) => {
        $(
            pub(crate) static $static: Elementwise = {
                struct Lane;
                impl LaneOp for Lane {
                    const ARITY: usize = $arity;
                    #[inline(always)]
                    fn eval<T: Real, I: Isa>($c: T, $x: T, $y: T) -> T {
                        $lane
                    }
                    $(
                        const TOTAL: bool = false;
                        #[inline(always)]
                        fn covers<T: Real>($c: T, $x: T, $y: T) -> bool {
                            $covers
                        }
                        #[inline(always)]
                        fn rare<T: Real, I: Isa>($c: T, $x: T, $y: T) -> T {
                            $rare
                        }
                        const RARE_COVERS_ALL: bool = rare::$scope;
                    )?
                }
                Elementwise {
                    name: $name,
                    arity: $arity,
                    cheap: cost::$cost,
                    kernels: MapTable::of::<Lane>(),
                    partial: $partial,
                    algebra: $algebra,
                    domain: $domain,
                }
            };
        )*

        /// Every elementwise primitive.
        #[cfg(test)]
        pub(crate) static ELEMENTWISE: &[&Elementwise] = &[$(&$static),*];
    };
}

mod cost {
    pub(super) const CHEAP: bool = true;
    pub(super) const DEAR: bool = false;
}

/// Which elements go to the function of rare arguments: those alone, or their neighbours with them.
mod rare {
    pub(super) const ALONE: bool = false;
    pub(super) const TOGETHER: bool = true;
}

fn plain(_graph: &mut Graph, _c: f64, _inputs: &[NodeId]) -> Option<NodeId> {
    None
}

elementwise! {
    ADD = "add" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| x + y,
        partial: Some(|g, s, _| one(g, s)), algebra: simplify_add;
    SUB = "sub" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| x - y,
        partial: Some(|g, s, which| uniform(g, s, if which == 0 { 1.0 } else { -1.0 })),
        algebra: simplify_sub;
    MUL = "mul" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| x * y,
        partial: Some(|_, s, which| s.inputs[1 - which]), algebra: simplify_mul;
    DIV = "div" / 2, CHEAP, (0.5, 2.0), |_c, x, y| x / y,
        partial: Some(|g, s, which| {
            let recip = g.map1(&RECIP, s.inputs[1]);
            if which == 0 { return recip; }
            let product = g.mul(s.output, recip);
            g.neg(product)
        }),
        algebra: simplify_div;
    SCALE = "scale" / 1, CHEAP, (-2.0, 2.0), |c, x, _y| c * x,
        partial: Some(|g, s, _| uniform(g, s, s.op.attr.as_float())), algebra: simplify_scale;
    OFFSET = "offset" / 1, CHEAP, (-2.0, 2.0), |c, x, _y| x + c,
        partial: Some(|g, s, _| one(g, s)), algebra: simplify_offset;
    RECIP = "recip" / 1, CHEAP, (0.5, 2.0), |_c, x, _y| T::one() / x,
        partial: Some(|g, s, _| {
            let square = g.map1(&SQUARE, s.output);
            g.neg(square)
        }), algebra: plain;
    SQUARE = "square" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x * x,
        partial: Some(|g, s, _| g.scale(2.0, s.inputs[0])), algebra: plain;
    SQRT = "sqrt" / 1, DEAR, (0.5, 2.0), |_c, x, _y| x.sqrt(),
        partial: Some(|g, s, _| {
            let recip = g.map1(&RECIP, s.output);
            g.scale(0.5, recip)
        }), algebra: plain;
    POWF = "powf" / 1, DEAR, (0.5, 2.0), |c, x, _y| x.lane_powf_normal::<I>(c),
        covers: x.is_normal_power(c), else TOGETHER: x.lane_powf::<I>(c),
        partial: Some(|g, s, _| {
            let c = s.op.attr.as_float();
            let power = g.map1_with(&POWF, c - 1.0, s.inputs[0]);
            g.scale(c, power)
        }), algebra: simplify_powf;
    EXP = "exp" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_exp::<I>(),
        partial: Some(|_, s, _| s.output), algebra: plain;
    LN = "ln" / 1, DEAR, (0.5, 2.0), |_c, x, _y| x.lane_ln_normal::<I>(),
        covers: x.is_positive_normal(), else TOGETHER: x.lane_ln::<I>(),
        partial: Some(|g, s, _| g.map1(&RECIP, s.inputs[0])), algebra: plain;
    EXP_M1 = "exp_m1" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_exp_m1::<I>(),
        partial: Some(|g, s, _| g.offset(1.0, s.output)), algebra: plain;
    LN_1P = "ln_1p" / 1, DEAR, (-0.5, 2.0), |_c, x, _y| x.lane_ln_1p::<I>(),
        partial: Some(|g, s, _| {
            let denominator = g.offset(1.0, s.inputs[0]);
            g.map1(&RECIP, denominator)
        }), algebra: plain;
    SIN = "sin" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_sin::<I>(),
        covers: x.in_trig_range(), else ALONE: x.sin(),
        partial: Some(|g, s, _| g.map1(&COS, s.inputs[0])), algebra: plain;
    COS = "cos" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_cos::<I>(),
        covers: x.in_trig_range(), else ALONE: x.cos(),
        partial: Some(|g, s, _| {
            let sin = g.map1(&SIN, s.inputs[0]);
            g.neg(sin)
        }), algebra: plain;
    ATAN2 = "atan2" / 2, DEAR, (0.5, 2.0), |_c, x, y| x.atan2(y),
        partial: Some(|g, s, which| {
            let (x, y) = (g.map1(&SQUARE, s.inputs[0]), g.map1(&SQUARE, s.inputs[1]));
            let radius = g.add(x, y);
            let slope = g.map2(&DIV, s.inputs[1 - which], radius);
            if which == 0 { slope } else { g.neg(slope) }
        }), algebra: plain;
    TANH = "tanh" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_tanh::<I>(),
        partial: Some(|g, s, _| {
            let square = g.map1(&SQUARE, s.output);
            one_minus(g, square)
        }), algebra: plain;
    SIGMOID = "sigmoid" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_sigmoid::<I>(),
        partial: Some(|g, s, _| {
            let complement = one_minus(g, s.output);
            g.mul(s.output, complement)
        }), algebra: plain;
    SOFTPLUS = "softplus" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_softplus::<I>(),
        partial: Some(|g, s, _| g.map1(&SIGMOID, s.inputs[0])), algebra: plain;
    RELU = "relu" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| if x <= T::zero() { T::zero() } else { x },
        partial: Some(|g, s, _| g.map1(&STEP, s.inputs[0])), algebra: plain;
    ABS = "abs" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| x.abs(),
        partial: Some(|g, s, _| g.map1(&SIGN, s.inputs[0])), algebra: plain;
    STEP = "step" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| {
            let positive = if x > T::zero() { T::one() } else { x };
            if x <= T::zero() { T::zero() } else { positive }
        },
        partial: None, algebra: plain;
    SIGN = "sign" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| {
            let positive = if x > T::zero() { T::one() } else { x };
            if x < T::zero() { -T::one() } else { positive }
        },
        partial: None, algebra: plain;
    EQUALS = "equals" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| if x == y { T::one() } else { T::zero() },
        partial: None, algebra: plain;
}

fn uniform(graph: &mut Graph, site: &Site<'_>, value: f64) -> NodeId {
    let shape = graph.shape(site.output).clone();
    graph.full(value, &shape)
}

fn one(graph: &mut Graph, site: &Site<'_>) -> NodeId {
    uniform(graph, site, 1.0)
}

fn one_minus(graph: &mut Graph, x: NodeId) -> NodeId {
    let negative = graph.neg(x);
    graph.offset(1.0, negative)
}

/// The operand of a sign change, if the instruction is one, or a view of one.
fn negated(graph: &mut Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    if node.op.is(&SCALE) && is(node.op.attr.as_float(), -1.0) {
        return Some(node.inputs[0]);
    }
    if node.op.is(&layout::BROADCAST) || node.op.is(&layout::RESHAPE) {
        let (op, inner) = (node.op.clone(), node.inputs[0]);
        let positive = negated(graph, inner)?;
        return Some(graph.push(op, [positive].as_slice().into()));
    }
    None
}

/// Equality of known constants, to the bit.
fn is(value: f64, constant: f64) -> bool {
    value.to_bits() == constant.to_bits()
}

fn simplify_add(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let (x, y) = (inputs[0], inputs[1]);
    if let Some(c) = graph.uniform(x) {
        return Some(graph.offset(c, y));
    }
    if let Some(c) = graph.uniform(y) {
        return Some(graph.offset(c, x));
    }
    if let Some(y) = negated(graph, y) {
        return Some(graph.map2(&SUB, x, y));
    }
    if let Some(x) = negated(graph, x) {
        return Some(graph.map2(&SUB, y, x));
    }
    // One order for both ways to write the sum, so that equal sums merge.
    (x > y).then(|| graph.add(y, x))
}

fn simplify_sub(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let (x, y) = (inputs[0], inputs[1]);
    if let Some(c) = graph.uniform(y) {
        return Some(graph.offset(-c, x));
    }
    if let Some(c) = graph.uniform(x) {
        let negative = graph.neg(y);
        return Some(graph.offset(c, negative));
    }
    negated(graph, y).map(|y| graph.add(x, y))
}

fn simplify_mul(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let (x, y) = (inputs[0], inputs[1]);
    if let Some(c) = graph.uniform(x) {
        return Some(graph.scale(c, y));
    }
    if let Some(c) = graph.uniform(y) {
        return Some(graph.scale(c, x));
    }
    if x == y {
        return Some(graph.map1(&SQUARE, x));
    }
    (x > y).then(|| graph.mul(y, x))
}

fn simplify_div(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    if let Some(c) = graph.uniform(inputs[1]) {
        // Only where the reciprocal is exact: a quotient must stay the nearest one.
        let exact = c.is_normal() && (c.to_bits() << 12) == 0 && (1.0 / c).is_normal();
        return exact.then(|| graph.scale(1.0 / c, inputs[0]));
    }
    let numerator = graph.uniform(inputs[0])?;
    is(numerator, 1.0).then(|| graph.map1(&RECIP, inputs[1]))
}

fn simplify_scale(graph: &mut Graph, c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let x = inputs[0];
    if is(c, 1.0) {
        return Some(x);
    }
    if c == 0.0 {
        let shape = graph.shape(x).clone();
        return Some(graph.full(0.0, &shape));
    }
    let node = graph.node(x);
    let (factor, inner) = (node.op.attr.as_float(), node.inputs.first().copied());
    node.op
        .is(&SCALE)
        .then(|| graph.scale(c * factor, inner.expect("scale has an operand")))
}

fn simplify_offset(_graph: &mut Graph, c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    (c == 0.0).then_some(inputs[0])
}

fn simplify_powf(graph: &mut Graph, c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let x = inputs[0];
    match c {
        _ if c == 0.0 => {
            let shape = graph.shape(x).clone();
            Some(graph.full(1.0, &shape))
        }
        _ if is(c, 1.0) => Some(x),
        _ if is(c, 2.0) => Some(graph.map1(&SQUARE, x)),
        _ if is(c, -1.0) => Some(graph.map1(&RECIP, x)),
        _ if is(c, 0.5) => Some(graph.map1(&SQRT, x)),
        _ => None,
    }
}
