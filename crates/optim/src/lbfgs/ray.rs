//! An objective seen along a line.

use std::mem;

use ad_core::Real;
use hvp_solvers::vector::{dot, slice};
use hvp_solvers::{Objective, Quantity};
use ndarray::{Array1, Zip};

/// A point and the gradient there.
#[derive(Debug, Clone, Default)]
pub(super) struct Point<T> {
    pub(super) x: Array1<T>,
    pub(super) gradient: Array1<T>,
}

impl<T: Real> Point<T> {
    pub(super) fn zeros(dim: usize) -> Self {
        Point {
            x: Array1::zeros(dim),
            gradient: Array1::zeros(dim),
        }
    }
}

/// φ(t) = f(x + t·d). Keeps the points of the last and of the lowest trial, so that
/// whichever a search chooses needs no evaluation again, and copies neither.
pub(super) struct Ray<'a, 'w, T, F: ?Sized> {
    objective: &'a mut F,
    origin: &'a Array1<T>,
    direction: &'a Array1<T>,
    last: &'w mut Point<T>,
    kept: &'w mut Point<T>,
    step_last: T,
    lowest_value: T,
    lowest_is_last: bool,
    /// What was not finite last.
    non_finite: Quantity,
}

impl<'a, 'w, T: Real, F: Objective<T> + ?Sized> Ray<'a, 'w, T, F> {
    pub(super) fn new(
        objective: &'a mut F,
        origin: &'a Array1<T>,
        direction: &'a Array1<T>,
        last: &'w mut Point<T>,
        kept: &'w mut Point<T>,
        value: T,
    ) -> Self {
        Ray {
            objective,
            origin,
            direction,
            last,
            kept,
            step_last: T::zero(),
            lowest_value: value,
            lowest_is_last: false,
            non_finite: Quantity::Value,
        }
    }

    /// (φ(t), φ′(t)).
    pub(super) fn evaluate(&mut self, step: T) -> (T, T) {
        if mem::take(&mut self.lowest_is_last) {
            mem::swap(&mut self.last, &mut self.kept);
        }
        let Point { x, gradient } = &mut *self.last;
        Zip::from(&mut *x)
            .and(self.origin)
            .and(self.direction)
            .for_each(|x, &origin, &d| *x = origin + step * d);
        let value = self.objective.value_and_grad(x.view(), gradient.view_mut());
        let slope = dot(slice(gradient), slice(self.direction));
        self.step_last = step;
        if !value.is_finite() {
            self.non_finite = Quantity::Value;
        } else if !slope.is_finite() {
            self.non_finite = Quantity::Gradient;
        } else if value < self.lowest_value {
            self.lowest_value = value;
            self.lowest_is_last = true;
        }
        (value, slope)
    }

    /// What was not finite, if something was.
    pub(super) fn non_finite(&self) -> Quantity {
        self.non_finite
    }

    /// The point of the last trial, if that was at `step`; else of the lowest.
    pub(super) fn point_at(self, step: T) -> &'w mut Point<T> {
        if step == self.step_last {
            self.last
        } else {
            self.kept
        }
    }
}
