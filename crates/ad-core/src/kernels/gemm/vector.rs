//! What a micro-kernel asks of a vector register, and the portable answer.

use super::super::isa::Baseline;
use super::super::vmath::Lane;

/// One register full of numbers.
///
/// # Safety
/// Every method may use the instruction set that the type stands for: the caller must have found
/// it on this processor. Pointers must be valid for as many numbers as the method touches
/// (a masked access touches the lanes of its mask alone); no alignment is asked for.
pub(super) trait Vector: Copy {
    type Scalar: Copy;
    type Mask: Copy;
    const LANES: usize;

    /// The mask of the first `lanes` lanes, 1 ≤ `lanes` ≤ [`Self::LANES`].
    unsafe fn mask(lanes: usize) -> Self::Mask;
    unsafe fn zero() -> Self;
    /// The number at `from` in every lane.
    unsafe fn splat(from: *const Self::Scalar) -> Self;
    unsafe fn load(from: *const Self::Scalar) -> Self;
    /// Lanes outside of the mask are zero.
    unsafe fn load_masked(from: *const Self::Scalar, mask: Self::Mask) -> Self;
    unsafe fn store(self, to: *mut Self::Scalar);
    unsafe fn store_masked(self, to: *mut Self::Scalar, mask: Self::Mask);
    unsafe fn add(self, other: Self) -> Self;
    /// `self` · `factor` + `addend`, rounded once where the processor can.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The sum of the lanes, in an order fixed by the type.
    unsafe fn sum(self) -> Self::Scalar;
    /// Writes the transpose of rows × columns = `size` numbers, both at most [`Self::LANES`]:
    /// number j of row i of `from` becomes number i of row j of `to`. Rows of `to` are filled up
    /// with zeros to [`Self::LANES`] numbers.
    unsafe fn transpose(
        from: *const Self::Scalar,
        from_row: isize,
        size: (usize, usize),
        to: *mut Self::Scalar,
        to_row: usize,
    );
}

/// A vector of `W` lanes that the compiler maps to whatever registers there are.
#[derive(Clone, Copy)]
pub(super) struct Portable<T, const W: usize>([T; W]);

impl<T: Lane + Default + std::ops::Add<Output = T>, const W: usize> Vector for Portable<T, W> {
    type Scalar = T;
    type Mask = usize;
    const LANES: usize = W;

    #[inline(always)]
    unsafe fn mask(lanes: usize) -> usize {
        lanes
    }
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([T::default(); W])
    }
    #[inline(always)]
    unsafe fn splat(from: *const T) -> Self {
        // SAFETY: valid for one number, by the trait's contract.
        Self([unsafe { *from }; W])
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: valid for W numbers, and an array has the layout of its numbers.
        Self(unsafe { from.cast::<[T; W]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_masked(from: *const T, mask: usize) -> Self {
        let mut out = [T::default(); W];
        for (lane, slot) in out.iter_mut().enumerate().take(mask) {
            // SAFETY: the lane is inside of the mask.
            *slot = unsafe { *from.add(lane) };
        }
        Self(out)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: valid for W numbers, and an array has the layout of its numbers.
        unsafe { to.cast::<[T; W]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_masked(self, to: *mut T, mask: usize) {
        for (lane, value) in self.0.into_iter().enumerate().take(mask) {
            // SAFETY: the lane is inside of the mask.
            unsafe { *to.add(lane) = value }
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|lane| {
            self.0[lane].fma::<Baseline>(factor.0[lane], addend.0[lane])
        }))
    }
    #[inline(always)]
    unsafe fn sum(self) -> T {
        self.0.into_iter().fold(T::default(), |sum, x| sum + x)
    }
    #[inline(always)]
    unsafe fn transpose(
        from: *const T,
        from_row: isize,
        size: (usize, usize),
        to: *mut T,
        to_row: usize,
    ) {
        // SAFETY: the same contract.
        unsafe { transpose_by_number::<Self>(from, from_row, size, to, to_row) }
    }
}

/// [`Vector::transpose`] one number at a time.
///
/// # Safety
/// As for [`Vector::transpose`].
#[inline(always)]
pub(super) unsafe fn transpose_by_number<V: Vector>(
    from: *const V::Scalar,
    from_row: isize,
    (rows, cols): (usize, usize),
    to: *mut V::Scalar,
    to_row: usize,
) {
    for j in 0..cols {
        // SAFETY: row j of the target has LANES numbers, of which the first `rows` come from
        // inside the source.
        unsafe {
            let row = to.add(j * to_row);
            V::zero().store(row);
            for i in 0..rows {
                *row.add(i) = *from.offset(i as isize * from_row).add(j);
            }
        }
    }
}
