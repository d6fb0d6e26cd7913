//! An operation in one of the ways to do it, and its record.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use crate::timing::alternate;
use crate::{Case, Request};

/// Why something failed.
pub type Failure = Box<dyn std::error::Error>;

/// What is timed.
pub trait Call {
    /// Does the operation once.
    fn run(&mut self) -> Result<(), Failure>;

    /// What the last run came to.
    fn digest(&self) -> Digest;
}

/// Numbers that tell a wrong result.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Digest {
    #[serde(rename = "digest_value", skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(rename = "digest_norm", skip_serializing_if = "Option::is_none")]
    pub norm: Option<f64>,
    #[serde(rename = "digest_dot", skip_serializing_if = "Option::is_none")]
    pub dot: Option<f64>,
}

/// A way to do an operation.
pub struct Candidate<'a> {
    pub op: &'static str,
    pub mode: &'static str,
    /// Everything up to the first call.
    #[allow(clippy::type_complexity)]
    pub prepare: Box<dyn FnOnce() -> Result<Box<dyn Call + 'a>, Failure> + 'a>,
}

impl<'a> Candidate<'a> {
    /// A way that is a call to make.
    pub fn new<C: Call + 'a>(
        op: &'static str,
        mode: &'static str,
        prepare: impl FnOnce() -> Result<C, Failure> + 'a,
    ) -> Self {
        let prepare = Box::new(move || Ok(Box::new(prepare()?) as Box<dyn Call + 'a>));
        Self { op, mode, prepare }
    }
}

/// A result, as the harness reads it.
#[derive(Debug, Serialize)]
struct Record {
    suite: &'static str,
    case: String,
    engine: String,
    op: &'static str,
    dtype: String,
    threads: usize,
    n: usize,
    mode: &'static str,
    #[serde(flatten)]
    digest: Digest,
    #[serde(flatten)]
    times: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Times {
    seconds_first: f64,
    seconds_min: f64,
    seconds_median: f64,
}

/// Measures what the request on the command line asks for; `each` measures a case by
/// [`Session::measure`].
pub fn main(each: impl Fn(&Session, &Case) -> Result<(), Failure>) -> ExitCode {
    let run = || -> Result<String, Failure> {
        let path = std::env::args_os().nth(1).ok_or("no request is named")?;
        let request: Request = serde_json::from_slice(&std::fs::read(Path::new(&path))?)?;
        let session = Session {
            request,
            records: Default::default(),
        };
        for case in &session.request.cases {
            each(&session, case)?;
        }
        Ok(serde_json::to_string(&*session.records.borrow())?)
    };
    match run() {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A request and the records so far.
pub struct Session {
    pub request: Request,
    records: std::cell::RefCell<Vec<Record>>,
}

impl Session {
    /// Measures those of a case's candidates that are asked for.
    pub fn measure(&self, case: &Case, n: usize, candidates: Vec<Candidate<'_>>) {
        let (mut calls, mut records, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for candidate in candidates {
            if !case.ops.iter().any(|op| op == candidate.op) {
                continue;
            }
            let mut record = self.blank(case, n, &candidate);
            let start = Instant::now();
            let first = (candidate.prepare)().and_then(|mut call| call.run().map(|()| call));
            let seconds_first = start.elapsed().as_secs_f64();
            match first {
                Ok(call) => {
                    record.digest = call.digest();
                    record.times = Some(Times {
                        seconds_first,
                        ..Times::default()
                    });
                    calls.push(call);
                    records.push(record);
                }
                Err(error) => {
                    record.error = Some(error.to_string());
                    failed.push(record);
                }
            }
        }
        match alternate(&mut calls, &self.request.pace) {
            Ok(timings) => {
                for (record, timing) in records.iter_mut().zip(&timings) {
                    let times = record.times.get_or_insert_default();
                    (times.seconds_min, times.seconds_median) = (timing.min(), timing.median());
                }
            }
            Err(error) => {
                for record in &mut records {
                    record.times = None;
                    record.error = Some(error.to_string());
                }
            }
        }
        let mut all = self.records.borrow_mut();
        all.extend(records);
        all.extend(failed);
    }

    fn blank(&self, case: &Case, n: usize, candidate: &Candidate<'_>) -> Record {
        Record {
            suite: "peers",
            case: case.name.clone(),
            engine: self.request.engine.clone(),
            op: candidate.op,
            dtype: case.dtype.clone(),
            threads: self.request.threads,
            n,
            mode: candidate.mode,
            digest: Digest::default(),
            times: None,
            error: None,
        }
    }
}
