//! Reading comma-separated files, plain or gzipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Take};
use std::path::Path;

use ad_core::Real;
use flate2::bufread::MultiGzDecoder;
use ndarray::{Array1, Array2};

use super::{CellProblem, DataError, Dataset, MAX_CLASSES, check_classes};

/// How a file is laid out: one case a line, features first, label last, separated by
/// commas. Blank lines are skipped; numbers may stand in quotation marks.
///
/// What a file can make the reader take is bounded: a line has at most `max_line_bytes`, the text
/// at most `max_bytes` after decompression, and labels are below [`MAX_CLASSES`]. Beyond, it is an
/// error that names the line. Memory is that of the features and of one line.
///
/// ```
/// use optim::data::{CsvFormat, DataError};
///
/// let format = CsvFormat { header: true, n_classes: Some(2), ..CsvFormat::default() };
/// let data = format.read::<f64>("height,width,class\n1.5,2,0\n3,4e-1,1\n".as_bytes())?;
/// assert_eq!((data.len(), data.n_features()), (2, 2));
///
/// let error = format.read::<f64>("a,b,class\n1.5,x,0\n".as_bytes()).unwrap_err();
/// assert_eq!(error.to_string(), r#"line 2, column 2: "x" is not a number"#);
/// # Ok::<(), DataError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvFormat {
    /// Whether the first line names the columns (and is skipped).
    pub header: bool,
    /// The number of classes; `None` for the largest label plus one.
    pub n_classes: Option<usize>,
    /// The most bytes of a line. Default 2²⁴, a line of a million numbers.
    pub max_line_bytes: u64,
    /// The most bytes of the text, after decompression. Default 2³².
    pub max_bytes: u64,
}

impl Default for CsvFormat {
    /// No header, classes by the largest label, 16 MiB per line and 4 GiB in all.
    fn default() -> Self {
        CsvFormat {
            header: false,
            n_classes: None,
            max_line_bytes: 1 << 24,
            max_bytes: 1 << 32,
        }
    }
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
        check_classes(self.n_classes.unwrap_or(0))?;
        let mut lines = Lines::new(from, self);
        let mut cases = Cases {
            features: Vec::new(),
            labels: Vec::new(),
            n_columns: None,
        };
        let mut skip_header = self.header;
        while let Some((line, text)) = lines.next_line()? {
            if std::mem::take(&mut skip_header) {
                continue;
            }
            let label = cases.push(line, text)?;
            let n_classes = self.n_classes.unwrap_or(MAX_CLASSES);
            if label >= n_classes {
                return Err(DataError::LabelTooLarge {
                    line,
                    column: cases.n_columns.unwrap_or(0),
                    label,
                    n_classes,
                });
            }
        }
        let Cases {
            features,
            labels,
            n_columns,
        } = cases;
        let largest = labels.iter().copied().max().ok_or(DataError::Empty)?;
        let n_features = n_columns.map_or(0, |columns| columns - 1);
        let features = Array2::from_shape_vec((labels.len(), n_features), features)
            .expect("every line was held to the same number of columns");
        Dataset::new(
            features,
            Array1::from(labels),
            self.n_classes.unwrap_or(largest + 1),
        )
    }
}

/// The lines of a text that are not blank, with their numbers.
///
/// The `csv` crate would read as much of a line as there is, and so needs the same limits around it.
struct Lines<R> {
    /// Ends one byte after the longest text.
    from: Take<BufReader<R>>,
    buffer: Vec<u8>,
    line: u64,
    max_line_bytes: u64,
    max_bytes: u64,
}

impl<R: Read> Lines<R> {
    fn new(from: R, format: &CsvFormat) -> Self {
        let CsvFormat {
            max_line_bytes,
            max_bytes,
            ..
        } = *format;
        Lines {
            from: BufReader::new(from).take(max_bytes.saturating_add(1)),
            buffer: Vec::new(),
            line: 0,
            max_line_bytes,
            max_bytes,
        }
    }

    /// Reads one line to the buffer; false at the end.
    fn read_line(&mut self) -> Result<bool, DataError> {
        self.buffer.clear();
        let limit = self.max_line_bytes;
        let mut rest = (&mut self.from).take(limit.saturating_add(1));
        let read = rest.read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|source| DataError::Read {
            line: self.line,
            source,
        })?;
        let line = self.line + 1;
        if self.from.limit() == 0 {
            let limit = self.max_bytes;
            return Err(DataError::TextTooLong { line, limit });
        }
        if read as u64 > limit {
            return Err(DataError::LineTooLong { line, limit });
        }
        self.line += u64::from(read > 0);
        Ok(read > 0)
    }

    fn next_line(&mut self) -> Result<Option<(u64, &str)>, DataError> {
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let line = self.line;
        let text = std::str::from_utf8(&self.buffer).map_err(|e| DataError::MalformedLine {
            line,
            reason: e.to_string(),
        })?;
        // Some programs begin a file with a byte order mark.
        let text = if line == 1 {
            text.trim_start_matches('\u{feff}')
        } else {
            text
        };
        Ok(Some((line, text)))
    }
}

/// The cases read so far.
struct Cases<T> {
    features: Vec<T>,
    labels: Vec<usize>,
    n_columns: Option<usize>,
}

impl<T: Real> Cases<T> {
    /// Takes one line in; returns its label.
    fn push(&mut self, line: u64, text: &str) -> Result<usize, DataError> {
        let found = text.split(',').count();
        // One feature and the label at least.
        let expected = self.n_columns.unwrap_or(found.max(2));
        if found != expected {
            return Err(DataError::ColumnCount {
                line,
                expected,
                found,
            });
        }
        self.n_columns = Some(found);
        let cells = text.split(',').map(unquote).enumerate();
        for (column, text) in cells.clone().take(found - 1) {
            let value = number(text).map_err(|problem| cell(line, column, text, problem))?;
            self.features.push(value);
        }
        for (column, text) in cells.skip(found - 1) {
            let label = label(text).map_err(|problem| cell(line, column, text, problem))?;
            self.labels.push(label);
        }
        Ok(self.labels[self.labels.len() - 1])
    }
}

/// A cell without the blanks and the pair of quotation marks around it.
fn unquote(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"')
        .and_then(|cell| cell.strip_suffix('"'))
        .unwrap_or(cell)
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
    text.parse().map_err(|_| CellProblem::NotALabel)
}
