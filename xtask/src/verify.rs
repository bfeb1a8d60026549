//! What a change must not forget: generated files, and the direction of dependencies.

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;
use steamer_testing::cache::checkout;
use steamer_testing::tools;

use crate::{docs, manifests};

/// Which crates a crate may use. Anything else is a dependency against the grain.
const ALLOWED: &[(&str, &[&str])] = &[
    ("steamer-api", &[]),
    ("steamer-openbao", &[]),
    ("steamer-runtime", &[]),
    ("steamer-controllers", &["steamer-api", "steamer-openbao", "steamer-runtime"]),
    ("steamer", &["steamer-api", "steamer-controllers", "steamer-runtime"]),
];

/// Fails with a sentence that names what to do.
pub(crate) fn verify() -> Result<()> {
    let mut stale = Vec::new();
    for (path, text) in manifests::generated()?.into_iter().chain(docs::generated()?) {
        if std::fs::read_to_string(checkout().join(&path)).ok().as_deref() != Some(&text) {
            stale.push(path.display().to_string());
        }
    }
    if !stale.is_empty() {
        bail!(
            "not as the code has it: {}; run `make manifests docs` and commit the result",
            stale.join(", ")
        );
    }
    directions()
}

fn directions() -> Result<()> {
    let metadata = tools::output(
        Command::new("cargo").args(["metadata", "--format-version=1", "--no-deps"]).current_dir(checkout()),
    )?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            continue;
        };
        let used = package["dependencies"].as_array().into_iter().flatten();
        let ours = used
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str());
        if let Some(wrong) =
            ours.filter(|used| used.starts_with("steamer")).find(|used| !allowed.contains(used))
        {
            bail!("{name} may not depend on {wrong}");
        }
    }
    Ok(())
}
