//! Reading, splitting, scaling and batching data.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use ndarray::{Array1, array};
use optim::data::{
    Batches, CellProblem, CsvFormat, DataError, Dataset, MAX_CLASSES, Scaler, Split, digits,
};
use proptest::prelude::*;
use test_problems::cases;

fn read(text: &str) -> Result<Dataset<f64>, DataError> {
    CsvFormat::default().read(text.as_bytes())
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_digits_are_those_of_the_source() {
    let data = digits::<f64>();
    assert_eq!(data.features().dim(), (1797, 64));
    let counts: Vec<usize> = (0..10)
        .map(|digit| data.labels().iter().filter(|&&l| l == digit).count())
        .collect();
    // As published with the data.
    assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert!(
        data.features()
            .iter()
            .all(|&x| (0.0..=16.0).contains(&x) && x.fract() == 0.0)
    );
    assert_eq!(data.features().row(0).sum(), 294.0);
}

#[test]
fn plain_and_gzipped_text_give_the_same_data() {
    let text = "1, 2.5,0\r\n-3e2,\"4\",2\n\n5,6,1";
    let data = read(text).unwrap();
    assert_eq!(
        data.features(),
        array![[1.0, 2.5], [-300.0, 4.0], [5.0, 6.0]]
    );
    assert_eq!(
        (data.labels(), data.n_classes()),
        (array![0, 2, 1].view(), 3)
    );
    let zipped: Dataset<f64> = CsvFormat::default()
        .read(gzip(text.as_bytes()).as_slice())
        .unwrap();
    assert_eq!(zipped, data);
}

#[test]
fn errors_name_the_line_and_what_is_wrong() {
    let message = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(message("1,2,0\n1,2\n"), "line 2 has 2 columns, expected 3");
    assert_eq!(
        message("1,2,0\n\n1,2,3,4\n"),
        "line 3 has 4 columns, expected 3"
    );
    assert_eq!(message("7\n"), "line 1 has 1 columns, expected 2");
    assert_eq!(
        message("1,0\n2,0\nx,0\n"),
        r#"line 3, column 1: "x" is not a number"#
    );
    assert_eq!(
        message("1,0\n,0\n"),
        r#"line 2, column 1: "" is not a number"#
    );
    assert_eq!(
        message("1,0\ninf,0\n"),
        r#"line 2, column 1: "inf" is not finite"#
    );
    assert_eq!(
        message("NaN,0\n"),
        r#"line 1, column 1: "NaN" is not finite"#
    );
    for label in ["1.5", "-1", "cat"] {
        let want = format!("line 1, column 2: {label:?} is not a label (a whole number from 0 on)");
        assert_eq!(message(&format!("1,{label}\n")), want);
    }
    assert_eq!(message(""), "there are no data");
    assert_eq!(message("\n\n"), "there are no data");
}

#[test]
fn errors_have_their_own_variants() {
    let in_f32 = CsvFormat::default().read::<f32>("1e300,0\n".as_bytes());
    let Err(DataError::Cell {
        line: 1,
        column: 1,
        problem,
        ..
    }) = in_f32
    else {
        panic!("{in_f32:?}")
    };
    assert_eq!(problem, CellProblem::NotFinite);
    let two = CsvFormat {
        header: true,
        n_classes: Some(2),
        ..CsvFormat::default()
    };
    let large = two.read::<f64>("a,class\n1,1\n1,2\n".as_bytes());
    assert!(matches!(
        large,
        Err(DataError::LabelTooLarge {
            line: 3,
            column: 2,
            label: 2,
            n_classes: 2
        })
    ));
    assert!(matches!(
        two.read::<f64>("a,class\n".as_bytes()),
        Err(DataError::Empty)
    ));
    let not_utf8 = CsvFormat::default().read::<f64>(b"1,0\n\xff,0\n".as_slice());
    assert!(
        matches!(not_utf8, Err(DataError::MalformedLine { line: 2, .. })),
        "{not_utf8:?}"
    );
    let whole = gzip("1,0\n".repeat(10_000).as_bytes());
    let cut = CsvFormat::default().read::<f64>(&whole[..whole.len() - 12]);
    assert!(matches!(cut, Err(DataError::Read { .. })), "{cut:?}");
}

#[test]
fn a_missing_file_is_named() {
    let error = CsvFormat::default()
        .read_file::<f64>("no/such/file.csv")
        .unwrap_err();
    assert!(matches!(error, DataError::Open { .. }));
    assert!(
        error.to_string().starts_with("no/such/file.csv: "),
        "{error}"
    );
    let directory = CsvFormat::default().read_file::<f64>(env!("CARGO_MANIFEST_DIR"));
    assert!(
        matches!(directory, Err(DataError::Open { .. })),
        "{directory:?}"
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.csv.gz");
    assert_eq!(
        CsvFormat::default().read_file::<f32>(file).unwrap(),
        digits()
    );
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let features = array![[1.0], [2.0]];
    let count = Dataset::new(features.clone(), array![0], 1);
    assert!(matches!(
        count,
        Err(DataError::LabelCount {
            n_rows: 2,
            n_labels: 1
        })
    ));
    let nan = Dataset::new(array![[1.0, f64::NAN]], array![0], 1);
    assert!(matches!(
        nan,
        Err(DataError::NonFinite { row: 0, column: 1 })
    ));
    let empty = Dataset::<f64>::new(ndarray::Array2::zeros((0, 3)), Array1::zeros(0), 1);
    assert!(matches!(empty, Err(DataError::Empty)));
    let data = Dataset::new(features, array![0, 1], 2).unwrap();
    assert!(matches!(
        data.select(&[0, 2]),
        Err(DataError::RowOutOfRange { row: 2, n_rows: 2 })
    ));
    for share in [0.0, 1.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
        assert!(
            matches!(data.split_shuffled(share, 1), Err(DataError::Share { .. })),
            "{share}"
        );
        assert!(
            matches!(
                data.split_stratified(share, 1),
                Err(DataError::Share { .. })
            ),
            "{share}"
        );
    }
    let wide = Dataset::new(array![[1.0, 2.0]], array![0], 1).unwrap();
    let error = Scaler::fit(&data).apply(&mut wide.clone()).unwrap_err();
    assert!(matches!(
        error,
        DataError::FeatureCount {
            expected: 1,
            found: 2
        }
    ));
}

/// 100 rows whose only feature is the row number; class 0 holds 70 rows, class 1 30.
fn numbered() -> Dataset<f64> {
    let features = ndarray::Array2::from_shape_fn((100, 1), |(i, _)| i as f64);
    Dataset::new(
        features,
        Array1::from_shape_fn(100, |i| usize::from(i % 10 >= 7)),
        2,
    )
    .unwrap()
}

#[test]
fn splits_are_disjoint_complete_and_repeatable() {
    let data = numbered();
    let both = [
        Dataset::split_shuffled as fn(&Dataset<f64>, f64, u64) -> Result<Split<f64>, DataError>,
        Dataset::split_stratified,
    ];
    for split in both {
        let parts = split(&data, 0.2, 3).unwrap();
        assert_eq!((parts.train.len(), parts.test.len()), (80, 20));
        let rows = |part: &Dataset<f64>| part.features().column(0).to_vec();
        let mut all = [rows(&parts.train), rows(&parts.test)].concat();
        all.sort_by(f64::total_cmp);
        assert_eq!(all, rows(&data));
        assert_eq!(split(&data, 0.2, 3).unwrap(), parts);
        assert_ne!(split(&data, 0.2, 4).unwrap(), parts);
    }
}

#[test]
fn stratified_parts_keep_the_proportions() {
    let in_class_1 = |part: &Dataset<f64>| part.labels().iter().filter(|&&l| l == 1).count();
    let Split { train, test } = numbered().split_stratified(0.2, 9).unwrap();
    assert_eq!((in_class_1(&train), in_class_1(&test)), (24, 6));
    let Split { test, .. } = numbered().split_stratified(0.25, 9).unwrap();
    // 17.5 and 7.5 of each: the first class gets the odd one.
    assert_eq!((test.len(), in_class_1(&test)), (25, 7));
}

#[test]
fn scaling_is_fitted_on_one_part_and_applied_to_the_other() {
    let Split {
        mut train,
        mut test,
    } = digits::<f64>().split_stratified(0.2, 1).unwrap();
    let scaler = Scaler::fit(&train);
    let raw = test.features().to_owned();
    scaler.apply(&mut train).unwrap();
    scaler.apply(&mut test).unwrap();
    let n = train.len() as f64;
    for column in train.features().columns() {
        let mean = column.sum() / n;
        let variance = column.dot(&column) / n - mean * mean;
        // The mean of n rounded numbers of order 1.
        assert!(mean.abs() < n * f64::EPSILON, "{mean:e}");
        // Pixels that are never set stay at zero.
        let is_constant = column.iter().all(|&x| x == 0.0);
        assert!(
            is_constant || (variance - 1.0).abs() < n * f64::EPSILON,
            "{variance}"
        );
    }
    // The test part is moved by the training part's numbers, not by its own.
    let mean = test.features().column(20).sum() / test.len() as f64;
    assert!(mean.abs() > 1e-3, "{mean}");
    let text = serde_json::to_string(&scaler).unwrap();
    let again: Scaler<f64> = serde_json::from_str(&text).unwrap();
    let mut other = Dataset::new(raw, test.labels().to_owned(), 10).unwrap();
    again.apply(&mut other).unwrap();
    assert_eq!(other, test);
}

#[test]
fn an_epoch_visits_every_row_once_in_a_new_order() {
    let mut batches = Batches::new(23, 5, 11).unwrap();
    assert_eq!(batches.batches_per_epoch(), 5);
    let mut epoch = || {
        let rows: Vec<usize> = (0..5).flat_map(|_| batches.next_batch().to_vec()).collect();
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..23).collect::<Vec<_>>());
        rows
    };
    assert_ne!(epoch(), epoch());
    assert_eq!(batches.epoch(), 1);
    let first = |seed| Batches::new(23, 23, seed).unwrap().next_batch().to_vec();
    assert_eq!(first(11), first(11));
    assert_ne!(first(11), first(12));
    assert!(matches!(Batches::new(0, 5, 1), Err(DataError::Empty)));
    assert!(matches!(Batches::new(5, 0, 1), Err(DataError::EmptyBatch)));
}

