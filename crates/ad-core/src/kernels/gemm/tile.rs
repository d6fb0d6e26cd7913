//! The micro-kernel: a column of equal tiles of C, each held in registers while k runs.

use super::super::opaque::opaque;
use super::vector::Vector;

/// A stack of `blocks` tiles below each other, all against the same columns of B.
#[derive(Clone, Copy)]
pub(super) struct Tiles<T> {
    pub(super) blocks: usize,
    pub(super) k: usize,
    pub(super) a: *const T,
    pub(super) a_row: isize,
    pub(super) a_col: isize,
    /// From the first row of a tile to the first row of the next one.
    pub(super) a_block: isize,
    pub(super) b: *const T,
    pub(super) b_row: isize,
    pub(super) c: *mut T,
    pub(super) c_row: isize,
    /// How many columns the last vector of the tile has.
    pub(super) last_lanes: usize,
    pub(super) accumulate: bool,
}

/// Computes the tiles.
///
/// # Safety
/// The instruction set must be there; A, B and C must be valid for tiles of the kernel's size.
pub(super) type TileFn<T> = unsafe fn(&Tiles<T>);

type Accumulators<V, const MR: usize, const NV: usize> = [[V; NV]; MR];

/// Tiles of `MR` rows and `NV` vectors. `FULL` kernels read all lanes of the last vector of B.
#[inline(always)]
unsafe fn tiles<V: Vector, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Tiles<V::Scalar>,
) {
    let (mut a, mut c) = (t.a, t.c);
    for _ in 0..t.blocks {
        // SAFETY: `a` and `c` are at a tile of the stack; by the contract of [`TileFn`].
        unsafe {
            let mut sums = product::<V, MR, NV, FULL>(t, a);
            if t.accumulate {
                add_old::<V, MR, NV>(t, c, &mut sums);
            }
            write::<V, MR, NV>(t, c, &sums);
        }
        a = a.wrapping_offset(t.a_block);
        c = c.wrapping_offset(MR as isize * t.c_row);
    }
}

/// Rows of A that one pointer serves, by addresses with once and twice the row stride.
const ROWS_A_POINTER: usize = 3;
/// Enough for the tallest kernel, of 12 rows.
const POINTERS: usize = 4;

/// Where a tile is on its way along k.
struct Walk<T> {
    /// A pointer to the rows 0, 3, 6, … of A.
    a: [*const T; POINTERS],
    b: *const T,
}

/// A·B for one tile. A single row is too little to hide the latency of a multiply-add, and keeps
/// four sums per entry.
#[inline(always)]
unsafe fn product<V: Vector, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Tiles<V::Scalar>,
    a: *const V::Scalar,
) -> Accumulators<V, MR, NV> {
    let pointer = |i: usize| a.wrapping_offset((ROWS_A_POINTER * i) as isize * t.a_row);
    let mut at = Walk {
        a: std::array::from_fn(|i| {
            // Only what the tile has rows for, and the first one as it is.
            if i == 0 || ROWS_A_POINTER * i >= MR {
                a
            } else {
                // Else each row's address is expressed by the one before: a chain of additions
                // that takes longer than the multiplications.
                opaque(pointer(i))
            }
        }),
        b: t.b,
    };
    // SAFETY: the walk is over the t.k columns of A and rows of B.
    unsafe {
        let mut sums = [[V::zero(); NV]; MR];
        let mut left = t.k;
        if MR == 1 {
            let mut others = [[[V::zero(); NV]; MR]; 3];
            while left >= 4 {
                step::<V, MR, NV, FULL>(t, &mut at, &mut sums);
                for other in &mut others {
                    step::<V, MR, NV, FULL>(t, &mut at, other);
                }
                left -= 4;
            }
            for i in 0..MR {
                for v in 0..NV {
                    let even = sums[i][v].add(others[1][i][v]);
                    sums[i][v] = even.add(others[0][i][v].add(others[2][i][v]));
                }
            }
        }
        for _ in 0..left {
            step::<V, MR, NV, FULL>(t, &mut at, &mut sums);
        }
        sums
    }
}

