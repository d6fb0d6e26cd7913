//! The engine's loops under test, one per instruction set of this machine.

use crate::Real;
use crate::kernels::isa::{Isa, Level};
use crate::kernels::map::{LaneOp, pick};
use crate::kernels::vmath::Lane;

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
    ($($name:ident |$x:ident, $y:ident| $lane:expr
        $(, covers: $covers:expr, else $together:literal: $rare:expr)?;)*) => {$(
        #[derive(Debug)]
        pub(super) struct $name;
        impl LaneOp for $name {
            const ARITY: usize = 2;
            $(
                const TOTAL: bool = false;
                #[inline(always)]
                fn covers<T: Real>(_c: T, $x: T, $y: T) -> bool {
                    $covers
                }
                #[inline(always)]
                fn rare<T: Real, I: Isa>(_c: T, $x: T, $y: T) -> T {
                    $rare
                }
                const RARE_COVERS_ALL: bool = $together;
            )?
            #[inline(always)]
            fn eval<T: Real, I: Isa>(_c: T, $x: T, $y: T) -> T {
                $lane
            }
        }
    )*};
}
lane_ops! {
    Exp |x, _y| x.lane_exp::<I>();
    ExpM1 |x, _y| x.lane_exp_m1::<I>();
    Ln |x, _y| x.lane_ln_normal::<I>(), covers: x.is_positive_normal(), else true: x.lane_ln::<I>();
    Ln1p |x, _y| x.lane_ln_1p::<I>();
    Sin |x, _y| x.lane_sin::<I>(), covers: x.in_trig_range(), else false: x.sin();
    Cos |x, _y| x.lane_cos::<I>(), covers: x.in_trig_range(), else false: x.cos();
    Tanh |x, _y| x.lane_tanh::<I>();
    Sigmoid |x, _y| x.lane_sigmoid::<I>();
    Softplus |x, _y| x.lane_softplus::<I>();
    // xʸ of pairs.
    Powf |x, y| x.lane_powf_normal::<I>(y), covers: x.is_normal_power(y), else true: x.lane_powf::<I>(y);
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

/// A chunk with a zero, a subnormal or a negative number goes through other code as a whole.
#[test]
fn rare_neighbours_change_no_bit() {
    let x: Vec<f64> = (1..4000)
        .map(|i| (f64::from(i) * 0.731).powi(i % 9 - 4))
        .collect();
    let y: Vec<f64> = (1..4000)
        .map(|i| f64::from(i % 203) * 0.15 - 15.0)
        .collect();
    assert!(
        x.iter()
            .zip(&y)
            .all(|(x, &y)| x.is_positive_normal() && x.is_normal_power(y))
    );
    for level in levels() {
        let mut expected = [vec![0.0; x.len()], vec![0.0; x.len()]];
        unary::<f64, Ln>(level, &mut expected[0], &x);
        powf(level, &mut expected[1], &x, &y);
        for rare in [0.0, 1e-310, -3.0, f64::INFINITY, f64::NAN] {
            let mut mixed = x.clone();
            mixed.iter_mut().step_by(17).for_each(|x| *x = rare);
            let mut found = [vec![0.0; x.len()], vec![0.0; x.len()]];
            unary::<f64, Ln>(level, &mut found[0], &mixed);
            powf(level, &mut found[1], &mixed, &y);
            for (found, expected) in found.iter().zip(&expected) {
                for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                    if at % 17 != 0 {
                        assert_eq!(found.to_bits(), expected.to_bits(), "{level:?} {rare} {at}");
                    }
                }
            }
        }
    }
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}