#[test]
fn the_cursor_resumes_in_the_middle_of_an_epoch() {
    let mut batches = Batches::new(23, 5, 11).unwrap();
    for pause in 0..12 {
        let text = serde_json::to_string(&batches).unwrap();
        assert!(
            text.len() < 100,
            "the order is not part of the state: {text}"
        );
        let mut resumed: Batches = serde_json::from_str(&text).unwrap();
        let mut whole = batches.clone();
        for _ in 0..7 {
            assert_eq!(resumed.next_batch(), whole.next_batch(), "{pause}");
        }
        batches.next_batch();
    }
}

/// Labels that would make a matrix of terabytes are refused where they stand.
#[test]
fn labels_are_bounded() {
    let message = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        message("1,0\n2,999999999999\n"),
        "line 2, column 2: label 999999999999, but there are 65536 classes"
    );
    assert!(message("1,99999999999999999999999\n").contains("is not a label"));
    assert_eq!(read("1,65535\n").unwrap().n_classes(), MAX_CLASSES);
    let many = CsvFormat {
        n_classes: Some(1_000_000_000_000),
        ..CsvFormat::default()
    };
    let refused = |error| matches!(error, DataError::TooManyClasses { .. });
    assert!(refused(many.read::<f64>("1,0\n".as_bytes()).unwrap_err()));
    assert!(refused(
        Dataset::new(array![[1.0]], array![0], 1 << 40).unwrap_err()
    ));
}

