//! The programs of a function, each made when first asked for: which transformations, in which
//! order, with which inputs.
//!
//! Inputs by position: the parameters, the data arrays, then a tangent of the parameters, a
//! cotangent of the model's output, and the residuals.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::pieces::{Piece, cut_panel, panels, pieces};
use super::{Compiled, Cost, Function, Lazy, Product, Program, made};
use crate::error::Error;
use crate::execute::Pool;
use crate::graph::{Graph, NodeId};
use crate::real::Real;
use crate::shape::Shape;
use crate::transform::{
    LinearProgram, batch, hoist_coefficients, jvp, leading, row_width, split, vjp,
};

/// The programs of a linearization.
#[derive(Debug)]
pub(crate) struct LinearizedPrograms<T> {
    /// (value, gradient, residuals); for a function that is not one number, without the gradient.
    pub(crate) primal: Compiled<T>,
    pub(crate) residual_len: usize,
    products: BTreeMap<Product, ProductProgram<T>>,
    /// Workspaces of the programs for stacks.
    pool: Pool<T>,
}

/// The programs of the dense Hessian.
#[derive(Debug)]
pub(crate) struct PanelPrograms<T> {
    /// (residuals)
    pub(crate) primal: Compiled<T>,
    pub(crate) residual_len: usize,
    /// A panel's parameters, and the program of the Hessian's entries in their rows, up to the
    /// panel's end.
    pub(crate) panels: Vec<(Range<usize>, ProductProgram<T>)>,
    /// Workspaces of all panels, of which a thread runs one at a time.
    pool: Pool<T>,
}

impl<T: Real> PanelPrograms<T> {
    /// Runs a panel's program for a stack of `count` tangents.
    pub(crate) fn run(
        &self,
        panel: usize,
        count: usize,
        inputs: &[&[T]],
        out: &mut [T],
    ) -> Result<(), Error> {
        let (_, program) = &self.panels[panel];
        program.run_block(count, &self.pool, inputs, out)
    }
}

/// What [`Function::cut`] returns.
struct Cut<T> {
    /// The outputs that depend on no tangent, and the residuals.
    primal: Compiled<T>,
    residual_len: usize,
    programs: Vec<Option<LinearProgram>>,
}

/// One linear program, for one vector and for stacks of them.
#[derive(Debug)]
pub(crate) struct ProductProgram<T> {
    /// `None` where the result is structurally zero.
    linear: Option<LinearProgram>,
    single: Lazy<Compiled<T>>,
    blocks: Mutex<BTreeMap<usize, Arc<Compiled<T>>>>,
    n_inputs: usize,
    tangent: usize,
}

impl<T: Real> ProductProgram<T> {
    fn new(linear: Option<LinearProgram>, n_inputs: usize, tangent: usize) -> Self {
        Self {
            linear,
            single: OnceLock::new(),
            blocks: Mutex::default(),
            n_inputs,
            tangent,
        }
    }

    /// The program for one vector, planned when first asked for.
    pub(super) fn single(&self) -> Result<Option<&Compiled<T>>, Error> {
        let Some(linear) = &self.linear else {
            return Ok(None);
        };
        let compile = || Compiled::new(&linear.graph, &[linear.output], self.n_inputs);
        made(self.single.get_or_init(compile)).map(Some)
    }

    /// Runs it for a stack of `count` vectors.
    fn run_block(
        &self,
        count: usize,
        pool: &Pool<T>,
        inputs: &[&[T]],
        out: &mut [T],
    ) -> Result<(), Error> {
        match self.block(count)? {
            Some(block) => block.run_in(pool, inputs, &mut [out]),
            None => {
                out.fill(T::zero());
                Ok(())
            }
        }
    }

    /// The bytes of workspace for a stack of `count` vectors.
    pub(crate) fn block_workspace_bytes(&self, count: usize) -> Result<usize, Error> {
        let block = self.block(count)?;
        Ok(block.map_or(0, |block| block.plan.workspace_bytes()))
    }

