//! From a function and data to shards: checks, sizes, recordings.

use std::panic::Location;

use ad_core::{Error, Function, Point, Program, Real, Var};
use ndarray::{ArrayD, Axis, Slice};

use super::reduce::ScratchPool;
use super::{FiniteSum, Shard};
use crate::parallel::Hands;

/// How a [`FiniteSum`] divides its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharding {
    /// Cases per shard; `None` to choose by the numbers of cases and parameters alone. What a shard's
    /// activations take should fit a processor's cache, and each shard reads and adds up as many
    /// numbers as there are parameters.
    pub shard_rows: Option<usize>,
    /// The most partial sums, each of n numbers, that shards are added up in.
    pub partial_sums: usize,
    /// The most bytes of residuals that a linearization keeps; those of further shards are computed
    /// again for each product.
    pub residual_budget: usize,
}

impl Default for Sharding {
    /// Rows by size, 8 partial sums, 2 GiB of residuals.
    fn default() -> Self {
        Self {
            shard_rows: None,
            partial_sums: 8,
            residual_budget: 2 << 30,
        }
    }
}

/// From this many parameters on, adding up a shard's gradient takes long enough for larger shards.
const MANY_PARAMETERS: usize = 500_000;

/// Up to this many parameters, what is done once per shard takes longer than its 128 rows.
const FEW_PARAMETERS: usize = 256;

/// The most rows of a shard where there are few parameters.
const MOST_ROWS: usize = 4096;

impl Sharding {
    /// The rows of a shard, from 1 to `n_cases`: 128, or 256 for many parameters, but two shards at
    /// least where each has 32 rows, which is long enough for efficient products. For up to 256
    /// parameters more, as 2¹⁵ divided by their number, up to 4096; then 16 shards at least where
    /// each has 128 rows.
    #[must_use]
    pub fn rows(&self, n_cases: usize, n_parameters: usize) -> usize {
        let usual = if n_parameters < MANY_PARAMETERS {
            128
        } else {
            256
        };
        let by_size = || {
            if n_parameters <= FEW_PARAMETERS {
                let rows = (128 * FEW_PARAMETERS / n_parameters.max(1)).min(MOST_ROWS);
                let shared = rows.min(n_cases.div_ceil(16));
                if shared > usual {
                    return shared;
                }
            }
            usual.min(n_cases.div_ceil(2)).max(32)
        };
        let rows = self.shard_rows.unwrap_or_else(by_size);
        rows.clamp(1, n_cases.max(1))
    }
}

/// Multiply-adds of one evaluation from which on it is shared.
const SHARED_WORK: usize = 50_000;

/// Multiply-adds of one evaluation from which on threads are worth waking.
const LONG_WORK: usize = 1 << 25;

/// Multiply-adds in the time that an elementwise operation takes for one number of the data.
const PER_NUMBER: usize = 8;

/// What a function returns of the rows that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Mean,
    Sum,
}

