//! Linearize once, apply many: products with the Hessian, the Gauss–Newton matrix and the Jacobian
//! at one point.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

use super::identity::{Identity, Purpose};
use super::point::{Inputs, Point, finite, slice_of, slice_of_mut};
use super::{Function, matrix, vector};
use crate::error::Error;
use crate::execute::Memory;
use crate::kernels::all_finite;
use crate::real::Real;
use crate::shape::MAX_STACK;

/// A product that one linearization serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Product {
    /// H·v, with H the Hessian in the parameters.
    Hvp,
    /// G·v, with G the Gauss–Newton matrix; see [`Var::model_output`](crate::Var::model_output).
    Ggnvp,
    /// J·v, with J the Jacobian of the model's output (of the output, where none is marked).
    Jvp,
    /// Jᵀ·u, with u of the model output's shape, flattened.
    Vjp,
}

/// What a linearization keeps of its point: activations and coefficients that the products read.
///
/// For callers that manage memory themselves, such as sums over many shards of data; others use
/// [`Linearization`].
#[derive(Debug)]
pub struct Residuals<T> {
    block: Memory<T>,
    len: usize,
    /// Whether they are of the programs whose coefficients are not regrouped.
    literal: bool,
    /// The function that made them, and for what; `None` as long as they are of no point.
    owner: Option<(Identity, Purpose)>,
}

impl<T: Real> Default for Residuals<T> {
    fn default() -> Self {
        Self {
            block: Memory::new(),
            len: 0,
            literal: false,
            owner: None,
        }
    }
}

impl<T: Real> Residuals<T> {
    /// Residuals of no point yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a product of coefficients, or anything else that is kept, is no number.
    pub(super) fn left_the_range(&self) -> bool {
        !all_finite(self.block.slice(self.len))
    }

    pub(super) fn is_literal(&self) -> bool {
        self.literal
    }

