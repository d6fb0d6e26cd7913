//! Derivatives that users state.

use std::sync::Arc;

use super::{Recorder, Var};
use crate::graph::{Graph, NodeId, Operands};
use crate::ops::custom::{self, CustomRule, Program};
use crate::ops::{Attr, Op, layout};
use crate::shape::Shape;
use crate::transform::vjp;

/// What a rule for tangents computes with: variables of a recording of its own.
#[derive(Debug)]
pub struct JvpRule<'r> {
    /// x₁, …, xₘ
    pub inputs: Vec<Var<'r>>,
    /// y
    pub output: Var<'r>,
    /// ẋ₁, …, ẋₘ, of the inputs' shapes.
    pub tangents: Vec<Var<'r>>,
}

/// What a rule for cotangents computes with: variables of a recording of its own.
#[derive(Debug)]
pub struct VjpRule<'r> {
    /// x₁, …, xₘ
    pub inputs: Vec<Var<'r>>,
    /// y
    pub output: Var<'r>,
    /// ȳ, of the output's shape.
    pub cotangent: Var<'r>,
}

/// A function of variables with a derivative that you state: y = `f`(x₁, …, xₘ), and ẏ by `rule`
/// from the inputs, the output and their tangents.
///
/// The rule must be linear in the tangents. Reverse mode uses its transpose, and derivatives of
/// second and higher order are those of the stated rule, not of what `f` recorded. No derivative
/// passes through variables that `f` captures without taking them as inputs. Use
/// [`check_gradient`](crate::check_gradient) to test a rule.
///
/// ```
/// use ad_core::{Function, custom_jvp};
/// // y solves y³ + y = x. Newton's method finds it; the implicit function theorem gives
/// // ẏ = ẋ / (3y² + 1), whatever the method.
/// let root = Function::<f64>::record_scalars(1, |x| {
///     custom_jvp(
///         &[x[0]],
///         |x| {
///             let mut y = x[0];
///             for _ in 0..50 {
///                 y = y - (y.powi(3) + y - x[0]) / (3.0 * y.square() + 1.0);
///             }
///             y
///         },
///         |at| at.tangents[0] / (3.0 * at.output.square() + 1.0),
///     )
/// })?;
/// // At x = 10, y = 2: y′ = 1/13 and y″ = −6y y′²/(3y² + 1) = −12/13³.
/// assert!((root.value(&[10.0])? - 2.0).abs() < 1e-15);
/// assert!((root.gradient(&[10.0])?[0] - 1.0 / 13.0).abs() < 1e-16);
/// assert!((root.hessian(&[10.0])?[[0, 0]] + 12.0 / 2197.0).abs() < 1e-17);
/// # Ok::<(), ad_core::Error>(())
/// ```
///
/// A rule with a tangent of another shape than the output, or one that is not linear in the
/// tangents, is a recording error at the caller's line.
///
/// # Panics
/// If there is no input.
#[track_caller]
#[must_use]
pub fn custom_jvp<'t>(
    inputs: &[Var<'t>],
    f: impl FnOnce(&[Var<'t>]) -> Var<'t>,
    rule: impl for<'r> FnOnce(&JvpRule<'r>) -> Var<'r>,
) -> Var<'t> {
    let output = f(inputs);
    let shapes = shapes_of(inputs);
    attach(inputs, output, |shape| {
        let recorder = Recorder::default();
        let (arguments, output) = arguments(&recorder, &shapes, shape);
        let n = shapes.len();
        let tangents = shapes.iter().enumerate();
        let tangents = tangents.map(|(at, dims)| recorder.input(n + 1 + at, dims.dims()));
        let at = JvpRule {
            tangents: tangents.collect(),
            inputs: arguments,
            output,
        };
        let result = rule(&at);
        let tangents: Vec<_> = at.tangents.iter().map(|tangent| tangent.id).collect();
        let (tangent, tangents) =
            finished(&recorder, &[result], std::slice::from_ref(shape), &tangents)?;
        let seeds = [(tangent.outputs[0], shape.clone())];
        let cotangents = transposed(&tangent, &seeds, &tangents, 2 * n + 1, n)?;
        Ok(CustomRule {
            tangent,
            cotangents,
        })
    })
}

/// A function of variables with a derivative that you state: y = `f`(x₁, …, xₘ), and the cotangents
/// x̄₁, …, x̄ₘ by `rule` from the inputs, the output and its cotangent.
///
/// As [`custom_jvp`], the other way round: the rule must be linear in the cotangent, and forward mode
/// uses its transpose.
///
/// ```
/// use ad_core::{Function, custom_vjp};
/// // A gradient that is clipped on its way back.
/// let clipped = Function::<f64>::record_scalars(1, |x| {
///     let y = custom_vjp(&[x[0]], |x| x[0], |at| vec![at.cotangent * 0.5]);
///     y.square()
/// })?;
/// assert_eq!(clipped.value(&[3.0])?, 9.0);
/// assert_eq!(clipped.gradient(&[3.0])?.to_vec(), [3.0]);
/// # Ok::<(), ad_core::Error>(())
/// ```
///
/// # Panics
/// If there is no input.
#[track_caller]
#[must_use]
pub fn custom_vjp<'t>(
    inputs: &[Var<'t>],
    f: impl FnOnce(&[Var<'t>]) -> Var<'t>,
    rule: impl for<'r> FnOnce(&VjpRule<'r>) -> Vec<Var<'r>>,
) -> Var<'t> {
    let output = f(inputs);
    let shapes = shapes_of(inputs);
    attach(inputs, output, |shape| {
        let recorder = Recorder::default();
        let (arguments, output) = arguments(&recorder, &shapes, shape);
        let n = shapes.len();
        let at = VjpRule {
            cotangent: recorder.input(n + 1, shape.dims()),
            inputs: arguments,
            output,
        };
        let results = rule(&at);
        let (cotangents, wrt) = finished(&recorder, &results, &shapes, &[at.cotangent.id])?;
        let outputs = cotangents.outputs.iter().copied();
        let seeds: Vec<_> = outputs.zip(shapes.iter().cloned()).collect();
        let tangent = transposed(&cotangents, &seeds, &wrt, n + 2, n)?;
        Ok(CustomRule {
            tangent,
            cotangents,
        })
    })
}

