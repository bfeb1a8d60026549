//! Cache of built and downloaded tools, outside the checkout and shared by all checkouts of a machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Cache folder of this user.
#[must_use]
pub fn root() -> PathBuf {
    if let Some(folder) = std::env::var_os("STEAMER_CACHE") {
        return folder.into();
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    base.unwrap_or_else(home).join("steamer")
}

/// Root folder of the checkout.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Folder of the logs of test runs.
///
/// # Errors
/// When the folder cannot be created.
pub fn logs() -> Result<PathBuf> {
    let folder = logs_of(&checkout());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Folder of the logs of the test runs of a checkout.
#[must_use]
pub(crate) fn logs_of(checkout: &Path) -> PathBuf {
    checkout.join("target/test-ground")
}

/// Digest of a file, which is the cache key of tools that are built from it.
///
/// # Errors
/// When the file cannot be read.
pub fn digest(file: &Path) -> Result<String> {
    let content = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
    Ok(steamer_core::digest::hex(&digest.as_ref()[..8]))
}
