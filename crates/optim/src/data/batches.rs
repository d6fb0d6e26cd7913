//! A cursor over shuffled mini-batches.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::DataError;

/// Endless mini-batches of row numbers, each row once an epoch.
///
/// The order of epoch e is a Fisher–Yates shuffle by ChaCha8 with the seed and the
/// stream e: it depends on nothing but (seed, e), so the cursor serialises as a few
/// numbers and resumes in the middle of an epoch. The last batch of an epoch is
/// shorter if the batch size does not divide the number of rows.
///
/// ```
/// use optim::data::Batches;
///
/// let mut batches = Batches::new(5, 2, 1)?;
/// let sizes: Vec<usize> = (0..4).map(|_| batches.next_batch().len()).collect();
/// assert_eq!(sizes, [2, 2, 1, 2]);
/// assert_eq!(batches.epoch(), 1);
/// # Ok::<(), optim::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Cursor", into = "Cursor")]
pub struct Batches {
    cursor: Cursor,
    order: Vec<usize>,
}

/// What [`Batches`] is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    n_rows: usize,
    batch_size: usize,
    seed: u64,
    epoch: u64,
    /// Rows of this epoch that were handed out.
    position: usize,
}

impl Batches {
    /// Batches of `batch_size` (at most `n_rows`) of the rows 0, …, `n_rows` − 1.
    ///
    /// # Errors
    /// [`DataError::Empty`] without rows, [`DataError::EmptyBatch`] for a size of 0.
    pub fn new(n_rows: usize, batch_size: usize, seed: u64) -> Result<Self, DataError> {
        if n_rows == 0 {
            return Err(DataError::Empty);
        }
        if batch_size == 0 {
            return Err(DataError::EmptyBatch);
        }
        let batch_size = batch_size.min(n_rows);
        Ok(Cursor {
            n_rows,
            batch_size,
            seed,
            epoch: 0,
            position: 0,
        }
        .into())
    }

    /// The rows of the next batch: from 1 to `batch_size` of them.
    pub fn next_batch(&mut self) -> &[usize] {
        if self.cursor.position >= self.cursor.n_rows {
            self.cursor.epoch += 1;
            self.cursor.position = 0;
            self.cursor.shuffle_into(&mut self.order);
        }
        let begin = self.cursor.position;
        let end = (begin + self.cursor.batch_size).min(self.cursor.n_rows);
        self.cursor.position = end;
        &self.order[begin..end]
    }

    /// The epoch of the last batch, from 0.
    pub fn epoch(&self) -> u64 {
        self.cursor.epoch
    }

    /// Batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.cursor.n_rows.div_ceil(self.cursor.batch_size)
    }
}

impl Cursor {
    fn shuffle_into(&self, order: &mut Vec<usize>) {
        order.clear();
        order.extend(0..self.n_rows);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.epoch);
        order.shuffle(&mut rng);
    }
}

impl From<Cursor> for Batches {
    fn from(cursor: Cursor) -> Self {
        // A cursor read from a file may hold a size of 0, which would never end.
        let cursor = Cursor {
            batch_size: cursor.batch_size.max(1),
            ..cursor
        };
        let mut order = Vec::new();
        cursor.shuffle_into(&mut order);
        Batches { cursor, order }
    }
}

impl From<Batches> for Cursor {
    fn from(batches: Batches) -> Self {
        batches.cursor
    }
}
