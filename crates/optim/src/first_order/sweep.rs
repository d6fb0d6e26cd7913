//! One pass over parameters, gradient and state: the loop that all rules share.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use pulp::{Arch, NullaryFnOnce};

use crate::parallel::{Hands, piece, share};

/// Elements from which on threads are worth waking.
const LONG: usize = 1 << 20;

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
    for vector in &state {
        let (found, expected) = (vector.len(), params.len());
        assert_eq!(
            found, expected,
            "a state of another rule: a buffer's length"
        );
    }
    let (Some(params), Some(grad)) = (params.as_slice_mut(), grad.as_slice()) else {
        for (at, (p, &g)) in params.iter_mut().zip(grad).enumerate() {
            let state = state.each_mut().map(|vector| &mut vector[at]);
            *p = element.update(*p, g, state);
        }
        return;
    };
    let hands = if params.len() < LONG {
        Hands::Crew
    } else {
        Hands::Pool
    };
    let piece = piece(params.len(), hands);
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
    share(hands, count, passes, |pass| Arch::new().dispatch(pass));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::first_order::{Adam, FirstOrder};

    #[test]
    fn threads_and_gaps_do_not_show() {
        let n = 50_005;
        let grad = Array1::from_shape_fn(n, |i| (i as f64).sin());
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let (rule, mut x) = (Adam::default(), Array1::ones(n));
            let mut state = FirstOrder::<f64>::init(&rule, n);
            let step = || rule.step(&mut state, x.view_mut(), grad.view(), 0.1);
            pool.build().unwrap().install(step);
            x
        };
        let one = run(1);
        assert_eq!(run(3), one);

        let (rule, mut wide) = (Adam::default(), ndarray::Array2::ones((n, 2)));
        let mut state = FirstOrder::<f64>::init(&rule, n);
        rule.step(&mut state, wide.column_mut(1), grad.view(), 0.1);
        assert_eq!(wide.column(1), one);
        assert_eq!(wide.column(0), Array1::<f64>::ones(n));
    }
}
