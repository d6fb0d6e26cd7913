//! Copies of operands in the order in which the micro-kernel reads them.
//!
//! A panel is `depth` rows of `width` numbers, one row for each k: what a tile reads of B, or of
//! the transpose of A.

use super::vector::Vector;

/// The panel to copy: entry (p, j) is at `from` + p·`p_stride` + j·`j_stride`.
#[derive(Clone, Copy)]
pub(super) struct Panel<T> {
    pub(super) from: *const T,
    pub(super) p_stride: isize,
    pub(super) j_stride: isize,
    pub(super) depth: usize,
    pub(super) width: usize,
    pub(super) to: *mut T,
    /// From row to row of the copy; numbers beyond `width` are zeros.
    pub(super) to_row: usize,
}

/// Copies a panel.
///
/// # Safety
/// The instruction set must be there; source and target must be valid for the panel, and the
/// target must not overlap the source.
pub(super) type PackFn<T> = unsafe fn(&Panel<T>);

/// Chooses by the strides of the source.
#[inline(always)]
unsafe fn pack<V: Vector>(panel: &Panel<V::Scalar>) {
    // SAFETY: the same contract.
    unsafe {
        if panel.j_stride == 1 {
            match panel.width.div_ceil(V::LANES) {
                1 => copy_rows::<V, 1>(panel),
                2 => copy_rows::<V, 2>(panel),
                3 => copy_rows::<V, 3>(panel),
                4 => copy_rows::<V, 4>(panel),
                _ => gather::<V>(panel),
            }
        } else if panel.p_stride == 1 && panel.to_row % V::LANES == 0 {
            transpose::<V>(panel);
        } else {
            gather::<V>(panel);
        }
    }
}

/// The rows of the panel are contiguous, of `N` vectors the last of which may be cut.
#[inline(always)]
unsafe fn copy_rows<V: Vector, const N: usize>(panel: &Panel<V::Scalar>) {
    let last = (N - 1) * V::LANES;
    let (mut from, mut to) = (panel.from, panel.to);
    // SAFETY: row by row inside source and target; the padding is inside of the target's row.
    unsafe {
        let present = V::mask(panel.width - last);
        let room = V::mask(V::LANES.min(panel.to_row - last));
        for _ in 0..panel.depth {
            for v in 0..N - 1 {
                V::load(from.add(v * V::LANES)).store(to.add(v * V::LANES));
            }
            V::load_masked(from.add(last), present).store_masked(to.add(last), room);
            from = from.wrapping_offset(panel.p_stride);
            to = to.wrapping_add(panel.to_row);
        }
    }
}

/// The columns of the panel are contiguous.
#[inline(always)]
unsafe fn transpose<V: Vector>(panel: &Panel<V::Scalar>) {
    let mut p = 0;
    while p < panel.depth {
        let cols = V::LANES.min(panel.depth - p);
        let mut j = 0;
        while j < panel.width {
            let rows = V::LANES.min(panel.width - j);
            // SAFETY: the block is cut to the panel, whose rows in the target are whole vectors.
            unsafe {
                let from = panel.from.offset(j as isize * panel.j_stride).add(p);
                let to = panel.to.add(p * panel.to_row + j);
                V::transpose(from, panel.j_stride, (rows, cols), to, panel.to_row);
            }
            j += V::LANES;
        }
        p += V::LANES;
    }
}

/// Any strides, number by number.
#[inline(always)]
unsafe fn gather<V: Vector>(panel: &Panel<V::Scalar>) {
    for p in 0..panel.depth {
        // SAFETY: the entry and its copy are inside source and target.
        unsafe {
            let to = panel.to.add(p * panel.to_row);
            let from = panel.from.offset(p as isize * panel.p_stride);
            for j in 0..panel.width {
                *to.add(j) = *from.offset(j as isize * panel.j_stride);
            }
            if panel.to_row > panel.width {
                let pad = panel.to_row - panel.width;
                std::ptr::write_bytes(to.add(panel.width), 0, pad);
            }
        }
    }
}

/// [`pack`] compiled for the baseline.
///
/// # Safety
/// See [`PackFn`].
pub(super) unsafe fn baseline<V: Vector>(panel: &Panel<V::Scalar>) {
    // SAFETY: the same contract.
    unsafe { pack::<V>(panel) }
}

/// [`pack`] compiled for AVX2.
///
/// # Safety
/// See [`PackFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<V: Vector>(panel: &Panel<V::Scalar>) {
    // SAFETY: the same contract.
    unsafe { pack::<V>(panel) }
}

/// [`pack`] compiled for AVX-512.
///
/// # Safety
/// See [`PackFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
pub(super) unsafe fn avx512<V: Vector>(panel: &Panel<V::Scalar>) {
    // SAFETY: the same contract.
    unsafe { pack::<V>(panel) }
}
