//! What can be measured.

pub mod growth;
pub mod hvp;

use crate::error::BenchError;
use crate::record::Id;
use crate::session::{Session, Settings};

/// A set of measurements.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// The name in records.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Everything that it measures with these settings, in order.
    pub measurements: fn(&Settings) -> Vec<Id>,
    /// Measures some of it and adds the results to the session.
    pub run: fn(&mut Session, &[Id]) -> Result<(), BenchError>,
}

/// All suites, in the order in which they run.
pub const SUITES: &[Suite] = &[hvp::SUITE, growth::SUITE];
