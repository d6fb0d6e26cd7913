//! The handwritten digits that come with the crate.

use ad_core::Real;

use super::{CsvFormat, Dataset};

/// 1797 handwritten digits: 64 pixels from 0 to 16 (8×8, row-major), 10 classes.
///
/// Part of the crate (58 kB compressed), so that examples run without a download:
/// *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak, UCI
/// Machine Learning Repository, <https://doi.org/10.24432/C50P49>, CC BY 4.0.
///
/// ```
/// let digits = optim::data::digits::<f32>();
/// assert_eq!((digits.len(), digits.n_features(), digits.n_classes()), (1797, 64, 10));
/// ```
///
/// # Panics
/// Never: a test reads the embedded file.
pub fn digits<T: Real>() -> Dataset<T> {
    let file = include_bytes!("../../data/digits.csv.gz");
    let format = CsvFormat {
        header: false,
        n_classes: Some(10),
        ..CsvFormat::default()
    };
    format
        .read(file.as_slice())
        .expect("the embedded file is well formed")
}
