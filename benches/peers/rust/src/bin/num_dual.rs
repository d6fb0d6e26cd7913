//! num-dual: the chained Rosenbrock function on dual numbers.

use std::process::ExitCode;

use nalgebra::DVector;
use num_dual::{Dual64, DualDVec64, DualNum, HyperDual64, gradient};
use peers::{Call, Candidate, Case, Digest, Failure, Session, digest, value_digest};

fn main() -> ExitCode {
    peers::main(each)
}

/// Σᵢ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²
fn chained<D: DualNum<Primitive = f64>>(x: &[D]) -> D {
    let term = |pair: &[D]| {
        let a = pair[1].clone() - pair[0].clone() * &pair[0];
        let b = -pair[0].clone() + 1.0;
        a.clone() * a * 100.0 + b.clone() * b
    };
    let first = term(&x[..2]);
    x[1..].windows(2).fold(first, |sum, pair| sum + term(pair))
}

fn each(session: &Session, case: &Case) -> Result<(), Failure> {
    let (x, v) = (&case.array("x")?, &case.array("v")?);
    let new = |op: &'static str, mode: &'static str, run: fn(&[f64], &[f64]) -> Found| {
        Candidate::new(op, mode, move || {
            Ok(Run {
                x,
                v,
                run,
                found: Found::default(),
            })
        })
    };
    let candidates = vec![
        new("value", "f64", |x, _| Found(Some(chained(x)), None)),
        new("value_and_grad", "dual vectors", by_vectors),
        new(
            "value_and_grad",
            "a dual number for each variable",
            by_numbers,
        ),
        new("hvp", "hyper-dual numbers", by_hyper_duals),
    ];
    session.measure(case, x.len(), candidates);
    Ok(())
}

/// f(x), and a gradient or a product.
#[derive(Default)]
struct Found(Option<f64>, Option<Vec<f64>>);

/// All derivatives at once.
fn by_vectors(x: &[f64], _: &[f64]) -> Found {
    let x = DVector::from_column_slice(x);
    let (value, gradient) = gradient(|x: DVector<DualDVec64>| chained(x.as_slice()), &x);
    Found(Some(value), Some(gradient.as_slice().to_vec()))
}

/// One derivative after the other.
fn by_numbers(x: &[f64], _: &[f64]) -> Found {
    let mut duals: Vec<_> = x.iter().map(|&x| Dual64::from_re(x)).collect();
    let mut value = 0.0;
    let mut along = |at: usize| {
        duals[at].eps = 1.0;
        let found = chained(&duals);
        duals[at].eps = 0.0;
        value = found.re;
        found.eps
    };
    let gradient = (0..x.len()).map(&mut along).collect();
    Found(Some(value), Some(gradient))
}

/// (H·v)ᵢ = ∂ᵢ∂ᵥ f
fn by_hyper_duals(x: &[f64], v: &[f64]) -> Found {
    let numbers = x.iter().zip(v);
    let mut duals: Vec<_> = numbers
        .map(|(&x, &v)| HyperDual64::new(x, 0.0, v, 0.0))
        .collect();
    let along = |at: usize| {
        duals[at].eps1 = 1.0;
        let found = chained(&duals).eps1eps2;
        duals[at].eps1 = 0.0;
        found
    };
    Found(None, Some((0..x.len()).map(along).collect()))
}

struct Run<'a> {
    x: &'a [f64],
    v: &'a [f64],
    run: fn(&[f64], &[f64]) -> Found,
    found: Found,
}

impl Call for Run<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        self.found = (self.run)(self.x, self.v);
        Ok(())
    }

    fn digest(&self) -> Digest {
        let Found(value, vector) = &self.found;
        let digest = vector
            .as_ref()
            .map_or(value_digest(0.0), |vector| digest(vector, self.v));
        Digest {
            value: *value,
            ..digest
        }
    }
}
