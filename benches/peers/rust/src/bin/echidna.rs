//! echidna: the chained Rosenbrock function on its tape of scalars.

use std::process::ExitCode;

use echidna::{BReverse, BytecodeTape, Dual};
use peers::{Call, Candidate, Case, Digest, Failure, Session, digest, value_digest};

fn main() -> ExitCode {
    peers::main(each)
}

/// Σᵢ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²
fn chained(x: &[BReverse<f64>]) -> BReverse<f64> {
    let term = |pair: &[BReverse<f64>]| {
        let (a, b) = (pair[1] - pair[0] * pair[0], 1.0 - pair[0]);
        100.0 * (a * a) + b * b
    };
    let first = term(&x[..2]);
    x[1..].windows(2).fold(first, |sum, pair| sum + term(pair))
}

fn each(session: &Session, case: &Case) -> Result<(), Failure> {
    let (x, v) = (&case.array("x")?, &case.array("v")?);
    let new = |op: &'static str, mode: &'static str| {
        Candidate::new(op, mode, move || Ok(Run::new(op, x, v)))
    };
    let ops = ["value", "value_and_grad", "hvp"];
    let mut candidates: Vec<_> = ops.into_iter().map(|op| new(op, "tape")).collect();
    candidates.push(new(SPARSE, "sparse_hessian_vec"));
    session.measure(case, x.len(), candidates);
    Ok(())
}

const SPARSE: &str = "hessian_sparse";

/// An operation on a recorded tape, with the buffers that the library lets a caller keep.
struct Run<'a> {
    op: &'static str,
    tape: BytecodeTape<f64>,
    x: &'a [f64],
    v: &'a [f64],
    adjoints: Vec<f64>,
    duals: (Vec<Dual<f64>>, Vec<Dual<f64>>),
    value: f64,
    vector: Vec<f64>,
    /// Rows and columns of the lower triangle.
    places: (Vec<u32>, Vec<u32>),
}

impl<'a> Run<'a> {
    fn new(op: &'static str, x: &'a [f64], v: &'a [f64]) -> Self {
        Self {
            op,
            tape: echidna::record(chained, x).0,
            x,
            v,
            adjoints: Vec::new(),
            duals: Default::default(),
            value: 0.0,
            vector: Vec::new(),
            places: Default::default(),
        }
    }
}

impl Call for Run<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        match self.op {
            "value" => {
                self.tape.forward(self.x);
                self.value = self.tape.output_value();
            }
            "value_and_grad" => {
                self.vector = self.tape.gradient_with_buf(self.x, &mut self.adjoints);
                self.value = self.tape.output_value();
            }
            "hvp" => {
                let (values, adjoints) = &mut self.duals;
                self.vector = self.tape.hvp_with_buf(self.x, self.v, values, adjoints).1;
            }
            _ => {
                let (_, _, pattern, values) = self.tape.sparse_hessian_vec::<4>(self.x);
                self.places = (pattern.rows, pattern.cols);
                self.vector = values;
            }
        }
        Ok(())
    }

    fn digest(&self) -> Digest {
        match self.op {
            "value" => value_digest(self.value),
            "value_and_grad" => Digest {
                value: Some(self.value),
                ..digest(&self.vector, self.v)
            },
            "hvp" => digest(&self.vector, self.v),
            _ => {
                let (mut squares, mut dot) = (0.0, 0.0);
                let places = self.places.0.iter().zip(&self.places.1);
                for ((&row, &column), value) in places.zip(&self.vector) {
                    let times = if row == column { 1.0 } else { 2.0 };
                    squares += times * value * value;
                    dot += times * value * self.v[row as usize] * self.v[column as usize];
                }
                Digest {
                    value: None,
                    norm: Some(f64::sqrt(squares)),
                    dot: Some(dot),
                }
            }
        }
    }
}
