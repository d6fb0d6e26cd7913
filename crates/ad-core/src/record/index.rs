//! Parts of arrays by constant positions, and arrays put together from parts.

use super::{Var, concatenate};
use crate::graph::{Graph, NodeId};
use crate::shape::{Dims, MAX_RECORDED, Shape};

impl<'t> Var<'t> {
    /// The elements of one axis at the given positions, in their order; positions may repeat. The
    /// derivative adds up what reaches one element.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.take(0, &[2, 0, 2]).square().sum())?;
    /// assert_eq!(f.value(&[1.0, 5.0, 3.0])?, 19.0);
    /// assert_eq!(f.gradient(&[1.0, 5.0, 3.0])?.to_vec(), [2.0, 0.0, 12.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// A position beyond the axis is a recording error at the caller's line.
    #[track_caller]
    #[must_use]
    pub fn take(self, axis: usize, positions: &[usize]) -> Self {
        self.recorder.build("take", |graph| {
            let size = axis_size(graph, self.id, axis)?;
            checked(positions, size)?;
            Ok(graph.gather(self.id, axis, positions))
        })
    }

    /// Zeros with `size` places along one axis, to which the elements of this variable are added at
    /// the given positions: the transpose of [`Self::take`].
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(3, |x| x.scatter_add(0, &[1, 0, 1], 3))?;
    /// assert_eq!(f.evaluate(&[1.0, 5.0, 3.0])?.as_slice(), Some(&[5.0, 4.0, 0.0][..]));
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn scatter_add(self, axis: usize, positions: &[usize], size: usize) -> Self {
        self.recorder.build("scatter_add", |graph| {
            let len = axis_size(graph, self.id, axis)?;
            if positions.len() != len {
                return Err(format!("{} positions for {len} elements", positions.len()));
            }
            checked(positions, size)?;
            resized(graph, self.id, axis, Some(size))?;
            Ok(graph.scatter_add(self.id, axis, size, positions))
        })
    }

    /// The elements of one axis in reverse order.
    #[track_caller]
    #[must_use]
    pub fn flip(self, axis: usize) -> Self {
        self.recorder.build("flip", |graph| {
            let size = axis_size(graph, self.id, axis)?;
            let reversed = listed((0..size).rev(), size)?;
            Ok(graph.gather(self.id, axis, &reversed))
        })
    }

    /// Every `step`-th element of one axis, beginning with the first; with a negative step from the
    /// last one backwards.
    #[track_caller]
    #[must_use]
    pub fn every(self, axis: usize, step: isize) -> Self {
        self.recorder.build("every", |graph| {
            let size = axis_size(graph, self.id, axis)?;
            if step == 0 {
                return Err("a step of 0".into());
            }
            let forward = (0..size).step_by(step.unsigned_abs());
            let place = |at| if step > 0 { at } else { size - 1 - at };
            let positions = listed(forward.map(place), size)?;
            Ok(graph.gather(self.id, axis, &positions))
        })
    }

    /// The elements of one axis moved up by `shift` places, those that leave it at the end coming
    /// back at the begin.
    #[track_caller]
    #[must_use]
    pub fn roll(self, axis: usize, shift: isize) -> Self {
        self.recorder.build("roll", |graph| {
            let size = axis_size(graph, self.id, axis)?;
            let shift = shift.rem_euclid(size.max(1) as isize) as usize;
            if shift == 0 {
                return Ok(self.id);
            }
            let tail = graph.slice(self.id, axis, size - shift, shift);
            let head = graph.slice(self.id, axis, 0, size - shift);
            Ok(graph.place(axis, size, &[(0, tail), (shift, head)]))
        })
    }

    /// Zeros put before and after the elements of one axis.
    #[track_caller]
    #[must_use]
    pub fn pad(self, axis: usize, before: usize, after: usize) -> Self {
        self.recorder.build("pad", |graph| {
            let size = axis_size(graph, self.id, axis)?;
            let padded = size
                .checked_add(before)
                .and_then(|sum| sum.checked_add(after));
            let padded = resized(graph, self.id, axis, padded)?;
            Ok(graph.place(axis, padded, &[(before, self.id)]))
        })
    }

    /// Consecutive parts of one axis, of the given sizes, which make up the whole axis.
    #[track_caller]
    #[must_use]
    pub fn split(self, axis: usize, sizes: &[usize]) -> Vec<Self> {
        let whole = self.dims().dims().get(axis).copied();
        let fits = whole == Some(sizes.iter().sum());
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for &size in sizes {
            parts.push(self.recorder.build("split", |graph| {
                if fits {
                    return Ok(graph.slice(self.id, axis, start, size));
                }
                let shape = graph.shape(self.id);
                Err(format!(
                    "parts {sizes:?} of axis {axis} of the shape {shape}"
                ))
            }));
            start += size;
        }
        parts
    }

    /// The whole array repeated along each axis, `times[k]` times along axis k.
    #[track_caller]
    #[must_use]
    pub fn tile(self, times: &[usize]) -> Self {
        let dims = self.dims();
        if times.len() != dims.rank() {
            return self.recorder.build("tile", |_| {
                Err(format!("repetitions {times:?} of the shape {dims}"))
            });
        }
        let pairs = || times.iter().zip(dims.dims());
        let ones: Vec<usize> = pairs().flat_map(|(_, &size)| [1, size]).collect();
        let spread: Vec<usize> = pairs().flat_map(|(&n, &size)| [n, size]).collect();
        let whole: Vec<usize> = pairs().map(|(&n, &size)| n.saturating_mul(size)).collect();
        self.reshape(&ones).broadcast_to(&spread).reshape(&whole)
    }

