//! Memory that operators work in.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ad_core::Real;
use ndarray::ArrayViewMut2;

/// Vectors kept between products, so that none allocates after the first. A product takes one
/// for itself: operators stay `Sync`, and no product waits for another.
#[derive(Debug, Default)]
pub(super) struct Scratch<T> {
    free: Mutex<Vec<Vec<T>>>,
}

impl<T> Clone for Scratch<T> {
    /// Memory of its own, none yet.
    fn clone(&self) -> Self {
        Self {
            free: Mutex::new(Vec::new()),
        }
    }
}

impl<T: Real> Scratch<T> {
    /// Calls `f` with `rows×cols` zeros.
    pub(super) fn with(&self, rows: usize, cols: usize, f: impl FnOnce(ArrayViewMut2<'_, T>)) {
        let mut own = self.lock().pop().unwrap_or_default();
        own.clear();
        own.resize(rows * cols, T::zero());
        let view = ArrayViewMut2::from_shape((rows, cols), &mut own);
        f(view.expect("rows·cols numbers"));
        self.lock().push(own);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        // Whoever panicked had taken its vector out: what is left is whole.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
