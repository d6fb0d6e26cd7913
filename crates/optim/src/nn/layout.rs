//! Names, ranges and shapes in a flat parameter vector.

use std::ops::Range;

use ad_core::{Real, Var};
use ndarray::{ArrayView1, ArrayViewD, IxDyn};
use serde::{Deserialize, Serialize};

/// A named array in a flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name, such as `layer0.weight`.
    pub name: String,
    /// The shape; row-major in the vector.
    pub shape: Vec<usize>,
    /// Where the elements stand in the vector.
    pub range: Range<usize>,
}

/// Which part of a flat parameter vector is which array.
///
/// ```
/// use optim::nn::Layout;
/// use ndarray::{array, Array1};
/// let mut layout = Layout::new();
/// layout.push("weight", &[2, 2]);
/// layout.push("bias", &[2]);
/// assert_eq!(layout.len(), 6);
/// let x: Array1<f64> = (0..6).map(f64::from).collect();
/// assert_eq!(layout.view("bias", x.view()).unwrap(), array![4.0, 5.0].into_dyn());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// A layout of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an array.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize]) {
        let start = self.len();
        let range = start..start + shape.iter().product::<usize>();
        self.entries.push(Entry {
            name: name.into(),
            shape: shape.to_vec(),
            range,
        });
    }

    /// The number of parameters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.range.end)
    }

    /// Whether there are no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The arrays in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The array of a name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The array of a name within a parameter vector, copied nowhere; `None` if there is no such
    /// name or the vector has another length or gaps.
    #[must_use]
    pub fn view<'a, T: Real>(
        &self,
        name: &str,
        parameters: ArrayView1<'a, T>,
    ) -> Option<ArrayViewD<'a, T>> {
        let entry = self.entry(name)?;
        let slice = parameters
            .to_slice()
            .filter(|slice| slice.len() == self.len())?;
        ArrayViewD::from_shape(IxDyn(&entry.shape), &slice[entry.range.clone()]).ok()
    }
}

impl Entry {
    /// The array while recording: a view of the recorded parameter vector.
    #[must_use]
    pub fn var<'t>(&self, parameters: Var<'t>) -> Var<'t> {
        parameters.slice(0, self.range.clone()).reshape(&self.shape)
    }
}
