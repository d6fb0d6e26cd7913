//! Minimisers on the workspace's test problems and classifiers: the same recordings as the
//! harness's, with calls counted in the function.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use ad_core::{Function, Point, Product, Residuals};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};
use test_problems::{Mark, Tally, network, problems};

use crate::Failure;

/// What the program is asked to do.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// The norm of the gradient to end at, for methods that ask.
    pub gradient_norm: f64,
    /// Outer iterations at most.
    pub max_iters: u64,
    repeats: usize,
    tasks: Vec<Task>,
}

#[derive(Clone, Debug, Deserialize)]
struct Task {
    name: String,
    problem: Option<usize>,
    network: Option<Network>,
    start: Vec<f64>,
    answers: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Network {
    sizes: Vec<usize>,
    lambda: f64,
    folder: PathBuf,
}

/// Gradients and products of a run at most: a method that goes on is not converging.
const MAX_CALLS: u64 = 200_000;

/// A function whose calls are counted.
pub struct Counted {
    function: Arc<Function<f64>>,
    tally: Tally,
    /// The last point of a product, and what its products share.
    at: Mutex<(Vec<f64>, Residuals<f64>)>,
    /// The least value that was computed.
    least: Mutex<f64>,
}

impl Counted {
    fn new(function: &Arc<Function<f64>>, answers: &[f64]) -> Self {
        Self {
            function: Arc::clone(function),
            tally: Tally::new(answers),
            at: Mutex::new((Vec::new(), Residuals::new())),
            least: Mutex::new(f64::INFINITY),
        }
    }

    fn saw(&self, value: f64) -> Result<(), Failure> {
        let mut least = self.least.lock().unwrap_or_else(PoisonError::into_inner);
        *least = least.min(value);
        let counts = self.tally.counts();
        if counts.n_values + counts.n_gradients + counts.n_products > MAX_CALLS {
            return Err("too many calls".into());
        }
        Ok(())
    }

    /// f(x), or infinity where it is not a number, which is how these libraries want it.
    pub fn value(&self, x: &[f64]) -> Result<f64, Failure> {
        let value = self.function.value(x)?;
        self.tally.value(value);
        self.saw(value)?;
        Ok(if value.is_nan() { f64::INFINITY } else { value })
    }

    /// ∇f(x).
    pub fn gradient(&self, x: &[f64]) -> Result<Vec<f64>, Failure> {
        Ok(self.value_and_gradient(x)?.1)
    }

    /// f(x) and ∇f(x).
    pub fn value_and_gradient(&self, x: &[f64]) -> Result<(f64, Vec<f64>), Failure> {
        let mut gradient = vec![0.0; x.len()];
        let target = ArrayViewMut1::from(&mut gradient[..]);
        let value = self.function.value_and_grad_into(x, target)?;
        self.tally.gradient(Some(value));
        self.saw(value)?;
        Ok((value, gradient))
    }

    /// ∇²f(x)·v; what products at one point share is computed once.
    pub fn product(&self, x: &[f64], v: &[f64]) -> Result<Vec<f64>, Failure> {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let (point, residuals) = &mut *at;
        if point != x {
            let mut gradient = Array1::zeros(x.len());
            self.function.linearize_into(x, residuals, gradient.view_mut())?;
            *point = x.to_vec();
        }
        let mut product = vec![0.0; x.len()];
        let target = ArrayViewMut1::from(&mut product[..]);
        let v = ArrayView1::from(v);
        self.function.apply_linearized(Product::Hvp, Point::from(x), residuals, v, target)?;
        self.tally.product();
        drop(at);
        self.saw(f64::INFINITY)?;
        Ok(product)
    }
}

/// How a method says that it ended.
pub struct Ending {
    /// The value at the end.
    pub value: f64,
    /// Outer iterations.
    pub n_iters: u64,
    /// Why it ended.
    pub text: String,
}

/// A method: its name, and a run from a start.
pub type Method = (&'static str, fn(Arc<Counted>, &[f64], &Request) -> Result<Ending, Failure>);

/// A run as the harness reads it.
#[derive(Clone, Debug, Serialize)]
struct Run {
    task: String,
    method: String,
    value: Option<f64>,
    ending: String,
    n_iters: u64,
    n_values: u64,
    n_gradients: u64,
    n_products: u64,
    solved: Option<Solved>,
}

#[derive(Clone, Debug, Serialize)]
struct Solved {
    n_values: u64,
    n_gradients: u64,
    n_products: u64,
    seconds: f64,
}

/// Runs all methods on what the request on the command line asks for.
pub fn main(engine: &str, methods: &[Method]) -> ExitCode {
    match answer(engine, methods) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{engine}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(engine: &str, methods: &[Method]) -> Result<String, Failure> {
    let path = std::env::args().nth(1).ok_or("expected the path of a request")?;
    let request: Request = serde_json::from_slice(&std::fs::read(path)?)?;
    let mut runs = Vec::new();
    for task in &request.tasks {
        let function = Arc::new(function(task)?);
        for &(name, method) in methods {
            runs.push(best(task, &function, &format!("{engine}: {name}"), method, &request));
        }
    }
    Ok(serde_json::to_string(&runs)?)
}

fn function(task: &Task) -> Result<Function<f64>, Failure> {
    if let Some(network) = &task.network {
        let sizes = &network.sizes;
        let inputs = array(network, "inputs", sizes[0])?;
        let targets = array(network, "targets", sizes[sizes.len() - 1])?;
        let loss = network::classifier(sizes, inputs.view(), targets.view(), network.lambda);
        return Ok(loss?);
    }
    let number = task.problem.ok_or("a task without a function")?;
    let mut found = problems().into_iter().filter(|problem| problem.number == number);
    let problem = found.next().ok_or_else(|| format!("no problem {number}"))?;
    Ok(problem.function)
}

fn array(network: &Network, name: &str, columns: usize) -> Result<Array2<f64>, Failure> {
    let bytes = std::fs::read(network.folder.join(format!("{name}.bin")))?;
    let (numbers, _) = bytes.as_chunks::<8>();
    let numbers: Vec<_> = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    Ok(Array2::from_shape_vec((numbers.len() / columns, columns), numbers)?)
}

/// The runs of a method are the same but for their times, of which the least is kept.
fn best(
    task: &Task,
    function: &Arc<Function<f64>>,
    name: &str,
    method: fn(Arc<Counted>, &[f64], &Request) -> Result<Ending, Failure>,
    request: &Request,
) -> Run {
    let mut seconds = f64::INFINITY;
    let mut last = None;
    for _ in 0..request.repeats.max(1) {
        let f = Arc::new(Counted::new(function, &task.answers));
        // A method that breaks off has got as far as the least value that it saw.
        let ending = method(Arc::clone(&f), &task.start, request).unwrap_or_else(|error| Ending {
            value: *f.least.lock().unwrap_or_else(PoisonError::into_inner),
            n_iters: 0,
            text: format!("broke off: {error}"),
        });
        let (counts, mark) = (f.tally.counts(), f.tally.first(ending.value));
        let solved = mark.map(|Mark { counts, seconds: took }| {
            seconds = seconds.min(took);
            Solved {
                n_values: counts.n_values,
                n_gradients: counts.n_gradients,
                n_products: counts.n_products,
                seconds,
            }
        });
        last = Some(Run {
            task: task.name.clone(),
            method: name.into(),
            value: ending.value.is_finite().then_some(ending.value),
            ending: ending.text,
            n_iters: ending.n_iters,
            n_values: counts.n_values,
            n_gradients: counts.n_gradients,
            n_products: counts.n_products,
            solved,
        });
    }
    last.expect("at least one run")
}
