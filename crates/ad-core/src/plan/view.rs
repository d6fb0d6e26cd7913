//! Strided views: how an instruction reads memory that another one wrote.

use crate::graph::NodeId;
use crate::shape::{Dims, Shape};

/// Elements of the array `base`: the first at `offset`, the others by strides (in elements).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) base: NodeId,
    pub(crate) offset: usize,
    pub(crate) shape: Shape,
    pub(crate) strides: Dims<isize>,
}

/// A view of which sizes and strides are kept elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViewRef<'a> {
    pub(crate) base: NodeId,
    pub(crate) offset: usize,
    pub(crate) shape: &'a Shape,
    pub(crate) strides: &'a [isize],
}

/// How instructions are read from memory, for those that are: a base, an offset and strides each, side
/// by side. The sizes are those of the instruction.
#[derive(Debug)]
pub(crate) struct Views {
    /// One more than the place of each instruction's first number; 0 where there is none.
    places: Vec<u32>,
    numbers: Vec<isize>,
}

impl Views {
    pub(crate) fn new(n_nodes: usize) -> Self {
        Self {
            places: vec![0; n_nodes],
            numbers: Vec::new(),
        }
    }

    pub(crate) fn has(&self, id: NodeId) -> bool {
        self.places[id.index()] != 0
    }

    /// The view of an instruction of this shape.
    pub(crate) fn get<'a>(&'a self, id: NodeId, shape: &'a Shape) -> Option<ViewRef<'a>> {
        let place = (self.places[id.index()] as usize).checked_sub(1)?;
        let numbers = &self.numbers[place..][..2 + shape.rank()];
        Some(ViewRef {
            base: NodeId::from_index(numbers[0] as usize),
            offset: numbers[1] as usize,
            shape,
            strides: &numbers[2..],
        })
    }

    /// # Panics
    /// If the numbers of all views are more than 2³²: those of 10⁹ instructions.
    pub(crate) fn set(&mut self, id: NodeId, view: &View) {
        let place = u32::try_from(self.numbers.len() + 1);
        self.places[id.index()] = place.expect("fewer than 2³² numbers");
        self.numbers.push(view.base.index() as isize);
        self.numbers.push(view.offset as isize);
        self.numbers.extend_from_slice(&view.strides);
    }
}

impl ViewRef<'_> {
    pub(crate) fn to_owned(self) -> View {
        View {
            base: self.base,
            offset: self.offset,
            shape: self.shape.clone(),
            strides: Dims::from_slice(self.strides),
        }
    }

    /// Whether the elements lie one after the other in row-major order.
    pub(crate) fn is_contiguous(self) -> bool {
        let (mut expected, mut follows) = (1, true);
        for (&size, &stride) in self.shape.dims().iter().zip(self.strides).rev() {
            follows &= size == 1 || stride == expected;
            expected *= size as isize;
        }
        follows || self.shape.len() == 0
    }

    /// The shape and strides with axes of size 1 dropped and axes that follow each other merged.
    pub(crate) fn merged(self) -> (Dims, Dims<isize>) {
        let (mut dims, mut strides) = (Dims::new(), Dims::new());
        for (&size, &stride) in self.shape.dims().iter().zip(self.strides) {
            if size == 1 {
                continue;
            }
            match (dims.last_mut(), strides.last_mut()) {
                (Some(last_size), Some(last_stride)) if *last_stride == stride * size as isize => {
                    *last_size *= size;
                    *last_stride = stride;
                }
                _ => {
                    dims.push(size);
                    strides.push(stride);
                }
            }
        }
        (dims, strides)
    }
}

impl View {
    /// All of a row-major array.
    pub(crate) fn whole(base: NodeId, shape: &Shape) -> Self {
        Self {
            base,
            offset: 0,
            shape: shape.clone(),
            strides: shape.row_major(),
        }
    }

    pub(crate) fn as_ref(&self) -> ViewRef<'_> {
        ViewRef {
            base: self.base,
            offset: self.offset,
            shape: &self.shape,
            strides: &self.strides,
        }
    }

    /// Whether the elements lie one after the other in row-major order.
    pub(crate) fn is_contiguous(&self) -> bool {
        self.as_ref().is_contiguous()
    }

    /// The same elements in the same order under another shape, if strides can say it.
    pub(crate) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        let strides = if shape.len() == 0 {
            shape.row_major()
        } else {
            self.restride(shape)?
        };
        Some(Self {
            base: self.base,
            offset: self.offset,
            shape: shape.clone(),
            strides,
        })
    }

    /// Strides for another shape: runs of axes that are contiguous among themselves can be split
    /// and merged freely, so both shapes are cut into groups of equal sizes.
    fn restride(&self, shape: &Shape) -> Option<Dims<isize>> {
        let (old_dims, old_strides) = self.as_ref().merged();
        let mut strides = Dims::from_elem(0, shape.rank());
        let mut old = old_dims.iter().zip(&old_strides).rev();
        let (mut left, mut stride) = (1, 1);
        for axis in (0..shape.rank()).rev() {
            let size = shape.dims()[axis];
            if size == 1 {
                continue;
            }
            if left == 1 {
                let (&dim, &step) = old.next()?;
                (left, stride) = (dim, step);
            }
            if left % size != 0 {
                return None;
            }
            strides[axis] = stride;
            stride *= size as isize;
            left /= size;
        }
        Some(strides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(dims: &[usize], strides: &[isize]) -> View {
        View {
            base: NodeId::from_index(0),
            offset: 0,
            shape: Shape::new(dims),
            strides: Dims::from_slice(strides),
        }
    }

    /// The flat positions that a view reads, in order.
    fn positions(view: &View) -> Vec<isize> {
        let mut all = vec![0];
        for (&size, &stride) in view.shape.dims().iter().zip(&view.strides) {
            let step = |at: isize| (0..size as isize).map(move |i| at + i * stride);
            all = all.into_iter().flat_map(step).collect();
        }
        all
    }

    #[test]
    fn reshaping_keeps_the_order_of_elements_or_refuses() {
        let cases: &[(View, &[usize], bool)] = &[
            (view(&[6], &[1]), &[2, 3], true),
            (view(&[2, 3], &[3, 1]), &[6], true),
            (view(&[2, 3], &[1, 2]), &[6], false),
            (view(&[4, 3], &[10, 1]), &[2, 2, 3], true),
            (view(&[4, 3], &[10, 1]), &[2, 6], false),
            (view(&[2, 3, 4], &[0, 4, 1]), &[2, 12], true),
            (view(&[2, 1, 3], &[3, 7, 1]), &[3, 1, 2], true),
        ];
        for (view, dims, possible) in cases {
            let reshaped = view.reshaped(&Shape::new(dims));
            assert_eq!(reshaped.is_some(), *possible, "{view:?} to {dims:?}");
            if let Some(reshaped) = reshaped {
                assert_eq!(positions(view), positions(&reshaped));
            }
        }
    }

    #[test]
    fn contiguity_ignores_axes_of_size_one() {
        assert!(view(&[2, 1, 3], &[3, 99, 1]).is_contiguous());
        assert!(!view(&[2, 3], &[1, 2]).is_contiguous());
    }
}
