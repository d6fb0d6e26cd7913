//! From records to tables, statements, charts and files.

mod chart;
mod file;
mod statements;
mod table;
mod tables;

use std::path::Path;

use crate::error::BenchError;
use crate::session::Session;

pub use file::check_writable;
pub(crate) use file::{write, write_json};
pub use statements::statements;
pub use table::{Align, Table};
pub(crate) use tables::threads_text;

/// Writes `report.json`, `facts.json` and the charts to a folder; returns the text for the
/// terminal.
///
/// # Errors
/// [`BenchError::Write`], [`BenchError::Chart`].
pub fn finish(session: &mut Session, folder: &Path) -> Result<String, BenchError> {
    let (report, facts) = (&session.report, &mut session.facts);
    facts.statements = statements(report, facts);
    file::write_json(&folder.join("report.json"), report)?;
    file::write_json(&folder.join("facts.json"), facts)?;
    let mut written = vec!["report.json".to_string(), "facts.json".to_string()];
    for (name, svg) in chart::charts(report, facts)? {
        file::write(&folder.join(&name), svg.as_bytes())?;
        written.push(name);
    }
    let mut text = tables::all(report, facts);
    for statement in &facts.statements {
        text.push_str(statement);
        text.push('\n');
    }
    let (folder, written) = (folder.display(), written.join(", "));
    Ok(format!("{text}\nWritten to {folder}: {written}\n"))
}
