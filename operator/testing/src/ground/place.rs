//! Files of a ground.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cache;

/// Folders of a ground: data of its servers, and their logs.
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) logs: PathBuf,
}

impl Place {
    pub(super) fn new(folder: PathBuf, logs: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(&logs)?;
        Ok(Self { folder, logs })
    }
}

/// Deletes the files of grounds whose process has exited. Their servers have exited with it.
pub(super) fn remove_leftovers() {
    let folders = [
        (std::env::temp_dir(), "steamer-ground-"),
        (cache::checkout().join("target/test-ground"), "ground-"),
    ];
    for (parent, prefix) in folders {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let id = name.strip_prefix(prefix).filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
            if id.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
                crate::tools::unmount_below(&[&entry.path()]);
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Lets the user of PostgreSQL read its data.
pub(super) fn tools_readable(folder: &Path) -> Result<()> {
    crate::tools::succeed(std::process::Command::new("chmod").arg("755").arg(folder))
}
