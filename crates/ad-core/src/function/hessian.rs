//! The dense Hessian, within a memory budget.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis, s};

use super::identity::Purpose;
use super::linearization::with_tangent;
use super::{Function, Point, Product, Residuals, matrix};
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

/// Some consecutive rows of a dense Hessian, up to the last column of their panel: what is to the
/// right follows by symmetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HessianStrip {
    panel: usize,
    rows: Range<usize>,
    /// The parameters that are differentiated together.
    panel_range: Range<usize>,
}

impl HessianStrip {
    /// The rows.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The number of columns, from the first one on.
    pub fn columns(&self) -> usize {
        self.panel_range.end
    }
}

/// Memory that [`Function::add_hessian_strip`] works in.
#[derive(Clone, Debug, Default)]
pub struct HessianWork<T> {
    /// Zero between calls.
    units: Vec<T>,
    products: Vec<T>,
}

/// The rows of a strip: tangents that run together. Twice as many take twice the workspace.
pub(super) const STRIP: usize = 8;

/// Rows and columns of a square that is copied to its mirror image at a time: both fit the first
/// level of cache.
const TILE: usize = 32;

/// A way to run two pieces of work: one after the other, or side by side as `rayon::join` does.
pub type Join = fn(&mut (dyn FnMut() + Send), &mut (dyn FnMut() + Send));

/// Completes a symmetric matrix of which what is below the diagonal has been computed.
///
/// # Panics
/// If the matrix is not square.
pub fn mirror_hessian<T: Copy + Send + Sync>(mut hessian: ArrayViewMut2<'_, T>, join: Join) {
    let n = hessian.nrows();
    assert_eq!(n, hessian.ncols(), "a Hessian is square");
    if n <= TILE {
        for (row, column) in (0..n).flat_map(|row| (row + 1..n).map(move |column| (row, column))) {
            hessian[[row, column]] = hessian[[column, row]];
        }
        return;
    }
    let middle = (n / 2).next_multiple_of(TILE);
    let (top, bottom) = hessian.split_at(Axis(0), middle);
    let (mut first, mut right) = top.split_at(Axis(1), middle);
    let (below, mut last) = bottom.split_at(Axis(1), middle);
    join(
        &mut || copy_transposed(below.view(), right.view_mut()),
        &mut || {
            mirror_hessian(first.view_mut(), join);
            mirror_hessian(last.view_mut(), join);
        },
    );
}

/// Writes the transpose of a matrix, square by square.
fn copy_transposed<T: Copy>(from: ArrayView2<'_, T>, mut to: ArrayViewMut2<'_, T>) {
    for (mut to, from) in to
        .axis_chunks_iter_mut(Axis(0), TILE)
        .zip(from.axis_chunks_iter(Axis(1), TILE))
    {
        let pieces = to.axis_chunks_iter_mut(Axis(1), TILE);
        for (mut to, from) in pieces.zip(from.axis_chunks_iter(Axis(0), TILE)) {
            to.assign(&from.t());
        }
    }
}

