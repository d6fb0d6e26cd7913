//! Loops over lanes: the bodies that a caller compiles under each instruction set.

use super::super::isa::{Baseline, Isa};
#[cfg(doc)]
use super::Lane;
use crate::Real;

/// A function of one lane, as a type, with what to do with the arguments it does not cover.
pub(crate) trait LaneFn<T> {
    /// Whether every argument is covered; where it is, blocks are not checked.
    const TOTAL: bool = true;
    /// The branch-free function.
    fn lane<I: Isa>(x: T) -> T;
    /// Whether `x` is covered.
    #[inline(always)]
    fn covers(_x: T) -> bool {
        true
    }
    /// The function for any argument, one at a time.
    fn rare(x: T) -> T {
        Self::lane::<Baseline>(x)
    }
}

/// `dst[i] = F(a[i])` for i < n. One argument that [`LaneFn::lane`] does not cover sends the whole
/// block the slow way, so pass blocks of a few hundred lanes.
///
/// # Safety
/// `a` is readable and `dst` writable for `n` elements; they are the same or do not overlap.
#[inline(always)]
pub(crate) unsafe fn map<I: Isa, T: Real, F: LaneFn<T>>(n: usize, dst: *mut T, a: *const T) {
    // SAFETY: passed on.
    unsafe {
        if !F::TOTAL && !all_covered::<T, F>(n, a) {
            each(n, dst, a, F::rare);
        } else if std::ptr::eq(dst, a) {
            // A loop of its own: the test for overlap before a vector loop over two pointers
            // would send equal ones to its scalar remainder.
            each(n, dst, dst, F::lane::<I>);
        } else {
            each(n, dst, a, F::lane::<I>);
        }
    }
}

#[inline(always)]
unsafe fn each<T: Copy>(n: usize, dst: *mut T, a: *const T, f: impl Fn(T) -> T) {
    for i in 0..n {
        // SAFETY: the caller of `map` vouches for i < n.
        unsafe { *dst.add(i) = f(*a.add(i)) };
    }
}

#[inline(always)]
unsafe fn all_covered<T: Copy, F: LaneFn<T>>(n: usize, a: *const T) -> bool {
    let mut covered = true;
    for i in 0..n {
        // SAFETY: the caller of `map` vouches for i < n.
        covered &= F::covers(unsafe { *a.add(i) });
    }
    covered
}

macro_rules! lane_fns {
    ($($name:ident $lane:ident $(, partial: $std:ident)?;)*) => {$(
        #[doc = concat!("[`Lane::", stringify!($lane), "`]")]
        #[derive(Debug)]
        pub(crate) struct $name;
        impl<T: Real> LaneFn<T> for $name {
            #[inline(always)]
            fn lane<I: Isa>(x: T) -> T {
                x.$lane::<I>()
            }
            $(
                const TOTAL: bool = false;
                #[inline(always)]
                fn covers(x: T) -> bool {
                    x.in_trig_range()
                }
                fn rare(x: T) -> T {
                    x.$std()
                }
            )?
        }
    )*};
}
lane_fns! {
    Exp lane_exp;
    ExpM1 lane_exp_m1;
    Ln lane_ln;
    Ln1p lane_ln_1p;
    Sin lane_sin, partial: sin;
    Cos lane_cos, partial: cos;
    Tanh lane_tanh;
    Sigmoid lane_sigmoid;
    Softplus lane_softplus;
}
