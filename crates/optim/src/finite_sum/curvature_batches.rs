//! Curvature from some of the cases.

use ad_core::{Error, Real, Var};
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, ArrayD, ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut1, ArrayViewMut2};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::build::Reduction;
use super::{FiniteSum, Sharding};

/// A mean over cases whose products refer to a batch of them.
///
/// Value and gradient are those of all N cases. The batch of `m` cases is drawn anew, by the seed
/// and the number of the linearization alone, when a method asks for it
/// ([`SecondOrder::select_curvature_batch`], as
/// [`HessianFree`](hvp_solvers::newton::HessianFree) does): a product then costs `m/N` of one
/// over all cases, and a truncated solution with it is nearly as good (Martens 2010, §4;
/// Byrd, Chin, Neveitt & Nocedal, *On the use of stochastic Hessian information in
/// optimization methods for machine learning*, 2011).
///
/// Memory: that of two [`FiniteSum`]s, of N and of `m` cases.
///
/// ```
/// use hvp_solvers::{Objective, SecondOrder};
/// use ndarray::{array, Array1};
/// use optim::{CurvatureBatches, Sharding};
/// // The mean of ½(aᵢx)², with two of four cases for products.
/// let a = array![[1.0], [2.0], [3.0], [4.0]].into_dyn();
/// let mut f = CurvatureBatches::new(1, vec![a], 2, 7, Sharding::default(), |x, data| {
///     let rows = data[0].shape()[0] as f64;
///     (data[0] * x).square().sum() * (0.5 / rows)
/// })?;
/// assert_eq!(f.value(array![2.0].view()), 15.0); // ½·4·(1 + 4 + 9 + 16)/4
/// f.select_curvature_batch(0);
/// let (mut g, mut h) = (Array1::zeros(1), Array1::zeros(1));
/// f.linearize(array![2.0].view(), g.view_mut());
/// assert_eq!(g, array![15.0]); // of all cases
/// f.hvp_into(array![1.0].view(), h.view_mut());
/// let squares = f.batch().iter().map(|&row| (row as f64 + 1.0).powi(2));
/// assert_eq!(h[0], squares.sum::<f64>() / 2.0); // of the batch
/// # Ok::<(), ad_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CurvatureBatches<T> {
    all: FiniteSum<T>,
    part: FiniteSum<T>,
    batch: Vec<usize>,
    seed: u64,
    /// The batch's own gradient, which nobody asks for.
    unused: Array1<T>,
}

impl<T: Real> CurvatureBatches<T> {
    /// Records `f` as [`FiniteSum::new`] does, with batches of `batch_size` cases (at most all).
    /// The first batch is that of index 0.
    ///
    /// # Errors
    /// As [`FiniteSum::new`]; [`Error::Empty`] for a batch size of 0.
    #[track_caller]
    pub fn new<F>(
        n_parameters: usize,
        data: Vec<ArrayD<T>>,
        batch_size: usize,
        seed: u64,
        sharding: Sharding,
        f: F,
    ) -> Result<Self, Error>
    where
        F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        let all = FiniteSum::new(n_parameters, data, sharding, &f)?;
        if batch_size == 0 {
            let what = "the batch for products".into();
            return Err(Error::Empty { what });
        }
        let batch = draw(all.n_cases, batch_size, seed, 0);
        let rows = |array: &ArrayD<T>| array.select(ndarray::Axis(0), &batch);
        let data = all.data.iter().map(rows).collect();
        let part = FiniteSum::unchecked(n_parameters, data, sharding, Reduction::Mean, &f)?;
        Ok(Self {
            all,
            part,
            batch,
            seed,
            unused: Array1::zeros(n_parameters),
        })
    }

    /// The cases that products refer to, ascending.
    pub fn batch(&self) -> &[usize] {
        &self.batch
    }

    /// The mean over all cases.
    pub fn all(&mut self) -> &mut FiniteSum<T> {
        &mut self.all
    }
}

/// Sorted, so that rows are read in order.
fn draw(n_cases: usize, batch_size: usize, seed: u64, index: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    let mut rows = index::sample(&mut rng, n_cases, batch_size.min(n_cases)).into_vec();
    rows.sort_unstable();
    rows
}

impl<T: Real> Objective<T> for CurvatureBatches<T> {
    fn dim(&self) -> usize {
        self.all.dim()
    }

    fn value(&mut self, x: ArrayView1<'_, T>) -> T {
        self.all.value(x)
    }

    fn value_and_grad(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T {
        self.all.value_and_grad(x, grad)
    }
}

impl<T: Real> SecondOrder<T> for CurvatureBatches<T> {
    fn linearize(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T {
        self.part.linearize(x, self.unused.view_mut());
        self.all.value_and_grad(x, grad)
    }

    fn hvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) {
        self.part.hvp_into(v, out);
    }

    fn hvp_block_into(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) {
        self.part.hvp_block_into(v, out);
    }

    fn hessian_into(&self, out: ArrayViewMut2<'_, T>) {
        self.part.hessian_into(out);
    }

    fn has_gauss_newton(&self) -> bool {
        self.part.has_gauss_newton()
    }

    fn ggnvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) {
        self.part.ggnvp_into(v, out);
    }

    fn select_curvature_batch(&mut self, index: u64) {
        self.batch = draw(self.all.n_cases, self.part.n_cases, self.seed, index);
        let data: Vec<ArrayViewD<'_, T>> = self.all.data.iter().map(|array| array.view()).collect();
        let loaded = self.part.load_rows(&data, &self.batch);
        debug_assert!(loaded.is_ok(), "as many rows of the same arrays");
    }

    fn has_curvature_batches(&self) -> bool {
        true
    }

    fn curvature_value(&mut self, x: ArrayView1<'_, T>) -> T {
        self.part.value(x)
    }
}
