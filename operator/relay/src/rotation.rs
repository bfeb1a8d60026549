//! Rotation of the audit logs of an OpenBao node.
//!
//! A log that has reached its size is renamed. OpenBao goes on writing to the renamed file until it receives SIGHUP, and then
//! opens a new one: no entry is lost. Each step follows from the files and from what the process holds open, so a rotation that
//! was interrupted is completed.

mod node;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use node::{Local, Node};

/// Interval between two looks at the logs.
const INTERVAL: Duration = Duration::from_secs(1);

/// A log and the limits of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// File that OpenBao writes to.
    pub path: PathBuf,
    /// Size in bytes at which it is rotated.
    pub max_bytes: u64,
    /// Number of rotated files that are kept, at least 1.
    pub max_files: usize,
}

/// Rotates logs until shutdown. An error is logged and retried.
pub async fn run(logs: Vec<Log>, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for log in &logs {
            if let Err(error) = log.keep(Timestamp::now(), &Local) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(path = %log.path.display(), error, "cannot rotate the audit log");
            }
        }
    }
}

impl Log {
    /// Rotates the log if it is due, completes an interrupted rotation, and deletes the oldest files.
    fn keep(&self, now: Timestamp, node: &impl Node) -> io::Result<()> {
        if self.size()? >= self.max_bytes {
            let target = self.path.with_file_name(format!("{}{}", self.start(), name(now)));
            if !target.exists() {
                std::fs::rename(&self.path, &target)?;
                tracing::info!(path = %target.display(), "rotated the audit log");
            }
        }
        let rotated = self.rotated()?;
        // The clock may have gone back: it need not be the last one.
        let (held, others): (Vec<_>, Vec<_>) = rotated.iter().partition(|path| node.holds(path));
        // Only then: SIGHUP ends a process that has just started.
        held.iter().try_for_each(|path| node.reopen(path))?;
        let surplus = rotated.len().saturating_sub(self.max_files.max(1));
        others.into_iter().take(surplus).try_for_each(std::fs::remove_file)
    }

    /// Size of the present file. 0 if there is none: the node does not lead.
    fn size(&self) -> io::Result<u64> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Start of the names of rotated files, such as `audit.log.`.
    fn start(&self) -> String {
        format!("{}.", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Rotated files, the oldest first.
    fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let (start, folder) = (self.start(), self.path.parent().unwrap_or(Path::new(".")));
        let entries = std::fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        let is_rotated = |entry: &std::fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.strip_prefix(&start).is_some_and(is_time)
        };
        let mut files: Vec<_> = entries.into_iter().filter(is_rotated).map(|entry| entry.path()).collect();
        files.sort();
        Ok(files)
    }
}

/// End of the name of a rotated file, in the order of time, such as `20261128T170001.250Z`.
fn name(now: Timestamp) -> String {
    now.strftime("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// Returns true for the end of the name of a rotated file. Other files in the folder are not deleted.
fn is_time(text: &str) -> bool {
    text.len() == 20
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"TZ.".contains(&byte))
        && text.ends_with('Z')
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::fs;
    use std::fs::File;
    use std::os::unix::fs::MetadataExt;

    use rstest::rstest;

    use super::*;

    /// A process that writes to a file, and opens a new one unless it hangs.
    struct Process {
        path: PathBuf,
        open: RefCell<Option<File>>,
        hangs: Cell<bool>,
        asked: Cell<u32>,
    }

    impl Node for Process {
        fn holds(&self, path: &Path) -> bool {
            let open = self.open.borrow();
            open.as_ref()
                .is_some_and(|open| open.metadata().unwrap().ino() == fs::metadata(path).unwrap().ino())
        }

        fn reopen(&self, _: &Path) -> io::Result<()> {
            self.asked.set(self.asked.get() + 1);
            if !self.hangs.get() {
                self.open.replace(Some(File::create(&self.path)?));
            }
            Ok(())
        }
    }

    struct Case {
        log: Log,
        process: Process,
    }

    impl Case {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("rotation-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join("audit.log");
            fs::write(&path, "x".repeat(100)).unwrap();
            let process = Process {
                path: path.clone(),
                open: RefCell::new(File::open(&path).ok()),
                hangs: Cell::new(false),
                asked: Cell::new(0),
            };
            Self { log: Log { path, max_bytes: 100, max_files: 2 }, process }
        }

        fn keep(&self, second: i64) -> Vec<String> {
            self.log.keep(Timestamp::from_second(second).unwrap(), &self.process).unwrap();
            let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
            self.log.rotated().unwrap().into_iter().map(name).collect()
        }
    }

    impl Drop for Case {
        fn drop(&mut self) {
            fs::remove_dir_all(self.log.path.parent().unwrap()).unwrap();
        }
    }

    #[test]
    fn a_full_log_is_renamed_and_the_oldest_are_deleted() {
        let case = Case::new("full");
        fs::write(case.log.path.with_file_name("audit.log.kept"), "of a user").unwrap();
        assert_eq!(case.keep(1), ["audit.log.19700101T000001.000Z"]);
        assert!(case.keep(2).len() == 1 && case.process.asked.get() == 1, "an empty log is not rotated");
        for second in 3..6 {
            fs::write(&case.log.path, "x".repeat(200)).unwrap();
            case.keep(second);
        }
        assert_eq!(case.keep(9), ["audit.log.19700101T000004.000Z", "audit.log.19700101T000005.000Z"]);
        assert!(case.log.path.with_file_name("audit.log.kept").exists());
    }

    #[test]
    fn a_process_that_still_writes_to_the_renamed_file_is_signaled_again() {
        let case = Case::new("hangs");
        case.process.hangs.set(true);
        case.keep(1);
        case.keep(2);
        assert_eq!(case.process.asked.get(), 2);
        case.process.hangs.set(false);
        case.keep(3);
        case.keep(4);
        assert_eq!(case.process.asked.get(), 3, "it has opened a new file");
    }

    #[test]
    fn a_clock_that_goes_back_neither_stops_the_rotation_nor_deletes_an_open_file() {
        let case = Case::new("clock");
        for second in [100, 101] {
            fs::write(&case.log.path, "x".repeat(200)).unwrap();
            case.keep(second);
        }
        fs::write(&case.log.path, "x".repeat(200)).unwrap();
        case.process.hangs.set(true);
        assert_eq!(case.keep(5), ["audit.log.19700101T000005.000Z", "audit.log.19700101T000141.000Z"]);
        assert_eq!(case.process.asked.get(), 3);
        case.process.hangs.set(false);
        case.keep(6);
        assert!(case.log.path.exists(), "it has opened a new file");
    }

    #[test]
    fn a_node_without_an_open_log_is_not_signaled() {
        let case = Case::new("standby");
        case.process.open.replace(None);
        assert_eq!(case.keep(1).len(), 1, "the log of an earlier process");
        assert_eq!(case.process.asked.get(), 0);
    }

    #[rstest]
    #[case("19700101T000001.000Z", true)]
    #[case("kept", false)]
    #[case("19700101T000001.000Z.gz", false)]
    fn only_rotated_files_are_counted(#[case] end: &str, #[case] expected: bool) {
        assert_eq!(is_time(end), expected);
    }
}