/// Adds the outer product of one column of A and one row of B, and goes on to the next ones.
#[inline(always)]
unsafe fn step<V: Vector, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Tiles<V::Scalar>,
    at: &mut Walk<V::Scalar>,
    sums: &mut Accumulators<V, MR, NV>,
) {
    // SAFETY: the row of B and the column of A are inside the operands.
    unsafe {
        let mut row = [V::zero(); NV];
        for (v, slot) in row.iter_mut().enumerate() {
            let from = at.b.add(v * V::LANES);
            *slot = if FULL || v + 1 < NV {
                V::load(from)
            } else {
                V::load_masked(from, V::mask(t.last_lanes))
            };
        }
        for (i, sums) in sums.iter_mut().enumerate() {
            let beyond = (i % ROWS_A_POINTER) as isize;
            let x = V::splat(at.a[i / ROWS_A_POINTER].offset(beyond * t.a_row));
            for (sum, columns) in sums.iter_mut().zip(row) {
                *sum = x.mul_add(columns, *sum);
            }
        }
    }
    for pointer in at.a.iter_mut().take(MR.div_ceil(ROWS_A_POINTER)) {
        *pointer = pointer.wrapping_offset(t.a_col);
    }
    at.b = at.b.wrapping_offset(t.b_row);
}

/// Adds what C holds to the sums.
#[inline(always)]
unsafe fn add_old<V: Vector, const MR: usize, const NV: usize>(
    t: &Tiles<V::Scalar>,
    c: *const V::Scalar,
    sums: &mut Accumulators<V, MR, NV>,
) {
    // SAFETY: the tile lies inside C, its last vector cut to the lanes that exist.
    unsafe {
        let mask = V::mask(t.last_lanes);
        for (i, row) in sums.iter_mut().enumerate() {
            let from = c.offset(i as isize * t.c_row);
            for (v, sum) in row.iter_mut().enumerate() {
                let from = from.add(v * V::LANES);
                let old = if v + 1 < NV {
                    V::load(from)
                } else {
                    V::load_masked(from, mask)
                };
                *sum = old.add(*sum);
            }
        }
    }
}

#[inline(always)]
unsafe fn write<V: Vector, const MR: usize, const NV: usize>(
    t: &Tiles<V::Scalar>,
    c: *mut V::Scalar,
    sums: &Accumulators<V, MR, NV>,
) {
    // SAFETY: the tile lies inside C, its last vector cut to the lanes that exist.
    unsafe {
        let mask = V::mask(t.last_lanes);
        for (i, row) in sums.iter().enumerate() {
            let to = c.offset(i as isize * t.c_row);
            for (v, sum) in row.iter().enumerate() {
                let to = to.add(v * V::LANES);
                if v + 1 < NV {
                    sum.store(to)
                } else {
                    sum.store_masked(to, mask)
                }
            }
        }
    }
}

/// The kernels of one instruction set: which tile heights exist for 1, 2, … vectors.
macro_rules! tile_table {
    ($compiled:ident, $vector:ty, $($nv:literal => $($mr:literal)+;)+) => {
        &[$(&[$([
            $compiled::<$vector, $mr, $nv, false>,
            $compiled::<$vector, $mr, $nv, true>,
        ]),+]),+]
    };
}
pub(super) use tile_table;

/// [`tiles`] compiled for the baseline.
///
/// # Safety
/// See [`TileFn`].
pub(super) unsafe fn baseline<V: Vector, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Tiles<V::Scalar>,
) {
    // SAFETY: the same contract.
    unsafe { tiles::<V, MR, NV, FULL>(t) }
}

/// [`tiles`] compiled for AVX2.
///
/// # Safety
/// See [`TileFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<V: Vector, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Tiles<V::Scalar>,
) {
    // SAFETY: the same contract.
    unsafe { tiles::<V, MR, NV, FULL>(t) }
}

/// [`tiles`] compiled for AVX-512.
///
/// # Safety
/// See [`TileFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
pub(super) unsafe fn avx512<V: Vector, const MR: usize, const NV: usize, const FULL: bool>(
    t: &Tiles<V::Scalar>,
) {
    // SAFETY: the same contract.
    unsafe { tiles::<V, MR, NV, FULL>(t) }
}
