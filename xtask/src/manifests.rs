//! CustomResourceDefinitions and chart files, generated from the code and from `config/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use steamer_testing::cache::checkout;

use crate::index;

/// The operator's ClusterRole.
const ROLE: &str = "config/rbac/role.yaml";
/// End of a line of the ClusterRole that lists every kind.
const EVERY_KIND: &str = " # every kind";

/// Writes the manifests, then the lists of kinds.
pub(crate) fn write() -> Result<()> {
    write_files(generated()?)?;
    write_files(index::generated()?)
}

fn write_files(files: Vec<(PathBuf, String)>) -> Result<()> {
    for (path, text) in files {
        let path = checkout().join(path);
        std::fs::create_dir_all(path.parent().context("the file has no folder")?)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Every generated manifest and its text.
pub(crate) fn generated() -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    let mut names = Vec::new();
    for definition in steamer_api::definitions() {
        let name = format!("{}.yaml", definition.spec.names.plural);
        let text = yaml(&serde_json::to_value(&definition)?)?;
        for folder in ["crds", "charts/steamer-crds/files"] {
            files.push((Path::new(folder).join(&name), text.clone()));
        }
        names.push(name);
    }
    files.push((PathBuf::from("crds/kustomization.yaml"), kustomization(&names)));
    let role = role(&std::fs::read_to_string(checkout().join(ROLE))?);
    files.push((PathBuf::from("charts/steamer/files/rules.yaml"), rules(&role)?));
    files.push((PathBuf::from(ROLE), role));
    Ok(files)
}

/// A kustomization of files in its folder. Kustomize cannot load files outside its own folder, only other folders.
pub(crate) fn kustomization(names: &[String]) -> String {
    let resources: String = names.iter().map(|name| format!("  - {name}\n")).collect();
    format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}")
}

/// The operator's ClusterRole with the current list of kinds in every line that ends in [`EVERY_KIND`]. All other rules are
/// written by hand.
fn role(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", every_kind(line).unwrap_or_else(|| line.to_owned()))).collect()
}

/// The line with the current list of kinds. `None` for a line written by hand.
fn every_kind(line: &str) -> Option<String> {
    let list = line.strip_suffix(EVERY_KIND)?;
    let (before, _) = list.split_once('[')?;
    let suffix = if list.contains("/status") { "/status" } else { "" };
    let mut plurals: Vec<String> =
        steamer_api::definitions().into_iter().map(|definition| definition.spec.names.plural).collect();
    plurals.sort();
    let resources: Vec<String> = plurals.iter().map(|plural| format!("{plural}{suffix}")).collect();
    Some(format!("{before}[{}]{EVERY_KIND}", resources.join(", ")))
}

/// Rules of the operator's ClusterRole for the chart.
fn rules(role: &str) -> Result<String> {
    let (_, rules) = role.split_once("rules:\n").with_context(|| format!("{ROLE} contains no `rules:`"))?;
    Ok(rules.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect())
}

fn yaml(value: &serde_json::Value) -> Result<String> {
    Ok(serde_saphyr::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marked_lines_of_the_role_are_generated() {
        let role = role("rules:\n  - resources: [x/status] # every kind\n  - resources: [pods]\n");
        assert!(role.contains("resources: [baoauths/status, baoconnections/status,"), "{role}");
        assert!(role.ends_with("  - resources: [pods]\n"), "{role}");
    }
}
