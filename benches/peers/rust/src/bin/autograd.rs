//! autograd: a perceptron's gradient, and its product with the Hessian as the gradient of ⟨∇f, v⟩.

use std::process::ExitCode;

use ag::ndarray::ArrayD;
use ag::ndarray::IxDyn;
use ag::tensor::Variable;
use ag::{Float, Graph, Tensor};
use autograd as ag;
use peers::{Call, Candidate, Case, Digest, Failure, Session, digest, value_digest};

fn main() -> ExitCode {
    peers::main(|session, case| match case.dtype.as_str() {
        "f32" => each::<f32>(session, case, |x| x as f32, f64::from),
        _ => each::<f64>(session, case, |x| x, |x| x),
    })
}

fn each<F: Float>(
    session: &Session,
    case: &Case,
    from: fn(f64) -> F,
    to: fn(F) -> f64,
) -> Result<(), Failure> {
    let net = &Net::new(case, from, to)?;
    // The graph is built once, outside of what is timed, and evaluated by every call.
    ag::with(|graph: &mut Graph<F>| {
        let graph = &*graph;
        let candidate = |op: &'static str, mode: &'static str| {
            Candidate::new(op, mode, move || Ok(Run::new(net, graph, op)))
        };
        let candidates = vec![
            candidate("value", "graph"),
            candidate("value_and_grad", "graph"),
            candidate("hvp", "reverse over reverse"),
        ];
        session.measure(case, net.v.len(), candidates);
    });
    Ok(())
}

/// The arrays of a case.
struct Net<F> {
    inputs: ArrayD<F>,
    targets: ArrayD<F>,
    /// Weights and biases, and the same parts of the vector.
    x: Vec<ArrayD<F>>,
    parts: Vec<ArrayD<F>>,
    v: Vec<f64>,
    to: fn(F) -> f64,
}

impl<F: Float> Net<F> {
    fn new(case: &Case, from: fn(f64) -> F, to: fn(F) -> f64) -> Result<Self, Failure> {
        let array = |values: &[f64], rows: usize| {
            let values: Vec<_> = values.iter().map(|&value| from(value)).collect();
            ArrayD::from_shape_vec(IxDyn(&[rows, values.len() / rows]), values)
        };
        let cut = |flat: &[f64]| -> Result<Vec<ArrayD<F>>, Failure> {
            let (mut parts, mut rest) = (Vec::new(), flat);
            for pair in case.sizes.windows(2) {
                for rows in [pair[0], 1] {
                    let (part, after) = rest.split_at(rows * pair[1]);
                    parts.push(array(part, rows)?);
                    rest = after;
                }
            }
            Ok(parts)
        };
        let v = case.array("v")?;
        Ok(Self {
            inputs: array(&case.array("inputs")?, case.batch)?,
            targets: array(&case.array("targets")?, case.batch)?,
            x: cut(&case.array("x")?)?,
            parts: cut(&v)?,
            v,
            to,
        })
    }
}

/// Tensors to evaluate.
struct Run<'a, 'g, F: Float> {
    net: &'a Net<F>,
    graph: &'g Graph<F>,
    op: &'static str,
    wanted: Vec<Tensor<'g, F>>,
    found: Vec<ArrayD<F>>,
}

impl<'a, 'g, F: Float> Run<'a, 'g, F> {
    fn new(net: &'a Net<F>, graph: &'g Graph<F>, op: &'static str) -> Self {
        let variable =
            |array: &ArrayD<F>| graph.variable(ag::ndarray_ext::into_shared(array.clone()));
        let constant = |array: &ArrayD<F>| graph.convert_to_tensor(array.clone());
        let x: Vec<_> = net.x.iter().map(variable).collect();
        let mut h = constant(&net.inputs);
        for (at, layer) in x.chunks(2).enumerate() {
            let z = graph.matmul(h, layer[0]) + layer[1];
            let last = 2 * (at + 1) == x.len();
            h = if last { z } else { graph.tanh(z) };
        }
        let log_p = graph.log_softmax(h, 1);
        let sums = graph.reduce_sum(constant(&net.targets) * log_p, &[1], false);
        let loss = graph.neg(graph.reduce_mean(sums, &[0], false));
        let wanted = match op {
            "value" => vec![loss],
            "value_and_grad" => [vec![loss], graph.grad(&[loss], &x)].concat(),
            _ => {
                let gradient = graph.grad(&[loss], &x);
                let terms: Vec<_> = gradient
                    .iter()
                    .zip(&net.parts)
                    .map(|(g, v)| graph.reduce_sum_to_scalar(*g * constant(v)))
                    .collect();
                graph.grad(&[graph.add_n(&terms)], &x)
            }
        };
        Self {
            net,
            graph,
            op,
            wanted,
            found: Vec::new(),
        }
    }
}

impl<F: Float> Call for Run<'_, '_, F> {
    fn run(&mut self) -> Result<(), Failure> {
        let found = self.graph.eval(&self.wanted, &[]);
        self.found = found.into_iter().collect::<Result<_, _>>()?;
        Ok(())
    }

    fn digest(&self) -> Digest {
        let numbers: Vec<f64> = self
            .found
            .iter()
            .flat_map(|array| array.iter().map(|&x| (self.net.to)(x)))
            .collect();
        match self.op {
            "value" => value_digest(numbers[0]),
            "value_and_grad" => Digest {
                value: Some(numbers[0]),
                ..digest(&numbers[1..], &self.net.v)
            },
            _ => digest(&numbers, &self.net.v),
        }
    }
}
