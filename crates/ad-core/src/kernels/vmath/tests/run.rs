//! The slice loops under test, one per instruction set of this machine.

use crate::Real;
use crate::kernels::isa::{Avx2, Avx512, Baseline, Isa, Level};
use crate::kernels::vmath::slice::{LaneFn, Sin, map};

/// Every level this machine has.
pub(super) fn levels() -> Vec<Level> {
    let all = [Level::Baseline, Level::Avx2, Level::Avx512];
    all.into_iter()
        .filter(|&level| level <= Level::detect())
        .collect()
}

/// Elements per call of a loop, as the engine has them.
const BLOCK: usize = 256;

macro_rules! under {
    ($unary:ident, $in_place:ident, $binary:ident, $isa:ty, $features:literal) => {
        #[target_feature(enable = $features)]
        fn $unary<T: Real, F: LaneFn<T>>(dst: &mut [T], a: &[T]) {
            // SAFETY: the slices are as long as each other and do not overlap.
            unsafe { map::<$isa, T, F>(dst.len().min(a.len()), dst.as_mut_ptr(), a.as_ptr()) }
        }
        #[target_feature(enable = $features)]
        fn $in_place<T: Real, F: LaneFn<T>>(a: &mut [T]) {
            // SAFETY: one slice, and both pointers are derived from its mutable one.
            unsafe { map::<$isa, T, F>(a.len(), a.as_mut_ptr(), a.as_mut_ptr()) }
        }
        #[target_feature(enable = $features)]
        fn $binary<T: Real>(dst: &mut [T], a: &[T], b: &[T]) {
            pairs::<$isa, T>(dst, a, b);
        }
    };
}
under!(
    unary_avx512,
    in_place_avx512,
    binary_avx512,
    Avx512,
    "avx512f,avx512dq,avx512vl,avx512bw,fma"
);
under!(unary_avx2, in_place_avx2, binary_avx2, Avx2, "avx2,fma");
under!(
    unary_baseline,
    in_place_baseline,
    binary_baseline,
    Baseline,
    "sse2"
);

#[inline(always)]
fn pairs<I: Isa, T: Real>(dst: &mut [T], a: &[T], b: &[T]) {
    for ((d, &x), &y) in dst.iter_mut().zip(a).zip(b) {
        *d = x.lane_powf::<I>(y);
    }
}

/// F of each element.
pub(super) fn unary<T: Real, F: LaneFn<T>>(level: Level, dst: &mut [T], a: &[T]) {
    for (dst, a) in dst.chunks_mut(BLOCK).zip(a.chunks(BLOCK)) {
        // SAFETY: `levels` only lists what the processor has.
        unsafe {
            match level {
                Level::Baseline => unary_baseline::<T, F>(dst, a),
                Level::Avx2 => unary_avx2::<T, F>(dst, a),
                Level::Avx512 => unary_avx512::<T, F>(dst, a),
            }
        }
    }
}

/// F of each element, over itself.
pub(super) fn in_place<T: Real, F: LaneFn<T>>(level: Level, a: &mut [T]) {
    // SAFETY: `levels` only lists what the processor has.
    unsafe {
        match level {
            Level::Baseline => in_place_baseline::<T, F>(a),
            Level::Avx2 => in_place_avx2::<T, F>(a),
            Level::Avx512 => in_place_avx512::<T, F>(a),
        }
    }
}

/// aᵇ of each pair.
pub(super) fn powf<T: Real>(level: Level, dst: &mut [T], a: &[T], b: &[T]) {
    // SAFETY: `levels` only lists what the processor has.
    unsafe {
        match level {
            Level::Baseline => binary_baseline(dst, a, b),
            Level::Avx2 => binary_avx2(dst, a, b),
            Level::Avx512 => binary_avx512(dst, a, b),
        }
    }
}

#[test]
fn in_place_and_out_of_place_agree_bit_for_bit() {
    let a: Vec<f64> = (0..100).map(|i| f64::from(i) * 0.37 - 18.0).collect();
    for level in levels() {
        let mut out = vec![0.0; a.len()];
        unary::<f64, Sin>(level, &mut out, &a);
        let mut own = a.clone();
        in_place::<f64, Sin>(level, &mut own);
        assert_eq!(bits(&out), bits(&own), "{level:?}");
        assert_ne!(bits(&out), bits(&a), "{level:?}");
    }
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}
