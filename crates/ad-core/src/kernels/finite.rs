//! The search for numbers that are not finite.

use super::isa::Level;
use super::opaque::opaque;
use crate::real::Real;

/// Numbers that are looked at together.
const CHUNK: usize = 32;

/// Whether there is neither a NaN nor an infinity: 0·x is 0 for finite x alone.
#[inline(always)]
fn body<T: Real>(values: &[T]) -> bool {
    let mut lanes = [T::zero(); CHUNK];
    let chunks = values.chunks_exact(CHUNK);
    let rest = chunks.remainder();
    for chunk in chunks {
        // SAFETY: the chunk's own numbers; see `opaque` for why by a pointer.
        let chunk = unsafe { opaque(chunk.as_ptr()).cast::<[T; CHUNK]>().read() };
        for at in 0..CHUNK {
            lanes[at] += chunk[at] * T::zero();
        }
    }
    let mut all = true;
    for lane in lanes {
        all &= lane == T::zero();
    }
    for value in rest {
        all &= value.is_finite();
    }
    all
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T: Real>(values: &[T]) -> bool {
    body(values)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
fn avx512<T: Real>(values: &[T]) -> bool {
    body(values)
}

/// Whether there is neither a NaN nor an infinity.
///
/// ```
/// assert!(ad_core::all_finite(&[1.0, -1e308]));
/// assert!(!ad_core::all_finite(&[1.0, f64::INFINITY]));
/// ```
pub fn all_finite<T: Real>(values: &[T]) -> bool {
    match Level::detect() {
        // SAFETY: the instruction set was found on this processor.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(values) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(values) },
        _ => body(values),
    }
}
