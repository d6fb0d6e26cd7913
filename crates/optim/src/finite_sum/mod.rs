//! Means over cases: (1/N) Σ f(x; case), by shards of data over threads.

mod build;
mod curvature_batches;
mod dense;
mod reduce;

pub use build::Sharding;
pub use curvature_batches::CurvatureBatches;

pub(crate) use build::Reduction;

use std::sync::atomic::{AtomicBool, Ordering};

use ad_core::{Error, Function, Point, Product, Program, Real, Residuals, all_finite};
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{
    ArrayD, ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut, ArrayViewMut1, ArrayViewMut2, Axis,
    Dimension,
};
use smallvec::SmallVec;

use crate::parallel::{Hands, piece, share};
use reduce::{Accumulator, ScratchPool, reduce};

/// The mean over N cases of a recorded function: f(x) = (1/N) Σᵢ f(x; caseᵢ).
///
/// The cases are divided into shards of a fixed number of rows. As many threads work on them as
/// rayon's current pool has, and results are added in an order that depends on the shards alone, so
/// the same bits come out for any number of threads. Evaluations of less than some milliseconds are
/// shared with helper threads that stay awake for 300 µs after each; while one thread has them,
/// others evaluate alone. Memory is bounded by the shards in work, the partial sums and the budget of
/// residuals, however many cases there are.
///
/// As an [`Objective`] and [`SecondOrder`] objective it serves every minimiser and Newton method. Its
/// methods panic on vectors of another length than there are parameters.
///
/// ```
/// use hvp_solvers::{Objective, SecondOrder};
/// use ndarray::{array, Array1};
/// use optim::{FiniteSum, Sharding};
/// // The mean of ½(x·a − b)² over the cases (a, b).
/// let a = array![[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]].into_dyn();
/// let b = array![[1.0], [2.0], [3.0]].into_dyn();
/// let mut f = FiniteSum::new(2, vec![a, b], Sharding { shard_rows: Some(2), ..Sharding::default() }, |x, data| {
///     let outputs = data[0].matmul(x.reshape(&[2, 1])).model_output();
///     let rows = data[0].shape()[0] as f64;
///     (outputs - data[1]).square().sum() * (0.5 / rows)
/// })?;
/// assert_eq!(f.value(array![1.0, 1.0].view()), (0.0 + 0.0 + 1.0) / 6.0);
/// let mut gradient = Array1::zeros(2);
/// f.linearize(array![1.0, 1.0].view(), gradient.view_mut());
/// let mut product = Array1::zeros(2);
/// f.hvp_into(array![3.0, 0.0].view(), product.view_mut()); // H = AᵀA/3 = [[2, 1], [1, 5]]/3
/// assert_eq!(product, array![2.0, 1.0]);
/// # Ok::<(), ad_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FiniteSum<T> {
    /// The function of a full shard and, if the last one is shorter, of that.
    functions: Vec<Function<T>>,
    data: Vec<ArrayD<T>>,
    shards: Vec<Shard>,
    n_cases: usize,
    sharding: Sharding,
    /// What the function returns of its rows.
    reduction: Reduction,
    pool: ScratchPool<T>,
    /// Who works on an evaluation.
    hands: Hands,
    point: Option<Linearized<T>>,
}

/// Rows `start..start + rows` of the data, and which function serves them.
#[derive(Clone, Copy, Debug)]
struct Shard {
    start: usize,
    rows: usize,
    function: usize,
}

#[derive(Debug)]
struct Linearized<T> {
    parameters: Vec<T>,
    /// For each accumulator, of its shards in order, up to the budget.
    residuals: Vec<Vec<Residuals<T>>>,
}

impl<T: Real> FiniteSum<T> {
    /// The number of cases N.
    pub fn n_cases(&self) -> usize {
        self.n_cases
    }

    /// The recorded function of a full shard.
    pub fn function(&self) -> &Function<T> {
        &self.functions[0]
    }

    /// Panics if a vector has another length than there are parameters: a caller of [`Objective`] has
    /// no other way to learn that. Minimisers check it before they begin.
    #[track_caller]
    fn check_len(&self, what: &str, found: usize) {
        let expected = self.dim();
        assert!(
            found == expected,
            "{what} has length {found}, expected {expected}"
        );
    }

    /// The bytes of residuals that are kept of the point of linearization.
    pub fn residual_bytes(&self) -> usize {
        let kept = self
            .point
            .iter()
            .flat_map(|point| point.residuals.iter().flatten());
        kept.map(Residuals::bytes).sum()
    }

