//! What can be wrong with data.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What is wrong with one cell of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CellProblem {
    /// Not a number.
    NotANumber,
    /// NaN or ±Inf, as written or after rounding to the type of the features.
    NotFinite,
    /// A label that is not a whole number from 0 on.
    NotALabel,
}

impl fmt::Display for CellProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CellProblem::NotANumber => "not a number",
            CellProblem::NotFinite => "not finite",
            CellProblem::NotALabel => "not a label (a whole number from 0 on)",
        })
    }
}

/// Data that cannot be used, or a request of it that makes no sense.
///
/// `line` counts from 1, as editors do; `row` and `column` of an array from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be opened.
    #[error("{}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Reading or decompressing broke off.
    #[error("reading failed after line {line}: {source}")]
    Read {
        /// The last line that was read whole, 0 for none.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// A line with the wrong number of columns.
    #[error("line {line} has {found} columns, expected {expected}")]
    ColumnCount {
        /// The line.
        line: u64,
        /// Columns in the first line of the data, or in the format.
        expected: usize,
        /// Columns found.
        found: usize,
    },
    /// A line that is not text in UTF-8.
    #[error("line {line} is malformed: {reason}")]
    MalformedLine {
        /// The line.
        line: u64,
        /// Where and why.
        reason: String,
    },
    /// A cell that cannot be used.
    #[error("line {line}, column {column}: {text:?} is {problem}")]
    Cell {
        /// The line.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// What stands there.
        text: String,
        /// What is wrong with it.
        problem: CellProblem,
    },
    /// A label of a file that is too large.
    #[error("line {line}, column {column}: label {label}, but there are {n_classes} classes")]
    LabelTooLarge {
        /// The line.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// The label.
        label: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// A line that is too long: the file is hardly what it was taken for.
    #[error("line {line} is longer than {limit} bytes")]
    LineTooLong {
        /// The line.
        line: u64,
        /// The most bytes of a line.
        limit: u64,
    },
    /// A text that is too long, after decompression.
    #[error("the text is longer than {limit} bytes; it was read up to line {line}")]
    TextTooLong {
        /// The line at which reading ended.
        line: u64,
        /// The most bytes of a text.
        limit: u64,
    },
    /// More classes than can be.
    #[error("{n_classes} classes; there are at most {limit}")]
    TooManyClasses {
        /// The number asked for.
        n_classes: usize,
        /// The largest number.
        limit: usize,
    },
    /// A width by which features cannot be divided.
    #[error("features cannot be divided by {width}: it has to be finite and positive")]
    Width {
        /// The width.
        width: f64,
    },
    /// A label of an array that is too large.
    #[error("row {row}: label {label}, but there are {n_classes} classes")]
    LabelOutOfRange {
        /// The row.
        row: usize,
        /// The label.
        label: usize,
        /// The number of classes.
        n_classes: usize,
    },
    /// The numbers of rows and of labels differ.
    #[error("{n_rows} rows, but {n_labels} labels")]
    LabelCount {
        /// Rows of the features.
        n_rows: usize,
        /// Labels.
        n_labels: usize,
    },
    /// A feature that is NaN or ±Inf.
    #[error("the feature in row {row}, column {column} is not finite")]
    NonFinite {
        /// The row.
        row: usize,
        /// The column.
        column: usize,
    },
    /// Two numbers of features that have to agree do not.
    #[error("{found} features, expected {expected}")]
    FeatureCount {
        /// Expected.
        expected: usize,
        /// Found.
        found: usize,
    },
    /// A row that does not exist.
    #[error("row {row} of {n_rows}")]
    RowOutOfRange {
        /// The row.
        row: usize,
        /// The number of rows.
        n_rows: usize,
    },
    /// No cases or no features.
    #[error("there are no data")]
    Empty,
    /// A share of the cases that leaves one side of a split empty.
    #[error("a test share of {test_share} of {n_rows} cases leaves one part empty")]
    Share {
        /// The share.
        test_share: f64,
        /// The number of cases.
        n_rows: usize,
    },
    /// A batch of no cases.
    #[error("batches hold at least one case")]
    EmptyBatch,
}
