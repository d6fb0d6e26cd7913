//! Shapes: the sizes of an array along its axes.

use std::fmt;

use smallvec::SmallVec;

/// A list of sizes, axes or strides; up to four stay inline.
pub(crate) type Dims<T = usize> = SmallVec<[T; 4]>;

/// The most elements that an array of a graph has, counting an axis of size 0 as one of size 1: its
/// bytes then fit an `isize` in either type, and so does every stride and every offset inside it.
pub(crate) const MAX_LEN: usize = isize::MAX as usize / size_of::<f64>();

/// The most vectors of a stack that one pass takes along: enough to share each residual's reading
/// among many vectors, few enough that a pass's memory stays small.
pub(crate) const MAX_STACK: usize = 16;

/// The most elements that a recorded array has. A derived array is as long as a recorded one, or
/// a stack of at most [`MAX_STACK`] of them, so that it keeps within [`MAX_LEN`] by itself.
pub(crate) const MAX_RECORDED: usize = MAX_LEN / MAX_STACK;

/// The shape of an array; rank 0 is a scalar.
#[derive(PartialEq, Eq, Hash, Default)]
pub(crate) struct Shape(Dims);

impl Clone for Shape {
    /// Copies the sizes in one piece, which a derived clone does one by one.
    fn clone(&self) -> Self {
        Self(Dims::from_slice(&self.0))
    }
}

impl Shape {
    pub(crate) fn new(dims: &[usize]) -> Self {
        Self(Dims::from_slice(dims))
    }

    pub(crate) fn scalar() -> Self {
        Self::default()
    }

    pub(crate) fn dims(&self) -> &[usize] {
        &self.0
    }

    pub(crate) fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements. The shape is one that [`Self::check`] let pass.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// Refuses a shape of more than `most` elements. Axes of size 0 count as one: the strides of
    /// an empty array must fit as well.
    pub(crate) fn check(self, most: usize) -> Result<Self, String> {
        self.checked(most).map(|()| self)
    }

    /// [`Self::check`] of a shape that somebody else has.
    #[inline]
    pub(crate) fn checked(&self, most: usize) -> Result<(), String> {
        let extent = self
            .0
            .iter()
            .try_fold(1_usize, |extent, &size| extent.checked_mul(size.max(1)));
        match extent {
            Some(extent) if extent <= most => Ok(()),
            _ => Err(format!("the shape {self} has more than {most} elements")),
        }
    }

    /// The strides, in elements, of a row-major array of this shape.
    pub(crate) fn row_major(&self) -> Dims<isize> {
        let mut strides = Dims::from_elem(1, self.rank());
        for axis in (0..self.rank().saturating_sub(1)).rev() {
            strides[axis] = strides[axis + 1] * self.0[axis + 1] as isize;
        }
        strides
    }

    /// This shape without the given axes (sorted, distinct).
    pub(crate) fn without(&self, axes: &[usize]) -> Self {
        let kept = (0..self.rank()).filter(|axis| !axes.contains(axis));
        Self(kept.map(|axis| self.0[axis]).collect())
    }

    /// This shape with size 1 on the given axes.
    pub(crate) fn with_ones(&self, axes: &[usize]) -> Self {
        let size = |axis: usize| {
            if axes.contains(&axis) {
                1
            } else {
                self.0[axis]
            }
        };
        Self((0..self.rank()).map(size).collect())
    }

    /// This shape with `size` put in front.
    pub(crate) fn prefixed(&self, size: usize) -> Self {
        let mut dims = Dims::from_slice(&[size]);
        dims.extend_from_slice(&self.0);
        Self(dims)
    }

    /// A shape of ones of the given rank.
    pub(crate) fn ones(rank: usize) -> Self {
        Self(Dims::from_elem(1, rank))
    }

    /// This shape with axes of size 1 put in front up to the given rank.
    pub(crate) fn with_leading_ones(&self, rank: usize) -> Self {
        let mut dims = Dims::from_elem(1, rank.saturating_sub(self.rank()));
        dims.extend_from_slice(&self.0);
        Self(dims)
    }

    /// The common shape of two arrays under the usual broadcasting: axes are matched from the
    /// last, and a size of 1, or a missing axis, stretches.
    pub(crate) fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let size = |shape: &Self, axis: usize| {
            let missing = rank - shape.rank();
            if axis < missing {
                1
            } else {
                shape.0[axis - missing]
            }
        };
        let mut dims = Dims::with_capacity(rank);
        for axis in 0..rank {
            match (size(self, axis), size(other, axis)) {
                (a, b) if a == b => dims.push(a),
                (1, b) => dims.push(b),
                (a, 1) => dims.push(a),
                _ => return None,
            }
        }
        Some(Self(dims))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_slice())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_matches_axes_from_the_last() {
        let broadcast = |a: &[usize], b: &[usize]| Shape::new(a).broadcast(&Shape::new(b));
        assert_eq!(broadcast(&[4, 3], &[3]), Some(Shape::new(&[4, 3])));
        assert_eq!(broadcast(&[4, 1], &[3]), Some(Shape::new(&[4, 3])));
        assert_eq!(broadcast(&[], &[2, 2]), Some(Shape::new(&[2, 2])));
        assert_eq!(broadcast(&[4, 3], &[4]), None);
    }

    #[test]
    fn shapes_are_checked_products() {
        let check = |dims: &[usize]| Shape::new(dims).check(MAX_LEN).is_ok();
        assert!(check(&[]));
        assert!(check(&[MAX_LEN]) && check(&[1 << 30, 1 << 29]));
        assert!(!check(&[MAX_LEN + 1]) && !check(&[1 << 30, 1 << 30]));
        assert!(!check(&[1 << 32, 1 << 32]), "2⁶⁴ is 0 in 64 bits");
        assert!(!check(&[usize::MAX, usize::MAX, 3]));
        // No element, but strides of 2⁸⁰.
        assert!(check(&[0, 1 << 40]) && !check(&[0, 1 << 40, 1 << 40]));
        let error = Shape::new(&[1 << 62, 4]).check(MAX_LEN).unwrap_err();
        assert!(error.contains("[4611686018427387904, 4]"), "{error}");
    }

    #[test]
    fn row_major_strides_end_with_one() {
        assert_eq!(Shape::new(&[2, 3, 5]).row_major().as_slice(), &[15, 5, 1]);
        assert!(Shape::scalar().row_major().is_empty());
    }
}
