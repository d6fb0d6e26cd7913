//! The tester: what every primitive must satisfy on every sample. No identity alone suffices:
//! a factor on all rules escapes the adjoint identity, a wrong second order escapes both tests of
//! the first order.

use super::case::{Case, Tensor, Via, directions};
use super::program::{Program, Programs};
use super::reference;

/// Rounding of a short program on numbers of size 1: a few operations of ≤ 2 ulp for each of the
/// at most 300 terms of a sum, whose errors add up like a random walk.
const ROUNDING: f64 = 256.0 * f64::EPSILON;
/// The same in single precision.
const ROUNDING_F32: f64 = 256.0 * f32::EPSILON as f64;
/// The step of a central difference, at which truncation h² and rounding ε/h are level.
const STEP: f64 = 6.055_454_452_393_343e-6; // ε^(1/3)
/// Both errors are ε^(2/3) ≈ 3.7e-11 there; third derivatives on the samples reach some hundreds
/// (those of 1/x and x/y at ½, and of ½y² on top of them).
const DIFFERENCE: f64 = 1000.0 * STEP * STEP;
/// How many operands a stack holds.
const COUNT: usize = 3;

/// Takes a primitive on sample operands through all identities; the error names the primitive, the
/// identity and the input.
pub(super) fn check(case: &Case) -> Result<(), String> {
    let programs = Programs::of(case)?;
    let inputs = case.inputs(1);
    let lens: Vec<_> = inputs.iter().map(Vec::len).collect();
    let tester = Tester {
        case,
        programs,
        tangents: directions(&lens, 2),
        others: directions(&lens, 3),
        inputs,
    };
    let checked = tester
        .value()
        .and_then(|()| tester.tangents())
        .and_then(|()| tester.adjoint())
        .and_then(|()| tester.second_order())
        .and_then(|()| tester.symmetry())
        .and_then(|()| tester.stacks())
        .and_then(|()| tester.stacks_of_second_order())
        .and_then(|()| tester.single_precision());
    checked.map_err(|message| format!("{case}: {message}"))
}

struct Tester<'a> {
    case: &'a Case,
    programs: Programs,
    inputs: Vec<Vec<f64>>,
    tangents: Vec<Vec<f64>>,
    others: Vec<Vec<f64>>,
}

