//! Durations of the tests that use servers, for the list of the slowest ones at the end of `make test`.
//!
//! Stable libtest does not report durations. It runs each test on its own thread, which has the name of the test: the
//! clock starts when the thread first uses the servers and stops when the thread exits.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cache;

thread_local! {
    static TEST: RefCell<Option<Test>> = const { RefCell::new(None) };
}

/// The running test of a thread.
struct Test {
    name: String,
    started: Instant,
    waited: Duration,
}

/// Duration of one test.
#[derive(Serialize, Deserialize)]
struct Record {
    binary: String,
    test: String,
    /// Seconds from the first use of the servers to the end of the test, without `waited`.
    seconds: f64,
    /// Seconds until the test got its turns.
    waited: f64,
}

impl Drop for Test {
    fn drop(&mut self) {
        let took = self.started.elapsed().saturating_sub(self.waited);
        // A missing record must not fail the test.
        let _ = record(&self.name, took, self.waited);
    }
}

/// Name of the test that the calling thread runs. `None` on other threads.
pub(crate) fn test() -> Option<String> {
    std::thread::current().name().filter(|name| name.contains("::")).map(str::to_owned)
}

/// Starts the clock of the calling thread's test, unless it runs already.
pub(crate) fn begin() {
    if let Some(name) = test() {
        TEST.with_borrow_mut(|running| {
            running.get_or_insert_with(|| Test { name, started: Instant::now(), waited: Duration::ZERO });
        });
    }
}

/// Adds time in which the calling thread's test waited for its turn.
pub(crate) fn waited(time: Duration) {
    TEST.with_borrow_mut(|running| running.iter_mut().for_each(|test| test.waited += time));
}

/// Folder of the records: one file per process, one JSON line per test.
fn folder() -> Result<PathBuf> {
    let folder = cache::logs()?.join("durations");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Records a duration of this process.
pub(crate) fn record(what: &str, took: Duration, waited: Duration) -> Result<()> {
    let own = std::env::current_exe()?;
    let file = own.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let record = Record {
        // Cargo appends a hash to the name of the target.
        binary: file.rsplit_once('-').map_or(file.as_str(), |(name, _)| name).to_owned(),
        test: what.to_owned(),
        seconds: took.as_secs_f64(),
        waited: waited.as_secs_f64(),
    };
    let path = folder()?.join(format!("{}.jsonl", std::process::id()));
    let mut file = File::options().create(true).append(true).open(path)?;
    Ok(file.write_all(format!("{}\n", serde_json::to_string(&record)?).as_bytes())?)
}

/// Deletes the records of previous runs.
///
/// # Errors
/// When they cannot be deleted.
pub fn clear() -> Result<()> {
    Ok(std::fs::remove_dir_all(folder()?)?)
}

/// Table of the slowest tests since the last [`clear`].
///
/// # Errors
/// When the records cannot be read.
pub fn slowest(count: usize) -> Result<String> {
    let mut records = records()?;
    records.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    let mut text = format!(
        "The slowest of {} tests and starts of servers, in seconds; `waited` is the time before the turn of the test:\n\
         {:>8} {:>8}  test\n",
        records.len(),
        "took",
        "waited"
    );
    for Record { binary, test, seconds, waited } in records.into_iter().take(count) {
        text.push_str(&format!("{seconds:>8.1} {waited:>8.1}  {binary} {test}\n"));
    }
    Ok(text)
}

fn records() -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for file in std::fs::read_dir(folder()?)? {
        let text = std::fs::read_to_string(file?.path())?;
        for line in text.lines() {
            records.push(serde_json::from_str(line)?);
        }
    }
    Ok(records)
}
