//! Training and test parts.

use ad_core::Real;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{DataError, Dataset};

/// Two parts of a data set without common cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Split<T> {
    /// To fit to.
    pub train: Dataset<T>,
    /// To judge by.
    pub test: Dataset<T>,
}

impl<T: Real> Dataset<T> {
    /// Draws ⌈`test_share`·n⌉ cases at random for the test part.
    ///
    /// The same seed gives the same parts on every machine (ChaCha8). The cases keep
    /// their order within each part.
    ///
    /// # Errors
    /// [`DataError::Share`] if a part would be empty or the share is not a number.
    pub fn split_shuffled(&self, test_share: f64, seed: u64) -> Result<Split<T>, DataError> {
        let rows: Vec<usize> = (0..self.len()).collect();
        let n_test = count_of_share(test_share, self.len())?;
        self.split(vec![rows], &[n_test], seed)
    }

    /// As [`split_shuffled`](Self::split_shuffled), with each class shared out in
    /// proportion.
    ///
    /// Of the class with c cases, ⌊`test_share`·c⌋ or one more go to the test part;
    /// the classes with the largest remainders get one more, so that the total is
    /// ⌈`test_share`·n⌉.
    ///
    /// # Errors
    /// As [`split_shuffled`](Self::split_shuffled).
    pub fn split_stratified(&self, test_share: f64, seed: u64) -> Result<Split<T>, DataError> {
        let total = count_of_share(test_share, self.len())?;
        let mut rows = vec![Vec::new(); self.n_classes()];
        for (row, &label) in self.labels().iter().enumerate() {
            rows[label].push(row);
        }
        let exact: Vec<f64> = rows
            .iter()
            .map(|rows| test_share * rows.len() as f64)
            .collect();
        let mut n_test: Vec<usize> = exact.iter().map(|x| x.floor() as usize).collect();
        let mut by_remainder: Vec<usize> = (0..rows.len()).collect();
        // Stable, so classes with equal remainders are served in their order.
        by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
        let given: usize = n_test.iter().sum();
        let missing = total.saturating_sub(given);
        for &class in by_remainder.iter().take(missing) {
            n_test[class] += 1;
        }
        self.split(rows, &n_test, seed)
    }

    /// Draws `n_test[i]` of each group of rows.
    fn split(
        &self,
        groups: Vec<Vec<usize>>,
        n_test: &[usize],
        seed: u64,
    ) -> Result<Split<T>, DataError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (mut rows, &n_test) in groups.into_iter().zip(n_test) {
            rows.shuffle(&mut rng);
            train.extend_from_slice(&rows[n_test..]);
            test.extend_from_slice(&rows[..n_test]);
        }
        train.sort_unstable();
        test.sort_unstable();
        Ok(Split {
            train: self.select(&train)?,
            test: self.select(&test)?,
        })
    }
}

/// ⌈share·n⌉, if that leaves neither part empty.
fn count_of_share(share: f64, n: usize) -> Result<usize, DataError> {
    let refused = DataError::Share {
        test_share: share,
        n_rows: n,
    };
    if !(0.0..=1.0).contains(&share) {
        return Err(refused);
    }
    // A share such as 0.1 is not exact in binary; its product with n may lie an ulp
    // above the whole number that was meant.
    let count = (share * n as f64 * (1.0 - 4.0 * f64::EPSILON)).ceil() as usize;
    if count == 0 || count >= n {
        Err(refused)
    } else {
        Ok(count)
    }
}
