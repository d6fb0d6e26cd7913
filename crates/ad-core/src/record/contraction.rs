//! Products of arrays: matrices, vectors, stacks of matrices, and sums of products by their indices.

use std::collections::BTreeMap;

use super::Var;
use super::index::on_diagonal;
use crate::graph::{Graph, NodeId};
use crate::ops::{Attr, Op, elementwise as ew, matmul};
use crate::shape::{Dims, MAX_RECORDED, Shape};

impl<'t> Var<'t> {
    /// The matrix product with the rules of NumPy: of an m × k and a k × n array; a vector counts
    /// as a row on the left and as a column on the right, and its axis of size 1 is dropped from the
    /// result; axes before the last two are stacks of matrices, which broadcast.
    ///
    /// Transposed forms are `a.t().matmul(b)` and `a.matmul(b.t())`; the transposes copy nothing.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// let m = array![[1.0, 2.0], [3.0, 4.0]];
    /// let f = Function::<f64>::record(2, |x| x.constant(&m).matmul(x))?;
    /// assert_eq!(f.evaluate(&[1.0, -1.0])?, array![-1.0, -1.0].into_dyn());
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[track_caller]
    #[must_use]
    pub fn matmul(self, other: Self) -> Self {
        self.recorder.build("matmul", |graph| {
            self.same_recording(other)?;
            product(graph, self.id, other.id)
        })
    }

    /// The outer product of two vectors: aᵢ bⱼ.
    #[track_caller]
    #[must_use]
    pub fn outer(self, other: Self) -> Self {
        let (rows, columns) = (self.len(), other.len());
        self.reshape(&[rows, 1]) * other.reshape(&[1, columns])
    }

    /// The inner product of two variables of one shape.
    #[track_caller]
    #[must_use]
    pub fn dot(self, other: Self) -> Self {
        (self * other).sum()
    }
}

/// A matrix product under the rules of [`Var::matmul`].
fn product(graph: &mut Graph, a: NodeId, b: NodeId) -> Result<NodeId, String> {
    let (from_a, from_b) = (graph.shape(a).clone(), graph.shape(b).clone());
    let refused = || format!("operands of the shapes {from_a} and {from_b}");
    if from_a.rank() == 0 || from_b.rank() == 0 {
        return Err(refused());
    }
    let (row, column) = (from_a.rank() == 1, from_b.rank() == 1);
    let a = if row {
        graph.reshape(a, &from_a.prefixed(1))
    } else {
        a
    };
    let b = match from_b.dims() {
        &[len] => graph.reshape(b, &Shape::new(&[len, 1])),
        _ => b,
    };
    let (left, right) = (graph.shape(a).clone(), graph.shape(b).clone());
    let (stack_a, &[m, k]) = left.dims().split_last_chunk().expect("two axes at least");
    let (stack_b, &[l, n]) = right.dims().split_last_chunk().expect("two axes at least");
    if k != l {
        return Err(refused());
    }
    let stack = Shape::new(stack_a).broadcast(&Shape::new(stack_b));
    let stack = stack.ok_or_else(refused)?;
    let mut dims = Dims::from_slice(stack.dims());
    dims.extend([m].into_iter().filter(|_| !row));
    dims.extend([n].into_iter().filter(|_| !column));
    let shape = Shape::new(&dims).check(MAX_RECORDED)?;
    let result = stacks(graph, (a, stack_a), (b, stack_b), &stack)?;
    Ok(graph.reshape(result, &shape))
}

/// The product of stacks of matrices that broadcast to a common stack.
fn stacks(
    graph: &mut Graph,
    (a, stack_a): (NodeId, &[usize]),
    (b, stack_b): (NodeId, &[usize]),
    stack: &Shape,
) -> Result<NodeId, String> {
    let matrix = |graph: &Graph, id: NodeId| {
        let dims = graph.shape(id).dims();
        [dims[dims.len() - 2], dims[dims.len() - 1]]
    };
    if stack_b.is_empty() {
        // One tall product; a single matrix stays as it is.
        let [_, k] = matrix(graph, a);
        let rows = graph.shape(a).len() / k.max(1);
        let tall = if k == 0 || stack_a.is_empty() {
            a
        } else {
            graph.reshape(a, &Shape::new(&[rows, k]))
        };
        if graph.shape(tall).rank() == 2 {
            return Ok(graph.matmul(tall, b));
        }
    }
    let spread = |graph: &mut Graph, id: NodeId| {
        let [rows, columns] = matrix(graph, id);
        let full = Shape::new(&[stack.dims(), &[rows, columns]].concat());
        let full = full.check(MAX_RECORDED)?;
        let whole = graph.broadcast_to(id, &full);
        let shape = Shape::new(&[stack.len(), rows, columns]);
        Ok::<_, String>(graph.reshape(whole, &shape))
    };
    let (a, b) = (spread(graph, a)?, spread(graph, b)?);
    graph.try_push(
        Op::new(&matmul::MATMUL, Attr::None),
        [a, b].as_slice().into(),
    )
}

