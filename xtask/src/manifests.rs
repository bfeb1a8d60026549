//! Definitions and chart files, from the code and from `config/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use steamer_testing::cache::checkout;

/// Writes them.
pub(crate) fn write() -> Result<()> {
    for (path, text) in generated()? {
        let path = checkout().join(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Every generated file and its text.
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
    files.push((PathBuf::from("charts/steamer/files/rules.yaml"), rules()?));
    Ok(files)
}

/// Kustomize takes folders from elsewhere, but no files: the definitions' folder is one for it.
fn kustomization(names: &[String]) -> String {
    let resources: String = names.iter().map(|name| format!("  - {name}\n")).collect();
    format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}")
}

/// The operator's rights in a cluster are written once, in `config/rbac/role.yaml`; the chart has a copy.
fn rules() -> Result<String> {
    let role = std::fs::read_to_string(checkout().join("config/rbac/role.yaml"))?;
    let (_, rules) = role.split_once("rules:\n").context("config/rbac/role.yaml has no rules")?;
    Ok(rules.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect())
}

fn yaml(value: &serde_json::Value) -> Result<String> {
    Ok(serde_saphyr::to_string(value)?)
}
