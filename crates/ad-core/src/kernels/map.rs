//! Elementwise loops: one lane function, compiled for each scalar type and instruction set.

use super::isa::{Avx2, Avx512, Baseline, Isa, Level};
use super::opaque::opaque;
use crate::real::Real;

/// A function of one element: y = f(c; a) or f(c; a, b), with a constant c.
pub(crate) trait LaneOp: 'static {
    /// 1 or 2: whether `b` is read.
    const ARITY: usize;

    fn eval<T: Real, I: Isa>(c: T, a: T, b: T) -> T;

    /// Whether `eval` covers every argument; where it does, arguments are not looked at.
    const TOTAL: bool = true;

    /// Whether `eval` covers these arguments.
    #[inline(always)]
    fn covers<T: Real>(_c: T, _a: T, _b: T) -> bool {
        true
    }

    /// The function of arguments that `eval` does not cover.
    #[inline(always)]
    fn rare<T: Real, I: Isa>(c: T, a: T, b: T) -> T {
        Self::eval::<T, I>(c, a, b)
    }

    /// Whether `rare` also covers the arguments that `eval` does, with the same results: a chunk that
    /// holds a rare argument then goes there as a whole, in vectors.
    const RARE_COVERS_ALL: bool = false;
}

/// Runs a lane function over `n` elements.
///
/// # Safety
/// `dst` and `a` (and `b`, for two operands) are valid for `n` elements; an operand may be `dst`
/// itself, but must not overlap it otherwise.
pub type MapKernel<T> = unsafe fn(n: usize, c: T, dst: *mut T, a: *const T, b: *const T);

/// Elements that pass through registers together: a chunk is read whole before it is written, so
/// that the compiler need not prove that `dst` and the operands differ, and in-place calls run at
/// full width too.
const CHUNK: usize = 32;

#[inline(always)]
unsafe fn body<T: Real, I: Isa, F: LaneOp>(n: usize, c: T, dst: *mut T, a: *const T, b: *const T) {
    // SAFETY: every index below is less than n, and the caller vouches for n elements.
    unsafe {
        if n == 1 {
            let x = *a;
            *dst = lane::<T, I, F>(c, x, if F::ARITY == 2 { *b } else { x });
            return;
        }
        let mut start = 0;
        while start + CHUNK <= n {
            // Else short functions are unrolled, and vectors made of every 32nd element.
            let x = opaque(a.add(start)).cast::<[T; CHUNK]>().read();
            let y = if F::ARITY == 2 {
                b.add(start).cast::<[T; CHUNK]>().read()
            } else {
                x
            };
            dst.add(start)
                .cast::<[T; CHUNK]>()
                .write(lanes::<T, I, F>(c, &x, &y));
            start += CHUNK;
        }
        let rest = n - start;
        if rest > 0 {
            let (mut x, mut y) = ([T::one(); CHUNK], [T::one(); CHUNK]);
            std::ptr::copy_nonoverlapping(a.add(start), x.as_mut_ptr(), rest);
            if F::ARITY == 2 {
                std::ptr::copy_nonoverlapping(b.add(start), y.as_mut_ptr(), rest);
            }
            let z = lanes::<T, I, F>(c, &x, &y);
            std::ptr::copy_nonoverlapping(z.as_ptr(), dst.add(start), rest);
        }
    }
}

#[inline(always)]
fn lanes<T: Real, I: Isa, F: LaneOp>(c: T, x: &[T; CHUNK], y: &[T; CHUNK]) -> [T; CHUNK] {
    let mut z = [T::zero(); CHUNK];
    let mut covered = true;
    if !F::TOTAL {
        for at in 0..CHUNK {
            covered &= F::covers(c, x[at], y[at]);
        }
    }
    if covered {
        for at in 0..CHUNK {
            z[at] = F::eval::<T, I>(c, x[at], y[at]);
        }
    } else if F::RARE_COVERS_ALL {
        for at in 0..CHUNK {
            z[at] = F::rare::<T, I>(c, x[at], y[at]);
        }
    } else {
        for at in 0..CHUNK {
            z[at] = lane::<T, I, F>(c, x[at], y[at]);
        }
    }
    z
}

