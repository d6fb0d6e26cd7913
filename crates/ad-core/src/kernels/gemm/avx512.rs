//! Vectors of 512 bits for processors with AVX-512 F, DQ, VL and BW.

use std::arch::x86_64::*;

use super::vector::Vector;

macro_rules! avx512_vector {
    ($vector:ident, $register:ident, $scalar:ty, $lanes:literal, $mask:ty, $transpose:ident,
     $sum:ident, $zero:ident, $splat:ident, $load:ident, $maskload:ident, $store:ident,
     $maskstore:ident, $add:ident, $fma:ident) => {
        #[derive(Clone, Copy)]
        pub(super) struct $vector($register);

        impl Vector for $vector {
            type Scalar = $scalar;
            type Mask = $mask;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn mask(lanes: usize) -> $mask {
                <$mask>::MAX >> ($lanes - lanes)
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
            unsafe fn load_masked(from: *const $scalar, mask: $mask) -> Self {
                // SAFETY: instruction set granted, pointer valid for the lanes of the mask.
                Self(unsafe { $maskload(mask, from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $scalar) {
                // SAFETY: instruction set granted, pointer valid for all lanes.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn store_masked(self, to: *mut $scalar, mask: $mask) {
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
                (rows, cols): (usize, usize),
                to: *mut $scalar,
                to_row: usize,
            ) {
                // SAFETY: instruction set granted; the mask keeps each load within its row, rows
                // and columns that do not exist are neither read nor written.
                unsafe {
                    let mask = Self::mask(cols);
                    let mut block = [$zero(); $lanes];
                    for (i, row) in block.iter_mut().enumerate() {
                        if i < rows {
                            *row = $maskload(mask, from.offset(i as isize * from_row));
                        }
                    }
                    let block = $transpose(&block);
                    for (j, row) in block.iter().enumerate() {
                        if j < cols {
                            $store(to.add(j * to_row), *row);
                        }
                    }
                }
            }
        }
    };
}

/// The transpose of a 4 × 4 matrix whose entries are quarters of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_quarters(x: [__m512d; 4]) -> [__m512d; 4] {
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let even = [
        _mm512_shuffle_f64x2::<EVEN>(x[0], x[1]),
        _mm512_shuffle_f64x2::<EVEN>(x[2], x[3]),
    ];
    let odd = [
        _mm512_shuffle_f64x2::<ODD>(x[0], x[1]),
        _mm512_shuffle_f64x2::<ODD>(x[2], x[3]),
    ];
    [
        _mm512_shuffle_f64x2::<EVEN>(even[0], even[1]),
        _mm512_shuffle_f64x2::<EVEN>(odd[0], odd[1]),
        _mm512_shuffle_f64x2::<ODD>(even[0], even[1]),
        _mm512_shuffle_f64x2::<ODD>(odd[0], odd[1]),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_8(x: &[__m512d; 8]) -> [__m512d; 8] {
    let low = [
        _mm512_unpacklo_pd(x[0], x[1]),
        _mm512_unpacklo_pd(x[2], x[3]),
        _mm512_unpacklo_pd(x[4], x[5]),
        _mm512_unpacklo_pd(x[6], x[7]),
    ];
    let high = [
        _mm512_unpackhi_pd(x[0], x[1]),
        _mm512_unpackhi_pd(x[2], x[3]),
        _mm512_unpackhi_pd(x[4], x[5]),
        _mm512_unpackhi_pd(x[6], x[7]),
    ];
    let (low, high) = (transpose_quarters(low), transpose_quarters(high));
    [
        low[0], high[0], low[1], high[1], low[2], high[2], low[3], high[3],
    ]
}

/// The transposes of the four 4 × 4 matrices in the quarters of four rows, as entries for
/// [`transpose_quarters`].
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_within_quarters(x: &[__m512]) -> [__m512d; 4] {
    let low = [
        _mm512_unpacklo_ps(x[0], x[1]),
        _mm512_unpacklo_ps(x[2], x[3]),
    ];
    let high = [
        _mm512_unpackhi_ps(x[0], x[1]),
        _mm512_unpackhi_ps(x[2], x[3]),
    ];
    let low = low.map(|pairs| _mm512_castps_pd(pairs));
    let high = high.map(|pairs| _mm512_castps_pd(pairs));
    [
        _mm512_unpacklo_pd(low[0], low[1]),
        _mm512_unpackhi_pd(low[0], low[1]),
        _mm512_unpacklo_pd(high[0], high[1]),
        _mm512_unpackhi_pd(high[0], high[1]),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_16(x: &[__m512; 16]) -> [__m512; 16] {
    let group = [
        transpose_within_quarters(&x[0..4]),
        transpose_within_quarters(&x[4..8]),
        transpose_within_quarters(&x[8..12]),
        transpose_within_quarters(&x[12..16]),
    ];
    let mut out = [_mm512_setzero_ps(); 16];
    for e in 0..4 {
        let rows = transpose_quarters([group[0][e], group[1][e], group[2][e], group[3][e]]);
        for quarter in 0..4 {
            out[4 * quarter + e] = _mm512_castpd_ps(rows[quarter]);
        }
    }
    out
}

avx512_vector!(
    F64x8,
    __m512d,
    f64,
    8,
    __mmask8,
    transpose_8,
    _mm512_reduce_add_pd,
    _mm512_setzero_pd,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_maskz_loadu_pd,
    _mm512_storeu_pd,
    _mm512_mask_storeu_pd,
    _mm512_add_pd,
    _mm512_fmadd_pd
);
avx512_vector!(
    F32x16,
    __m512,
    f32,
    16,
    __mmask16,
    transpose_16,
    _mm512_reduce_add_ps,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_maskz_loadu_ps,
    _mm512_storeu_ps,
    _mm512_mask_storeu_ps,
    _mm512_add_ps,
    _mm512_fmadd_ps
);
