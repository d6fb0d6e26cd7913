//! The dense Hessian, within a memory budget.

use ndarray::{Array2, s};

use super::linearization::MAX_BLOCK;
use super::{Function, Point, Product};
use crate::error::Error;
use crate::real::Real;

/// How a dense Hessian is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HessianOptions {
    /// The most bytes that the matrix and what computing it needs may take; 4 GiB by default.
    pub memory_budget: u128,
}

impl Default for HessianOptions {
    fn default() -> Self {
        Self {
            memory_budget: 4 << 30,
        }
    }
}

impl<T: Real> Function<T> {
    /// The dense n × n Hessian at x, from products with blocks of unit vectors.
    ///
    /// Cost: a linearization and n Hessian-vector products, 16 at a time; n² numbers. It is
    /// symmetric up to rounding, which is left in it.
    ///
    /// # Errors
    /// [`Error::MemoryBudget`] if it would take more than 4 GiB (see [`Self::hessian_with`]), which
    /// is found before anything is computed; [`Error::NotScalar`]; shapes and non-finite inputs as
    /// everywhere.
    pub fn hessian<'a>(&'a self, point: impl Into<Point<'a, T>>) -> Result<Array2<T>, Error> {
        self.hessian_with(point, &HessianOptions::default())
    }

    /// The dense Hessian within a budget of the caller's choice; see [`Self::hessian`].
    ///
    /// ```
    /// use ad_core::{Error, Function, HessianOptions};
    /// let f = Function::<f64>::record(1_000_000, |x| x.square().sum())?;
    /// let x = vec![0.0; 1_000_000];
    /// let refused = f.hessian_with(&x, &HessianOptions::default());
    /// let Err(Error::MemoryBudget { required, .. }) = refused else { panic!() };
    /// assert!(required >= 8_000_000_000_000); // 8 TB
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::hessian`].
    pub fn hessian_with<'a>(
        &'a self,
        point: impl Into<Point<'a, T>>,
        options: &HessianOptions,
    ) -> Result<Array2<T>, Error> {
        let point = point.into();
        self.inputs(&point, "a Hessian", true)?;
        let n = self.n_parameters();
        let required = Self::dense_bytes(n);
        let budget = options.memory_budget;
        let what = format!("a dense Hessian of {n} × {n} numbers");
        if required > budget {
            return Err(Error::MemoryBudget {
                what,
                required,
                budget,
            });
        }
        let count = MAX_BLOCK.min(n);
        let block_bytes = self
            .linearized_programs()
            .block_workspace_bytes(Product::Hvp, count);
        let required = required + block_bytes as u128;
        if required > budget {
            return Err(Error::MemoryBudget {
                what,
                required,
                budget,
            });
        }
        let at = self.linearize(point)?;
        let mut hessian = Array2::zeros((n, n));
        let mut units = Array2::zeros((count, n));
        let mut start = 0;
        while start < n {
            // The last block reaches back over rows already done rather than being shorter.
            start = start.min(n - count);
            for row in 0..count {
                units[[row, start + row]] = T::one();
            }
            let rows = hessian.slice_mut(s![start..start + count, ..]);
            at.hvp_block_into(units.view(), rows)?;
            for row in 0..count {
                units[[row, start + row]] = T::zero();
            }
            start += count;
        }
        Ok(hessian)
    }

    /// The bytes of a dense n × n matrix.
    ///
    /// ```
    /// assert_eq!(ad_core::Function::<f32>::dense_bytes(1_000_000), 4_000_000_000_000);
    /// ```
    #[must_use]
    pub fn dense_bytes(n: usize) -> u128 {
        (n as u128)
            .saturating_mul(n as u128)
            .saturating_mul(size_of::<T>() as u128)
    }
}