/// Gives one byte for ever.
struct Endless(u8);

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.fill(self.0);
        Ok(buffer.len())
    }
}

/// Plain and packed, in one line and in many blank ones.
#[test]
fn lines_and_texts_have_limits() {
    let format = CsvFormat {
        max_line_bytes: 1000,
        max_bytes: 100_000,
        ..CsvFormat::default()
    };
    for byte in [b'1', b',', b' ', b'"'] {
        let error = format.read::<f64>(Endless(byte)).unwrap_err();
        let is_long = matches!(
            error,
            DataError::LineTooLong {
                line: 1,
                limit: 1000
            }
        );
        assert!(is_long, "{error}");
    }
    let error = format.read::<f64>(Endless(b'\n')).unwrap_err();
    assert!(
        matches!(error, DataError::TextTooLong { limit: 100_000, .. }),
        "{error}"
    );
    let bomb = gzip(&vec![b'\n'; 10_000_000]);
    assert!(bomb.len() < 20_000);
    let error = format.read::<f64>(bomb.as_slice()).unwrap_err();
    assert!(matches!(error, DataError::TextTooLong { .. }), "{error}");
    let bomb = gzip(&vec![b'7'; 10_000_000]);
    let error = format.read::<f64>(bomb.as_slice()).unwrap_err();
    assert!(matches!(error, DataError::LineTooLong { .. }), "{error}");
    // Up to the limits everything is read.
    let line = format!("{},0\n", "1".repeat(997));
    assert_eq!(line.len(), 1000);
    let wide = "1".repeat(300);
    let text = format!("{wide},0\n").repeat(3);
    let exact = CsvFormat {
        max_line_bytes: 303,
        max_bytes: 909,
        ..CsvFormat::default()
    };
    assert_eq!(exact.read::<f64>(text.as_bytes()).unwrap().len(), 3);
    for (line, all) in [(302, 909), (303, 908)] {
        let tight = CsvFormat {
            max_line_bytes: line,
            max_bytes: all,
            ..CsvFormat::default()
        };
        assert!(tight.read::<f64>(text.as_bytes()).is_err(), "{line} {all}");
    }
    // A limit of any size is no reason to overflow.
    let unlimited = CsvFormat {
        max_line_bytes: u64::MAX,
        max_bytes: u64::MAX,
        ..CsvFormat::default()
    };
    assert_eq!(unlimited.read::<f64>("1,0\n".as_bytes()).unwrap().len(), 1);
}