    pub(super) fn block(&self, count: usize) -> Result<Option<Arc<Compiled<T>>>, Error> {
        let Some(linear) = &self.linear else {
            return Ok(None);
        };
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = blocks.get(&count) {
            return Ok(Some(Arc::clone(block)));
        }
        let (graph, outputs) = batch(&linear.graph, &[linear.output], &[self.tangent], count);
        let block = Arc::new(Compiled::new(&graph, &outputs, self.n_inputs)?);
        blocks.insert(count, Arc::clone(&block));
        Ok(Some(block))
    }
}

impl<T: Real> LinearizedPrograms<T> {
    /// Runs a product for one vector.
    pub(crate) fn run(
        &self,
        product: Product,
        inputs: &[&[T]],
        out: &mut [T],
    ) -> Result<(), Error> {
        match self.single(product)? {
            Some(single) => single.run(inputs, &mut [out]),
            None => {
                out.fill(T::zero());
                Ok(())
            }
        }
    }

    /// Runs a product for a stack of `count` vectors.
    pub(crate) fn run_block(
        &self,
        product: Product,
        count: usize,
        inputs: &[&[T]],
        out: &mut [T],
    ) -> Result<(), Error> {
        match self.products.get(&product) {
            Some(program) => program.run_block(count, &self.pool, inputs, out),
            None => {
                out.fill(T::zero());
                Ok(())
            }
        }
    }

    pub(super) fn single(&self, product: Product) -> Result<Option<&Compiled<T>>, Error> {
        match self.products.get(&product) {
            Some(program) => program.single(),
            None => Ok(None),
        }
    }

    /// A product's program for a stack of `count` vectors.
    #[cfg(test)]
    pub(super) fn block(
        &self,
        product: Product,
        count: usize,
    ) -> Result<Option<Arc<Compiled<T>>>, Error> {
        match self.products.get(&product) {
            Some(program) => program.block(count),
            None => Ok(None),
        }
    }
}

impl<T: Real> Function<T> {
    /// How many inputs come before a tangent.
    pub(crate) fn n_primal_inputs(&self) -> usize {
        1 + self.data_shapes.len()
    }

    fn compiled(
        &self,
        graph: &Graph,
        outputs: &[NodeId],
        extra: usize,
    ) -> Result<Compiled<T>, Error> {
        Compiled::new(graph, outputs, self.n_primal_inputs() + extra)
    }

    pub(super) fn value_program(&self) -> Result<&Compiled<T>, Error> {
        let compile = || self.compiled(&self.graph, &[self.output], 0);
        made(self.value.get_or_init(compile))
    }

    pub(super) fn gradient_program(&self) -> Result<&Compiled<T>, Error> {
        made(self.gradient.get_or_init(|| {
            let mut d = Derivation::new(self);
            let gradient = d.gradient();
            self.compiled(&d.graph, &[self.output, gradient], 0)
        }))
    }

    pub(super) fn jvp_program(&self) -> Result<&Compiled<T>, Error> {
        made(self.jvp.get_or_init(|| {
            let mut d = Derivation::new(self);
            let v = d.parameter_tangent();
            let tangent = d.along(self.output, v);
            let tangent = d.or_zeros(tangent, self.output);
            self.compiled(&d.graph, &[self.output, tangent], 1)
        }))
    }

    pub(super) fn vjp_program(&self) -> Result<&Compiled<T>, Error> {
        made(self.vjp.get_or_init(|| {
            let mut d = Derivation::new(self);
            let u = d.cotangent(self.output, self.n_primal_inputs());
            let result = d.back(self.output, u);
            let result = d.or_zeros(result, d.parameters);
            self.compiled(&d.graph, &[self.output, result], 1)
        }))
    }

    pub(super) fn hvp_program(&self) -> Result<&Compiled<T>, Error> {
        made(self.hvp.get_or_init(|| {
            let mut d = Derivation::new(self);
            let gradient = d.gradient();
            let v = d.parameter_tangent();
            let product = d.along(gradient, v);
            let product = d.or_zeros(product, d.parameters);
            self.compiled(&d.graph, &[self.output, product], 1)
        }))
    }

    /// The programs of a linearization: with coefficients regrouped, or literally as they were derived,
    /// for points where regrouped ones leave the range of numbers.
    pub(super) fn linearized_programs(
        &self,
        literal: bool,
    ) -> Result<&LinearizedPrograms<T>, Error> {
        let programs = &self.linearized[usize::from(literal)];
        made(programs.get_or_init(|| self.derive_linearized(literal)))
    }