/// The sum of products that a specification in Einstein's notation states: `"ij,jk->ik"` is a matrix
/// product, `"ii->"` a trace, `"bij,bj->bi"` a stack of matrix-vector products.
///
/// Each operand has a letter for each axis; axes of one letter have one size. Letters that are not
/// in the result are summed over; a letter twice in one operand takes the diagonal. Operands are
/// multiplied from left to right, by matrix products where letters are summed.
///
/// ```
/// use ad_core::{Function, einsum};
/// use ndarray::array;
/// // xᵀ M x
/// let m = array![[2.0, 1.0], [1.0, 3.0]];
/// let f = Function::<f64>::record(2, |x| einsum("i,ij,j->", &[x, x.constant(&m), x]))?;
/// assert_eq!(f.value(&[1.0, 2.0])?, 18.0);
/// assert_eq!(f.hessian(&[1.0, 2.0])?, 2.0 * &m);
/// # Ok::<(), ad_core::Error>(())
/// ```
///
/// A specification that does not fit the operands is a recording error at the caller's line.
///
/// # Panics
/// If there is no operand.
#[track_caller]
#[must_use]
pub fn einsum<'t>(specification: &str, operands: &[Var<'t>]) -> Var<'t> {
    let first = operands.first().expect("einsum needs at least one operand");
    first.recorder.build("einsum", |graph| {
        let mut ids = Vec::new();
        for operand in operands {
            first.same_recording(*operand)?;
            ids.push(operand.id);
        }
        contract_all(graph, specification, &ids)
    })
}

/// An array with a letter for each axis.
#[derive(Clone, Debug)]
struct Labelled {
    id: NodeId,
    labels: Vec<char>,
}

fn contract_all(graph: &mut Graph, specification: &str, ids: &[NodeId]) -> Result<NodeId, String> {
    let (terms, result) = specification
        .split_once("->")
        .ok_or_else(|| format!("`{specification}` has no `->`"))?;
    let result: Vec<char> = result.trim().chars().collect();
    let mut sizes = BTreeMap::new();
    let mut operands = Vec::new();
    let terms: Vec<&str> = terms.split(',').map(str::trim).collect();
    if terms.len() != ids.len() {
        return Err(format!(
            "`{specification}` is for {} operands, but there are {}",
            terms.len(),
            ids.len()
        ));
    }
    for (term, &id) in terms.iter().zip(ids) {
        operands.push(labelled(graph, term, id, &mut sizes)?);
    }
    let distinct = |at: usize| !result[..at].contains(&result[at]);
    if !(0..result.len()).all(|at| distinct(at) && sizes.contains_key(&result[at])) {
        return Err(format!(
            "the result of `{specification}` repeats or invents a letter"
        ));
    }
    let mut rest = operands.into_iter();
    let mut product = rest.next().expect("there is an operand");
    let mut rest: Vec<Labelled> = rest.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let kept = |label: &char| {
            result.contains(label) || rest.iter().any(|other| other.labels.contains(label))
        };
        product = contract(graph, &product, &next, kept, &sizes)?;
    }
    let product = summed(graph, product, |label| result.contains(label));
    let axes = axes_of(&product.labels, &result);
    Ok(graph.permute(product.id, &axes))
}

/// Reads an operand's letters; repeated ones become a diagonal.
fn labelled(
    graph: &mut Graph,
    term: &str,
    id: NodeId,
    sizes: &mut BTreeMap<char, usize>,
) -> Result<Labelled, String> {
    let labels: Vec<char> = term.chars().collect();
    let shape = graph.shape(id).clone();
    if labels.len() != shape.rank() || !labels.iter().all(|label| label.is_ascii_alphabetic()) {
        return Err(format!("`{term}` for an operand of the shape {shape}"));
    }
    for (&label, &size) in labels.iter().zip(shape.dims()) {
        let known = *sizes.entry(label).or_insert(size);
        if known != size {
            return Err(format!("`{label}` has the sizes {known} and {size}"));
        }
    }
    let mut operand = Labelled { id, labels };
    while let Some((first, second)) = repeated(&operand.labels) {
        operand = diagonal(graph, &operand, first, second)?;
    }
    Ok(operand)
}

