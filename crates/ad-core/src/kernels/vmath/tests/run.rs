//! The engine's loops under test, one per instruction set of this machine.

use crate::Real;
use crate::kernels::isa::{Isa, Level};
use crate::kernels::map::{LaneOp, pick};

/// Every level this machine has.
pub(super) fn levels() -> Vec<Level> {
    let all = [Level::Baseline, Level::Avx2, Level::Avx512];
    all.into_iter()
        .filter(|&level| level <= Level::detect())
        .collect()
}

/// Elements per call of a loop, as the engine has them.
const BLOCK: usize = crate::plan::BLOCK;

macro_rules! lane_ops {
    ($($name:ident $lane:ident $(, outside: $std:ident)?;)*) => {$(
        #[derive(Debug)]
        pub(super) struct $name;
        impl LaneOp for $name {
            const ARITY: usize = 1;
            $(
                const TOTAL: bool = false;
                #[inline(always)]
                fn covers<T: Real>(x: T) -> bool {
                    x.in_trig_range()
                }
                fn rare<T: Real>(_c: T, x: T) -> T {
                    x.$std()
                }
            )?
            #[inline(always)]
            fn eval<T: Real, I: Isa>(_c: T, x: T, _y: T) -> T {
                x.$lane::<I>()
            }
        }
    )*};
}
lane_ops! {
    Exp lane_exp;
    ExpM1 lane_exp_m1;
    Ln lane_ln;
    Ln1p lane_ln_1p;
    Sin lane_sin, outside: sin;
    Cos lane_cos, outside: cos;
    Tanh lane_tanh;
    Sigmoid lane_sigmoid;
    Softplus lane_softplus;
}

/// xʸ of pairs.
struct Powf;
impl LaneOp for Powf {
    const ARITY: usize = 2;
    #[inline(always)]
    fn eval<T: Real, I: Isa>(_c: T, x: T, y: T) -> T {
        x.lane_powf::<I>(y)
    }
}

/// F of each element.
pub(super) fn unary<T: Real, F: LaneOp>(level: Level, dst: &mut [T], a: &[T]) {
    for (dst, a) in dst.chunks_mut(BLOCK).zip(a.chunks(BLOCK)) {
        // SAFETY: `levels` only lists what the processor has; both chunks are as long.
        unsafe {
            pick::<T, F>(level)(
                dst.len(),
                T::zero(),
                dst.as_mut_ptr(),
                a.as_ptr(),
                a.as_ptr(),
            )
        };
    }
}

/// F of each element, over itself.
fn in_place<T: Real, F: LaneOp>(level: Level, a: &mut [T]) {
    let p = a.as_mut_ptr();
    // SAFETY: `levels` only lists what the processor has; all pointers are of one mutable slice.
    unsafe { pick::<T, F>(level)(a.len(), T::zero(), p, p, p) };
}

/// aᵇ of each pair.
pub(super) fn powf<T: Real>(level: Level, dst: &mut [T], a: &[T], b: &[T]) {
    // SAFETY: `levels` only lists what the processor has; the callers' slices are as long.
    unsafe {
        pick::<T, Powf>(level)(
            dst.len(),
            T::zero(),
            dst.as_mut_ptr(),
            a.as_ptr(),
            b.as_ptr(),
        )
    };
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
