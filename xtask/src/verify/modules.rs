//! Cycles between the modules of one crate. A module is a file.
//!
//! A path is a use of the deepest module that it names. Declaring a child module, or re-exporting its items, is no use.

mod graph;
mod resolution;
mod uses;

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{crates, sources};
use graph::Cycle;

/// Cycles that are permitted: crate, modules, reason.
const ALLOWED_CYCLES: &[(&str, &[&str], &str)] = &[];

/// One file of a crate.
pub(super) struct Module {
    /// Names from the root of the crate. Empty for the root.
    path: Vec<String>,
    file: String,
    source: String,
}

/// Cycles in every operator crate, and entries of [`ALLOWED_CYCLES`] that permit nothing.
pub(super) fn problems(metadata: &Value) -> Result<Vec<String>> {
    let root = Path::new(metadata["workspace_root"].as_str().context("cargo metadata names no root")?);
    let mut problems = Vec::new();
    let mut checked = Vec::new();
    for (name, manifest) in crates::operator_crates(metadata) {
        let cycles = cycles(&modules(root, Path::new(manifest))?)?;
        problems.extend(judged(name, &cycles, ALLOWED_CYCLES));
        checked.push(name);
    }
    let unknown = ALLOWED_CYCLES.iter().filter(|(name, ..)| !checked.contains(name));
    problems.extend(unknown.map(|(name, modules, _)| unneeded(name, modules)));
    Ok(problems)
}

/// The files of the crate with this manifest.
fn modules(root: &Path, manifest: &Path) -> Result<Vec<Module>> {
    let folder = manifest.parent().and_then(|folder| folder.strip_prefix(root).ok()).context("no folder")?;
    let folder = folder.join("src");
    let files = sources::files(root, &folder.to_string_lossy())?;
    let rust = files.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|file| {
        let source = sources::text(root, &file)?;
        let inside = file.strip_prefix(&folder)?.with_extension("");
        Ok(Module { path: module_path(&inside), file: file.display().to_string(), source })
    })
    .collect()
}

fn module_path(inside: &Path) -> Vec<String> {
    let mut path: Vec<String> = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let is_root = path.len() == 1 && ["lib", "main"].contains(&path[0].as_str());
    if is_root || path.last().is_some_and(|name| name == "mod") {
        path.pop();
    }
    path
}

fn cycles(modules: &[Module]) -> Result<Vec<Cycle>> {
    Ok(graph::cycles(modules.len(), &resolution::edges(modules)?)
        .into_iter()
        .map(|component| graph::described(modules, component))
        .collect())
}

/// Problems of one crate: cycles outside `allowed`, and entries of `allowed` that permit nothing.
fn judged(crate_name: &str, cycles: &[Cycle], allowed: &[(&str, &[&str], &str)]) -> Vec<String> {
    let entries: Vec<&[&str]> =
        allowed.iter().filter(|(name, ..)| *name == crate_name).map(|(_, modules, _)| *modules).collect();
    let permitted = |cycle: &Cycle| {
        entries.iter().any(|entry| cycle.modules.iter().all(|module| entry.contains(&module.as_str())))
    };
    let wrong = cycles.iter().filter(|cycle| !permitted(cycle));
    let mut problems: Vec<String> =
        wrong.map(|cycle| format!("modules of {crate_name} form a cycle: {}", cycle.text)).collect();
    for entry in entries {
        let in_cycle = |module: &&str| cycles.iter().any(|cycle| cycle.modules.iter().any(|it| it == module));
        let idle: Vec<&str> = entry.iter().copied().filter(|module| !in_cycle(module)).collect();
        if !idle.is_empty() {
            problems.push(unneeded(crate_name, &idle));
        }
    }
    problems
}

fn unneeded(crate_name: &str, modules: &[&str]) -> String {
    format!(
        "ALLOWED_CYCLES permits a cycle of {} in {crate_name} which no longer exists: \
         remove it from xtask/src/verify/modules.rs",
        modules.join(", ")
    )
}

#[cfg(test)]
mod tests;