#[inline(always)]
fn lane<T: Real, I: Isa, F: LaneOp>(c: T, x: T, y: T) -> T {
    if F::TOTAL || F::covers(c, x, y) {
        F::eval::<T, I>(c, x, y)
    } else {
        F::rare::<T, I>(c, x, y)
    }
}

unsafe fn baseline<T: Real, F: LaneOp>(n: usize, c: T, dst: *mut T, a: *const T, b: *const T) {
    // SAFETY: passed on from the caller.
    unsafe { body::<T, Baseline, F>(n, c, dst, a, b) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<T: Real, F: LaneOp>(n: usize, c: T, dst: *mut T, a: *const T, b: *const T) {
    // SAFETY: passed on from the caller.
    unsafe { body::<T, Avx2, F>(n, c, dst, a, b) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
unsafe fn avx512<T: Real, F: LaneOp>(n: usize, c: T, dst: *mut T, a: *const T, b: *const T) {
    // SAFETY: passed on from the caller.
    unsafe { body::<T, Avx512, F>(n, c, dst, a, b) }
}

/// The loops of one lane function.
#[derive(Debug)]
pub struct MapTable {
    f32: fn(Level) -> MapKernel<f32>,
    f64: fn(Level) -> MapKernel<f64>,
    scalar: fn(f64, f64, f64) -> f64,
}

impl MapTable {
    pub(crate) const fn of<F: LaneOp>() -> Self {
        Self {
            f32: pick::<f32, F>,
            f64: pick::<f64, F>,
            scalar: lane::<f64, Baseline, F>,
        }
    }

    pub(crate) fn eval(&self, c: f64, a: f64, b: f64) -> f64 {
        (self.scalar)(c, a, b)
    }

    pub(crate) fn for_f32(&self, level: Level) -> MapKernel<f32> {
        (self.f32)(level)
    }

    pub(crate) fn for_f64(&self, level: Level) -> MapKernel<f64> {
        (self.f64)(level)
    }
}

pub(super) fn pick<T: Real, F: LaneOp>(level: Level) -> MapKernel<T> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::<T, F>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::<T, F>,
        _ => baseline::<T, F>,
    }
}

/// Runs the loop of one instruction set, which this processor must have, over the whole of `dst`.
#[cfg(test)]
pub(crate) fn run_at<T: Real>(table: &MapTable, level: Level, dst: &mut [T], a: &[T], b: &[T]) {
    assert!(level <= Level::detect() && a.len() >= dst.len() && b.len() >= dst.len());
    let kernel = T::kernel(table, level);
    // SAFETY: three arrays of as many elements, and a level that this processor has.
    unsafe {
        kernel(
            dst.len(),
            T::zero(),
            dst.as_mut_ptr(),
            a.as_ptr(),
            b.as_ptr(),
        )
    };
}

/// Two functions of one element that share most of their work: (y, z) = (f(x), g(x)).
pub(crate) trait TwinLane: 'static {
    fn eval<T: Real, I: Isa>(x: T) -> (T, T);
}

/// Runs a pair of lane functions over `n` elements.
///
/// # Safety
/// Both results and `a` are valid for `n` elements; `a` may be one of the results itself, but must
/// not overlap them otherwise, and the results must not overlap each other.
pub type TwinKernel<T> = unsafe fn(n: usize, first: *mut T, second: *mut T, a: *const T);

#[inline(always)]
unsafe fn twin_body<T: Real, I: Isa, F: TwinLane>(
    n: usize,
    first: *mut T,
    second: *mut T,
    a: *const T,
) {
    // SAFETY: every index below is less than n, and the caller vouches for n elements.
    unsafe {
        if n == 1 {
            (*first, *second) = F::eval::<T, I>(*a);
            return;
        }
        let mut start = 0;
        while start + CHUNK <= n {
            let x = opaque(a.add(start)).cast::<[T; CHUNK]>().read();
            let (y, z) = twin_lanes::<T, I, F>(&x);
            first.add(start).cast::<[T; CHUNK]>().write(y);
            second.add(start).cast::<[T; CHUNK]>().write(z);
            start += CHUNK;
        }
        let rest = n - start;
        if rest > 0 {
            let mut x = [T::one(); CHUNK];
            std::ptr::copy_nonoverlapping(a.add(start), x.as_mut_ptr(), rest);
            let (y, z) = twin_lanes::<T, I, F>(&x);
            std::ptr::copy_nonoverlapping(y.as_ptr(), first.add(start), rest);
            std::ptr::copy_nonoverlapping(z.as_ptr(), second.add(start), rest);
        }
    }
}

#[inline(always)]
fn twin_lanes<T: Real, I: Isa, F: TwinLane>(x: &[T; CHUNK]) -> ([T; CHUNK], [T; CHUNK]) {
    let (mut y, mut z) = ([T::zero(); CHUNK], [T::zero(); CHUNK]);
    for at in 0..CHUNK {
        (y[at], z[at]) = F::eval::<T, I>(x[at]);
    }
    (y, z)
}

unsafe fn twin_baseline<T: Real, F: TwinLane>(
    n: usize,
    first: *mut T,
    second: *mut T,
    a: *const T,
) {
    // SAFETY: passed on from the caller.
    unsafe { twin_body::<T, Baseline, F>(n, first, second, a) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn twin_avx2<T: Real, F: TwinLane>(n: usize, first: *mut T, second: *mut T, a: *const T) {
    // SAFETY: passed on from the caller.
    unsafe { twin_body::<T, Avx2, F>(n, first, second, a) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
unsafe fn twin_avx512<T: Real, F: TwinLane>(n: usize, first: *mut T, second: *mut T, a: *const T) {
    // SAFETY: passed on from the caller.
    unsafe { twin_body::<T, Avx512, F>(n, first, second, a) }
}

/// The loops of a pair of lane functions.
#[derive(Debug)]
pub struct TwinTable {
    f32: fn(Level) -> TwinKernel<f32>,
    f64: fn(Level) -> TwinKernel<f64>,
}

impl TwinTable {
    pub(crate) const fn of<F: TwinLane>() -> Self {
        Self {
            f32: pick_twin::<f32, F>,
            f64: pick_twin::<f64, F>,
        }
    }

    pub(crate) fn for_f32(&self, level: Level) -> TwinKernel<f32> {
        (self.f32)(level)
    }

    pub(crate) fn for_f64(&self, level: Level) -> TwinKernel<f64> {
        (self.f64)(level)
    }
}

fn pick_twin<T: Real, F: TwinLane>(level: Level) -> TwinKernel<T> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => twin_avx512::<T, F>,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => twin_avx2::<T, F>,
        _ => twin_baseline::<T, F>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Double;
    impl LaneOp for Double {
        const ARITY: usize = 2;
        fn eval<T: Real, I: Isa>(c: T, a: T, b: T) -> T {
            c * a + b
        }
    }

    #[test]
    fn every_level_runs_the_lane_function() {
        let table = MapTable::of::<Double>();
        let (a, b): (Vec<f64>, Vec<f64>) = (0..37).map(|i| (f64::from(i), 1.0)).unzip();
        for level in [Level::Baseline, Level::detect()] {
            let mut out = vec![0.0; a.len()];
            let kernel = table.for_f64(level);
            // SAFETY: three arrays of 37 elements, and a level that this processor has.
            unsafe { kernel(a.len(), 2.0, out.as_mut_ptr(), a.as_ptr(), b.as_ptr()) };
            for (i, y) in out.iter().enumerate() {
                assert_eq!(y.to_bits(), (2.0 * i as f64 + 1.0).to_bits());
            }
        }
    }
}