impl Tester<'_> {
    /// Inputs, tangents and cotangent of a program.
    fn with(&self, inputs: &[Vec<f64>], tangents: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let cotangent = directions(&[self.programs.output_len], 4);
        [inputs, tangents, &cotangent].concat()
    }

    fn run(&self, program: &Program) -> Vec<Vec<f64>> {
        program.run(&self.with(&self.inputs, &self.tangents))
    }

    /// y against plain Rust, element by element.
    fn value(&self) -> Result<(), String> {
        let operands: Vec<_> = self.operands();
        let expected = reference::evaluate(self.case.name, &self.case.attr, &operands)?;
        let found = self.run(&self.programs.value);
        compare("the value", &found[0], &expected.values, ROUNDING)
    }

    fn operands(&self) -> Vec<Tensor> {
        let operand = |(at, values): (usize, &Vec<f64>)| {
            let operand = &self.case.operands[at];
            let input = Tensor {
                dims: operand.dims.to_vec(),
                values: values.clone(),
            };
            match operand.via {
                Via::Direct => input,
                Via::Permuted(axes) => reference::permute(&input, axes),
                Via::Broadcast(dims) => reference::broadcast(&input, dims),
                Via::Sliced(axis, start, len) => reference::slice(&input, axis, start, len),
                Via::Softmax(axes) => reference::centred_softmax(&input, axes),
                Via::Mask => reference::positive(&input),
            }
        };
        self.inputs.iter().enumerate().map(operand).collect()
    }

    /// The central difference of a program's results when some of the inputs move along their
    /// tangents.
    fn difference(&self, program: &Program, moving: &dyn Fn(usize) -> bool) -> Vec<Vec<f64>> {
        let shifted = |step: f64| {
            let pairs = self.inputs.iter().zip(&self.tangents).enumerate();
            let inputs: Vec<Vec<f64>> = pairs
                .map(|(at, (x, v))| {
                    let step = if moving(at) { step } else { 0.0 };
                    x.iter().zip(v).map(|(x, v)| x + step * v).collect()
                })
                .collect();
            program.run(&self.with(&inputs, &self.tangents))
        };
        let (ahead, behind) = (shifted(STEP), shifted(-STEP));
        let quotient = |(a, b): (&Vec<f64>, &Vec<f64>)| {
            let pairs = a.iter().zip(b);
            pairs.map(|(a, b)| (a - b) / (2.0 * STEP)).collect()
        };
        ahead.iter().zip(&behind).map(quotient).collect()
    }

    /// ẏ against differences of the value, for each input alone and for all together.
    fn tangents(&self) -> Result<(), String> {
        if !self.case.is_smooth() {
            return Ok(());
        }
        let found = self.run(&self.programs.tangents);
        for (which, found) in found.iter().enumerate() {
            let all = which == self.programs.n_inputs;
            let mut expected = self
                .difference(&self.programs.value, &|at| all || at == which)
                .remove(0);
            if reference::stops_derivatives(self.case.name) {
                expected.fill(0.0);
            }
            let what = if all {
                "the tangent for all inputs".to_string()
            } else {
                format!("the tangent for input {which}")
            };
            compare(&what, found, &expected, DIFFERENCE)?;
        }
        Ok(())
    }

    /// ⟨ȳ, J·ẋ⟩ = ⟨Jᵀ·ȳ, ẋ⟩ for each input.
    fn adjoint(&self) -> Result<(), String> {
        let forward = self.run(&self.programs.tangents);
        let backward = self.run(&self.programs.cotangents);
        let seed = directions(&[self.programs.output_len], 4).remove(0);
        for which in 0..self.programs.n_inputs {
            let (left, left_scale) = dot(&seed, &forward[which]);
            let (right, right_scale) = dot(&backward[which], &self.tangents[which]);
            let bound = ROUNDING * (left_scale + right_scale);
            if exceeds(left - right, bound) {
                return Err(format!(
                    "the adjoint identity for input {which}: {left:e} forward, {right:e} backward"
                ));
            }
        }
        Ok(())
    }

    /// H·v of φ against differences of its gradient.
    fn second_order(&self) -> Result<(), String> {
        if !self.case.is_smooth() || reference::stops_derivatives(self.case.name) {
            return Ok(());
        }
        let found = self.run(&self.programs.hvp);
        let expected = self.difference(&self.programs.gradient, &|_| true);
        for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = format!("the Hessian-vector product, part of input {which}");
            compare(&what, found, expected, DIFFERENCE)?;
        }
        Ok(())
    }

    /// uᵀHv = vᵀHu
    fn symmetry(&self) -> Result<(), String> {
        let product = |v| self.programs.hvp.run(&self.with(&self.inputs, v)).concat();
        let (v, u) = (self.tangents.concat(), self.others.concat());
        let (left, left_scale) = dot(&u, &product(&self.tangents));
        let (right, right_scale) = dot(&v, &product(&self.others));
        if exceeds(left - right, ROUNDING * (left_scale + right_scale)) {
            return Err(format!(
                "symmetry: uᵀHv is {left:e}, vᵀHu is {right:e}, over all inputs"
            ));
        }
        Ok(())
    }

    /// The rule for stacks, for every subset of stacked inputs, against one run after the other.
    fn stacks(&self) -> Result<(), String> {
        let k = self.programs.n_inputs;
        let runs: Vec<_> = (0..COUNT)
            .map(|i| self.case.inputs(10 + i as u64))
            .collect();
        for subset in 1..1 << k {
            let has = |at: usize| subset >> at & 1 == 1;
            let stacked: Vec<usize> = (0..k).filter(|&at| has(at)).collect();
            let program = self.programs.value.stacked(&stacked, COUNT);
            let of = |run: usize, at: usize| &runs[if has(at) { run } else { 0 }][at];
            let joined = |at: usize| {
                let count = if has(at) { COUNT } else { 1 };
                (0..count).flat_map(|run| of(run, at).clone()).collect()
            };
            let inputs: Vec<Vec<f64>> = (0..k).map(joined).collect();
            let found = program.run(&self.with(&inputs, &self.tangents));
            let single = |run: usize| {
                let inputs: Vec<_> = (0..k).map(|at| of(run, at).clone()).collect();
                let inputs = self.with(&inputs, &self.tangents);
                self.programs.value.run(&inputs).remove(0)
            };
            let expected: Vec<f64> = (0..COUNT).flat_map(single).collect();
            let what = format!("a stack in inputs {stacked:?}");
            compare(&what, &found[0], &expected, ROUNDING)?;
        }
        Ok(())
    }

    /// Products with a stack of tangents against one after the other.
    fn stacks_of_second_order(&self) -> Result<(), String> {
        let k = self.programs.n_inputs;
        let lens: Vec<_> = self.inputs.iter().map(Vec::len).collect();
        let runs: Vec<_> = (0..COUNT)
            .map(|i| directions(&lens, 20 + i as u64))
            .collect();
        let positions: Vec<_> = (k..2 * k).collect();
        let program = self.programs.hvp.stacked(&positions, COUNT);
        let joined = |at: usize| runs.iter().flat_map(|run| run[at].clone()).collect();
        let tangents: Vec<Vec<f64>> = (0..k).map(joined).collect();
        let found = program.run(&self.with(&self.inputs, &tangents));
        let single = |run: &Vec<Vec<f64>>| self.programs.hvp.run(&self.with(&self.inputs, run));
        let singles: Vec<_> = runs.iter().map(single).collect();
        for (which, found) in found.iter().enumerate() {
            let expected: Vec<f64> = singles.iter().flat_map(|s| s[which].clone()).collect();
            let what = format!("products with a stack of tangents, part of input {which}");
            compare(&what, found, &expected, ROUNDING)?;
        }
        Ok(())
    }

    /// f32 against f64, from inputs that f32 can hold.
    fn single_precision(&self) -> Result<(), String> {
        let inputs = self.with(&self.inputs, &self.tangents);
        let round = |values: &Vec<f64>| values.iter().map(|&x| f64::from(x as f32)).collect();
        let inputs: Vec<Vec<f64>> = inputs.iter().map(round).collect();
        let all = [
            ("the value", &self.programs.value),
            ("tangents", &self.programs.tangents),
            ("cotangents", &self.programs.cotangents),
            ("Hessian-vector products", &self.programs.hvp),
        ];
        for (what, program) in all {
            let (narrow, wide) = (program.run_f32(&inputs), program.run(&inputs));
            for (which, (narrow, wide)) in narrow.iter().zip(&wide).enumerate() {
                let what = format!("{what} in f32, result {which}");
                compare(&what, narrow, wide, ROUNDING_F32)?;
            }
        }
        Ok(())
    }
}

/// Elementwise agreement relative to the largest element, or to 1 if that is larger.
fn compare(what: &str, found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), String> {
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        return Err(format!("{what} has {found} elements, not {expected}"));
    }
    let scale = expected.iter().fold(1.0_f64, |max, e| max.max(e.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        if exceeds(found - expected, tolerance * scale) {
            return Err(format!(
                "{what} is {found:e} at element {at}, not {expected:e}"
            ));
        }
    }
    Ok(())
}

/// Whether an error is over its bound; a NaN is.
fn exceeds(error: f64, bound: f64) -> bool {
    error.is_nan() || error.abs() > bound
}

/// ⟨a, b⟩ and Σ |aᵢ bᵢ|
fn dot(a: &[f64], b: &[f64]) -> (f64, f64) {
    let products = || a.iter().zip(b).map(|(a, b)| a * b);
    (products().sum(), products().map(f64::abs).sum())
}
