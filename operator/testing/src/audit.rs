//! Audit logs of the API server and of OpenBao: files with one JSON document per line.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::Value;

/// Path of a log, and the text that the entries contain.
type Selection = (PathBuf, String);

/// What was read of a log until now.
#[derive(Default)]
struct Progress {
    /// End of the last complete line, in bytes.
    end: u64,
    entries: Vec<Arc<Value>>,
}

/// Returns the entries whose line contains a text, in their order. A log grows, and tests ask again and again: each part is read
/// once for each text.
///
/// # Errors
/// When the file cannot be read, or a line with the text is not JSON.
pub fn entries(log: &Path, text: &str) -> Result<Vec<Arc<Value>>> {
    static READ: Mutex<Option<HashMap<Selection, Progress>>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let progress = read.get_or_insert_default().entry((log.to_owned(), text.to_owned())).or_default();
    progress.read(log, text).with_context(|| log.display().to_string())?;
    Ok(progress.entries.clone())
}

impl Progress {
    fn read(&mut self, log: &Path, text: &str) -> Result<()> {
        let mut file = File::open(log)?;
        // A server that was created again has a new log.
        if file.metadata()?.len() < self.end {
            *self = Self::default();
        }
        file.seek(SeekFrom::Start(self.end))?;
        let mut added = Vec::new();
        file.read_to_end(&mut added)?;
        // The server may still write the last line.
        let complete = memchr::memrchr(b'\n', &added).map_or(0, |last| last + 1);
        let (mut start, finder) = (0, memchr::memmem::Finder::new(text));
        for end in memchr::memchr_iter(b'\n', &added) {
            let line = added.get(start..end).unwrap_or_default();
            if finder.find(line).is_some() {
                self.entries.push(Arc::new(serde_json::from_slice(line)?));
            }
            start = end + 1;
        }
        self.end += complete as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn new_complete_lines_are_added() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let numbers = || -> Vec<i64> {
            entries(&log, "\"a\"").unwrap().iter().map(|entry| entry["a"].as_i64().unwrap()).collect()
        };
        let mut file = File::create(&log).unwrap();
        file.write_all(b"{\"a\":1}\n{\"b\":2}\n{\"a\":3").unwrap();
        assert_eq!(numbers(), [1], "the last line is not complete");
        file.write_all(b"}\n").unwrap();
        assert_eq!(numbers(), [1, 3]);
        std::fs::write(&log, "{\"a\":4}\n").unwrap();
        assert_eq!(numbers(), [4], "the log was created again");
    }
}
