//! What every primitive computes, in plain Rust, one element at a time.

use super::case::{LISTS, Tensor, indices};
use crate::ops::Attr;

/// The result of a primitive.
pub(super) fn evaluate(name: &str, attr: &Attr, operands: &[Tensor]) -> Result<Tensor, String> {
    if let Some(f) = elementwise(name) {
        let c = attr.as_float();
        let second = operands.last().ok_or("no operand")?;
        return Ok(Tensor::from_fn(&operands[0].dims, |at| {
            f(c, operands[0].get(at), second.get(at))
        }));
    }
    let (x, ints) = (&operands[0], attr.as_ints());
    Ok(match name {
        "reshape" => Tensor {
            dims: ints.to_vec(),
            values: x.values.clone(),
        },
        "permute" => permute(x, ints),
        "slice" => slice(x, ints[0], ints[1], ints[2]),
        "broadcast" => broadcast(x, ints),
        "place" => place(ints, operands),
        "stop_gradient" => x.clone(),
        "sum" => reduce(x, ints, |terms| terms.iter().sum()),
        "mean" => reduce(x, ints, |terms| {
            terms.iter().sum::<f64>() / terms.len() as f64
        }),
        "norm" => reduce(x, ints, |terms| {
            terms.iter().map(|x| x * x).sum::<f64>().sqrt()
        }),
        "max" => reduce(x, ints, |terms| {
            terms.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        }),
        "logsumexp" => reduce(x, ints, |terms| {
            terms.iter().map(|x| x.exp()).sum::<f64>().ln()
        }),
        "gather" => gather(x, ints[0], LISTS[ints[1]]),
        "scatter_add" => scatter_add(x, ints[0], LISTS[ints[1]], ints[3]),
        "recurrence" => recurrence(x, &operands[1], ints == [1]),
        "softmax" => centred_softmax(x, ints),
        "half_neg_log_softmax" => along_rows(x, x, ints, |z, _, at| {
            0.5 * (z.iter().map(|x| x.exp()).sum::<f64>().ln() - z[at])
        }),
        "softmax_product" => along_rows(x, &operands[1], ints, |q, v, at| {
            let p = probabilities(q);
            p[at] * (v[at] - inner(&p, v))
        }),
        "log_softmax_product" => along_rows(x, &operands[1], ints, |q, v, at| {
            inner(&probabilities(q), v) - v[at]
        }),
        "log_softmax_transpose" => along_rows(x, &operands[1], ints, |q, v, at| {
            probabilities(q)[at] * v.iter().sum::<f64>() - v[at]
        }),
        "matmul" => matmul(x, &operands[1]),
        _ => return Err("no reference: state in `reference` what it computes".into()),
    })
}

/// Whether derivatives are stopped by intent, although the value varies.
pub(super) fn stops_derivatives(name: &str) -> bool {
    name == "stop_gradient"
}

