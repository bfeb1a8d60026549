//! CustomResourceDefinitions and chart files, generated from the code and from `config/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use steamer_api::{KindId, Property};
use steamer_testing::cache::checkout;

use crate::{dashboards, index};

/// Folder of the files with roles.
const CONFIG: &str = "config";
/// Policy for the writes of the operator.
const ADMISSION: &str = "config/admission/policy.yaml";
/// ClusterRoles of `config/` and the chart files with their rules: file, role, chart file.
const ROLES: [(&str, &str, &str); 9] = [
    ("rbac/role.yaml", "steamer", "rules-global.yaml"),
    ("rbac/delivery_role.yaml", "steamer-delivery", "rules-delivery.yaml"),
    ("rbac/clusters_role.yaml", "steamer-clusters", "rules-clusters.yaml"),
    ("rbac/restarts_role.yaml", "steamer-restarts", "rules-restarts.yaml"),
    ("rbac/distribution_role.yaml", "steamer-distribution", "rules-distribution.yaml"),
    ("rbac/user_roles.yaml", "steamer-view", "rules-view.yaml"),
    ("rbac/user_roles.yaml", "steamer-edit", "rules-edit.yaml"),
    ("rbac/user_roles.yaml", "steamer-platform", "rules-platform.yaml"),
    ("vso/role.yaml", "steamer-vso", "rules-vso.yaml"),
];
/// End of a line of a role that lists every kind.
const EVERY_KIND: &str = " # every kind";
/// End of a line of a role that lists the kinds of application teams.
const APPLICATION_KINDS: &str = " # application kinds";

/// Writes the manifests, then the lists of kinds.
pub(crate) fn write() -> Result<()> {
    write_files(generated()?)?;
    write_files(index::generated()?)
}

/// Writes the customizations of Argo CD below a folder.
pub(crate) fn argocd(folder: &Path) -> Result<()> {
    for (path, text) in steamer_testing::argocd::customizations()? {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().context("the file has no folder")?)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
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
    files.push((PathBuf::from("config/argocd/argocd-cm.yaml"), steamer_testing::argocd::config_map()?));
    files.extend(dashboards::generated()?);
    files.extend(roles()?);
    files.extend(policy()?);
    Ok(files)
}

/// The roles with their generated lines, and their rules for the chart.
fn roles() -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for (file, name, rules_file) in ROLES {
        let path = Path::new(CONFIG).join(file);
        let text = role(&std::fs::read_to_string(checkout().join(&path))?);
        let rules = rules(&text, name).with_context(|| format!("{CONFIG}/{file} has no role {name}"))?;
        files.push((chart_file(rules_file), rules));
        files.push((path, text));
    }
    Ok(files)
}

fn chart_file(name: &str) -> PathBuf {
    Path::new("charts/steamer/files").join(name)
}

/// A kustomization of files in its folder. Kustomize cannot load files outside its own folder, only other folders.
pub(crate) fn kustomization(names: &[String]) -> String {
    let resources: String = names.iter().map(|name| format!("  - {name}\n")).collect();
    format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}")
}

/// A role with the current list of kinds in every marked line. All other rules are written by hand.
fn role(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", kinds(line).unwrap_or_else(|| line.to_owned()))).collect()
}

/// The line with the current list of kinds. `None` for a line written by hand.
fn kinds(line: &str) -> Option<String> {
    let marker = [EVERY_KIND, APPLICATION_KINDS].into_iter().find(|marker| line.ends_with(marker))?;
    let list = line.strip_suffix(marker)?;
    let (before, _) = list.split_once('[')?;
    let suffix = if list.contains("/status") { "/status" } else { "" };
    let is_listed = |kind: &&KindId| marker == EVERY_KIND || !kind.is(Property::Platform);
    let mut plurals: Vec<String> = KindId::ALL.iter().filter(is_listed).map(|kind| kind.plural()).collect();
    plurals.sort();
    let resources: Vec<String> = plurals.iter().map(|plural| format!("{plural}{suffix}")).collect();
    Some(format!("{before}[{}]{marker}", resources.join(", ")))
}

/// Rules of a role for the chart.
fn rules(text: &str, name: &str) -> Option<String> {
    let named = format!("name: {name}");
    let role = text.split("\n---\n").find(|role| role.lines().any(|line| line.trim() == named))?;
    let (_, rules) = role.split_once("rules:\n")?;
    Some(without_indent(rules))
}

/// Parts of the policy for the chart: the variables that do not depend on the installation, and the validations.
fn policy() -> Result<Vec<(PathBuf, String)>> {
    let policy = std::fs::read_to_string(checkout().join(ADMISSION))?;
    let between = |from: &str, to: &str| {
        let (_, text) = policy.split_once(from)?;
        let (text, _) = text.split_once(to)?;
        Some(without_indent(&without_indent(text)))
    };
    let part = |file: &str, from: &str, to: &str| {
        let text = between(from, to).with_context(|| format!("{ADMISSION} has no text after {from:?}"))?;
        anyhow::Ok((chart_file(file), text))
    };
    Ok(vec![
        part("policy-variables.yaml", "    # For every installation.\n", "  validations:\n")?,
        part("policy-validations.yaml", "  validations:\n", "---\n")?,
    ])
}

fn without_indent(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
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
        assert!(role.contains(" baoauthglobals/status, baoauthroles/status,"), "{role}");
        assert!(role.ends_with("  - resources: [pods]\n"), "{role}");
    }

    #[test]
    fn the_kinds_of_application_teams_do_not_include_those_of_the_platform() {
        let line = kinds("  resources: [] # application kinds").unwrap();
        assert!(line.contains("pipelinepolicies"), "{line}");
        let every = kinds("  resources: [] # every kind").unwrap();
        for plural in ["jwtissuers", "openbaoclusters", "secretstenants"] {
            assert!(!line.contains(plural) && every.contains(plural), "{line} {every}");
        }
    }

    #[test]
    fn every_role_has_rules_for_the_chart() {
        let roles = roles().unwrap();
        assert_eq!(roles.len(), 2 * ROLES.len());
        assert!(roles.iter().all(|(_, text)| !text.is_empty() && !text.contains("[]")), "{roles:?}");
    }
}
