//! Programs of a case: value, tangents, cotangents, second order; and stacks of them.

use super::case::{Case, directions};
use crate::execute::{self, Memory};
use crate::graph::{Graph, NodeId};
use crate::ops::elementwise as ew;
use crate::plan::{self, Plan};
use crate::real::Real;
use crate::shape::Shape;
use crate::transform;

/// A graph with the results that are wanted of it.
pub(super) struct Program {
    graph: Graph,
    outputs: Vec<NodeId>,
    n_inputs: usize,
    plan: Plan<f64>,
}

impl Program {
    fn new(graph: Graph, outputs: Vec<NodeId>, n_inputs: usize) -> Self {
        let plan = plan::compile(&graph, &outputs, n_inputs).unwrap();
        Self {
            graph,
            outputs,
            n_inputs,
            plan,
        }
    }

    pub(super) fn run(&self, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        run(&self.plan, inputs)
    }

    /// The results in single precision, of inputs that it can hold.
    pub(super) fn run_f32(&self, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let plan: Plan<f32> = plan::compile(&self.graph, &self.outputs, self.n_inputs).unwrap();
        run(&plan, inputs)
    }

    /// The program for `count` values of each of the `stacked` inputs.
    pub(super) fn stacked(&self, stacked: &[usize], count: usize) -> Self {
        let (graph, outputs) = transform::batch(&self.graph, &self.outputs, stacked, count);
        Self::new(graph, outputs, self.n_inputs)
    }
}

fn run<T: Real>(plan: &Plan<T>, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of = |values: &Vec<f64>| values.iter().map(|&value| T::of(value)).collect();
    let inputs: Vec<Vec<T>> = inputs.iter().map(of).collect();
    let inputs: Vec<&[T]> = inputs.iter().map(Vec::as_slice).collect();
    // Whatever a program forgets to write stays a NaN.
    let empty = |&len: &usize| vec![T::nan(); len];
    let mut outputs: Vec<Vec<T>> = plan.outputs.iter().map(empty).collect();
    let mut slices: Vec<&mut [T]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    execute::run(plan, &mut Memory::new(), &inputs, &mut slices).unwrap();
    let back = |values: &Vec<T>| values.iter().map(|value| value.as_f64()).collect();
    outputs.iter().map(back).collect()
}

/// The programs that the identities speak of.
///
/// Inputs by position: the k inputs of the case, their k tangents, the cotangent of the result.
pub(super) struct Programs {
    pub(super) n_inputs: usize,
    pub(super) output_len: usize,
    /// y
    pub(super) value: Program,
    /// ẏ for a tangent of each input alone, then for all together.
    pub(super) tangents: Program,
    /// The cotangent of each input.
    pub(super) cotangents: Program,
    /// The gradient of φ = Σ w·y + ½ Σ y², with fixed random weights w, in each input.
    pub(super) gradient: Program,
    /// The Hessian of φ times the tangents, the part of each input.
    pub(super) hvp: Program,
}

impl Programs {
    pub(super) fn of(case: &Case) -> Result<Self, String> {
        let mut graph = Graph::default();
        let (inputs, y) = case.record(&mut graph)?;
        let k = inputs.len();
        let shape = graph.shape(y).clone();
        let make = |graph: Graph, outputs| Program::new(graph, outputs, 2 * k + 1);
        let value = make(graph.clone(), vec![y]);
        let tangents: Vec<_> = (0..k)
            .map(|at| {
                let shape = graph.shape(inputs[at]).clone();
                graph.input(k + at, &shape)
            })
            .collect();
        let seeds: Vec<_> = inputs.iter().copied().zip(tangents).collect();
        let forward = {
            let mut graph = graph.clone();
            let alone = seeds.iter().map(std::slice::from_ref);
            let sets: Vec<&[(NodeId, NodeId)]> = alone.chain([seeds.as_slice()]).collect();
            let along = |set: &&[(NodeId, NodeId)]| {
                let tangent = transform::jvp(&mut graph, &[y], set)[0];
                or_zeros(&mut graph, tangent, y)
            };
            let outputs = sets.iter().map(along).collect();
            make(graph, outputs)
        };
        let cotangents = {
            let mut graph = graph.clone();
            let seed = graph.input(2 * k, &shape);
            let outputs = pull_back(&mut graph, y, seed, &inputs);
            make(graph, outputs)
        };
        let phi = weighted(&mut graph, y, &shape);
        let one = graph.scalar(1.0);
        let gradient = pull_back(&mut graph, phi, one, &inputs);
        let products = transform::jvp(&mut graph, &gradient, &seeds);
        let products = products.iter().zip(&inputs);
        let products = products
            .map(|(&product, &like)| or_zeros(&mut graph, product, like))
            .collect();
        Ok(Self {
            n_inputs: k,
            output_len: shape.len(),
            value,
            tangents: forward,
            cotangents,
            gradient: make(graph.clone(), gradient),
            hvp: make(graph, products),
        })
    }
}

/// Σ w·y + ½ Σ y²: its second order sees that of y, and how y's cotangent moves.
fn weighted(graph: &mut Graph, y: NodeId, shape: &Shape) -> NodeId {
    let axes: Vec<usize> = (0..shape.rank()).collect();
    let weights = directions(&[shape.len()], 7).remove(0);
    let weights = graph.constant(weights, shape);
    let product = graph.mul(weights, y);
    let linear = graph.sum(product, &axes);
    let square = graph.map1(&ew::SQUARE, y);
    let squares = graph.sum(square, &axes);
    let half = graph.scale(0.5, squares);
    graph.add(linear, half)
}

fn pull_back(graph: &mut Graph, y: NodeId, seed: NodeId, inputs: &[NodeId]) -> Vec<NodeId> {
    let cotangents = transform::vjp(graph, &[(y, seed)], inputs);
    let pairs = cotangents.iter().zip(inputs);
    pairs
        .map(|(&cotangent, &like)| or_zeros(graph, cotangent, like))
        .collect()
}

fn or_zeros(graph: &mut Graph, value: Option<NodeId>, like: NodeId) -> NodeId {
    value.unwrap_or_else(|| {
        let shape = graph.shape(like).clone();
        graph.full(0.0, &shape)
    })
}
