//! Comparisons, selection, and functions made of pieces: minimum, maximum, roundings, the remainder.
//!
//! A mask is an array of numbers: 0 is false, anything else is true; comparisons give 0 and 1. No derivative
//! passes through a mask.
//!
//! A derivative that a selection leaves out is 0, and stays 0: in ∂f/∂x · t, with t = [`KEPT`]`(m, s)`, the
//! slope may be infinite where m is false, since f was not meant for that x. So products of derivatives are
//! made inside of what is kept: [`keep_product`] builds `KEPT(m, ∂f/∂x · s)`, and the selection moves
//! along the chain of elementwise functions, until a product of matrices, a sum over an axis or the like.
//! What multiplies is not looked at, and programs without a selection are the same as before.

use super::*;

elementwise! {
    LT = "less" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| truth(x < y), times: None, algebra: plain;
    LE = "less_or_equal" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| truth(x <= y), times: None, algebra: plain;
    NOT_EQUALS = "not_equals" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| truth(x != y), times: None, algebra: plain;
    NOT = "not" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| truth(x == T::zero()), times: None, algebra: plain;
    AND = "and" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| truth((x != T::zero()) & (y != T::zero())),
        times: None, algebra: plain;
    OR = "or" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| truth((x != T::zero()) | (y != T::zero())),
        times: None, algebra: plain;
    // One branch of a selection, and elsewhere −0: added to the other branch it leaves every number as it is.
    TAKEN = "taken" / 2, CHEAP, (-2.0, 2.0), |_c, m, x| if m == T::zero() { -T::zero() } else { x },
        times: Some(times_slope_of_selection), algebra: simplify_taken;
    // A derivative where a mask is true, else 0.
    KEPT = "kept" / 2, CHEAP, (-2.0, 2.0), |_c, m, x| if m == T::zero() { T::zero() } else { x },
        times: Some(times_slope_of_selection), algebra: simplify_kept;
    MINIMUM = "minimum" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| {
            // The sum of zeros has the sign that counts, and that of numbers with a NaN is NaN.
            let rest = if (x == y) & (x != T::zero()) { x } else { -(-x - y) };
            let rest = if x > y { y } else { rest };
            if x < y { x } else { rest }
        },
        times: Some(|g, s, which, t| {
            let share = g.map2(&SHARE, s.inputs[1 - which], s.inputs[which]);
            times_share(g, share, t)
        }), algebra: plain;
    MAXIMUM = "maximum" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| {
            let rest = if (x == y) & (x != T::zero()) { x } else { x + y };
            let rest = if x < y { y } else { rest };
            if x > y { x } else { rest }
        },
        times: Some(|g, s, which, t| {
            let share = g.map2(&SHARE, s.inputs[which], s.inputs[1 - which]);
            times_share(g, share, t)
        }), algebra: plain;
    // The slope of max(x, y) in x: at a tie each operand has half of it, as in the maximum over an axis.
    SHARE = "share" / 2, CHEAP, (-2.0, 2.0), |_c, x, y| {
            let half = T::one() / (T::one() + T::one());
            let rest = if x == y { half } else { T::nan() };
            let rest = if x < y { T::zero() } else { rest };
            if x > y { T::one() } else { rest }
        },
        times: None, algebra: plain;
    FLOOR = "floor" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x.floor(), times: None, algebra: plain;
    CEIL = "ceil" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x.ceil(), times: None, algebra: plain;
    ROUND = "round" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x.round(), times: None, algebra: plain;
    TRUNC = "trunc" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x.trunc(), times: None, algebra: plain;
    SIGNUM = "signum" / 1, CHEAP, (-2.0, 2.0), |_c, x, _y| x.signum(), times: None, algebra: plain;
    REM = "rem" / 2, DEAR, (0.5, 2.0), |_c, x, y| x % y,
        times: Some(|g, s, which, t| {
            if which == 0 { return t; }
            let whole = g.map2(&WHOLE_QUOTIENT, s.inputs[0], s.inputs[1]);
            let product = g.mul(whole, t);
            g.neg(product)
        }), algebra: plain;
    // trunc(x/y), of the exact quotient: the rounded one may be a whole number that the exact one is below.
    WHOLE_QUOTIENT = "whole_quotient" / 2, DEAR, (0.5, 2.0), |_c, x, y| ((x - x % y) / y).round(),
        times: None, algebra: plain;
}

#[inline(always)]
fn truth<T: Real>(holds: bool) -> T {
    if holds { T::one() } else { T::zero() }
}

/// Selected, not multiplied: t where the mask holds. A mask has no derivative.
fn times_slope_of_selection(graph: &mut Graph, site: &Site<'_>, which: usize, t: NodeId) -> NodeId {
    if which == 0 {
        let shape = graph.shape(t).clone();
        return graph.full(0.0, &shape);
    }
    graph.map2(&KEPT, site.inputs[0], t)
}