    fn derive_linearized(&self, literal: bool) -> Result<LinearizedPrograms<T>, Error> {
        let scalar = self.output_shape().is_empty();
        let (tangent, first_extra) = (self.n_primal_inputs(), self.n_primal_inputs());
        let model = self.model_output.unwrap_or(self.output);
        let mut d = Derivation::new(self);
        let v = d.parameter_tangent();
        let u = d.cotangent(model, first_extra + 1);
        let mut primal = vec![self.output];
        let mut products = vec![
            (Product::Jvp, d.along(model, v)),
            (Product::Vjp, d.back(model, u)),
        ];
        if scalar {
            let gradient = d.gradient();
            primal.push(gradient);
            products.push((Product::Hvp, d.along(gradient, v)));
            if let Some(model) = self.model_output {
                products.push((Product::Ggnvp, d.gauss_newton(model, v)));
            }
        }
        let mut outputs = primal.clone();
        outputs.extend(products.iter().filter_map(|product| product.1));
        let linear: Vec<_> = products.iter().map(|product| product.1).collect();
        let cut = self.cut(d.graph, &primal, &linear, &[v, u], literal)?;
        let mut programs = BTreeMap::new();
        for ((product, _), linear) in products.iter().zip(cut.programs) {
            let input = if *product == Product::Vjp {
                tangent + 1
            } else {
                tangent
            };
            programs.insert(
                *product,
                ProductProgram::new(linear, first_extra + 3, input),
            );
        }
        Ok(LinearizedPrograms {
            primal: cut.primal,
            residual_len: cut.residual_len,
            products: programs,
            pool: Pool::new(),
        })
    }

    /// Cuts linear outputs off from what does not depend on a tangent, which with `primal` becomes
    /// a program of its own and leaves what the linear ones read of it in one block.
    fn cut(
        &self,
        graph: Graph,
        primal: &[NodeId],
        linear: &[Option<NodeId>],
        tangents: &[NodeId],
        literal: bool,
    ) -> Result<Cut<T>, Error> {
        let mut outputs = primal.to_vec();
        outputs.extend(linear.iter().flatten());
        let (mut graph, outputs, tangents) = if literal {
            (graph, outputs, tangents.to_vec())
        } else {
            let hoisted = hoist_coefficients(&graph, &outputs, tangents);
            // Large programs must not be there twice while they are planned.
            drop(graph);
            hoisted
        };
        let (new_primal, mut rest) = (&outputs[..primal.len()], outputs[primal.len()..].iter());
        let linear: Vec<Option<NodeId>> = linear
            .iter()
            .map(|output| output.and_then(|_| rest.next().copied()))
            .collect();
        let parts = split(&mut graph, &linear, &tangents, self.n_primal_inputs() + 2)
            .map_err(|len| Error::allocation::<T>("what a linearization keeps", len))?;
        let residual_len = graph.shape(parts.residuals).len();
        let mut primal_outputs = new_primal.to_vec();
        primal_outputs.push(parts.residuals);
        // Planning has tables as long as the graph, of which the products' programs were the most.
        let (primal, outputs) = graph.pruned(&primal_outputs);
        drop(graph);
        Ok(Cut {
            primal: self.compiled(&primal, &outputs, 0)?,
            residual_len,
            programs: parts.programs,
        })
    }

    pub(super) fn panel_programs(&self, literal: bool) -> Result<&PanelPrograms<T>, Error> {
        let programs = &self.panels[usize::from(literal)];
        made(programs.get_or_init(|| self.derive_panels(literal)))
    }