impl<T: Real> Function<T> {
    /// The dense n × n Hessian at x, from products with blocks of unit vectors.
    ///
    /// Cost: a linearization and n Hessian-vector products, 8 at a time and each only as far as
    /// symmetry leaves something to compute (see [`Self::hessian_strips`]); n² numbers, exactly
    /// symmetric.
    ///
    /// # Errors
    /// [`Error::MemoryBudget`] if it would take more than 4 GiB (see [`Self::hessian_with`]), which
    /// is found before anything is computed; [`Error::NotScalar`]; shapes and non-finite inputs as
    /// everywhere.
    pub fn hessian<'a>(&self, point: impl Into<Point<'a, T>>) -> Result<Array2<T>, Error> {
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
        &self,
        point: impl Into<Point<'a, T>>,
        options: &HessianOptions,
    ) -> Result<Array2<T>, Error> {
        let point = point.into();
        self.inputs(&point, "a Hessian", true)?;
        let n = self.n_parameters();
        let budget = options.memory_budget;
        let within = |required: u128| {
            let what = format!("a dense Hessian of {n} × {n} numbers");
            let refused = Error::MemoryBudget {
                what,
                required,
                budget,
            };
            if required > budget {
                Err(refused)
            } else {
                Ok(())
            }
        };
        within(Self::dense_bytes(n))?;
        within(Self::dense_bytes(n) + self.hessian_work_bytes()? as u128)?;
        let mut residuals = Residuals::new();
        self.linearize_hessian_into(point, &mut residuals)?;
        let mut hessian = matrix(n, n, "a dense Hessian")?;
        let mut work = HessianWork::default();
        for strip in self.hessian_strips()? {
            let rows = hessian.slice_mut(s![strip.rows(), ..strip.columns()]);
            self.add_hessian_strip(&strip, point, &residuals, T::one(), &mut work, rows)?;
        }
        mirror_hessian(hessian.view_mut(), |first, second| {
            first();
            second();
        });
        Ok(hessian)
    }

    /// The strips of which the dense Hessian consists: they cover every row that is not zero, and
    /// of each row what does not follow from another one by symmetry.
    ///
    /// Parameters that the program reads apart (the layers of a network) are differentiated apart:
    /// a tangent of a late layer leaves the earlier ones alone, and of a row only the entries of
    /// its own and earlier pieces are computed. Pieces with many parameters that a matrix product
    /// reads are cut into parts in the same way.
    ///
    /// # Errors
    /// [`Error::NotScalar`]; [`Error::Allocation`].
    pub fn hessian_strips(&self) -> Result<Vec<HessianStrip>, Error> {
        self.check_scalar("a Hessian")?;
        let panels = &self.panel_programs(false)?.panels;
        let counts = panels.iter().map(|(range, _)| range.len().div_ceil(STRIP));
        let (count, mut strips) = (counts.sum(), Vec::new());
        let room = strips.try_reserve_exact(count);
        room.map_err(|_| Error::allocation::<HessianStrip>("the list of strips", count))?;
        for (panel, (range, _)) in panels.iter().enumerate() {
            for start in range.clone().step_by(STRIP) {
                strips.push(HessianStrip {
                    panel,
                    rows: start..range.end.min(start + STRIP),
                    panel_range: range.clone(),
                });
            }
        }
        Ok(strips)
    }

    /// Runs everything of the Hessian at a point that does not depend on the row, and keeps what
    /// the strips read; memory as for [`Self::linearize_into`].
    ///
    /// # Errors
    /// As [`Self::hessian`], but for the budget.
    pub fn linearize_hessian_into<'a>(
        &self,
        point: impl Into<Point<'a, T>>,
        residuals: &mut Residuals<T>,
    ) -> Result<(), Error> {
        let inputs = self.inputs(&point.into(), "a Hessian", true)?;
        for literal in [false, true] {
            let programs = self.panel_programs(literal)?;
            let owner = (&self.identity, Purpose::DenseHessian);
            residuals.fill(owner, literal, programs.residual_len, |kept| {
                programs.primal.run(&inputs, &mut [kept])
            })?;
            // See `linearize_into`.
            if !residuals.left_the_range() {
                break;
            }
        }
        Ok(())
    }

    /// Adds `weight` times a strip of the Hessian to `rows`, which has the strip's rows and
    /// columns, at the point that `residuals` were kept of by [`Self::linearize_hessian_into`].
    ///
    /// # Errors
    /// [`Error::Shape`]; [`Error::Empty`] if nothing was linearized, [`Error::Foreign`] for
    /// residuals of another function, or a strip of one whose Hessian is cut into other strips; [`Error::Allocation`].
    pub fn add_hessian_strip<'a>(
        &self,
        strip: &HessianStrip,
        point: impl Into<Point<'a, T>>,
        residuals: &Residuals<T>,
        weight: T,
        work: &mut HessianWork<T>,
        mut rows: ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        let inputs = self.inputs(&point.into(), "a Hessian", true)?;
        let programs = self.panel_programs(residuals.is_literal())?;
        // A strip says which rows and columns: one of another function is as good, if this one
        // computes the same rows together.
        let panel = programs.panels.get(strip.panel);
        if panel.is_none_or(|panel| panel.0 != strip.panel_range) {
            let what = "the strip of a Hessian";
            return Err(Error::Foreign { what });
        }
        residuals.check(&self.identity, Purpose::DenseHessian)?;
        let dim = (strip.rows.len(), strip.columns());
        if rows.dim() != dim {
            return Err(Error::Shape {
                what: "a strip of the Hessian".into(),
                expected: vec![dim.0, dim.1],
                found: rows.shape().to_vec(),
            });
        }
        let (n, count) = (self.n_parameters(), strip.panel_range.len().min(STRIP));
        let HessianWork { units, products } = work;
        resize(units, count * n, "the tangents of a strip")?;
        resize(products, count * dim.1, "the products of a strip")?;
        let places = strip.rows.clone().enumerate();
        for (at, row) in places.clone() {
            units[at * n + row] = T::one();
        }
        let inputs = with_tangent(Product::Hvp, &inputs, residuals, units);
        let ran = programs.run(strip.panel, count, &inputs, products);
        drop(inputs);
        for (at, row) in places {
            units[at * n + row] = T::zero();
        }
        ran?;
        for (mut row, product) in rows.rows_mut().into_iter().zip(products.chunks(dim.1)) {
            row.scaled_add(weight, &ArrayView1::from(product));
        }
        Ok(())
    }

    /// The bytes that [`Self::linearize_hessian_into`] keeps.
    ///
    /// # Errors
    /// [`Error::NotScalar`].
    pub fn hessian_residual_bytes(&self) -> Result<usize, Error> {
        self.check_scalar("a Hessian")?;
        Ok(self.panel_programs(false)?.residual_len * size_of::<T>())
    }

    /// What [`Self::add_hessian_strip`] takes besides the matrix.
    fn hessian_work_bytes(&self) -> Result<usize, Error> {
        let n = self.n_parameters();
        let mut most = 0;
        for (range, program) in &self.panel_programs(false)?.panels {
            let count = range.len().min(STRIP);
            let stacks = count * (n + range.end) * size_of::<T>();
            most = most.max(program.block_workspace_bytes(count)? + stacks);
        }
        Ok(most)
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

/// Lengthens a vector by zeros, or shortens it.
fn resize<T: Real>(vector: &mut Vec<T>, len: usize, what: &str) -> Result<(), Error> {
    let more = len.saturating_sub(vector.len());
    let room = vector.try_reserve_exact(more);
    room.map_err(|_| Error::allocation::<T>(what, len))?;
    vector.resize(len, T::zero());
    Ok(())
}
