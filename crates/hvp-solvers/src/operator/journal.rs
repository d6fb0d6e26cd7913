//! Products that are written down as they are made, so that any solve can go on where it was.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis};
use serde::{Deserialize, Serialize};

use super::LinearOperator;
use crate::bits;

/// What a solve asked an operator, as a digest, and the answer; floats are stored as bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct JournalEntry<T> {
    asked: u64,
    #[serde(with = "bits::vector")]
    answer: Vec<T>,
}

/// An operator whose products are written down, and on a second run read instead of made.
///
/// Solvers are deterministic: given the same products they take the same steps. So a solve that
/// was cut short, by the end of a process as well, is resumed by starting it again over a journal
/// that holds the products made so far. It repeats its own arithmetic and nothing else, and
/// its result has the same bits as one in one go. This serves every solver and estimator
/// here; those that make thousands of products (CG, MINRES, LSMR, Lanczos, LOBPCG, the Newton
/// methods) have states of a few vectors instead, which are smaller.
///
/// - **Cost**: a look at each number of each product.
/// - **Memory**: what is left to read, `n` numbers per product. New entries are handed to the caller
///   and not kept.
///
/// If a solve asks something else than what is written (another seed, another operator), the
/// rest of the journal is dropped, products are made again, and [`diverged_at`](Self::diverged_at)
/// tells where.
///
/// ```
/// use hvp_solvers::operator::{Counted, DiagonalOperator, Journal};
/// use hvp_solvers::spectrum::Slq;
/// use ndarray::Array1;
/// use std::sync::Mutex;
/// let a = Counted::new(DiagonalOperator::new(Array1::linspace(1.0_f64, 3.0, 100)));
/// let file = Mutex::new(Vec::new()); // entries are serialisable
/// let slq = Slq { n_steps: 20, ..Slq::default() };
/// let whole = slq.estimate(&Journal::new(&a, |entry| file.lock().unwrap().push(entry)))?;
/// assert_eq!(a.count(), 201); // ten probes of twenty steps, and one product to measure noise
///
/// // Had it been stopped after 150 products:
/// let mut written = file.into_inner().unwrap();
/// written.truncate(150);
/// let resumed = slq.estimate(&Journal::resume(&a, written, |_| ()))?;
/// assert_eq!(resumed, whole);
/// assert_eq!(a.count(), 252);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug)]
pub struct Journal<T, O, F> {
    inner: O,
    book: Mutex<Book<T, F>>,
}

#[derive(Debug)]
struct Book<T, F> {
    /// What is left to read.
    left: VecDeque<JournalEntry<T>>,
    write: F,
    n_read: usize,
    diverged_at: Option<usize>,
}

impl<T: Real, O: LinearOperator<T>, F: FnMut(JournalEntry<T>)> Journal<T, O, F> {
    /// An empty journal; `write` gets an entry after each product, or block of products.
    pub fn new(inner: O, write: F) -> Self {
        Self::resume(inner, Vec::new(), write)
    }

    /// Goes on with the entries of a journal, in their order; `write` gets those that follow.
    pub fn resume(inner: O, entries: Vec<JournalEntry<T>>, write: F) -> Self {
        let book = Mutex::new(Book {
            left: entries.into(),
            write,
            n_read: 0,
            diverged_at: None,
        });
        Self { inner, book }
    }

    /// How many entries were read instead of made.
    pub fn n_read(&self) -> usize {
        self.book().n_read
    }

    /// The entry that did not answer what was asked, if there was one.
    pub fn diverged_at(&self) -> Option<usize> {
        self.book().diverged_at
    }

    fn book(&self) -> MutexGuard<'_, Book<T, F>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the answer or else makes it, and writes it down.
    fn answer(
        &self,
        x: ArrayView2<'_, T>,
        mut y: ArrayViewMut2<'_, T>,
        make: impl FnOnce(ArrayViewMut2<'_, T>),
    ) {
        let asked = digest(x);
        if let Some(answer) = self.book().read(asked, x.len()) {
            y.iter_mut().zip(answer).for_each(|(y, a)| *y = a);
            return;
        }
        make(y.view_mut());
        let answer = y.iter().copied().collect();
        (self.book().write)(JournalEntry { asked, answer });
    }
}

impl<T, F> Book<T, F> {
    /// The next answer, if it is to this question; else nothing more is read.
    fn read(&mut self, asked: u64, len: usize) -> Option<Vec<T>> {
        let next = self.left.pop_front()?;
        if next.asked == asked && next.answer.len() == len {
            self.n_read += 1;
            return Some(next.answer);
        }
        self.diverged_at = Some(self.n_read);
        self.left.clear();
        None
    }
}

/// Of the shape and the bits of all vectors. It guards against mistakes, not against malice.
fn digest<T: Real>(x: ArrayView2<'_, T>) -> u64 {
    // The golden ratio's bits: an odd number without pattern.
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |sum: u64, word: u64| {
        let product = (sum ^ word).wrapping_mul(FACTOR);
        product ^ (product >> 32)
    };
    let start = mix(x.nrows() as u64, x.ncols() as u64);
    x.iter()
        .fold(start, |sum, x| mix(sum, x.as_f64().to_bits()))
}

impl<T, O, F> LinearOperator<T> for Journal<T, O, F>
where
    T: Real,
    O: LinearOperator<T>,
    F: FnMut(JournalEntry<T>),
{
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        let (block, y) = (x.insert_axis(Axis(0)), y.insert_axis(Axis(0)));
        self.answer(block, y, |mut y| self.inner.apply_into(x, y.row_mut(0)));
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
        self.answer(x, y, |y| self.inner.apply_block_into(x, y));
    }
}
