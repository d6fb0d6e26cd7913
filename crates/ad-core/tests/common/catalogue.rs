//! Shapes of programs, each of any size: what passes over a program must take in proportion to it.

#![allow(dead_code, reason = "each test uses a part")]

use ad_core::{Function, Var};
use ndarray::Array2;

/// A family of programs, by the number of operations (more or less, up to a factor).
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) record: fn(usize) -> Function<f64>,
    /// Whether re-rolling leaves as many instructions for any size, which then only grow in length.
    pub(crate) rolls: bool,
}

const fn grows(name: &'static str, record: fn(usize) -> Function<f64>) -> Shape {
    let rolls = false;
    Shape {
        name,
        record,
        rolls,
    }
}

const fn rolls(name: &'static str, record: fn(usize) -> Function<f64>) -> Shape {
    let rolls = true;
    Shape {
        name,
        record,
        rolls,
    }
}

pub(crate) const SHAPES: &[Shape] = &[
    grows("chain", chain),
    rolls("wide sum", wide_sum),
    grows("sum of many readings", readings),
    grows("deep sum", deep_sum),
    grows("selections", selections),
    grows("recurrence with penalty", recurrence_with_penalty),
    grows("shared subterms", shared_subterms),
    grows("views of views", views_of_views),
    rolls("exceptions in a loop", exceptions),
    rolls("long product", product),
    grows("many small parameters", small_parameters),
    grows("parameters in overlapping pieces", overlapping),
    grows("recurrent net with shared weights", recurrent_net),
    grows("products that share an operand", shared_operand),
    grows("concatenations", concatenations),
];

fn scalars(n: usize, f: impl for<'t> FnOnce(&[Var<'t>]) -> Var<'t>) -> Function<f64> {
    Function::record_scalars(n, f).unwrap()
}

fn arrays(n: usize, f: impl for<'t> FnOnce(Var<'t>) -> Var<'t>) -> Function<f64> {
    Function::record(n, f).unwrap()
}

/// y ← sin y
fn chain(n: usize) -> Function<f64> {
    arrays(1, |x| (0..n).fold(x.at(0), |y, _| y.sin()))
}

/// Σ sin xᵢ
fn wide_sum(n: usize) -> Function<f64> {
    scalars(n, |x| {
        x[1..].iter().fold(x[0].sin(), |sum, x| sum + x.sin())
    })
}

/// One vector read in many ways, so that its cotangent is a wide sum: Σ s·tanh(s²·i x)
fn readings(n: usize) -> Function<f64> {
    arrays(5, |x| {
        let s = x.sin();
        let term = |i: usize| s * (s.square() * (1.0 + i as f64)).tanh();
        (1..n).fold(term(0), |sum, i| sum + term(i)).sum()
    })
}

/// y ← y + sin(y + i)
fn deep_sum(n: usize) -> Function<f64> {
    arrays(5, |x| {
        (0..n)
            .fold(x, |y, i| y + (y + i as f64).sin())
            .square()
            .sum()
    })
}

/// Selections of selections, with one branch or with two.
fn selections(n: usize) -> Function<f64> {
    arrays(5, |x| {
        (0..n)
            .fold(x, |y, i| {
                let other = if i % 2 == 0 { y * 0.5 } else { y.zeros_like() };
                y.gt(i as f64).select((y + 1.5).sin(), other)
            })
            .square()
            .sum()
    })
}

/// Single numbers, each of which depends on the one before, and a sum over neighbours.
fn recurrence_with_penalty(n: usize) -> Function<f64> {
    scalars(n, |x| {
        let state = x.iter().fold(x[0], |s, &x| (s * 0.5 + x).sin());
        let start = x[0].square();
        let penalty = x.windows(2).fold(start, |p, w| p + (w[1] - w[0]).square());
        state.square() + penalty
    })
}

/// y ← y·sin y: as many paths as 2ⁿ.
fn shared_subterms(n: usize) -> Function<f64> {
    arrays(20, |x| (0..n).fold(x, |y, _| y * y.sin()).sum())
}

/// Each view is one of the view before.
fn views_of_views(n: usize) -> Function<f64> {
    arrays(6, |x| {
        let mut y = x;
        for _ in 0..n {
            y = y.reshape(&[2, 3]).t().reshape(&[6]);
        }
        y.square().sum()
    })
}

/// Every seventh term is another one.
fn exceptions(n: usize) -> Function<f64> {
    scalars(n, |x| {
        let term = |i: usize| {
            if i.is_multiple_of(7) {
                x[i].cos()
            } else {
                x[i].sin()
            }
        };
        (1..n).fold(term(0), |sum, i| sum + term(i))
    })
}

/// Π xᵢ
fn product(n: usize) -> Function<f64> {
    scalars(n, |x| x[1..].iter().fold(x[0], |product, &x| product * x))
}

/// Two parameters a step, read as a slice of their own.
fn small_parameters(n: usize) -> Function<f64> {
    arrays(2 * n, |x| {
        let mut y = x.slice(0, 0..2);
        for i in 1..n {
            y = (y * x.slice(0, 2 * i..2 * i + 2)).sin();
        }
        y.sum()
    })
}

/// Windows of three parameters, each of which overlaps its neighbours.
fn overlapping(n: usize) -> Function<f64> {
    arrays(n + 3, |x| {
        let mut y = x.slice(0, 0..3);
        for i in 1..n {
            y = (y * x.slice(0, i..i + 3)).sin();
        }
        y.sum()
    })
}

/// sₜ = tanh(sₜ₋₁·W + b)
fn recurrent_net(n: usize) -> Function<f64> {
    let (width, rows) = (4, 3);
    let start = Array2::from_elem((rows, width), 0.1);
    arrays(width * width + width, |x| {
        let w = x.slice(0, 0..width * width).reshape(&[width, width]);
        let b = x.slice(0, width * width..width * width + width);
        let mut state = x.constant(start.view().into_dyn());
        for _ in 0..n {
            state = (state.matmul(w) + b).tanh();
        }
        state.square().sum()
    })
}

/// Σ ‖sin(A·i)·W‖²
fn shared_operand(n: usize) -> Function<f64> {
    let a = Array2::from_elem((3, 4), 0.3);
    arrays(16, |x| {
        let (w, a) = (x.reshape(&[4, 4]), x.constant(a.view().into_dyn()));
        let term = |i: usize| (a * (i as f64)).sin().matmul(w).square().sum();
        (1..n).fold(term(0), |sum, i| sum + term(i))
    })
}

/// Vectors joined and cut again.
fn concatenations(n: usize) -> Function<f64> {
    arrays(8, |x| {
        let mut y = x;
        for _ in 0..n {
            let (a, b) = (y.slice(0, 0..3), y.slice(0, 3..8));
            y = ad_core::concatenate(0, &[b.sin(), a]);
        }
        y.square().sum()
    })
}
