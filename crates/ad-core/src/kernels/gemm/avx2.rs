//! Vectors of 256 bits for processors with AVX2 and FMA.

use std::arch::x86_64::*;

use super::vector::{Vector, transpose_by_number};

macro_rules! avx2_vector {
    ($vector:ident, $register:ident, $scalar:ty, $lanes:literal, $first_lanes:ident, $sum:ident, $zero:ident, $splat:ident,
     $load:ident, $maskload:ident, $store:ident, $maskstore:ident, $add:ident, $fma:ident) => {
        #[derive(Clone, Copy)]
        pub(super) struct $vector($register);

        // SAFETY of every block below: the trait's contract grants the instruction set, and the
        // validity of the pointer for the lanes that the instruction touches.
        impl Vector for $vector {
            type Scalar = $scalar;
            type Mask = __m256i;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn mask(lanes: usize) -> __m256i {
                // SAFETY: instruction set granted.
                unsafe { $first_lanes(lanes) }
            }
            #[inline(always)]
            unsafe fn zero() -> Self {
                // SAFETY: instruction set granted.
                Self(unsafe { $zero() })
            }
            #[inline(always)]
            unsafe fn splat(from: *const $scalar) -> Self {
                // SAFETY: instruction set granted, pointer valid for one number.
                Self(unsafe { $splat(*from) })
            }
            #[inline(always)]
            unsafe fn load(from: *const $scalar) -> Self {
                // SAFETY: instruction set granted, pointer valid for all lanes.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn load_masked(from: *const $scalar, mask: __m256i) -> Self {
                // SAFETY: instruction set granted, pointer valid for the lanes of the mask.
                Self(unsafe { $maskload(from, mask) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $scalar) {
                // SAFETY: instruction set granted, pointer valid for all lanes.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn store_masked(self, to: *mut $scalar, mask: __m256i) {
                // SAFETY: instruction set granted, pointer valid for the lanes of the mask.
                unsafe { $maskstore(to, mask, self.0) }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: instruction set granted.
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: instruction set granted.
                Self(unsafe { $fma(self.0, factor.0, addend.0) })
            }
            #[inline(always)]
            unsafe fn sum(self) -> $scalar {
                // SAFETY: instruction set granted.
                unsafe { $sum(self.0) }
            }
            #[inline(always)]
            unsafe fn transpose(
                from: *const $scalar,
                from_row: isize,
                size: (usize, usize),
                to: *mut $scalar,
                to_row: usize,
            ) {
                // SAFETY: the same contract.
                unsafe { transpose_by_number::<Self>(from, from_row, size, to, to_row) }
            }
        }
    };
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_of_4(lanes: usize) -> __m256i {
    _mm256_cmpgt_epi64(
        _mm256_set1_epi64x(lanes as i64),
        _mm256_setr_epi64x(0, 1, 2, 3),
    )
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn first_of_8(lanes: usize) -> __m256i {
    _mm256_cmpgt_epi32(
        _mm256_set1_epi32(lanes as i32),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
    )
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum_of_4(x: __m256d) -> f64 {
    let pair = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
    _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)))
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum_of_8(x: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let pair = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)))
}

avx2_vector!(
    F64x4,
    __m256d,
    f64,
    4,
    first_of_4,
    sum_of_4,
    _mm256_setzero_pd,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_maskload_pd,
    _mm256_storeu_pd,
    _mm256_maskstore_pd,
    _mm256_add_pd,
    _mm256_fmadd_pd
);
avx2_vector!(
    F32x8,
    __m256,
    f32,
    8,
    first_of_8,
    sum_of_8,
    _mm256_setzero_ps,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_maskload_ps,
    _mm256_storeu_ps,
    _mm256_maskstore_ps,
    _mm256_add_ps,
    _mm256_fmadd_ps
);