fn column<T: ad_core::Real>(values: Vec<T>) -> Dataset<T> {
    let n = values.len();
    let features = ndarray::Array2::from_shape_vec((n, 1), values).unwrap();
    Dataset::new(features, Array1::zeros(n), 1).unwrap()
}

/// What is constant becomes 0 in the training part, and stays a small number in any other.
#[test]
fn a_constant_feature_of_any_length_is_only_shifted() {
    fn check<T: ad_core::Real>(value: f64, n: usize) {
        let mut data = column(vec![T::of(value); n]);
        let scaler = Scaler::fit(&data);
        scaler.apply(&mut data).unwrap();
        assert!(data.features().iter().all(|x| x.is_zero()), "{value} {n}");
        let mut other = column(vec![T::of(2.0 * value)]);
        scaler.apply(&mut other).unwrap();
        let expected = T::of(2.0 * value) - T::of(value);
        assert_eq!(other.features()[[0, 0]], expected, "{value} {n}");
    }
    check::<f32>(0.1, 60_000);
    check::<f64>(14.62, 1000);
    for value in [0.1, -0.1, 14.62, 1.0 / 3.0, 1e-300, 1e300] {
        (1..=300).for_each(|n| check::<f64>(value, n));
    }
    for value in [0.1, 14.62, 1e-37, 1e37] {
        (1..=300).for_each(|n| check::<f32>(value, n));
    }
    // One unit in the last place is rounding of a constant.
    let next = 0.1_f64.next_up();
    let mut data = column(vec![0.1, next, 0.1, next]);
    Scaler::fit(&data).apply(&mut data).unwrap();
    assert!(data.features().iter().all(|x| x.abs() <= f64::EPSILON));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_constant_at_any_length_becomes_zero(
        mantissa in -2.0..2.0_f64,
        exponent in -1000..1000_i32,
        n in 1..2000_usize,
    ) {
        let value = mantissa * 2.0_f64.powi(exponent);
        let mut data = column(vec![value; n]);
        Scaler::fit(&data).apply(&mut data).unwrap();
        prop_assert!(data.features().iter().all(|x| *x == 0.0));
        let value = (mantissa * 2.0_f64.powi(exponent / 9)) as f32;
        let mut data = column(vec![value; n]);
        Scaler::fit(&data).apply(&mut data).unwrap();
        prop_assert!(data.features().iter().all(|x| *x == 0.0));
    }

    /// Whatever the text is, it is read or refused.
    #[test]
    fn no_text_panics(text in "[0-9eE+.,;\\- \n\r\t\"xNaif]{0,200}") {
        if let Ok(data) = read(&text) {
            prop_assert!(data.features().iter().all(|x| x.is_finite()));
            prop_assert!(data.labels().iter().all(|&label| label < MAX_CLASSES));
        }
    }
}

