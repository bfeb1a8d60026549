//! Where what is built or fetched once is kept: outside the checkout, shared by all checkouts of a machine.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cache of this user.
#[must_use]
pub fn root() -> PathBuf {
    if let Some(folder) = std::env::var_os("STEAMER_CACHE") {
        return folder.into();
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    base.unwrap_or_else(home).join("steamer")
}

/// The root of the checkout.
#[must_use]
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// Where logs of a run are kept.
///
/// # Errors
/// When it cannot be made.
pub fn logs() -> Result<PathBuf> {
    let folder = checkout().join("target/test-ground");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Digest of a file, as the key of what is made from it.
///
/// # Errors
/// When it cannot be read.
pub fn digest(file: &Path) -> Result<String> {
    let content = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
    Ok(steamer_controllers::pipelines::hex(&digest.as_ref()[..8]))
}
