//! Files of the checkout, in a stable order.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that contain no source of this project.
const SKIPPED: &[&str] = &["target", "node_modules", ".git"];

/// Every file below `folder`, relative to `root`.
pub(super) fn files(root: &Path, folder: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    collect(&root.join(folder), &mut found)?;
    found.sort();
    Ok(found.into_iter().filter_map(|path| Some(path.strip_prefix(root).ok()?.to_owned())).collect())
}

pub(super) fn text(root: &Path, path: &Path) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {}", path.display()))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
        if !entry.file_type()?.is_dir() {
            found.push(entry.path());
        } else if !skipped {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}