fn times_share(graph: &mut Graph, share: NodeId, t: NodeId) -> NodeId {
    let product = graph.mul(share, t);
    graph.map2(&KEPT, share, product)
}

/// Mask and derivative, if an instruction is a derivative that a selection left.
fn kept(graph: &Graph, id: NodeId) -> Option<(NodeId, NodeId)> {
    let node = graph.node(id);
    node.op.is(&KEPT).then(|| (node.inputs[0], node.inputs[1]))
}

/// A product with derivatives that selections left, made inside of the selections.
///
/// What is kept is no selection itself ([`simplify_kept`]), so that this ends.
pub(crate) fn keep_product(
    graph: &mut Graph,
    factors: &[NodeId],
    product: impl Fn(&mut Graph, NodeId, NodeId) -> NodeId,
) -> NodeId {
    let (mut x, mut y) = (factors[0], factors[factors.len() - 1]);
    let masks = [kept(graph, x), kept(graph, y)];
    if let Some((_, inner)) = masks[0] {
        x = inner;
    }
    if let Some((_, inner)) = masks[1] {
        y = inner;
    }
    let mut result = product(graph, x, y);
    for (mask, _) in masks.into_iter().flatten() {
        result = graph.map2(&KEPT, mask, result);
    }
    result
}

/// The sum of two derivatives: where neither is kept, the sum is not either.
pub(crate) fn add_kept(graph: &mut Graph, x: NodeId, y: NodeId) -> NodeId {
    let (Some((m, a)), Some((n, b))) = (kept(graph, x), kept(graph, y)) else {
        return graph.add(x, y);
    };
    if m == n {
        let sum = graph.add(a, b);
        return graph.map2(&KEPT, m, sum);
    }
    let sum = graph.add(x, y);
    match either(graph, m, n) {
        Some(mask) => graph.map2(&KEPT, mask, sum),
        None => sum,
    }
}

/// A linear function that repeats or reorders elements, of a derivative and of its mask.
pub(crate) fn transpose_kept(
    graph: &mut Graph,
    cotangent: NodeId,
    transpose: impl Fn(&mut Graph, NodeId) -> NodeId,
) -> NodeId {
    let Some((mask, inner)) = kept(graph, cotangent) else {
        return transpose(graph, cotangent);
    };
    let (mask, inner) = (transpose(graph, mask), transpose(graph, inner));
    graph.map2(&KEPT, mask, inner)
}

/// a where the mask is true, else b; of one shape.
pub(crate) fn select(graph: &mut Graph, mask: NodeId, a: NodeId, b: NodeId) -> NodeId {
    if let Some(c) = graph.uniform(mask) {
        return if c == 0.0 { b } else { a };
    }
    let not = graph.map1(&NOT, mask);
    let (a, b) = (graph.map2(&TAKEN, mask, a), graph.map2(&TAKEN, not, b));
    graph.add(a, b)
}

/// Whether one of two masks is a part of the other: m of m ∧ n.
fn is_part(graph: &Graph, part: NodeId, whole: NodeId) -> bool {
    part == whole || graph.op(whole).is(&AND) && graph.inputs(whole).contains(&part)
}

/// A mask of where both are true.
fn both(graph: &mut Graph, m: NodeId, n: NodeId) -> NodeId {
    if is_part(graph, m, n) {
        n
    } else if is_part(graph, n, m) {
        m
    } else {
        graph.map2(&AND, m, n)
    }
}

/// A mask of where one of two is true; none if that is everywhere.
fn either(graph: &mut Graph, m: NodeId, n: NodeId) -> Option<NodeId> {
    if is_part(graph, m, n) {
        return Some(m);
    }
    if is_part(graph, n, m) {
        return Some(n);
    }
    let opposite = |m: NodeId, n: NodeId| graph.op(m).is(&NOT) && graph.inputs(m)[0] == n;
    let shares = || {
        let (x, y) = (graph.inputs(m), graph.inputs(n));
        graph.op(m).is(&SHARE) && graph.op(n).is(&SHARE) && x[0] == y[1] && x[1] == y[0]
    };
    let everywhere = opposite(m, n) || opposite(n, m) || shares();
    (!everywhere).then(|| graph.map2(&OR, m, n))
}

fn simplify_taken(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let c = graph.uniform(inputs[0])?;
    if c == 0.0 {
        let shape = graph.shape(inputs[1]).clone();
        return Some(graph.full(-0.0, &shape));
    }
    Some(inputs[1])
}

fn simplify_kept(graph: &mut Graph, _c: f64, inputs: &[NodeId]) -> Option<NodeId> {
    let (mask, x) = (inputs[0], inputs[1]);
    if graph.uniform(mask).is_some_and(|c| c != 0.0) {
        return Some(x);
    }
    let (inner, x) = kept(graph, x)?;
    let mask = both(graph, mask, inner);
    Some(graph.map2(&KEPT, mask, x))
}

#[cfg(test)]
mod tests;