    /// Lets `run` fill as many residuals as a point has. They are nobody's until it has done so.
    pub(super) fn fill(
        &mut self,
        (function, purpose): (&Identity, Purpose),
        literal: bool,
        len: usize,
        run: impl FnOnce(&mut [T]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let before = self.owner.take();
        self.len = 0;
        self.block.reserve(len, "what a linearization keeps")?;
        run(self.block.slice_mut(len))?;
        (self.len, self.literal) = (len, literal);
        let same = before.filter(|owner| owner.0 == *function && owner.1 == purpose);
        self.owner = Some(same.unwrap_or_else(|| (function.clone(), purpose)));
        Ok(())
    }

    /// Refuses residuals of no point, of another function, or for another purpose.
    pub(super) fn check(&self, function: &Identity, purpose: Purpose) -> Result<(), Error> {
        let what = "the linearization";
        match &self.owner {
            None => Err(Error::Empty { what: what.into() }),
            Some((owner, kept_for)) if owner == function && *kept_for == purpose => Ok(()),
            Some(_) => Err(Error::Foreign { what }),
        }
    }

    /// The bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }
}

impl<T: Real> Function<T> {
    /// Runs everything that does not depend on a tangent, keeps what products will read, and
    /// returns f(x), the gradient and the products at x. The point's arrays stay borrowed.
    ///
    /// Cost: a gradient. Each product then is linear algebra alone: no transcendental function and
    /// no second forward pass.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// let f = Function::<f64>::record(2, |x| (x.at(0) * x.at(1)).exp())?;
    /// let at = f.linearize(&[0.0, 2.0])?;
    /// assert_eq!(at.value(), 1.0);
    /// assert_eq!(at.gradient(), array![2.0, 0.0]);
    /// // The Hessian is [[4, 1], [1, 0]].
    /// assert_eq!(at.hvp(array![1.0, 0.0].view())?, array![4.0, 1.0]);
    /// assert_eq!(at.hvp(array![0.0, 1.0].view())?, array![1.0, 0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotScalar`]; shapes and non-finite inputs as everywhere; [`Error::Allocation`] if
    /// there is not the memory that it takes.
    pub fn linearize<'a>(
        &'a self,
        point: impl Into<Point<'a, T>>,
    ) -> Result<Linearization<'a, T>, Error> {
        let point = point.into();
        let inputs = self.inputs(&point, "linearize", true)?;
        let mut parameters = vector(self.n_parameters(), "the parameters")?;
        parameters.assign(&ArrayView1::from(inputs[0]));
        let mut gradient = vector(self.n_parameters(), "the gradient")?;
        let mut residuals = Residuals::new();
        let value = self.linearize_into(point, &mut residuals, gradient.view_mut())?;
        Ok(Linearization {
            function: self,
            parameters,
            data: inputs.to_vec(),
            residuals,
            value,
            gradient,
        })
    }

    /// [`Self::linearize`] into memory of the caller: keeps what products read in `residuals`,
    /// writes the gradient and returns f(x). Allocates nothing if `residuals` was used before.
    ///
    /// # Errors
    /// As [`Self::linearize`].
    pub fn linearize_into<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        residuals: &mut Residuals<T>,
        mut gradient: ArrayViewMut1<'_, T>,
    ) -> Result<T, Error> {
        let inputs = self.inputs(&point.into(), "linearize", true)?;
        let gradient = slice_of_mut(&mut gradient, self.n_parameters(), "the gradient")?;
        let mut value = [T::zero()];
        let owner = (&self.identity, Purpose::Products);
        for literal in [false, true] {
            let programs = self.linearized_programs(literal)?;
            residuals.fill(owner, literal, programs.residual_len, |kept| {
                let outputs = &mut [&mut value, &mut *gradient, kept];
                programs.primal.run(&inputs, outputs)
            })?;
            // Coefficients may leave the range where they are multiplied with each other first.
            if !residuals.left_the_range() {
                break;
            }
        }
        Ok(value[0])
    }

    /// Applies a product at the point that `residuals` were kept of, which must be `point` again.
    /// The vector is not searched for non-finite numbers: they pass into the product. Allocates
    /// nothing after the first call.
    ///
    /// # Errors
    /// [`Error::NoModelOutput`] for a Gauss–Newton product of a function without a marked model
    /// output; [`Error::NotScalar`]; shapes as everywhere; [`Error::Empty`] if nothing was linearized,
    /// [`Error::Foreign`] for residuals that another function kept.
    pub fn apply_linearized<'a>(
        &self,
        product: Product,
        point: impl Into<Point<'a, T>>,
        residuals: &Residuals<T>,
        v: ArrayView1<'_, T>,
        mut out: ArrayViewMut1<'_, T>,
    ) -> Result<(), Error> {
        let inputs = self.inputs(&point.into(), "a product of a linearization", true)?;
        self.check_product(product, residuals)?;
        let (from, to) = self.product_lens(product);
        let v = slice_of(&v, from, "the vector")?;
        let out = slice_of_mut(&mut out, to, "the product")?;
        self.apply(product, &inputs, residuals, v, out)
    }

    /// [`Self::apply_linearized`] for a stack of vectors, one per row.
    ///
    /// # Errors
    /// As [`Self::apply_linearized`].
    pub fn apply_linearized_block<'a>(
        &self,
        product: Product,
        point: impl Into<Point<'a, T>>,
        residuals: &Residuals<T>,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        let inputs = self.inputs(&point.into(), "a product of a linearization", true)?;
        self.check_product(product, residuals)?;
        let (from, to) = self.product_lens(product);
        let v = stack_of(&v, from)?;
        let count = v.len().checked_div(from).unwrap_or(0);
        if out.dim() != (count, to) {
            let (expected, found) = (vec![count, to], out.shape().to_vec());
            return Err(Error::Shape {
                what: "the stack of products".into(),
                expected,
                found,
            });
        }
        let layout = || Error::Layout {
            what: "the stack of products".into(),
        };
        let out = out.as_slice_mut().ok_or_else(layout)?;
        self.apply_block(product, &inputs, residuals, v, out)
    }

    fn check_product(&self, product: Product, residuals: &Residuals<T>) -> Result<(), Error> {
        if product == Product::Ggnvp && !self.has_model_output() {
            return Err(Error::NoModelOutput);
        }
        residuals.check(&self.identity, Purpose::Products)
    }

    /// The lengths of a product's vector and of its result.
    fn product_lens(&self, product: Product) -> (usize, usize) {
        let n = self.n_parameters();
        let model = self.model_output.unwrap_or(self.output);
        let m = self.graph.shape(model).len();
        match product {
            Product::Hvp | Product::Ggnvp => (n, n),
            Product::Jvp => (n, m),
            Product::Vjp => (m, n),
        }
    }

    fn apply(
        &self,
        product: Product,
        inputs: &[&[T]],
        residuals: &Residuals<T>,
        v: &[T],
        out: &mut [T],
    ) -> Result<(), Error> {
        let inputs = with_tangent(product, inputs, residuals, v);
        let programs = self.linearized_programs(residuals.is_literal())?;
        programs.run(product, &inputs, out)
    }

    /// How many vectors of a stack one pass takes along, 1 to 16. A pass reads what the vectors share
    /// once, but has all of them at work at the same time: as many as a quarter of a
    /// megabyte holds together with their products.
    ///
    /// ```
    /// use ad_core::{Function, Product};
    ///
    /// let short = Function::<f64>::record(20, |x| (x * x).sum()).unwrap();
    /// assert_eq!(short.vectors_at_once(Product::Hvp), 16);
    /// let long = Function::<f64>::record(100_000, |x| (x * x).sum()).unwrap();
    /// assert_eq!(long.vectors_at_once(Product::Hvp), 1);
    /// ```
    pub fn vectors_at_once(&self, product: Product) -> usize {
        let (from, to) = self.product_lens(product);
        (BLOCK_BYTES / ((from + to) * size_of::<T>()).max(1)).clamp(1, MAX_STACK)
    }

    /// Applies a product to a stack of vectors, in blocks of [`Self::vectors_at_once`].
    fn apply_block(
        &self,
        product: Product,
        inputs: &[&[T]],
        residuals: &Residuals<T>,
        v: &[T],
        out: &mut [T],
    ) -> Result<(), Error> {
        let (from, to) = self.product_lens(product);
        if from == 0 || to == 0 {
            out.fill(T::zero());
            return Ok(());
        }
        let count = self.vectors_at_once(product);
        for (v, out) in v.chunks(count * from).zip(out.chunks_mut(count * to)) {
            let inputs = with_tangent(product, inputs, residuals, v);
            let programs = self.linearized_programs(residuals.is_literal())?;
            match v.len() / from {
                1 => programs.run(product, &inputs, out)?,
                count => programs.run_block(product, count, &inputs, out)?,
            }
        }
        Ok(())
    }
}