fn shapes_of(inputs: &[Var<'_>]) -> Vec<Shape> {
    inputs.iter().map(|input| input.dims()).collect()
}

/// The inputs and the output as variables of the rule's own recording.
fn arguments<'r>(
    recorder: &'r Recorder,
    shapes: &[Shape],
    output: &Shape,
) -> (Vec<Var<'r>>, Var<'r>) {
    let inputs = shapes.iter().enumerate();
    let inputs = inputs.map(|(at, shape)| recorder.input(at, shape.dims()));
    (
        inputs.collect(),
        recorder.input(shapes.len(), output.dims()),
    )
}

/// Ends the recording of a rule with its results, if they have the right shapes; says where the
/// inputs `wrt` are then.
fn finished(
    recorder: &Recorder,
    results: &[Var<'_>],
    expected: &[Shape],
    wrt: &[NodeId],
) -> Result<(Program, Vec<NodeId>), String> {
    if results.len() != expected.len() {
        return Err(format!(
            "the rule has {} results for {} inputs",
            results.len(),
            expected.len()
        ));
    }
    for (result, expected) in results.iter().zip(expected) {
        if !std::ptr::eq(result.recorder, recorder) {
            return Err("the rule's result belongs to another recording".into());
        }
        if result.dims() != *expected {
            return Err(format!(
                "the rule's result has the shape {}, but {expected} was expected",
                result.dims()
            ));
        }
    }
    let mut targets: Vec<_> = results.iter().map(|result| result.id).collect();
    targets.extend_from_slice(wrt);
    let (graph, mut outputs) = recorder.take(&targets).map_err(|error| error.to_string())?;
    let wrt = outputs.split_off(results.len());
    Ok((Program { graph, outputs }, wrt))
}

/// The transpose of a program that is linear in `wrt`: inputs are the `n` arguments, the output,
/// and cotangents of the seeds, for which positions from `position` on are free.
fn transposed(
    program: &Program,
    seeds: &[(NodeId, Shape)],
    wrt: &[NodeId],
    position: usize,
    n: usize,
) -> Result<Program, String> {
    let mut graph = program.graph.clone();
    let mut pairs = Vec::new();
    for (at, (output, shape)) in seeds.iter().enumerate() {
        pairs.push((*output, graph.input(position + at, shape)));
    }
    let results = vjp(&mut graph, &pairs, wrt);
    let mut outputs = Vec::new();
    for (result, &like) in results.into_iter().zip(wrt) {
        let shape = graph.shape(like).clone();
        outputs.push(result.unwrap_or_else(|| graph.full(0.0, &shape)));
    }
    let needed = graph.needed_for(outputs.iter().copied());
    if wrt.iter().any(|id| needed[id.index()]) {
        return Err("the rule is not linear in what it derives".into());
    }
    // The seeds move to the positions that follow the output.
    let mut fresh = Graph::default();
    let mut inputs = Vec::new();
    for at in 0..=n {
        inputs.push(argument(&mut fresh, &graph, at));
    }
    let unused = fresh.scalar(0.0);
    inputs.resize(position, unused);
    for (at, (_, shape)) in seeds.iter().enumerate() {
        inputs.push(fresh.input(n + 1 + at, shape));
    }
    let outputs = crate::graph::splice(&mut fresh, &graph, &outputs, &inputs);
    Ok(Program {
        graph: fresh,
        outputs,
    })
}

/// The input at a position of another graph, or a number in its place where that reads none.
fn argument(fresh: &mut Graph, graph: &Graph, position: usize) -> NodeId {
    match graph.input_shape(position) {
        Some(shape) => fresh.input(position, &shape),
        None => fresh.scalar(0.0),
    }
}

/// Records the output with the rule for it.
#[track_caller]
fn attach<'t>(
    inputs: &[Var<'t>],
    output: Var<'t>,
    rule: impl FnOnce(&Shape) -> Result<CustomRule, String>,
) -> Var<'t> {
    let first = inputs.first().expect("a stated derivative needs an input");
    let shape = output.dims();
    // The rule is recorded before this recording is borrowed.
    let rule = rule(&shape);
    first.recorder.build("custom", |graph| {
        first.same_recording(output)?;
        let stop = Op::new(&layout::STOP_GRADIENT, Attr::None);
        let output = graph.push(stop, Operands::from_slice(&[output.id]));
        let mut operands = Operands::from_slice(&[output]);
        for input in inputs {
            first.same_recording(*input)?;
            operands.push(input.id);
        }
        let number = graph.keep_rule(Arc::new(rule?));
        graph.try_push(custom::custom(number), operands)
    })
}