/// Half of the rows at a − d, half at a + d: mean a, deviation d.
#[test]
fn mean_and_deviation_are_right_at_any_size_and_offset() {
    // Powers of two, so that a ± d and the scaled values are exact.
    for (a, d) in [
        (0.0, 1.0),
        (1024.0, 0.125),
        (1e9_f64.round(), 0.25),
        (0.0, 1e308),
        (0.0, 1e-300),
    ] {
        for n in [2, 10, 1000, 30_000] {
            let mut data = column(
                (0..n)
                    .map(|i| if i % 2 == 0 { a - d } else { a + d })
                    .collect(),
            );
            Scaler::fit(&data).apply(&mut data).unwrap();
            for (i, x) in data.features().iter().enumerate() {
                let expected = if i % 2 == 0 { -1.0 } else { 1.0 };
                // The root and two divisions.
                assert!(
                    (x - expected).abs() <= 4.0 * f64::EPSILON,
                    "{a} {d} {n}: {x}"
                );
            }
        }
    }
    // In single precision sums are as good.
    let mut data = column(
        (0..60_000)
            .map(|i| if i % 2 == 0 { 1000.0_f32 } else { 1001.0 })
            .collect(),
    );
    Scaler::fit(&data).apply(&mut data).unwrap();
    assert!(
        data.features()
            .iter()
            .all(|x| (x.abs() - 1.0).abs() <= 4.0 * f32::EPSILON)
    );
}

#[test]
fn a_scaling_that_fails_leaves_the_data_as_they_were() {
    let mut data = column(vec![1e300, -1e300]);
    let before = data.clone();
    let error = Scaler::by(1e-300, 1).unwrap().apply(&mut data).unwrap_err();
    assert!(matches!(error, DataError::NonFinite { row: 0, column: 0 }));
    assert_eq!(data, before);
    for width in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(Scaler::by(width, 1), Err(DataError::Width { .. })));
    }
    // Nor is such a scaler read from a file.
    let text = serde_json::to_string(&Scaler::by(2.0, 1).unwrap()).unwrap();
    let two = 2.0_f64.to_bits().to_string();
    let read = |with: f64| {
        serde_json::from_str::<Scaler<f64>>(&text.replace(&two, &with.to_bits().to_string()))
    };
    assert!(text.contains(&two) && read(4.0).is_ok(), "{text}");
    assert!(read(0.0).is_err() && read(f64::NAN).is_err());
}
