//! One pass over parameters, gradient and state: the loop that all rules share.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use pulp::{Arch, NullaryFnOnce};

use crate::parallel::share;

/// The fewest elements of a thread. Sharing costs more than handing work over: the parameters that
/// another core has written have to come from its cache when the next gradient reads them
/// (with 17,000 parameters, more than sharing gains).
const GRAIN: usize = 1 << 16;

/// The arithmetic of one parameter with `K` numbers of state.
///
/// Methods are to be `#[inline(always)]`: they become loops for the widest vectors of the
/// processor.
pub(super) trait Element<T, const K: usize>: Copy + Send + Sync {
    /// The new parameter, from the old one, its derivative and its state, which is updated.
    fn update(self, p: T, g: T, state: [&mut T; K]) -> T;
}

/// Updates every parameter and its state.
///
/// Elements are independent: neither vectors nor threads show in the result.
pub(super) fn sweep<T: Real, const K: usize>(
    element: impl Element<T, K>,
    mut params: ArrayViewMut1<'_, T>,
    grad: ArrayView1<'_, T>,
    mut state: [&mut Array1<T>; K],
) {
    let (Some(params), Some(grad)) = (params.as_slice_mut(), grad.as_slice()) else {
        for (at, (p, &g)) in params.iter_mut().zip(grad).enumerate() {
            let state = state.each_mut().map(|vector| &mut vector[at]);
            *p = element.update(*p, g, state);
        }
        return;
    };
    let threads = rayon::current_num_threads().min(params.len() / GRAIN);
    let piece = params.len().div_ceil(threads.max(1)).max(1);
    let count = params.len().div_ceil(piece);
    let mut state = state.map(|vector| vector.as_slice_mut().unwrap_or_default().chunks_mut(piece));
    let pieces = params.chunks_mut(piece).zip(grad.chunks(piece));
    let passes = pieces.map(|(params, grad)| Pass {
        element,
        params,
        grad,
        state: state
            .each_mut()
            .map(|chunks| chunks.next().unwrap_or_default()),
    });
    share(count, passes, |pass| Arch::new().dispatch(pass));
}

/// The loop over one thread's elements.
struct Pass<'a, T, E, const K: usize> {
    element: E,
    params: &'a mut [T],
    grad: &'a [T],
    state: [&'a mut [T]; K],
}

impl<T: Real, E: Element<T, K>, const K: usize> NullaryFnOnce for Pass<'_, T, E, K> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let len = self.params.len();
        let grad = &self.grad[..len];
        // Of the same length, as far as the compiler is concerned, so that no index is checked.
        let mut state = self.state.map(|vector| &mut vector[..len]);
        for at in 0..len {
            let state = state.each_mut().map(|vector| &mut vector[at]);
            self.params[at] = self.element.update(self.params[at], grad[at], state);
        }
    }
}
