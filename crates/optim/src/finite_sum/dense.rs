//! The dense Hessian of a mean over cases.

use ad_core::{Error, HessianStrip, HessianWork, Join, Real, Residuals, mirror_hessian};
use ndarray::{ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::build::Reduction;
use super::{FiniteSum, Shard};
use crate::parallel::Hands;

/// Rows of the Hessian, and the part of the matrix that they go to.
type Task<'a, T> = (HessianStrip, ArrayViewMut2<'a, T>);

impl<T: Real> FiniteSum<T> {
    /// Writes the Hessian at some parameters.
    ///
    /// Threads take rows, and add up the shards of each in order, so that they do not show in the
    /// result; as many shards at a time as the budget of residuals holds.
    pub(super) fn dense_hessian(
        &self,
        parameters: &[T],
        out: &mut ArrayViewMut2<'_, T>,
    ) -> Result<(), Error> {
        let strips = self.functions[0].hessian_strips()?;
        let mut tasks = tasks(&strips, out.view_mut());
        let bytes = self.functions[0].hessian_residual_bytes()?.max(1);
        let fit = (self.sharding.residual_budget / bytes).max(1);
        for (at, group) in self.shards.chunks(fit).enumerate() {
            let kept = self.linearize_shards(group, parameters)?;
            self.add_shards(group, &kept, parameters, &mut tasks, at == 0)?;
        }
        drop(tasks);
        let join: Join = if self.hands != Hands::Own {
            |first, second| {
                rayon::join(first, second);
            }
        } else {
            |first, second| {
                first();
                second();
            }
        };
        mirror_hessian(out.view_mut(), join);
        Ok(())
    }

    fn linearize_shards(
        &self,
        shards: &[Shard],
        parameters: &[T],
    ) -> Result<Vec<Residuals<T>>, Error> {
        let linearize = |&shard: &Shard| self.linearize_hessian(shard, parameters);
        if self.hands != Hands::Own {
            shards.par_iter().with_max_len(1).map(linearize).collect()
        } else {
            shards.iter().map(linearize).collect()
        }
    }

    fn linearize_hessian(&self, shard: Shard, parameters: &[T]) -> Result<Residuals<T>, Error> {
        self.on_shard(shard, parameters, |function, point| {
            let mut residuals = Residuals::new();
            function.linearize_hessian_into(point, &mut residuals)?;
            Ok(residuals)
        })
    }

    /// Adds what some shards contribute to all strips, which are zero before the first ones.
    fn add_shards(
        &self,
        shards: &[Shard],
        residuals: &[Residuals<T>],
        parameters: &[T],
        tasks: &mut [Task<'_, T>],
        first: bool,
    ) -> Result<(), Error> {
        let add = |work: &mut HessianWork<T>, (strip, rows): &mut Task<'_, T>| {
            if first {
                rows.fill(T::zero());
            }
            for (&shard, residuals) in shards.iter().zip(residuals) {
                let cases = match self.reduction {
                    Reduction::Mean => shard.rows,
                    Reduction::Sum => 1,
                };
                let weight = T::of(cases as f64 / self.n_cases as f64);
                self.on_shard(shard, parameters, |function, point| {
                    function.add_hessian_strip(
                        strip,
                        point,
                        residuals,
                        weight,
                        work,
                        rows.view_mut(),
                    )
                })?;
            }
            Ok(())
        };
        if self.hands != Hands::Own {
            return tasks
                .par_iter_mut()
                .with_max_len(1)
                .map_init(HessianWork::default, add)
                .collect();
        }
        let mut work = HessianWork::default();
        tasks.iter_mut().try_for_each(|task| add(&mut work, task))
    }
}

/// The strips with their parts of the matrix; zeros in rows without one.
fn tasks<'a, T: Real>(strips: &[HessianStrip], matrix: ArrayViewMut2<'a, T>) -> Vec<Task<'a, T>> {
    let (mut tasks, mut rest, mut start) = (Vec::new(), matrix, 0);
    for strip in strips {
        let rows = strip.rows();
        let (mut unread, below) = rest.split_at(Axis(0), rows.start - start);
        unread.fill(T::zero());
        let (mine, below) = below.split_at(Axis(0), rows.len());
        tasks.push((strip.clone(), mine.slice_move(s![.., ..strip.columns()])));
        (rest, start) = (below, rows.end);
    }
    rest.fill(T::zero());
    tasks
}