    /// Replaces the cases by rows of other arrays, as a mini-batch does; as many rows as there are
    /// cases. Ends a linearization. The new rows are not searched for non-finite numbers: they come
    /// from data that were.
    ///
    /// # Errors
    /// [`Error::DataCount`] and [`Error::Shape`] if number or shapes differ, or a row is not there.
    pub fn load_rows(&mut self, from: &[ArrayViewD<'_, T>], rows: &[usize]) -> Result<(), Error> {
        if from.len() != self.data.len() {
            return Err(Error::DataCount {
                expected: self.data.len(),
                found: from.len(),
            });
        }
        for (at, (to, from)) in self.data.iter().zip(from).enumerate() {
            let largest = rows.iter().max().map_or(0, |row| row + 1);
            let there = from.shape().first().copied().unwrap_or(0);
            let expected = [&[largest.max(there)], &to.shape()[1..]].concat();
            if from.shape() != expected || rows.len() != self.n_cases {
                let what = format!("rows {} of data array {at}", rows.len());
                return Err(Error::Shape {
                    what,
                    expected,
                    found: from.shape().to_vec(),
                });
            }
        }
        self.point = None;
        for (to, from) in self.data.iter_mut().zip(from) {
            copy_rows(to, from, rows);
        }
        Ok(())
    }

    /// How many partial sums shards are added up in.
    fn n_accumulators(&self) -> usize {
        self.sharding.partial_sums.clamp(1, self.shards.len())
    }

    /// The numbers of the shards of an accumulator.
    fn shards_of(&self, accumulator: usize) -> impl Iterator<Item = usize> + use<T> {
        (accumulator..self.shards.len()).step_by(self.n_accumulators())
    }

    /// Runs `work` for every shard, with its accumulator's state and its place among that one's
    /// shards; leaves the mean of what it writes in `out` and returns the mean of the values. A
    /// failure shows as NaN.
    fn mean<S: Send>(
        &self,
        parameters: &[T],
        out: &mut [T],
        states: &mut [S],
        work: impl Fn(Call<'_, '_, T>, &mut S, &mut Accumulator<'_, T>) -> Result<T, Error> + Sync,
    ) -> T {
        let full = match self.reduction {
            Reduction::Mean => self.shards[0].rows,
            Reduction::Sum => 1,
        };
        let factor = T::of(full as f64 / self.n_cases as f64);
        let sum = |at: usize, state: &mut S, accumulator: &mut Accumulator<'_, T>| {
            for (place, number) in self.shards_of(at).enumerate() {
                let shard = self.shards[number];
                let value = self.on_shard(shard, parameters, |function, point| {
                    work(
                        Call {
                            function,
                            point,
                            place,
                            accumulator: at,
                        },
                        state,
                        accumulator,
                    )
                });
                let value = value.unwrap_or_else(|_| {
                    accumulator.target().0.fill(T::nan());
                    T::nan()
                });
                let weight = match self.reduction {
                    Reduction::Mean => T::of(shard.rows as f64 / full as f64),
                    Reduction::Sum => T::one(),
                };
                accumulator.absorb(weight, value);
            }
        };
        reduce(&self.pool, out, factor, states, self.hands, sum)
    }

    /// [`Self::mean`] at parameters that may not be finite: `out` is then NaN, and the result
    /// `None`. Each accumulator looks at its part of them, so that no thread waits for that.
    fn finite_mean<S: Send>(
        &self,
        parameters: &[T],
        out: &mut [T],
        states: &mut [S],
        work: impl Fn(Call<'_, '_, T>, &mut S, &mut Accumulator<'_, T>) -> Result<T, Error> + Sync,
    ) -> Option<T> {
        let finite = AtomicBool::new(true);
        let start = |part: usize| part * parameters.len() / self.n_accumulators();
        let value = self.mean(parameters, out, states, |call, state, accumulator| {
            let part = start(call.accumulator)..start(call.accumulator + 1);
            if call.place == 0 && !all_finite(&parameters[part]) {
                finite.store(false, Ordering::Relaxed);
            }
            work(call, state, accumulator)
        });
        if !finite.into_inner() {
            out.fill(T::nan());
            return None;
        }
        Some(value)
    }

    /// The same without states; NaN for parameters that are not finite.
    fn plain_mean(
        &self,
        parameters: &[T],
        out: &mut [T],
        work: impl Fn(Call<'_, '_, T>, &mut Accumulator<'_, T>) -> Result<T, Error> + Sync,
    ) -> T {
        let states = &mut vec![(); self.n_accumulators()];
        let mean = self.finite_mean(parameters, out, states, |call, (), accumulator| {
            work(call, accumulator)
        });
        mean.unwrap_or_else(T::nan)
    }

    /// Calls `f` with a shard's function and point. Whether parameters are finite is seen elsewhere.
    fn on_shard<R>(
        &self,
        shard: Shard,
        parameters: &[T],
        f: impl FnOnce(&Function<T>, Point<'_, T>) -> R,
    ) -> R {
        let function = &self.functions[shard.function];
        let views: SmallVec<[ArrayViewD<'_, T>; 4]> = self
            .data
            .iter()
            .zip(function.data_shapes())
            .map(|(array, shape)| shard.rows_of(array, self.n_cases, shape))
            .collect();
        f(
            function,
            Point::with_data(parameters, &views).assume_finite(),
        )
    }

    /// A product with one vector (`stack` of 1) or several, one after the other in `v` and `out`.
    fn product_into(&self, product: Product, stack: usize, v: &[T], out: &mut [T]) {
        let Some(point) = &self.point else {
            return out.fill(T::nan());
        };
        let n = self.dim();
        let states = &mut vec![(); self.n_accumulators()];
        self.mean(&point.parameters, out, states, |call, (), accumulator| {
            let Call {
                function,
                point: at,
                place,
                accumulator: number,
            } = call;
            let (target, scratch, gradient) = accumulator.target();
            let residuals = match point.residuals[number].get(place) {
                Some(kept) => kept,
                None => {
                    gradient.resize(n, T::zero());
                    let gradient = ArrayViewMut1::from(&mut gradient[..]);
                    function.linearize_into(at, scratch, gradient)?;
                    scratch
                }
            };
            if stack == 1 {
                let (v, out) = (ArrayView1::from(v), ArrayViewMut1::from(target));
                function.apply_linearized(product, at, residuals, v, out)?;
            } else {
                let v = ArrayView2::from_shape((stack, n), v).expect("a stack of vectors");
                let out = ArrayViewMut2::from_shape((stack, n), target).expect("as many results");
                function.apply_linearized_block(product, at, residuals, v, out)?;
            }
            Ok(T::zero())
        });
    }

    /// Copies parameters, which products will read, with as many hands as evaluations have.
    fn copy_parameters(&self, to: &mut Vec<T>, from: ArrayView1<'_, T>) {
        let from = from.as_standard_layout();
        let from = from.as_slice().expect("standard layout");
        to.resize(from.len(), T::zero());
        let size = piece(to.len(), self.hands);
        let pieces = to.len().div_ceil(size);
        let parts = to.chunks_mut(size).zip(from.chunks(size));
        share(self.hands, pieces, parts, |(to, from)| {
            to.copy_from_slice(from);
        });
    }

    /// How many of `stack` vectors go through all shards before the next ones do. Their partial sums
    /// are as long as they are, so no more than one pass works on; but all of them where a pass has to
    /// linearize shards again.
    fn vectors_at_once(&self, stack: usize) -> usize {
        let kept = |point: &Linearized<T>| point.residuals.iter().map(Vec::len).sum();
        if self.point.as_ref().map_or(0, kept) < self.shards.len() {
            return stack.max(1);
        }
        self.functions[0].vectors_at_once(Product::Hvp)
    }

    /// Residuals for as many shards as the budget allows, spread over the accumulators.
    fn empty_residuals(&self) -> Vec<Vec<Residuals<T>>> {
        let cost = self.functions[0].cost(Program::Linearize);
        let bytes = cost.map_or(usize::MAX, |cost| cost.residual_bytes).max(1);
        let kept = self.sharding.residual_budget / bytes;
        let of = |at| {
            self.shards_of(at)
                .filter(|number| *number < kept)
                .map(|_| Residuals::new())
        };
        (0..self.n_accumulators())
            .map(|at| of(at).collect())
            .collect()
    }
}

/// One shard's evaluation.
struct Call<'f, 'p, T> {
    function: &'f Function<T>,
    point: Point<'p, T>,
    /// The accumulator's number, and the shard's place among its shards.
    accumulator: usize,
    place: usize,
}

impl Shard {
    /// The shard's rows of a data array.
    fn rows_of<'a, T>(
        self,
        array: &'a ArrayD<T>,
        n_cases: usize,
        shape: &[usize],
    ) -> ArrayViewD<'a, T> {
        let width = array.len() / n_cases;
        let whole = array.as_slice().expect("kept in standard layout");
        let part = &whole[self.start * width..(self.start + self.rows) * width];
        ArrayViewD::from_shape(shape, part).expect("as many elements as rows of the array")
    }
}

/// Writes rows of an array to one after the other of another array. A row is some tens of numbers,
/// and iterators over axes of unknown rank take longer than the copy.
fn copy_rows<T: Real>(to: &mut ArrayD<T>, from: &ArrayViewD<'_, T>, rows: &[usize]) {
    let width = to.len() / rows.len().max(1);
    if let (Some(to), Some(from)) = (to.as_slice_mut(), from.as_slice()) {
        for (to, &row) in to.chunks_exact_mut(width.max(1)).zip(rows) {
            to.copy_from_slice(&from[row * width..(row + 1) * width]);
        }
        return;
    }
    for (mut to, &row) in to.axis_iter_mut(Axis(0)).zip(rows) {
        to.assign(&from.index_axis(Axis(0), row));
    }
}

/// Calls `f` with a view's elements in order, or with a copy that is written back if they do not
/// lie so.
fn with_slice<T: Real, D: Dimension, R>(
    out: &mut ArrayViewMut<'_, T, D>,
    f: impl FnOnce(&mut [T]) -> R,
) -> R {
    if let Some(slice) = out.as_slice_mut() {
        return f(slice);
    }
    let mut copy = out.as_standard_layout().into_owned();
    let result = f(copy.as_slice_mut().expect("standard layout"));
    out.assign(&copy);
    result
}

impl<T: Real> Objective<T> for FiniteSum<T> {
    fn dim(&self) -> usize {
        self.functions[0].n_parameters()
    }

    fn value(&mut self, x: ArrayView1<'_, T>) -> T {
        self.check_len("x", x.len());
        let x = x.as_standard_layout();
        let x = x.as_slice().expect("standard layout");
        self.plain_mean(x, &mut [], |call, _| call.function.value(call.point))
    }

    fn value_and_grad(&mut self, x: ArrayView1<'_, T>, mut grad: ArrayViewMut1<'_, T>) -> T {
        self.check_len("x", x.len());
        self.check_len("the gradient", grad.len());
        let x = x.as_standard_layout();
        let x = x.as_slice().expect("standard layout");
        with_slice(&mut grad, |grad| {
            self.plain_mean(x, grad, |call, accumulator| {
                call.function
                    .value_and_grad_into(call.point, accumulator.array())
            })
        })
    }
}

impl<T: Real> SecondOrder<T> for FiniteSum<T> {
    fn linearize(&mut self, x: ArrayView1<'_, T>, mut grad: ArrayViewMut1<'_, T>) -> T {
        self.check_len("x", x.len());
        self.check_len("the gradient", grad.len());
        let mut point = self.point.take().unwrap_or_else(|| Linearized {
            parameters: Vec::new(),
            residuals: self.empty_residuals(),
        });
        self.copy_parameters(&mut point.parameters, x);
        let Linearized {
            parameters,
            residuals,
        } = &mut point;
        let value = with_slice(&mut grad, |grad| {
            self.finite_mean(
                parameters,
                grad,
                residuals,
                |call, kept, accumulator| match kept.get_mut(call.place) {
                    Some(kept) => {
                        call.function
                            .linearize_into(call.point, kept, accumulator.array())
                    }
                    None => call
                        .function
                        .value_and_grad_into(call.point, accumulator.array()),
                },
            )
        });
        // Without a point, products are NaN.
        self.point = value.is_some().then_some(point);
        value.unwrap_or_else(T::nan)
    }

    fn hvp_into(&self, v: ArrayView1<'_, T>, mut out: ArrayViewMut1<'_, T>) {
        self.check_len("v", v.len());
        self.check_len("the product", out.len());
        let v = v.as_standard_layout();
        let v = v.as_slice().expect("standard layout");
        with_slice(&mut out, |out| self.product_into(Product::Hvp, 1, v, out));
    }

    fn hvp_block_into(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) {
        assert_eq!(v.dim(), out.dim(), "vectors and products differ in shape");
        self.check_len("v", v.ncols());
        let count = self.vectors_at_once(v.nrows());
        let blocks = out.axis_chunks_iter_mut(Axis(0), count);
        for (v, mut out) in v.axis_chunks_iter(Axis(0), count).zip(blocks) {
            let v = v.as_standard_layout();
            let (stack, v) = (v.nrows(), v.as_slice().expect("standard layout"));
            with_slice(&mut out, |out| {
                self.product_into(Product::Hvp, stack, v, out)
            });
        }
    }

    fn hessian_into(&self, mut out: ArrayViewMut2<'_, T>) {
        let n = self.dim();
        assert_eq!(out.dim(), (n, n), "the Hessian's shape");
        let point = self.point.as_ref();
        let done = point.is_some_and(|at| self.dense_hessian(&at.parameters, &mut out).is_ok());
        if !done {
            out.fill(T::nan());
        }
    }

    fn has_gauss_newton(&self) -> bool {
        self.functions[0].has_model_output()
    }

    fn ggnvp_into(&self, v: ArrayView1<'_, T>, mut out: ArrayViewMut1<'_, T>) {
        self.check_len("v", v.len());
        self.check_len("the product", out.len());
        let v = v.as_standard_layout();
        let v = v.as_slice().expect("standard layout");
        with_slice(&mut out, |out| self.product_into(Product::Ggnvp, 1, v, out));
    }
}
