//! Where generic code meets the two types that there are: planner, executor and kernels are
//! compiled here once, not again in every crate and every test that runs a function.
#![allow(
    unreachable_pub,
    private_interfaces,
    reason = "bounds of the sealed public trait `Real` have to be public where nobody reaches them"
)]

use crate::error::Error;
use crate::execute::{self, Memory};
use crate::graph::{Graph, NodeId};
use crate::plan::{self, Plan};

/// Planning and running for one scalar type.
pub trait Engine: Sized {
    /// See [`plan::compile`].
    fn compile(graph: &Graph, outputs: &[NodeId], n_inputs: usize) -> Result<Plan<Self>, Error>;

    /// See [`execute::run`].
    fn run(
        plan: &Plan<Self>,
        memory: &mut Memory<Self>,
        inputs: &[&[Self]],
        outputs: &mut [&mut [Self]],
    ) -> Result<(), Error>;

    /// See [`execute::run_observed`].
    fn run_observed(
        plan: &Plan<Self>,
        memory: &mut Memory<Self>,
        inputs: &[&[Self]],
        outputs: &mut [&mut [Self]],
        after: &mut dyn FnMut(usize),
    ) -> Result<(), Error>;
}

macro_rules! engine {
    ($($scalar:ty),*) => {$(
        impl Engine for $scalar {
            fn compile(graph: &Graph, outputs: &[NodeId], n_inputs: usize) -> Result<Plan<Self>, Error> {
                plan::compile(graph, outputs, n_inputs)
            }

            fn run(
                plan: &Plan<Self>,
                memory: &mut Memory<Self>,
                inputs: &[&[Self]],
                outputs: &mut [&mut [Self]],
            ) -> Result<(), Error> {
                execute::run(plan, memory, inputs, outputs)
            }

            fn run_observed(
                plan: &Plan<Self>,
                memory: &mut Memory<Self>,
                inputs: &[&[Self]],
                outputs: &mut [&mut [Self]],
                after: &mut dyn FnMut(usize),
            ) -> Result<(), Error> {
                execute::run_observed(plan, memory, inputs, outputs, after)
            }
        }
    )*};
}

engine!(f32, f64);