    /// For each panel the rows of the Hessian that a tangent of its parameters gives, up to the
    /// panel's end.
    fn derive_panels(&self, literal: bool) -> Result<PanelPrograms<T>, Error> {
        let mut d = Derivation::new(self);
        let pieces = pieces(&d.graph, d.parameters, self.output);
        let one = d.graph.scalar(1.0);
        let wrt: Vec<_> = pieces.iter().map(|piece| piece.node).collect();
        let cotangents = vjp(&mut d.graph, &[(self.output, one)], &wrt);
        let width_at = |start| {
            let at = pieces.iter().position(|piece| piece.range.start == start)?;
            row_width(&d.graph, cotangents[at]?)
        };
        let panels: Vec<_> = panels(&pieces)
            .into_iter()
            .flat_map(|panel| {
                let width = width_at(panel.start);
                cut_panel(panel, self.n_parameters, width)
            })
            .collect();
        let v = d.parameter_tangent();
        let mut linear = Vec::new();
        for panel in &panels {
            let gradient = d.gradient_up_to(panel.end, &pieces, &cotangents);
            let seeds = d.tangents_within(panel, &pieces, v);
            let tangent = gradient.map(|gradient| jvp(&mut d.graph, &[gradient], &seeds)[0]);
            linear.push(tangent.flatten());
        }
        let cut = self.cut(d.graph, &[], &linear, &[v], literal)?;
        let (tangent, n_inputs) = (self.n_primal_inputs(), self.n_primal_inputs() + 3);
        let programs = cut.programs.into_iter();
        Ok(PanelPrograms {
            primal: cut.primal,
            residual_len: cut.residual_len,
            panels: panels
                .into_iter()
                .zip(programs.map(|linear| ProductProgram::new(linear, n_inputs, tangent)))
                .collect(),
            pool: Pool::new(),
        })
    }

    /// What one run of a program takes, from its plan; nothing is run.
    ///
    /// ```
    /// use ad_core::{Function, Program};
    /// // A linear map of 3 inputs to 2 outputs for 10 cases: 60 multiply-adds forward, and 60 for
    /// // the gradient of the weights.
    /// let f = Function::<f64>::record_with_data(6, &[&[10, 3]], |w, data| {
    ///     data[0].matmul(w.reshape(&[3, 2])).square().sum()
    /// })?;
    /// assert_eq!(f.cost(Program::Gradient)?.product_flops, 120);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotScalar`] and [`Error::NoModelOutput`] where there is no such program;
    /// [`Error::Allocation`] if addresses do not reach the memory that it takes.
    pub fn cost(&self, program: Program) -> Result<Cost, Error> {
        let (compiled, residuals) = self.compiled_program(program)?;
        let Some(compiled) = compiled else {
            let zero = Cost {
                product_flops: 0,
                workspace_bytes: 0,
                residual_bytes: 0,
                n_instructions: 0,
            };
            return Ok(zero);
        };
        Ok(Cost {
            product_flops: usize::try_from(compiled.plan.product_flops()).unwrap_or(usize::MAX),
            workspace_bytes: compiled.plan.workspace_bytes(),
            residual_bytes: residuals * size_of::<T>(),
            n_instructions: compiled.plan.n_instructions(),
        })
    }

    /// The kernel calls of a program as text, one per line, with its memory and arithmetic.
    ///
    /// # Errors
    /// As [`Self::cost`].
    pub fn explain(&self, program: Program) -> Result<String, Error> {
        let (compiled, _) = self.compiled_program(program)?;
        Ok(compiled.map_or_else(String::new, |compiled| compiled.plan.to_string()))
    }

    /// The recorded instructions as text, one per line, with shapes and the lines that recorded them.
    pub fn listing(&self) -> String {
        self.graph.to_string()
    }

    pub(super) fn compiled_program(
        &self,
        program: Program,
    ) -> Result<(Option<&Compiled<T>>, usize), Error> {
        if program != Program::Value && program != Program::Linearize {
            self.check_scalar("a derivative program")?;
        }
        Ok(match program {
            Program::Value => (Some(self.value_program()?), 0),
            Program::Gradient => (Some(self.gradient_program()?), 0),
            Program::HvpOneShot => (Some(self.hvp_program()?), 0),
            Program::Linearize => {
                let programs = self.linearized_programs(false)?;
                (Some(&programs.primal), programs.residual_len)
            }
            Program::Hvp => (self.linearized_programs(false)?.single(Product::Hvp)?, 0),
            Program::Ggnvp => {
                self.model_output.ok_or(Error::NoModelOutput)?;
                (self.linearized_programs(false)?.single(Product::Ggnvp)?, 0)
            }
        })
    }
}

/// A function's graph while derivatives are added to it.
struct Derivation {
    graph: Graph,
    parameters: NodeId,
    output: NodeId,
    first_extra: usize,
}