/// The inputs of a product's program.
pub(super) fn with_tangent<'v, T: Real>(
    product: Product,
    inputs: &[&'v [T]],
    residuals: &'v Residuals<T>,
    v: &'v [T],
) -> Inputs<'v, T> {
    let mut inputs = Inputs::from_slice(inputs);
    let empty: &[T] = &[];
    let (tangent, cotangent) = if product == Product::Vjp {
        (empty, v)
    } else {
        (v, empty)
    };
    inputs.extend([tangent, cotangent, residuals.block.slice(residuals.len)]);
    inputs
}

/// What a block's vectors and products take of the second-level cache at most. Sharing what they have
/// in common saves a tenth of the time of small networks; longer blocks, in which each instruction
/// finds its operands in a slower cache, take up to a third more than one vector after the other.
const BLOCK_BYTES: usize = 1 << 18;

/// A function at a point: its value, its gradient, and products with its derivatives there.
///
/// Products borrow nothing mutably and may run on several threads at once.
#[derive(Debug)]
pub struct Linearization<'a, T> {
    function: &'a Function<T>,
    parameters: Array1<T>,
    /// The point's inputs as they were given: parameters, then data.
    data: Vec<&'a [T]>,
    residuals: Residuals<T>,
    value: T,
    gradient: Array1<T>,
}

impl<'a, T: Real> Linearization<'a, T> {
    /// f(x).
    pub fn value(&self) -> T {
        self.value
    }

