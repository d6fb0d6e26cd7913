//! A primitive on sample operands.

use std::fmt;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise::STEP;
use crate::ops::softmax::SOFTMAX;
use crate::ops::{Attr, Op, Primitive};
use crate::shape::Shape;

/// A row-major array of plain numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) values: Vec<f64>,
}

impl Tensor {
    pub(super) fn from_fn(dims: &[usize], mut value: impl FnMut(&[usize]) -> f64) -> Self {
        let values = indices(dims).iter().map(|at| value(at)).collect();
        Self {
            dims: dims.to_vec(),
            values,
        }
    }

    pub(super) fn get(&self, index: &[usize]) -> f64 {
        let flat = index
            .iter()
            .zip(&self.dims)
            .fold(0, |flat, (at, size)| flat * size + at);
        self.values[flat]
    }
}

/// All indices of an array, in row-major order.
pub(super) fn indices(dims: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for &size in dims {
        let extend = |index: &Vec<usize>| {
            let index = index.clone();
            (0..size).map(move |at| [index.as_slice(), &[at]].concat())
        };
        all = all.iter().flat_map(extend).collect();
    }
    all
}

/// How an input reaches the primitive: the kernels must read views as well as whole arrays.
#[derive(Clone, Debug)]
pub(super) enum Via {
    Direct,
    Permuted(&'static [usize]),
    Broadcast(&'static [usize]),
    /// (axis, start, length)
    Sliced(usize, usize, usize),
    /// Probabilities along axes, centred.
    Softmax(&'static [usize]),
    /// 1 where the input is positive, else 0.
    Mask,
}

/// An input and how it becomes an operand.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) dims: &'static [usize],
    pub(super) via: Via,
}

/// The lists of positions that samples refer to by number: one with a repetition, and one in
/// descending order.
pub(super) const LISTS: [&[usize]; 2] = [&[3, 0, 2, 0, 1], &[2, 1, 0]];

/// Where the numbers of the inputs lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    Between(f64, f64),
    /// Of this size, and of either sign.
    Signed(f64, f64),
    /// −1, 0 or 1: ties and jumps, where no difference quotient exists.
    Few,
}

/// A primitive on sample operands.
#[derive(Clone)]
pub(super) struct Case {
    /// The primitive's own name, which mutants of it share.
    pub(super) name: &'static str,
    pub(super) def: &'static dyn Primitive,
    pub(super) attr: Attr,
    pub(super) operands: Vec<Operand>,
    pub(super) draw: Draw,
}

impl Case {
    /// Whether values can be compared with difference quotients.
    pub(super) fn is_smooth(&self) -> bool {
        !matches!(self.draw, Draw::Few)
    }

    /// The same case for another primitive.
    pub(super) fn with_primitive(&self, def: &'static dyn Primitive) -> Self {
        Self {
            def,
            ..self.clone()
        }
    }

    /// Pushes the inputs and the primitive; returns the inputs and the result.
    pub(super) fn record(&self, graph: &mut Graph) -> Result<(Vec<NodeId>, NodeId), String> {
        let mut inputs = Vec::new();
        let mut operands = Vec::new();
        for list in LISTS {
            graph.list_of(list);
        }
        for (at, operand) in self.operands.iter().enumerate() {
            let input = graph.input(at, &Shape::new(operand.dims));
            inputs.push(input);
            operands.push(match operand.via {
                Via::Direct => input,
                Via::Permuted(axes) => graph.permute(input, axes),
                Via::Broadcast(dims) => graph.broadcast_to(input, &Shape::new(dims)),
                Via::Sliced(axis, start, len) => graph.slice(input, axis, start, len),
                Via::Softmax(axes) => graph.rowwise(&SOFTMAX, axes, &[input]),
                Via::Mask => graph.map1(&STEP, input),
            });
        }
        let op = Op::new(self.def, self.attr.clone());
        let result = graph.try_push(op, operands.into());
        Ok((inputs, result.map_err(|e| format!("{self}: {e}"))?))
    }

    /// Sample numbers for every input.
    pub(super) fn inputs(&self, seed: u64) -> Vec<Vec<f64>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut one = || match self.draw {
            Draw::Between(low, high) => rng.random_range(low..high),
            Draw::Signed(low, high) => {
                let size: f64 = rng.random_range(low..high);
                if rng.random_range(0..2) == 0 {
                    size
                } else {
                    -size
                }
            }
            Draw::Few => f64::from(rng.random_range(-1..2)),
        };
        let len = |operand: &Operand| operand.dims.iter().product::<usize>();
        let lens: Vec<_> = self.operands.iter().map(len).collect();
        lens.iter()
            .map(|&len| (0..len).map(|_| one()).collect())
            .collect()
    }
}

/// Numbers between −1 and 1: tangents, cotangents, weights.
pub(super) fn directions(lens: &[usize], seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut vector = |&len: &usize| (0..len).map(|_| rng.random_range(-1.0..1.0)).collect();
    lens.iter().map(&mut vector).collect()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.def.name())?;
        match &self.attr {
            Attr::None => {}
            Attr::Float(_) => write!(f, " {}", self.attr.as_float())?,
            Attr::Ints(ints) => write!(f, " {ints:?}")?,
        }
        f.write_str(" of")?;
        for operand in &self.operands {
            write!(f, " {:?}", operand.dims)?;
            if !matches!(operand.via, Via::Direct) {
                write!(f, " ({:?})", operand.via)?;
            }
        }
        Ok(())
    }
}