impl Derivation {
    fn new<T: Real>(function: &Function<T>) -> Self {
        let mut graph = function.graph.clone();
        let parameters = graph.input(0, &Shape::new(&[function.n_parameters]));
        let (output, first_extra) = (function.output, function.n_primal_inputs());
        Self {
            graph,
            parameters,
            output,
            first_extra,
        }
    }

    /// The input that is a tangent of the parameters.
    fn parameter_tangent(&mut self) -> NodeId {
        self.cotangent(self.parameters, self.first_extra)
    }

    /// An input of the shape of an instruction.
    fn cotangent(&mut self, like: NodeId, position: usize) -> NodeId {
        let shape = self.graph.shape(like).clone();
        self.graph.input(position, &shape)
    }

    fn or_zeros(&mut self, value: Option<NodeId>, like: NodeId) -> NodeId {
        value.unwrap_or_else(|| {
            let shape = self.graph.shape(like).clone();
            self.graph.full(0.0, &shape)
        })
    }

    fn gradient(&mut self) -> NodeId {
        let one = self.graph.scalar(1.0);
        let gradient = self.back(self.output, one);
        self.or_zeros(gradient, self.parameters)
    }

    /// The entries of the gradient before `end`, where any of them is not structurally zero.
    fn gradient_up_to(
        &mut self,
        end: usize,
        pieces: &[Piece],
        cotangents: &[Option<NodeId>],
    ) -> Option<NodeId> {
        let mut parts = Vec::new();
        for (piece, cotangent) in pieces.iter().zip(cotangents) {
            let range = piece.range.start..piece.range.end.min(end);
            let (Some(cotangent), false) = (*cotangent, range.is_empty()) else {
                continue;
            };
            let part = if range.len() == piece.range.len() {
                cotangent
            } else {
                leading(&mut self.graph, cotangent, range.len())
                    .unwrap_or_else(|| self.graph.slice(cotangent, 0, 0, range.len()))
            };
            parts.push((range.start, part));
        }
        (!parts.is_empty()).then(|| self.graph.place(0, end, &parts))
    }

    /// The tangents of all pieces for one of the parameters in a range.
    fn tangents_within(
        &mut self,
        range: &Range<usize>,
        pieces: &[Piece],
        v: NodeId,
    ) -> Vec<(NodeId, NodeId)> {
        let mut seeds = Vec::new();
        for Piece { range: own, node } in pieces {
            let common = own.start.max(range.start)..own.end.min(range.end);
            if !common.is_empty() {
                let part = self.graph.slice(v, 0, common.start, common.len());
                let at = common.start - own.start;
                seeds.push((*node, self.graph.place(0, own.len(), &[(at, part)])));
            }
        }
        seeds
    }

    /// The derivative of an instruction along a tangent of the parameters.
    fn along(&mut self, of: NodeId, tangent: NodeId) -> Option<NodeId> {
        jvp(&mut self.graph, &[of], &[(self.parameters, tangent)])[0]
    }

    /// The cotangent of the parameters for one of an instruction.
    fn back(&mut self, of: NodeId, cotangent: NodeId) -> Option<NodeId> {
        vjp(&mut self.graph, &[(of, cotangent)], &[self.parameters])[0]
    }

    /// With the loss as a function L(w, z) of the parameters and the model's output z(w), and
    /// J̃ = [I; J] the Jacobian of (w, z(w)): J̃ᵀ (∇²L) J̃ v. Where L reads the parameters only
    /// through z, this is Jᵀ H_L J v.
    fn gauss_newton(&mut self, model: NodeId, v: NodeId) -> Option<NodeId> {
        let one = self.graph.scalar(1.0);
        let wrt = [self.parameters, model];
        let gradients = vjp(&mut self.graph, &[(self.output, one)], &wrt);
        let mut seeds = vec![(self.parameters, v)];
        seeds.extend(self.along(model, v).map(|tangent| (model, tangent)));
        let mut terms = Vec::new();
        if let Some(direct) = gradients[0] {
            terms.extend(jvp(&mut self.graph, &[direct], &seeds)[0]);
        }
        if let Some(through) = gradients[1]
            && let Some(curved) = jvp(&mut self.graph, &[through], &seeds)[0]
        {
            terms.extend(self.back(model, curved));
        }
        (!terms.is_empty()).then(|| self.graph.add_all(&terms))
    }
}