    /// The diagonal of a matrix; of a vector, the matrix with it on the diagonal.
    ///
    /// ```
    /// use ad_core::Function;
    /// let trace = Function::<f64>::record(4, |x| x.reshape(&[2, 2]).diagonal().sum())?;
    /// assert_eq!(trace.value(&[1.0, 2.0, 3.0, 4.0])?, 5.0);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn diagonal(self) -> Self {
        self.recorder.build("diagonal", |graph| {
            let shape = graph.shape(self.id).clone();
            match *shape.dims() {
                [n] => {
                    let square = Shape::new(&[n, n]).check(MAX_RECORDED)?;
                    let flat = graph.scatter_add(self.id, 0, n * n, &on_diagonal(n, n)?);
                    Ok(graph.reshape(flat, &square))
                }
                [rows, columns] => {
                    let positions = on_diagonal(rows.min(columns), columns)?;
                    let flat = graph.reshape(self.id, &Shape::new(&[rows * columns]));
                    Ok(graph.gather(flat, 0, &positions))
                }
                _ => Err(format!("the diagonal of the shape {shape}")),
            }
        })
    }

    /// The lower triangle of a matrix: entries with column ≤ row + `above`, zeros elsewhere.
    #[track_caller]
    #[must_use]
    pub fn lower_triangle(self, above: isize) -> Self {
        self.triangle("lower_triangle", move |row, column| column <= row + above)
    }

    /// The upper triangle of a matrix: entries with column ≥ row + `above`, zeros elsewhere.
    #[track_caller]
    #[must_use]
    pub fn upper_triangle(self, above: isize) -> Self {
        self.triangle("upper_triangle", move |row, column| column >= row + above)
    }

    /// The entries of a matrix that are kept, zeros in place of the others, whatever those are.
    #[track_caller]
    fn triangle(self, name: &'static str, kept: impl Fn(isize, isize) -> bool) -> Self {
        self.recorder.build(name, |graph| {
            let shape = graph.shape(self.id).clone();
            let &[rows, columns] = shape.dims() else {
                return Err(format!("a triangle of the shape {shape}"));
            };
            let n = rows * columns;
            let inside = |at: &usize| kept((at / columns) as isize, (at % columns) as isize);
            let positions = listed((0..n).filter(inside), n)?;
            let flat = graph.reshape(self.id, &Shape::new(&[n]));
            let entries = graph.gather(flat, 0, &positions);
            let flat = graph.scatter_add(entries, 0, n, &positions);
            Ok(graph.reshape(flat, &shape))
        })
    }
}

/// Joins variables of one shape along a new axis.
///
/// ```
/// use ad_core::{Function, stack_arrays};
/// let f = Function::<f64>::record(2, |x| stack_arrays(1, &[x, x.square()]))?;
/// assert_eq!(f.evaluate(&[2.0, 3.0])?.as_slice(), Some(&[2.0, 4.0, 3.0, 9.0][..]));
/// # Ok::<(), ad_core::Error>(())
/// ```
///
/// # Panics
/// If there is no part.
#[track_caller]
#[must_use]
pub fn stack_arrays<'t>(axis: usize, parts: &[Var<'t>]) -> Var<'t> {
    let mut with_axis = Vec::with_capacity(parts.len());
    // A loop, because a closure would hide the caller's line.
    for part in parts {
        let mut dims = Dims::from_slice(part.dims().dims());
        dims.insert(axis.min(dims.len()), 1);
        with_axis.push(part.reshape(&dims));
    }
    concatenate(axis, &with_axis)
}

fn axis_size(graph: &Graph, id: NodeId, axis: usize) -> Result<usize, String> {
    let shape = graph.shape(id);
    let size = shape.dims().get(axis).copied();
    size.ok_or_else(|| format!("axis {axis} of the shape {shape}"))
}

/// The size, if the array may have it along an axis.
fn resized(graph: &Graph, id: NodeId, axis: usize, size: Option<usize>) -> Result<usize, String> {
    let shape = graph.shape(id);
    let size = size.ok_or_else(|| format!("axis {axis} of the shape {shape} gets too long"))?;
    let mut dims = Dims::from_slice(shape.dims());
    dims[axis] = size;
    Shape::new(&dims).check(MAX_RECORDED).map(|_| size)
}

/// Checks that positions are within the axis.
fn checked(positions: &[usize], size: usize) -> Result<(), String> {
    match positions.iter().find(|&&at| at >= size) {
        Some(at) => Err(format!("position {at} of an axis of size {size}")),
        None => nameable(size),
    }
}

/// Positions are kept as numbers of 32 bits.
fn nameable(size: usize) -> Result<(), String> {
    match u32::try_from(size) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("positions among {size} elements, 2³² or more")),
    }
}

/// A list of positions among `size`, if there is room for it.
fn listed(positions: impl Iterator<Item = usize>, size: usize) -> Result<Vec<usize>, String> {
    nameable(size)?;
    let mut list = Vec::new();
    let most = positions.size_hint().1.unwrap_or(size);
    let room = list.try_reserve_exact(most);
    room.map_err(|error| format!("{most} positions: {error}"))?;
    list.extend(positions);
    Ok(list)
}

/// The positions of the first `n` entries on the diagonal of a matrix in a row.
pub(super) fn on_diagonal(n: usize, width: usize) -> Result<Vec<usize>, String> {
    let end = n.saturating_sub(1).saturating_mul(width.saturating_add(1));
    listed((0..n).map(|at| at * (width + 1)), end.saturating_add(1))
}