    /// ∇f(x).
    pub fn gradient(&self) -> ArrayView1<'_, T> {
        self.gradient.view()
    }

    /// The point's parameters x.
    pub fn parameters(&self) -> ArrayView1<'_, T> {
        self.parameters.view()
    }

    /// The function.
    pub fn function(&self) -> &'a Function<T> {
        self.function
    }

    /// The bytes that are kept of the point for products.
    pub fn residual_bytes(&self) -> usize {
        self.residuals.bytes()
    }

    /// Any of the products, written to `out`. Cost: for Hvp about a gradient, for the others less;
    /// allocates nothing after the first call.
    ///
    /// # Errors
    /// [`Error::NoModelOutput`] for a Gauss–Newton product where no model output is marked; shapes
    /// and non-finite vectors as everywhere.
    pub fn product_into(
        &self,
        product: Product,
        v: ArrayView1<'_, T>,
        mut out: ArrayViewMut1<'_, T>,
    ) -> Result<(), Error> {
        self.function.check_product(product, &self.residuals)?;
        let (from, to) = self.function.product_lens(product);
        let v = finite(slice_of(&v, from, "the vector")?, "the vector")?;
        let out = slice_of_mut(&mut out, to, "the product")?;
        self.function
            .apply(product, &self.data, &self.residuals, v, out)
    }

    /// Any of the products; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn product(&self, product: Product, v: ArrayView1<'_, T>) -> Result<Array1<T>, Error> {
        let mut out = vector(self.function.product_lens(product).1, "the product")?;
        self.product_into(product, v, out.view_mut())?;
        Ok(out)
    }

    /// H·v; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn hvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) -> Result<(), Error> {
        self.product_into(Product::Hvp, v, out)
    }

    /// H·v; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn hvp(&self, v: ArrayView1<'_, T>) -> Result<Array1<T>, Error> {
        self.product(Product::Hvp, v)
    }

    /// The Gauss–Newton product G·v; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn ggnvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) -> Result<(), Error> {
        self.product_into(Product::Ggnvp, v, out)
    }

    /// The Gauss–Newton product G·v; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn ggnvp(&self, v: ArrayView1<'_, T>) -> Result<Array1<T>, Error> {
        self.product(Product::Ggnvp, v)
    }

    /// J·v of the model's output, flattened; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn jvp(&self, v: ArrayView1<'_, T>) -> Result<Array1<T>, Error> {
        self.product(Product::Jvp, v)
    }

    /// Jᵀ·u of the model's output; see [`Self::product_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn vjp(&self, u: ArrayView1<'_, T>) -> Result<Array1<T>, Error> {
        self.product(Product::Vjp, u)
    }

    /// Any of the products for k vectors at once, one in each row of `v` and of `out`: what short
    /// vectors share is read once for all of them. Memory: [`Function::vectors_at_once`] times the
    /// workspace of one product.
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn product_block_into(
        &self,
        product: Product,
        v: ArrayView2<'_, T>,
        mut out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.function.check_product(product, &self.residuals)?;
        let (from, to) = self.function.product_lens(product);
        let stack = finite(stack_of(&v, from)?, "the stack of vectors")?;
        if out.dim() != (v.nrows(), to) {
            let (expected, found) = (vec![v.nrows(), to], out.shape().to_vec());
            return Err(Error::Shape {
                what: "the stack of products".into(),
                expected,
                found,
            });
        }
        let layout = || Error::Layout {
            what: "the stack of products".into(),
        };
        let out = out.as_slice_mut().ok_or_else(layout)?;
        self.function
            .apply_block(product, &self.data, &self.residuals, stack, out)
    }

    /// H·V for k vectors at once, both k × n; see [`Self::product_block_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn hvp_block_into(
        &self,
        v: ArrayView2<'_, T>,
        out: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        self.product_block_into(Product::Hvp, v, out)
    }

    /// H·V, one vector per row; see [`Self::hvp_block_into`].
    ///
    /// # Errors
    /// As [`Self::product_into`].
    pub fn hvp_block(&self, v: ArrayView2<'_, T>) -> Result<Array2<T>, Error> {
        let mut out = matrix(v.nrows(), v.ncols(), "the stack of products")?;
        self.hvp_block_into(v, out.view_mut())?;
        Ok(out)
    }
}

/// The elements of a stack of vectors of length `n`.
fn stack_of<'a, T: Real>(v: &'a ArrayView2<'_, T>, n: usize) -> Result<&'a [T], Error> {
    let what = "the stack of vectors";
    if v.ncols() != n {
        let (expected, found) = (vec![v.nrows(), n], v.shape().to_vec());
        return Err(Error::Shape {
            what: what.into(),
            expected,
            found,
        });
    }
    v.as_slice()
        .ok_or_else(|| Error::Layout { what: what.into() })
}
