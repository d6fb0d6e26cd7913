//! The benchmark as a program: exit codes, messages, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use benches::record::Report;

fn bench(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = command.args(arguments).arg("--out").arg(out).output();
    output.expect("the benchmark starts")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn wrong_command_lines_end_with_code_2_and_name_what_is_wrong() {
    let out = folder("wrong");
    for (arguments, word) in [
        (&["--fast"][..], "--fast"),
        (&["--threads", "none"], "none"),
        (&["--budget", "1XB"], "1XB"),
        (&["--filter", "no-such-case"], "no measurement"),
    ] {
        let output = bench(arguments, &out);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(word), "{message}");
        assert!(!message.contains("panicked"), "{message}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_ends_with_code_1_and_is_named() {
    let out = folder("unwritable");
    std::fs::write(&out, "a file").unwrap();
    let output = bench(
        &["--quick", "--filter", "64-1-10 value t1"],
        &out.join("bench"),
    );
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains("cannot write") && message.contains("unwritable"),
        "{message}"
    );
    std::fs::remove_file(&out).unwrap();
}

#[test]
fn a_run_writes_records_facts_and_charts_and_prints_tables() {
    let out = folder("run");
    // The budget admits the Hessian (57,800 bytes) and not its factor as well.
    let arguments = [
        "--quick",
        "--filter",
        "64-1-10/b256 f64 t1",
        "--threads=1",
        "--budget=60kB",
    ];
    let output = bench(&arguments, &out);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let progress = text(&output.stderr);
    // A line at once, another ten seconds later, and no bar where there is no terminal.
    assert!(progress.starts_with("   0 s "), "{progress}");
    assert!(progress.lines().count() <= 12, "{progress}");
    assert!(
        !progress.contains(|c: char| c.is_control() && c != '\n'),
        "{progress}"
    );
    let report = std::fs::read_to_string(out.join("report.json")).unwrap();
    assert!(!report.contains("null"), "{report}");
    let report: Report = serde_json::from_str(&report).unwrap();
    let ops: Vec<_> = report
        .records
        .iter()
        .map(|record| record.id.op.as_str())
        .collect();
    let expected = [
        "value",
        "value_and_grad",
        "linearize",
        "hvp",
        "hvp_linearized",
        "ggnvp",
        "hvp_block16",
        "newton_cg",
        "hessian",
    ];
    assert_eq!(ops, expected);
    for record in &report.records {
        assert_eq!(
            (record.id.suite.as_str(), record.id.engine.as_str()),
            ("hvp", "ad-core")
        );
        assert_eq!((record.id.threads, record.n), (1, Some(85)));
        let (min, median) = (record.seconds_min.unwrap(), record.seconds_median.unwrap());
        assert!(min > 0.0 && min <= median);
    }
    let hessian = report.find("64-1-10/b256", "hessian", "f64", 1).unwrap();
    assert!(hessian.peak_bytes.unwrap() >= 85 * 85 * 8);
    for op in [
        "value",
        "value_and_grad",
        "linearize",
        "hvp",
        "hvp_linearized",
        "ggnvp",
    ] {
        let record = report.find("64-1-10/b256", op, "f64", 1).unwrap();
        assert_eq!(record.allocations, Some(0), "{op}");
    }
    for file in ["facts.json", "time_f64.svg", "memory_f64.svg"] {
        assert!(out.join(file).metadata().unwrap().len() > 100, "{file}");
    }
    let printed = text(&output.stdout);
    for part in [
        "64-1-10/b256",
        "hessian",
        "newton_cholesky",
        "175,000,000,000",
        "245 ZB",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
}

#[test]
fn a_comparison_without_other_engines_needs_none_and_says_who_is_absent() {
    let out = folder("peers");
    let arguments = [
        "--peers",
        "--quick",
        "--threads=1",
        "--filter=2-16-1 hvp f64",
    ];
    let output = bench(
        &[&arguments[..], &["--engines=ad-core,products"]].concat(),
        &out,
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(out.join(name)).unwrap()).unwrap()
    };
    let records = read("peers.json");
    let records = records.as_array().unwrap();
    let ours = |record: &&serde_json::Value| record["engine"] == "ad-core" && record["op"] == "hvp";
    let hvp = records.iter().find(ours).unwrap();
    assert!(hvp["seconds_min"].as_f64().unwrap() > 0.0);
    assert!(hvp["floor_ratio"].as_f64().unwrap() > 0.0);
    let facts = read("peers-facts.json");
    assert_eq!(facts["disagreements"], serde_json::json!([]));
    // Three operations have `hvp` in their names.
    assert_eq!(facts["comparisons"].as_array().unwrap().len(), 3);
    let markdown = std::fs::read_to_string(out.join("peers.md")).unwrap();
    assert!(markdown.contains("| 2-16-1/b1 | hvp |"), "{markdown}");
}
