//! An objective that goes wrong at a chosen call.

use std::cell::Cell;

use hvp_solvers::{Objective, SecondOrder};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

/// What goes wrong, when and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) quantity: &'static str,
    /// NaN or an infinity.
    pub(crate) value: f64,
    /// The first call that goes wrong, from 0; calls of each quantity count apart.
    pub(crate) call: usize,
    pub(crate) lasts: bool,
}

impl Fault {
    fn strikes(&self, quantity: &str, calls: usize) -> bool {
        self.quantity == quantity && (calls == self.call || self.lasts && calls > self.call)
    }
}

pub(crate) struct Faulty<F> {
    pub(crate) inner: F,
    pub(crate) fault: Fault,
    n_values: usize,
    n_gradients: usize,
    n_products: Cell<usize>,
    /// The least value that was given out where gradient and value were both sound.
    pub(crate) least: f64,
}

impl<F> Faulty<F> {
    pub(crate) fn new(inner: F, fault: Fault) -> Self {
        let n_products = Cell::new(0);
        Faulty {
            inner,
            fault,
            n_values: 0,
            n_gradients: 0,
            n_products,
            least: f64::INFINITY,
        }
    }

    fn corrupt_value(&mut self, value: f64) -> f64 {
        self.n_values += 1;
        let strikes = self.fault.strikes("value", self.n_values - 1);
        if strikes { self.fault.value } else { value }
    }

    fn corrupt_gradient(&mut self, value: f64, mut grad: ArrayViewMut1<f64>) {
        self.n_gradients += 1;
        if self.fault.strikes("gradient", self.n_gradients - 1) {
            grad[0] = self.fault.value;
        } else if value.is_finite() {
            self.least = self.least.min(value);
        }
    }
}

impl<F: Objective<f64>> Objective<f64> for Faulty<F> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        let value = self.inner.value(x);
        self.corrupt_value(value)
    }

    fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        let value = self.inner.value_and_grad(x, grad.view_mut());
        let value = self.corrupt_value(value);
        self.corrupt_gradient(value, grad);
        value
    }
}

impl<F: SecondOrder<f64>> SecondOrder<f64> for Faulty<F> {
    fn linearize(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        let value = self.inner.linearize(x, grad.view_mut());
        let value = self.corrupt_value(value);
        self.corrupt_gradient(value, grad);
        value
    }

    fn hvp_into(&self, v: ArrayView1<f64>, mut out: ArrayViewMut1<f64>) {
        self.inner.hvp_into(v, out.view_mut());
        let calls = self.n_products.replace(self.n_products.get() + 1);
        if self.fault.strikes("product", calls) {
            out[0] = self.fault.value;
        }
    }

    fn hvp_block_into(&self, v: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
        for (v, out) in v.rows().into_iter().zip(out.rows_mut()) {
            self.hvp_into(v, out);
        }
    }

    fn has_gauss_newton(&self) -> bool {
        false
    }

    fn ggnvp_into(&self, _v: ArrayView1<f64>, mut out: ArrayViewMut1<f64>) {
        out.fill(f64::NAN);
    }
}