fn elementwise(name: &str) -> Option<fn(f64, f64, f64) -> f64> {
    Some(match name {
        "add" => |_, x, y| x + y,
        "sub" => |_, x, y| x - y,
        "mul" | "regrouped" => |_, x, y| x * y,
        "div" => |_, x, y| x / y,
        "scale" | "regrouped_constant" => |c, x, _| c * x,
        "offset" => |c, x, _| x + c,
        "recip" => |_, x, _| 1.0 / x,
        "square" => |_, x, _| x * x,
        "sqrt" => |_, x, _| x.sqrt(),
        "powf" => |c, x, _| x.powf(c),
        "exp" => |_, x, _| x.exp(),
        "ln" => |_, x, _| x.ln(),
        "exp_m1" => |_, x, _| x.exp_m1(),
        "ln_1p" => |_, x, _| x.ln_1p(),
        "sin" => |_, x, _| x.sin(),
        "cos" => |_, x, _| x.cos(),
        "atan2" => |_, x, y| (x / y).atan(), // in the first quadrant
        "tanh" => |_, x, _| x.tanh(),
        "inversion" => |_, x, y| x / (x * x + y * y),
        "hypot" => |_, x, y| x.hypot(y),
        "direction" => |_, x, y| x / x.hypot(y),
        "recip_or_zero" => |_, x, _| 1.0 / x,
        "sech2" => |_, x, _| x.cosh().powi(-2),
        "sigmoid_slope" => |_, x, _| 0.25 * (0.5 * x).cosh().powi(-2),
        "sigmoid" => |_, x, _| 1.0 / (1.0 + (-x).exp()),
        "softplus" => |_, x, _| x.exp().ln_1p(),
        "relu" => |_, x, _| x.max(0.0),
        "abs" => |_, x, _| x.abs(),
        "step" => |_, x, _| f64::from(u8::from(x > 0.0)),
        "sign" => |_, x, _| f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
        "probability" => |_, x, _| if x < 0.0 { 1.0 + x } else { x },
        "equals" => |_, x, y| f64::from(u8::from((x - y).abs() == 0.0)),
        "less" => |_, x, y| f64::from(u8::from(x < y)),
        "less_or_equal" => |_, x, y| f64::from(u8::from(x <= y)),
        "not_equals" => |_, x, y| f64::from(u8::from((x - y).abs() != 0.0)),
        "not" => |_, x, _| f64::from(u8::from(x.abs() == 0.0)),
        "and" => |_, x, y| f64::from(u8::from((x * y).abs() != 0.0)),
        "or" => |_, x, y| f64::from(u8::from(x.abs() + y.abs() != 0.0)),
        "taken" | "kept" => |_, m, x| if m > 0.0 { x } else { 0.0 },
        "minimum" => |_, x, y| x.min(y),
        "maximum" => |_, x, y| x.max(y),
        "share" => |_, x, y| 0.5 * (1.0 + f64::from(i8::from(x > y) - i8::from(x < y))),
        "floor" => |_, x, _| x.floor(),
        "ceil" => |_, x, _| x.ceil(),
        "round" => |_, x, _| x.round(),
        "trunc" => |_, x, _| x.trunc(),
        "signum" => |_, x, _| x.signum(),
        "rem" => |_, x, y| x - (x / y).trunc() * y,
        "whole_quotient" => |_, x, y| (x / y).trunc(),
        _ => return None,
    })
}

/// 1 where an element is positive, else 0.
pub(super) fn positive(x: &Tensor) -> Tensor {
    Tensor::from_fn(&x.dims, |at| f64::from(u8::from(x.get(at) > 0.0)))
}

/// Axis k of the result is axis `axes[k]` of the operand.
pub(super) fn permute(x: &Tensor, axes: &[usize]) -> Tensor {
    let dims: Vec<_> = axes.iter().map(|&axis| x.dims[axis]).collect();
    Tensor::from_fn(&dims, |at| {
        let mut from = vec![0; at.len()];
        for (&axis, &index) in axes.iter().zip(at) {
            from[axis] = index;
        }
        x.get(&from)
    })
}

/// Elements `start..start + len` of one axis.
pub(super) fn slice(x: &Tensor, axis: usize, start: usize, len: usize) -> Tensor {
    let mut dims = x.dims.clone();
    dims[axis] = len;
    Tensor::from_fn(&dims, |at| {
        let mut from = at.to_vec();
        from[axis] += start;
        x.get(&from)
    })
}

/// Matches axes from the last and repeats those of size 1.
pub(super) fn broadcast(x: &Tensor, dims: &[usize]) -> Tensor {
    let missing = dims.len() - x.dims.len();
    Tensor::from_fn(dims, |at| {
        let axes = at[missing..].iter().zip(&x.dims);
        let from: Vec<_> = axes
            .map(|(&at, &size)| if size == 1 { 0 } else { at })
            .collect();
        x.get(&from)
    })
}

fn place(ints: &[usize], operands: &[Tensor]) -> Tensor {
    let (axis, size) = (ints[0], ints[1]);
    let mut dims = operands[0].dims.clone();
    dims[axis] = size;
    let mut result = Tensor::from_fn(&dims, |_| 0.0);
    for (flat, index) in indices(&dims).iter().enumerate() {
        for (operand, &offset) in operands.iter().zip(&ints[2..]) {
            if (offset..offset + operand.dims[axis]).contains(&index[axis]) {
                let mut from = index.clone();
                from[axis] -= offset;
                result.values[flat] = operand.get(&from);
            }
        }
    }
    result
}

