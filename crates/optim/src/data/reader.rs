//! Reading comma-separated files, plain or gzipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use ad_core::Real;
use flate2::bufread::MultiGzDecoder;
use ndarray::{Array1, Array2};

use super::{CellProblem, DataError, Dataset};

/// How a file is laid out: one case a line, features first, label last.
///
/// ```
/// use optim::data::{CsvFormat, DataError};
///
/// let format = CsvFormat { header: true, n_classes: Some(2) };
/// let data = format.read::<f64>("height,width,class\n1.5,2,0\n3,4e-1,1\n".as_bytes())?;
/// assert_eq!((data.len(), data.n_features()), (2, 2));
///
/// let error = format.read::<f64>("a,b,class\n1.5,x,0\n".as_bytes()).unwrap_err();
/// assert_eq!(error.to_string(), r#"line 2, column 2: "x" is not a number"#);
/// # Ok::<(), DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CsvFormat {
    /// Whether the first line names the columns (and is skipped).
    pub header: bool,
    /// The number of classes; `None` for the largest label plus one.
    pub n_classes: Option<usize>,
}

impl CsvFormat {
    /// Reads a file; gzip is recognised by its first bytes, not by the name.
    ///
    /// # Errors
    /// [`DataError::Open`] with the path, or as [`CsvFormat::read`].
    pub fn read_file<T: Real>(&self, path: impl AsRef<Path>) -> Result<Dataset<T>, DataError> {
        let path = path.as_ref();
        let open = |source| DataError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        // A directory opens like a file on some systems and fails at the first read.
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        self.read(file)
    }

    /// Reads from anything, plain or gzipped.
    ///
    /// # Errors
    /// Every variant of [`DataError`] that carries a line, and [`DataError::Empty`].
    pub fn read<T: Real>(&self, from: impl Read) -> Result<Dataset<T>, DataError> {
        let mut from = BufReader::new(from);
        let read_failed = |source| DataError::Read { line: 0, source };
        let is_gzip = from
            .fill_buf()
            .map_err(read_failed)?
            .starts_with(&[0x1f, 0x8b]);
        if is_gzip {
            self.read_text(MultiGzDecoder::new(from))
        } else {
            self.read_text(from)
        }
    }

    fn read_text<T: Real>(&self, from: impl Read) -> Result<Dataset<T>, DataError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(self.header)
            .trim(csv::Trim::All)
            .from_reader(from);
        let mut features = Vec::new();
        let mut labels = Vec::new();
        let mut n_columns = 0;
        let mut record = csv::StringRecord::new();
        loop {
            let line_before = reader.position().line();
            if !reader
                .read_record(&mut record)
                .map_err(|e| explain(e, line_before))?
            {
                break;
            }
            let line = record.position().map_or(line_before, csv::Position::line);
            n_columns = record.len();
            if n_columns < 2 {
                return Err(DataError::ColumnCount {
                    line,
                    expected: 2,
                    found: n_columns,
                });
            }
            for (column, text) in record.iter().take(n_columns - 1).enumerate() {
                features.push(number(text).map_err(|p| cell(line, column, text, p))?);
            }
            let text = &record[n_columns - 1];
            let label = label(text).map_err(|p| cell(line, n_columns - 1, text, p))?;
            if let Some(n_classes) = self.n_classes.filter(|&n| label >= n) {
                return Err(DataError::LabelTooLarge {
                    line,
                    label,
                    n_classes,
                });
            }
            labels.push(label);
        }
        let largest = labels.iter().copied().max().ok_or(DataError::Empty)?;
        let features = Array2::from_shape_vec((labels.len(), n_columns - 1), features)
            .expect("the reader holds every line to the same number of columns");
        Dataset::new(
            features,
            Array1::from(labels),
            self.n_classes.unwrap_or(largest + 1),
        )
    }
}

fn cell(line: u64, column: usize, text: &str, problem: CellProblem) -> DataError {
    DataError::Cell {
        line,
        column: column + 1,
        text: text.to_owned(),
        problem,
    }
}

fn number<T: Real>(text: &str) -> Result<T, CellProblem> {
    let value: f64 = text.parse().map_err(|_| CellProblem::NotANumber)?;
    // In the target type: 1e300 is finite in f64 and not in f32.
    let value = T::of(value);
    if value.is_finite() {
        Ok(value)
    } else {
        Err(CellProblem::NotFinite)
    }
}

fn label(text: &str) -> Result<usize, CellProblem> {
    // `usize::MAX` would leave no number of classes.
    match text.parse() {
        Ok(label) if label < usize::MAX => Ok(label),
        _ => Err(CellProblem::NotALabel),
    }
}

/// A reader's error in this module's terms.
fn explain(error: csv::Error, line_before: u64) -> DataError {
    let line = error.position().map_or(line_before, csv::Position::line);
    let reason = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => DataError::Read {
            line: line_before.saturating_sub(1),
            source,
        },
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => DataError::ColumnCount {
            line,
            expected: expected_len as usize,
            found: len as usize,
        },
        _ => DataError::MalformedLine { line, reason },
    }
}