impl<T: Real> FiniteSum<T> {
    /// Records `f` for shards of the data. Each data array has the cases along its first axis; `f`
    /// gets the parameters and a shard's rows, and returns the *mean* over these rows.
    ///
    /// Of a sum the result would depend on the size of shards. So `f` is tried on one case and on
    /// the same case twice, and refused if that makes a difference of more than a hundredth.
    ///
    /// # Errors
    /// [`Error::Empty`] for no cases; [`Error::Shape`] if the arrays differ in their number of
    /// cases, or one has no axis; [`Error::NonFinite`]; [`Error::Record`] for what is wrong with `f`,
    /// also if it is no mean; [`Error::NotScalar`].
    #[track_caller]
    pub fn new<F>(
        n_parameters: usize,
        data: Vec<ArrayD<T>>,
        sharding: Sharding,
        f: F,
    ) -> Result<Self, Error>
    where
        F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        Self::checked(n_parameters, data, sharding, Reduction::Mean, f)
    }

    /// [`Self::new`] for a function that returns the *sum* over its rows. The objective is the same,
    /// the mean over all cases: that of `f` divided by N.
    ///
    /// ```
    /// use hvp_solvers::Objective;
    /// use ndarray::array;
    /// use optim::{FiniteSum, Sharding};
    /// let a = array![[1.0], [2.0], [3.0]].into_dyn();
    /// let sharding = Sharding { shard_rows: Some(2), ..Sharding::default() };
    /// let mut f = FiniteSum::from_sums(1, vec![a.clone()], sharding, |x, d| (d[0] * x).square().sum())?;
    /// assert_eq!(f.value(array![3.0].view()), 42.0);
    /// // A sum is no mean, and that is seen.
    /// assert!(FiniteSum::new(1, vec![a], sharding, |x, d| (d[0] * x).square().sum()).is_err());
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::new`], with [`Error::Record`] if `f` is no sum: a term that does not depend on the
    /// rows, such as a penalty, would be added once per shard.
    #[track_caller]
    pub fn from_sums<F>(
        n_parameters: usize,
        data: Vec<ArrayD<T>>,
        sharding: Sharding,
        f: F,
    ) -> Result<Self, Error>
    where
        F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        Self::checked(n_parameters, data, sharding, Reduction::Sum, f)
    }

    #[track_caller]
    fn checked<F>(
        n_parameters: usize,
        data: Vec<ArrayD<T>>,
        sharding: Sharding,
        reduction: Reduction,
        f: F,
    ) -> Result<Self, Error>
    where
        F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        check_data(&data)?;
        let sum = Self::unchecked(n_parameters, data, sharding, reduction, &f)?;
        let caller = Location::caller();
        check_reduction(n_parameters, &sum.data, reduction, &f, caller)?;
        Ok(sum)
    }

    /// [`Self::new`] of data and a function that were checked.
    pub(crate) fn unchecked<F>(
        n_parameters: usize,
        data: Vec<ArrayD<T>>,
        sharding: Sharding,
        reduction: Reduction,
        f: F,
    ) -> Result<Self, Error>
    where
        F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        let n_cases = data.first().map_or(0, |array| array.len_of(Axis(0)));
        let standard = |array: ArrayD<T>| array.as_standard_layout().into_owned();
        let data: Vec<_> = data.into_iter().map(standard).collect();
        let rows = sharding.rows(n_cases, n_parameters);
        let last = n_cases % rows;
        let mut functions = Vec::new();
        for rows in [Some(rows), (last > 0).then_some(last)]
            .into_iter()
            .flatten()
        {
            functions.push(record(n_parameters, &data, rows, &f)?);
        }
        let shard = |start: usize| {
            let rows = rows.min(n_cases - start);
            Shard {
                start,
                rows,
                function: usize::from(rows == last),
            }
        };
        let shards: Vec<_> = (0..n_cases).step_by(rows).map(shard).collect();
        let numbers: usize = data.iter().map(|array| array.len() / n_cases * rows).sum();
        let work = functions[0].cost(Program::Value)?.product_flops + PER_NUMBER * numbers;
        let hands = match work.saturating_mul(shards.len()) {
            0..SHARED_WORK => Hands::Own,
            SHARED_WORK..LONG_WORK => Hands::Crew,
            LONG_WORK.. => Hands::Pool,
        };
        Ok(Self {
            functions,
            data,
            shards,
            n_cases,
            sharding,
            reduction,
            pool: ScratchPool::new(),
            hands,
            point: None,
        })
    }
}

/// The function of so many rows.
fn record<T: Real, F>(
    n_parameters: usize,
    data: &[ArrayD<T>],
    rows: usize,
    f: &F,
) -> Result<Function<T>, Error>
where
    F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
{
    let shape = |array: &ArrayD<T>| [&[rows], &array.shape()[1..]].concat();
    let shapes: Vec<Vec<usize>> = data.iter().map(shape).collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let function = Function::record_with_data(n_parameters, &shapes, f)?;
    if !function.output_shape().is_empty() {
        let found = function.output_shape().to_vec();
        return Err(Error::NotScalar {
            operation: "a mean over cases",
            found,
        });
    }
    Ok(function)
}

/// Whether all arrays have the same number of cases, and finite entries.
fn check_data<T: Real>(data: &[ArrayD<T>]) -> Result<(), Error> {
    let first = data.first().map(|array| array.shape().first().copied());
    let n_cases = match first {
        // An array without axes has no cases; one was expected at least.
        Some(None) => 1,
        Some(Some(n_cases)) if n_cases > 0 => n_cases,
        _ => {
            let what = "the data".into();
            return Err(Error::Empty { what });
        }
    };
    for (at, array) in data.iter().enumerate() {
        if array.shape().first() != Some(&n_cases) {
            let mut expected = array.shape().to_vec();
            expected.splice(..expected.len().min(1), [n_cases]);
            let found = array.shape().to_vec();
            return Err(Error::Shape {
                what: format!("data array {at}"),
                expected,
                found,
            });
        }
        let bad = array.iter().enumerate().find(|(_, x)| !x.is_finite());
        if let Some((index, value)) = bad {
            return Err(Error::NonFinite {
                what: format!("data array {at}"),
                index,
                value: value.to_string(),
            });
        }
    }
    Ok(())
}

/// Tries a function on the first case and on the same one twice.
///
/// Where it cannot be recorded for one or two rows, or is not finite there, nothing is known.
fn check_reduction<T: Real, F>(
    n_parameters: usize,
    data: &[ArrayD<T>],
    reduction: Reduction,
    f: &F,
    location: &'static Location<'static>,
) -> Result<(), Error>
where
    F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
{
    let parameters: Vec<T> = (1..=n_parameters)
        .map(|i| T::of(0.5 * (i as f64).sin()))
        .collect();
    let value = |rows: usize| {
        let function = record(n_parameters, data, rows, f).ok()?;
        let repeated: Vec<ArrayD<T>> = data
            .iter()
            .map(|array| {
                let case = array.slice_axis(Axis(0), Slice::from(..1));
                let views = vec![case; rows];
                ndarray::concatenate(Axis(0), &views).expect("rows of one shape")
            })
            .collect();
        let views: Vec<_> = repeated.iter().map(|array| array.view()).collect();
        let value = function.value(Point::with_data(&parameters, &views)).ok()?;
        let value = value.as_f64();
        value.is_finite().then_some(value)
    };
    let (Some(once), Some(twice)) = (value(1), value(2)) else {
        return Ok(());
    };
    let (expected, name, other) = match reduction {
        Reduction::Mean => (once, "mean", "FiniteSum::from_sums"),
        Reduction::Sum => (2.0 * once, "sum", "FiniteSum::new"),
    };
    // Far above rounding, also where terms cancel.
    if (twice - expected).abs() <= 0.01 * once.abs().max(twice.abs()) {
        return Ok(());
    }
    Err(Error::Record {
        op: "a sum over cases",
        location,
        message: format!(
            "the function is {once} for one case and {twice} for the same case twice, so it is no \
             {name} over its rows; for another kind of function there is `{other}`"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvp_solvers::Objective;
    use ndarray::{Array1, Array2, array};

    fn products(n: usize) -> FiniteSum<f32> {
        let data = Array2::from_shape_fn((n, 1), |(i, _)| (i % 7) as f32 - 3.0);
        FiniteSum::new(1, vec![data.into_dyn()], Sharding::default(), |x, d| {
            let rows = d[0].shape()[0] as f64;
            (d[0] * x).square().sum() * (1.0 / rows)
        })
        .unwrap()
    }

    /// No matrix product is in it, and yet it is long work for all cores.
    #[test]
    fn elementwise_work_is_shared_in_shards_that_are_worth_it() {
        let sum = products(10_000_000);
        assert_eq!(sum.hands, Hands::Pool);
        assert_eq!(sum.shards[0].rows, MOST_ROWS);
        assert_eq!(products(70_000).hands, Hands::Crew);
        assert_eq!(products(100).hands, Hands::Own);
    }

    #[test]
    fn threads_do_not_show_in_shards_of_few_parameters() {
        let mut sum = products(100_003);
        let mut run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let mut gradient = Array1::zeros(1);
            let at = array![0.3];
            let value = pool
                .build()
                .unwrap()
                .install(|| sum.value_and_grad(at.view(), gradient.view_mut()));
            (value.to_bits(), gradient[0].to_bits())
        };
        let one = run(1);
        assert_eq!([run(2), run(3), run(8)], [one; 3]);
    }

    #[test]
    fn rows_are_those_of_networks_from_257_parameters_on() {
        let rows = |n_cases, n| Sharding::default().rows(n_cases, n);
        assert_eq!((rows(1 << 20, 257), rows(1 << 20, 499_999)), (128, 128));
        assert_eq!((rows(1 << 20, 500_000), rows(100, 1000)), (256, 50));
        assert_eq!((rows(1 << 20, 1), rows(1 << 20, 64)), (4096, 512));
        // Enough shards for many cores, as long as each is worth it.
        assert_eq!((rows(16_000, 1), rows(1000, 1), rows(3, 1)), (1000, 128, 3));
        for n_cases in 0..500 {
            for n in [0, 1, 10, 256, 257, 1_000_000] {
                assert!((1..=n_cases.max(1)).contains(&rows(n_cases, n)));
            }
        }
    }
}