fn gather(x: &Tensor, axis: usize, list: &[usize]) -> Tensor {
    let mut dims = x.dims.clone();
    dims[axis] = list.len();
    Tensor::from_fn(&dims, |at| {
        let mut from = at.to_vec();
        from[axis] = list[at[axis]];
        x.get(&from)
    })
}

fn scatter_add(x: &Tensor, axis: usize, list: &[usize], size: usize) -> Tensor {
    let mut dims = x.dims.clone();
    dims[axis] = size;
    Tensor::from_fn(&dims, |at| {
        let here = (0..list.len()).filter(|&k| list[k] == at[axis]);
        here.map(|k| {
            let mut from = at.to_vec();
            from[axis] = k;
            x.get(&from)
        })
        .sum()
    })
}

fn recurrence(a: &Tensor, b: &Tensor, backward: bool) -> Tensor {
    let last = b.dims.len() - 1;
    Tensor::from_fn(&b.dims, |at| {
        let value = |x: &Tensor, k: usize| {
            let mut from = at.to_vec();
            from[last] = k;
            x.get(&from)
        };
        // y = Σ over all terms of b times the coefficients between it and y.
        let (here, n) = (at[last], b.dims[last]);
        let terms = if backward { here..n } else { 0..here + 1 };
        let between = |k: usize| if backward { here..k } else { k..here };
        terms
            .map(|k| value(b, k) * between(k).map(|j| value(a, j)).product::<f64>())
            .sum()
    })
}

fn reduce(x: &Tensor, axes: &[usize], combine: impl Fn(&[f64]) -> f64) -> Tensor {
    let kept = |index: &[usize]| -> Vec<usize> {
        let axis = index.iter().enumerate();
        axis.filter(|(axis, _)| !axes.contains(axis))
            .map(|(_, &at)| at)
            .collect()
    };
    let all = indices(&x.dims);
    Tensor::from_fn(&kept(&x.dims), |at| {
        let terms: Vec<_> = all
            .iter()
            .filter(|index| kept(index) == at)
            .map(|index| x.get(index))
            .collect();
        combine(&terms)
    })
}

/// Softmax along axes, less one where it is more than a half.
pub(super) fn centred_softmax(x: &Tensor, axes: &[usize]) -> Tensor {
    along_rows(x, x, axes, |z, _, at| {
        let p = z[at].exp() / z.iter().map(|x| x.exp()).sum::<f64>();
        // −0 for p = 1: the sign tells.
        if p > 0.5 { -(1.0 - p) } else { p }
    })
}

fn probabilities(centred: &[f64]) -> Vec<f64> {
    let of = |&q: &f64| if q.is_sign_negative() { 1.0 + q } else { q };
    centred.iter().map(of).collect()
}

fn inner(p: &[f64], v: &[f64]) -> f64 {
    p.iter().zip(v).map(|(p, v)| p * v).sum()
}

/// A function of the rows of two arrays along axes, and of the place in the row.
fn along_rows(
    x: &Tensor,
    v: &Tensor,
    axes: &[usize],
    f: impl Fn(&[f64], &[f64], usize) -> f64,
) -> Tensor {
    let all = indices(&x.dims);
    Tensor::from_fn(&x.dims, |at| {
        let beside = |other: &&Vec<usize>| {
            let mut axis = other.iter().zip(at).enumerate();
            axis.all(|(axis, (other, at))| other == at || axes.contains(&axis))
        };
        let row: Vec<_> = all.iter().filter(beside).collect();
        let values = |of: &Tensor| row.iter().map(|at| of.get(at)).collect::<Vec<_>>();
        let own = row.iter().position(|other| other.as_slice() == at);
        f(&values(x), &values(v), own.unwrap_or(usize::MAX))
    })
}

fn matmul(a: &Tensor, b: &Tensor) -> Tensor {
    let rank = a.dims.len();
    let (inner, n) = (a.dims[rank - 1], b.dims[rank - 1]);
    let mut dims = a.dims.clone();
    dims[rank - 1] = n;
    Tensor::from_fn(&dims, |at| {
        let (stack, row, column) = (&at[..rank - 2], at[rank - 2], at[rank - 1]);
        (0..inner)
            .map(|k| a.get(&[stack, &[row, k]].concat()) * b.get(&[stack, &[k, column]].concat()))
            .sum()
    })
}
