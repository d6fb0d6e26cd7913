//! What is known of a problem.

use ad_core::{Function, Var, stack};

/// |f − f*| up to this times max(1, |f*|) counts as the answer.
const TOLERANCE: f64 = 1e-10;

/// A sum of squares with what is known about it.
#[derive(Debug)]
pub struct Problem {
    /// The number in the paper, from 1.
    pub number: usize,
    /// The name in the paper.
    pub name: &'static str,
    /// The number of residuals.
    pub m: usize,
    /// f, with the residuals as the model output.
    pub function: Function<f64>,
    /// The standard start.
    pub start: Vec<f64>,
    /// The multiples of the start from which MINPACK's test drivers run the problem (those for
    /// nonlinear equations and for least squares; Moré, Garbow and Hillstrom 1980); 1 alone for
    /// problems that they do not have.
    pub start_factors: &'static [f64],
    /// The least value f*.
    pub minimum: f64,
    /// Where the least value is taken, as far as it can be stated in closed form.
    pub minimisers: Vec<Vec<f64>>,
    /// The other values at which a method may end, as far as they are known.
    pub others: Vec<Stationary>,
}

/// A stationary value that is not the least one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stationary {
    /// The value.
    pub value: f64,
    /// What it is.
    pub kind: Kind,
}

/// The kind of a stationary value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A local minimum.
    Minimum,
    /// A saddle: the Hessian has a negative eigenvalue.
    Saddle,
    /// Approached from above as some variables go to infinity.
    Limit,
    /// The Hessian is singular and positive semidefinite, and f falls only at a high order.
    Flat,
}

impl Problem {
    /// Records Σ rᵢ². All else is set by the methods below.
    ///
    /// # Panics
    /// If the recording fails, which is an error in this crate.
    pub(crate) fn record<F>(
        number: usize,
        name: &'static str,
        start: &[f64],
        minimum: f64,
        residuals: F,
    ) -> Self
    where
        F: for<'t> FnOnce(&[Var<'t>]) -> Vec<Var<'t>>,
    {
        let mut m = 0;
        let function = Function::record_scalars(start.len(), |x| {
            let residuals = residuals(x);
            m = residuals.len();
            stack(&residuals).model_output().square().sum()
        });
        Problem {
            number,
            name,
            m,
            function: function.expect("the operations fit"),
            start: start.to_vec(),
            start_factors: &[1.0],
            minimum,
            minimisers: Vec::new(),
            others: Vec::new(),
        }
    }

    /// MINPACK's drivers run it from 1, 10 and 100 times the start.
    pub(crate) fn from_three_starts(mut self) -> Self {
        self.start_factors = &[1.0, 10.0, 100.0];
        self
    }

    /// MINPACK's drivers run it from the start and 10 times the start.
    pub(crate) fn from_two_starts(mut self) -> Self {
        self.start_factors = &[1.0, 10.0];
        self
    }

    pub(crate) fn at(mut self, minimiser: &[f64]) -> Self {
        self.minimisers.push(minimiser.to_vec());
        self
    }

    pub(crate) fn other(mut self, kind: Kind, value: f64) -> Self {
        self.others.push(Stationary { value, kind });
        self
    }

    /// The number of variables.
    #[must_use]
    pub fn n(&self) -> usize {
        self.start.len()
    }

    /// `factor` times the start. For a start at the origin, `factor` in every variable, if it is
    /// not 1, as in MINPACK's drivers.
    #[must_use]
    pub fn start_times(&self, factor: f64) -> Vec<f64> {
        let whole = factor.to_bits() == 1.0_f64.to_bits();
        if !whole && self.start.iter().all(|&x| x.abs() <= 0.0) {
            return vec![factor; self.n()];
        }
        self.start.iter().map(|x| factor * x).collect()
    }

    /// Whether a value is the least one, |f − f*| ≤ 1e-10 max(1, |f*|), or as near to one of the
    /// other stationary values; at a saddle, no method should end.
    #[must_use]
    pub fn is_answer(&self, value: f64) -> bool {
        self.answers().iter().any(|&known| is_near(value, known))
    }

    /// The values at which a method may end: the least one first, then the others but for saddles.
    #[must_use]
    pub fn answers(&self) -> Vec<f64> {
        let others = self
            .others
            .iter()
            .filter(|other| other.kind != Kind::Saddle);
        let others = others.map(|other| other.value);
        std::iter::once(self.minimum).chain(others).collect()
    }
}

pub(crate) fn is_near(value: f64, known: f64) -> bool {
    (value - known).abs() <= TOLERANCE * known.abs().max(1.0)
}

/// Σ of at least one term.
///
/// # Panics
/// If there is none.
pub(crate) fn sum<'t>(terms: impl IntoIterator<Item = Var<'t>>) -> Var<'t> {
    let sum = terms.into_iter().reduce(|sum, term| sum + term);
    sum.expect("a sum has terms")
}
