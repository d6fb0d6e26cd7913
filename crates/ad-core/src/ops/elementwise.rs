//! Elementwise primitives: yᵢ = f(xᵢ) or f(xᵢ, zᵢ), operands of one shape.
//!
//! Broadcasting is an operation of its own (see `layout`), so that no rule here mentions it.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, layout, stretch};
use crate::graph::{Graph, NodeId, Operands};
use crate::kernels::{Isa, LaneOp, MapTable, TwinLane, TwinTable, probability};
use crate::real::Real;
use crate::shape::Shape;

type TimesRule = fn(&mut Graph, &Site<'_>, usize, NodeId) -> NodeId;
type Algebra = fn(&mut Graph, f64, &[NodeId]) -> Option<NodeId>;

/// An elementwise primitive: its kernel, its derivative as an expression, its algebra.
pub(crate) struct Elementwise {
    pub(crate) name: &'static str,
    pub(crate) arity: usize,
    /// Whether it costs a few instructions, so that computing it again beats storing it.
    pub(crate) cheap: bool,
    pub(crate) kernels: MapTable,
    /// ∂y/∂xₖ times a tangent or cotangent, or none for functions that are constant between their
    /// jumps. Stated as a product, so that a rule chooses an order in which nothing in between
    /// leaves the range of numbers if the result is inside.
    times: Option<TimesRule>,
    /// The pair that this function is one of, where two share most of their work.
    pub(crate) twin: Option<&'static Twin>,
    /// Rewritings beyond those that every elementwise operation has.
    algebra: Algebra,
    /// Where sample operands of tests lie: smooth, and away from poles.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests alone draw samples"))]
    pub(crate) domain: (f64, f64),
}

/// Two functions of one operand that share most of their work, such as tanh and its derivative: a chain
/// that needs one while the program needs the other as well computes both at once.
#[derive(Debug)]
pub(crate) struct Twin {
    pub(crate) first: &'static Elementwise,
    pub(crate) second: &'static Elementwise,
    pub(crate) kernels: TwinTable,
}

impl Twin {
    /// The other function of the pair.
    pub(crate) fn other(&self, one: &Elementwise) -> &'static Elementwise {
        if std::ptr::eq(self.first, one) {
            self.second
        } else {
            self.first
        }
    }
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
        if self.times.is_some() {
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

    fn times_partial(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        factor: NodeId,
    ) -> NodeId {
        let rule = self.times.expect("asked only under Rule::Elementwise");
        rule(graph, site, which, factor)
    }

    fn partial(&self, graph: &mut Graph, site: &Site<'_>, which: usize) -> NodeId {
        let shape = graph.shape(site.output).clone();
        let one = graph.full(1.0, &shape);
        self.times_partial(graph, site, which, one)
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
/// of (constant, x, y) and which arguments it covers, the partial derivative times t, the pair that it
/// is one of, the algebra, the sample domain.
macro_rules! elementwise {
    ($($static:ident = $name:literal / $arity:literal, $cost:ident, $domain:expr,
        |$c:ident, $x:ident, $y:ident| $lane:expr,
        $(covers: $covers:expr, else $scope:ident: $rare:expr,)?
        times: $times:expr,
        $(twin: $twin:ident,)?
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
                    times: $times,
                    twin: twin!($($twin)?),
                    algebra: $algebra,
                    domain: $domain,
                }
            };
        )*

        /// All of them.
        #[cfg(test)]
        pub(super) static FAMILY: &[&Elementwise] = &[$(&$static),*];
    };
}

macro_rules! twin {
    () => {
        None
    };
    ($twin:ident) => {
        Some(&$twin)
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

mod selection;

pub(crate) use selection::{
    AND, CEIL, FLOOR, LE, LT, MAXIMUM, MINIMUM, NOT, NOT_EQUALS, OR, REM, ROUND, SIGNUM, TRUNC,
    add_kept, keep_product, select, transpose_kept,
};

/// Every elementwise primitive.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static Elementwise> {
    FAMILY.iter().chain(selection::FAMILY).copied()
}

fn plain(_graph: &mut Graph, _c: f64, _inputs: &[NodeId]) -> Option<NodeId> {
    None
}

elementwise! {
    ADD = "add" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| x + y,
        times: Some(|_, _, _, t| t), algebra: simplify_add;
    SUB = "sub" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| x - y,
        times: Some(|g, _, which, t| if which == 0 { t } else { g.neg(t) }),
        algebra: simplify_sub;
    MUL = "mul" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| x * y,
        times: Some(|g, s, which, t| g.mul(s.inputs[1 - which], t)), algebra: simplify_mul;
    DIV = "div" / 2, CHEAP, (0.5, 2.0), |_c, x, y| x / y,
        times: Some(|g, s, which, t| {
            let recip = g.map1(&RECIP, s.inputs[1]);
            let t = g.mul(recip, t);
            if which == 0 { return t; }
            // t/y first: the square of the reciprocal may leave the range.
            let product = g.mul(s.output, t);
            g.neg(product)
        }),
        algebra: simplify_div;
    // Products of coefficients, which a linear program was regrouped for: NaN where such a product leaves
    // the range, so that the program that was not is taken.
    REGROUPED = "regrouped" / 2, CHEAP, (0.5, 2.0), |_c, x, y| in_range(x, y),
        times: Some(|g, s, which, t| g.mul(s.inputs[1 - which], t)), algebra: simplify_regrouped;
    REGROUPED_CONSTANT = "regrouped_constant" / 1, CHEAP, (0.5, 2.0), |c, x, _y| in_range(c, x),
        times: Some(|g, s, _, t| g.scale(s.op.attr.as_float(), t)),
        algebra: simplify_regrouped_constant;
    SCALE = "scale" / 1, CHEAP, (-2.0, 2.0), |c, x, _y| c * x,
        times: Some(|g, s, _, t| g.scale(s.op.attr.as_float(), t)), algebra: simplify_scale;
    OFFSET = "offset" / 1, CHEAP, (-2.0, 2.0), |c, x, _y| x + c,
        times: Some(|_, _, _, t| t), algebra: simplify_offset;
    RECIP = "recip" / 1, CHEAP, (0.5, 2.0), |_c, x, _y| T::one() / x,
        times: Some(|g, s, _, t| times_slope_of_recip(g, s, t)), algebra: simplify_recip;
    SQUARE = "square" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x * x,
        times: Some(|g, s, _, t| {
            let product = g.mul(s.inputs[0], t);
            g.scale(2.0, product)
        }), algebra: plain;
    SQRT = "sqrt" / 1, DEAR, (0.5, 2.0), |_c, x, _y| x.sqrt(),
        times: Some(|g, s, _, t| {
            let recip = g.map1(&RECIP, s.output);
            let half = g.scale(0.5, recip);
            g.mul(half, t)
        }), algebra: plain;
    POWF = "powf" / 1, DEAR, (0.5, 2.0), |c, x, _y| x.lane_powf_normal::<I>(c),
        covers: x.is_normal_power(c), else TOGETHER: x.lane_powf::<I>(c),
        times: Some(|g, s, _, t| {
            let slope = power_slope(g, s);
            g.mul(slope, t)
        }), algebra: simplify_powf;
    EXP = "exp" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_exp::<I>(),
        times: Some(|g, s, _, t| g.mul(s.output, t)), algebra: plain;
    LN = "ln" / 1, DEAR, (0.5, 2.0), |_c, x, _y| x.lane_ln_normal::<I>(),
        covers: x.is_positive_normal(), else TOGETHER: x.lane_ln::<I>(),
        times: Some(|g, s, _, t| times_map(g, &RECIP, s.inputs[0], t)), algebra: plain;
    EXP_M1 = "exp_m1" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_exp_m1::<I>(),
        // Not y + 1, which has lost the exponential where y has rounded to -1.
        times: Some(|g, s, _, t| times_map(g, &EXP, s.inputs[0], t)), algebra: plain;
    LN_1P = "ln_1p" / 1, DEAR, (-0.5, 2.0), |_c, x, _y| x.lane_ln_1p::<I>(),
        times: Some(|g, s, _, t| {
            let denominator = g.offset(1.0, s.inputs[0]);
            times_map(g, &RECIP, denominator, t)
        }), algebra: plain;
    SIN = "sin" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_sin::<I>(),
        covers: x.in_trig_range(), else ALONE: x.sin(),
        times: Some(|g, s, _, t| times_map(g, &COS, s.inputs[0], t)), algebra: plain;
    COS = "cos" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_cos::<I>(),
        covers: x.in_trig_range(), else ALONE: x.cos(),
        times: Some(|g, s, _, t| {
            let product = times_map(g, &SIN, s.inputs[0], t);
            g.neg(product)
        }), algebra: plain;
    ATAN2 = "atan2" / 2, DEAR, (0.5, 2.0), |_c, x, y| x.atan2(y),
        times: Some(|g, s, which, t| {
            let slope = g.map2(&INVERSION, s.inputs[1 - which], s.inputs[which]);
            let product = g.mul(slope, t);
            if which == 0 { product } else { g.neg(product) }
        }), algebra: plain;
    INVERSION = "inversion" / 2, DEAR, (0.5, 2.0), |_c, x, y| {
            // By the larger of both, so that no square leaves the range.
            let (a, b) = (x.abs(), y.abs());
            let size = if a > b { a } else { b };
            let (u, v) = (x / size, y / size);
            u / (u * u + v * v) / size
        },
        times: Some(times_slope_of_inversion), algebra: plain;
    HYPOT = "hypot" / 2, DEAR, (0.5, 2.0), |_c, x, y| length(x, y),
        times: Some(|g, s, which, t| {
            let slope = g.map2(&DIRECTION, s.inputs[which], s.inputs[1 - which]);
            g.mul(slope, t)
        }), algebra: plain;
    DIRECTION = "direction" / 2, DEAR, (0.5, 2.0), |_c, x, y| {
            // Scaled, so that a length beyond the largest number does no harm.
            let half = T::one() / (T::one() + T::one());
            let (x, y) = (half * x, half * y);
            let length = length(x, y);
            if length == T::zero() { T::zero() } else { x / length }
        },
        // y²/r³ and -xy/r³, not 1/r - x²/r³.
        times: Some(|g, s, which, t| {
            let other = g.map2(&DIRECTION, s.inputs[1], s.inputs[0]);
            let length = g.map2(&HYPOT, s.inputs[0], s.inputs[1]);
            let recip = g.map1(&RECIP_OR_ZERO, length);
            let per_length = g.mul(recip, t);
            let once = g.mul(other, per_length);
            if which == 0 { return g.mul(other, once); }
            let product = g.mul(s.output, once);
            g.neg(product)
        }), algebra: plain;
    // Slopes of lengths, which at 0 are taken as 0.
    RECIP_OR_ZERO = "recip_or_zero" / 1, CHEAP, (0.5, 2.0), |_c, x, _y| {
            if x == T::zero() { T::zero() } else { T::one() / x }
        },
        times: Some(|g, s, _, t| times_slope_of_recip(g, s, t)), algebra: plain;
    TANH = "tanh" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_tanh::<I>(),
        // Not 1 - y², which has lost its digits where y is near ±1.
        times: Some(|g, s, _, t| times_map(g, &SECH2, s.inputs[0], t)),
        twin: TANH_AND_SLOPE, algebra: plain;
    SECH2 = "sech2" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_tanh_with_slope::<I>().1,
        times: Some(|g, s, _, t| {
            let tanh = g.map1(&TANH, s.inputs[0]);
            let tangent = g.mul(s.output, t);
            let product = g.mul(tanh, tangent);
            g.scale(-2.0, product)
        }), twin: TANH_AND_SLOPE, algebra: plain;
    SIGMOID = "sigmoid" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_sigmoid::<I>(),
        times: Some(|g, s, _, t| times_map(g, &SIGMOID_SLOPE, s.inputs[0], t)),
        twin: SIGMOID_AND_SLOPE, algebra: plain;
    SIGMOID_SLOPE = "sigmoid_slope" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_sigmoid_with_slope::<I>().1,
        // 1 - 2σ(x) = -tanh(x/2), which the left side loses near 0.
        times: Some(|g, s, _, t| {
            let half = g.scale(0.5, s.inputs[0]);
            let tanh = g.map1(&TANH, half);
            let tangent = g.mul(s.output, t);
            let product = g.mul(tanh, tangent);
            g.neg(product)
        }), twin: SIGMOID_AND_SLOPE, algebra: plain;
    SOFTPLUS = "softplus" / 1, DEAR, (-2.0, 2.0), |_c, x, _y| x.lane_softplus::<I>(),
        times: Some(|g, s, _, t| times_map(g, &SIGMOID, s.inputs[0], t)), algebra: plain;
    RELU = "relu" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| if x <= T::zero() { T::zero() } else { x },
        times: Some(|g, s, _, t| times_map(g, &STEP, s.inputs[0], t)), algebra: plain;
    ABS = "abs" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| x.abs(),
        times: Some(|g, s, _, t| times_map(g, &SIGN, s.inputs[0], t)), algebra: plain;
    STEP = "step" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| {
            let positive = if x > T::zero() { T::one() } else { x };
            if x <= T::zero() { T::zero() } else { positive }
        },
        times: None, algebra: plain;
    SIGN = "sign" / 1, CHEAP, (0.1, 2.0), |_c, x, _y| {
            let positive = if x > T::zero() { T::one() } else { x };
            if x < T::zero() { -T::one() } else { positive }
        },
        times: None, algebra: plain;
    // A step of one, which no derivative sees: see `kernels/rows.rs` for centred probabilities.
    PROBABILITY = "probability" / 1, CHEAP, (-0.4, 0.4), |_c, x, _y| probability(x),
        times: Some(|_, _, _, t| t), algebra: plain;
    EQUALS = "equals" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| if x == y { T::one() } else { T::zero() },
        times: None, algebra: plain;
}

static TANH_AND_SLOPE: Twin = {
    struct Lanes;
    impl TwinLane for Lanes {
        #[inline(always)]
        fn eval<T: Real, I: Isa>(x: T) -> (T, T) {
            x.lane_tanh_with_slope::<I>()
        }
    }
    Twin {
        first: &TANH,
        second: &SECH2,
        kernels: TwinTable::of::<Lanes>(),
    }
};

static SIGMOID_AND_SLOPE: Twin = {
    struct Lanes;
    impl TwinLane for Lanes {
        #[inline(always)]
        fn eval<T: Real, I: Isa>(x: T) -> (T, T) {
            x.lane_sigmoid_with_slope::<I>()
        }
    }
    Twin {
        first: &SIGMOID,
        second: &SIGMOID_SLOPE,
        kernels: TwinTable::of::<Lanes>(),
    }
};

/// f(x)·t
fn times_map(graph: &mut Graph, f: &'static Elementwise, x: NodeId, t: NodeId) -> NodeId {
    let slope = graph.map1(f, x);
    graph.mul(slope, t)
}

/// -y²t for y = 1/x: never by the square, which may leave the range.
fn times_slope_of_recip(graph: &mut Graph, site: &Site<'_>, t: NodeId) -> NodeId {
    let once = graph.mul(site.output, t);
    let twice = graph.mul(site.output, once);
    graph.neg(twice)
}

/// √(x² + y²) without squares that leave the range.
#[inline(always)]
fn length<T: Real>(x: T, y: T) -> T {
    let (a, b) = (x.abs(), y.abs());
    let (large, small) = if a > b { (a, b) } else { (b, a) };
    // Of two zeros the quotient would be none.
    let ratio = if large == T::zero() {
        large
    } else {
        small / large
    };
    large * (T::one() + ratio * ratio).sqrt()
}

/// c xᶜ⁻¹, by that power where c - 1 has no rounding: one would count ln x times. Else, and where the
/// power may leave the range although its multiple does not, as c xᶜ/x.
fn power_slope(graph: &mut Graph, site: &Site<'_>) -> NodeId {
    let c = site.op.attr.as_float();
    let less = graph.precision.round(c - 1.0);
    if c.abs() >= 0.5 && is(graph.precision.round(less + 1.0), c) && is(less, c - 1.0) {
        let power = graph.map1_with(&POWF, less, site.inputs[0]);
        return graph.scale(c, power);
    }
    let multiple = graph.scale(c, site.output);
    graph.map2(&DIV, multiple, site.inputs[0])
}

/// The slopes of x/(x² + y²) with r² = x² + y²: (y - x)(y + x)/r⁴ and -2xy/r⁴. The first cancels near
/// the diagonals, but not in its factors, which are halved because their sum may leave the range.
fn times_slope_of_inversion(graph: &mut Graph, site: &Site<'_>, which: usize, t: NodeId) -> NodeId {
    let (x, y) = (site.inputs[0], site.inputs[1]);
    if which == 1 {
        let other = graph.map2(&INVERSION, y, x);
        let once = graph.mul(site.output, t);
        let twice = graph.mul(other, once);
        return graph.scale(-2.0, twice);
    }
    let radius = graph.map2(&HYPOT, x, y);
    let (x, y) = (graph.scale(0.5, x), graph.scale(0.5, y));
    let (difference, sum) = (graph.map2(&SUB, y, x), graph.add(x, y));
    let difference = graph.map2(&DIV, difference, radius);
    let sum = graph.map2(&DIV, sum, radius);
    let shape = graph.mul(difference, sum);
    let recip = graph.map1(&RECIP, radius);
    let once = graph.mul(recip, t);
    let twice = graph.mul(recip, once);
    let product = graph.mul(shape, twice);
    graph.scale(4.0, product)
}

/// The operand of a sign change, if the instruction is one, or one that is stretched.
fn negated(graph: &mut Graph, mut id: NodeId) -> Option<NodeId> {
    let mut views = Operands::new();
    while graph.op(id).is(&layout::BROADCAST) || graph.op(id).is(&layout::RESHAPE) {
        if views.len() == Graph::STRETCH {
            return None;
        }
        views.push(id);
        id = graph.inputs(id)[0];
    }
    let node = graph.node(id);
    if !node.op.is(&SCALE) || !is(node.op.attr.as_float(), -1.0) {
        return None;
    }
    let mut positive = node.inputs[0];
    for &view in views.iter().rev() {
        let op = graph.op(view).clone();
        positive = graph.push(op, [positive].as_slice().into());
    }
    Some(positive)
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
    // Not by `Graph::scale` and `Graph::mul`, for which what a selection leaves out is 0 times anything: the
    // user's zero times infinity is NaN.
    if let Some(c) = graph.uniform(x) {
        return Some(graph.map1_with(&SCALE, c, y));
    }
    if let Some(c) = graph.uniform(y) {
        return Some(graph.map1_with(&SCALE, c, x));
    }
    if x == y {
        return Some(graph.map1(&SQUARE, x));
    }
    (x > y).then(|| graph.map2(&MUL, y, x))
}

fn simplify_div(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    if let Some(c) = graph.uniform(inputs[1]) {
        // Only where the reciprocal is exact: a quotient must stay the nearest one.
        let normal = |c| graph.precision.is_normal(c);
        let exact = (c.to_bits() << 12) == 0 && normal(c) && normal(1.0 / c);
        return exact.then(|| graph.scale(1.0 / c, inputs[0]));
    }
    if graph.uniform(inputs[0]).is_some_and(|x| is(x, 1.0)) {
        return Some(graph.map1(&RECIP, inputs[1]));
    }
    // x/y² as (x/y)/y: what lies between x and the result; so do the factors of its derivatives.
    let root = square_root(graph, inputs[1])?;
    let recip = graph.map1(&RECIP, root);
    let once = graph.map2(&MUL, recip, inputs[0]);
    Some(graph.map2(&MUL, recip, once))
}

/// xy, if that is a normal number or zero because a factor is; else NaN.
#[inline(always)]
fn in_range<T: Real>(x: T, y: T) -> T {
    let product = x * y;
    let size = product.abs();
    let normal = (size >= T::min_positive_value()) & (size <= T::max_value());
    let zero = (x == T::zero()) | (y == T::zero());
    // 0·∞ is NaN by itself.
    if normal | zero { product } else { T::nan() }
}

fn simplify_regrouped(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let (x, y) = (inputs[0], inputs[1]);
    for (uniform, other) in [(x, y), (y, x)] {
        if let Some(c) = graph.uniform(uniform) {
            return Some(graph.map1_with(&REGROUPED_CONSTANT, c, other));
        }
    }
    (x > y).then(|| graph.map2(&REGROUPED, y, x))
}

fn simplify_regrouped_constant(graph: &mut Graph, c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let x = inputs[0];
    if is(c, 1.0) {
        return Some(x);
    }
    let node = graph.node(x);
    let (product, inner) = (c * node.op.attr.as_float(), node.inputs.first().copied());
    let merges = node.op.is(&REGROUPED_CONSTANT) && graph.precision.is_normal(product);
    merges.then(|| {
        let inner = inner.expect("a multiple has an operand");
        graph.map1_with(&REGROUPED_CONSTANT, product, inner)
    })
}

/// 1/x² as (1/x)², whose derivative -2/x³ comes out in factors that lie between 1 and the result.
fn simplify_recip(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let root = square_root(graph, inputs[0])?;
    let recip = graph.map1(&RECIP, root);
    Some(graph.map1(&SQUARE, recip))
}

/// x, if the instruction is x².
fn square_root(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    node.op.is(&SQUARE).then(|| node.inputs[0])
}

fn simplify_scale(graph: &mut Graph, c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let x = inputs[0];
    if is(c, 1.0) {
        return Some(x);
    }
    // 0·x stays: it is NaN for an infinite x. Constants merge only to a normal number: then the
    // product leaves the range if and only if the exact one does.
    let node = graph.node(x);
    let factor = node.op.attr.as_float();
    let normal = |c| graph.precision.is_normal(c);
    let merges = node.op.is(&SCALE) && normal(c) && normal(factor) && normal(c * factor);
    let inner = node.inputs.first().copied();
    merges.then(|| graph.scale(c * factor, inner.expect("scale has an operand")))
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
        // As the type has it: the derivative's power is one less than the power that is taken.
        _ if !is(graph.precision.round(c), c) => {
            Some(graph.map1_with(&POWF, graph.precision.round(c), x))
        }
        _ => None,
    }
}
