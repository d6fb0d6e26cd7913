//! Files that are either whole or not there.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::BenchError;

/// Makes a folder if needed and tries whether files can be written to it.
///
/// # Errors
/// [`BenchError::Write`].
pub fn check_writable(folder: &Path) -> Result<(), BenchError> {
    fs::create_dir_all(folder).map_err(|source| BenchError::Write {
        path: folder.into(),
        source,
    })?;
    let probe = folder.join(".writable");
    write(&probe, b"")?;
    fs::remove_file(&probe).map_err(|source| BenchError::Write {
        path: probe,
        source,
    })
}

/// Writes a value as JSON.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), BenchError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| BenchError::Write {
        path: path.into(),
        source: error.into(),
    })?;
    write(path, (text + "\n").as_bytes())
}

/// Writes a file beside its place and moves it there, so that a reader finds the old or the new one.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), BenchError> {
    let temporary = temporary(path);
    let written = fs::write(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // Nothing more can be done if this fails too.
        let _ = fs::remove_file(&temporary);
        BenchError::Write {
            path: path.into(),
            source,
        }
    })
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_leave_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("bench-files-{}", std::process::id()));
        check_writable(&folder).unwrap();
        let path = folder.join("a.json");
        for value in [[1, 2], [3, 4]] {
            write_json(&path, &value).unwrap();
            let read: [i32; 2] = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_eq!(read, value);
        }
        // A file is no folder.
        let error = check_writable(&path).unwrap_err();
        assert!(error.to_string().contains("a.json"), "{error}");
        let names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["a.json"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