fn repeated(labels: &[char]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|second| {
        let first = labels[..second]
            .iter()
            .position(|label| *label == labels[second])?;
        Some((first, second))
    })
}

/// The elements with equal places on two axes; the axis comes first.
fn diagonal(
    graph: &mut Graph,
    operand: &Labelled,
    first: usize,
    second: usize,
) -> Result<Labelled, String> {
    let rest = (0..operand.labels.len()).filter(|axis| ![first, second].contains(axis));
    let rest: Vec<usize> = rest.collect();
    let axes = [&[first, second][..], &rest].concat();
    let square = graph.permute(operand.id, &axes);
    let dims = Dims::from_slice(graph.shape(square).dims());
    let (n, others) = (dims[0], &dims[2..]);
    let flat = graph.reshape(square, &Shape::new(&[&[n * n], others].concat()));
    let positions = on_diagonal(n, n)?;
    let mut labels = vec![operand.labels[first]];
    labels.extend(rest.iter().map(|&axis| operand.labels[axis]));
    Ok(Labelled {
        id: graph.gather(flat, 0, &positions),
        labels,
    })
}

/// Sums over the axes whose letters are not kept.
fn summed(graph: &mut Graph, operand: Labelled, kept: impl Fn(&char) -> bool) -> Labelled {
    let axes = (0..operand.labels.len()).filter(|&axis| !kept(&operand.labels[axis]));
    let axes: Vec<usize> = axes.collect();
    if axes.is_empty() {
        return operand;
    }
    Labelled {
        id: graph.sum(operand.id, &axes),
        labels: operand.labels.into_iter().filter(kept).collect(),
    }
}

/// Where each wanted letter is.
fn axes_of(labels: &[char], wanted: &[char]) -> Vec<usize> {
    let axis = |label: &char| labels.iter().position(|own| own == label);
    wanted.iter().filter_map(axis).collect()
}

/// The product of two operands, summed over their common letters that nobody else reads.
fn contract(
    graph: &mut Graph,
    a: &Labelled,
    b: &Labelled,
    kept: impl Fn(&char) -> bool,
    sizes: &BTreeMap<char, usize>,
) -> Result<Labelled, String> {
    let a = summed(graph, a.clone(), |label| {
        kept(label) || b.labels.contains(label)
    });
    let b = summed(graph, b.clone(), |label| {
        kept(label) || a.labels.contains(label)
    });
    let common = |label: &&char| b.labels.contains(label);
    let (batch, sum): (Vec<char>, Vec<char>) = a
        .labels
        .iter()
        .filter(common)
        .copied()
        .partition(|label| kept(label));
    let left: Vec<char> = a
        .labels
        .iter()
        .filter(|label| !common(label))
        .copied()
        .collect();
    let own = |label: &&char| !a.labels.contains(label);
    let right: Vec<char> = b.labels.iter().filter(own).copied().collect();
    let size = |labels: &[char]| labels.iter().map(|label| sizes[label]).product::<usize>();
    let labels = [&batch[..], &left, &right].concat();
    let dims: Vec<usize> = labels.iter().map(|label| sizes[label]).collect();
    let shape = Shape::new(&dims).check(MAX_RECORDED)?;
    let arranged = |graph: &mut Graph, operand: &Labelled, groups: [&[char]; 3]| {
        let order = axes_of(&operand.labels, &groups.concat());
        let permuted = graph.permute(operand.id, &order);
        graph.reshape(permuted, &Shape::new(&groups.map(size)))
    };
    let product = if sum.is_empty() {
        let a = arranged(graph, &a, [&batch, &left, &[]]);
        let b = arranged(graph, &b, [&batch, &[], &right]);
        let shape = Shape::new(&[&batch[..], &left, &right].map(size));
        let (a, b) = (graph.broadcast(a, &shape), graph.broadcast(b, &shape));
        graph.map2(&ew::MUL, a, b)
    } else {
        let a = arranged(graph, &a, [&batch, &left, &sum]);
        let b = arranged(graph, &b, [&batch, &sum, &right]);
        matrices(graph, a, b, batch.is_empty())
    };
    Ok(Labelled {
        id: graph.reshape(product, &shape),
        labels,
    })
}

/// A product of stacks; of two matrices where the stack is one.
fn matrices(graph: &mut Graph, a: NodeId, b: NodeId, single: bool) -> NodeId {
    if !single {
        return graph.matmul(a, b);
    }
    let flat = |graph: &mut Graph, id: NodeId| {
        let shape = Shape::new(&graph.shape(id).dims()[1..]);
        graph.reshape(id, &shape)
    };
    let (a, b) = (flat(graph, a), flat(graph, b));
    graph.matmul(a, b)
}
