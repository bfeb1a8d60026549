//! Allowed dependencies between the crates of the workspace.

use serde_json::Value;

/// Workspace crates that each operator crate may depend on, for every kind of dependency: normal, build and dev.
const ALLOWED: &[(&str, &[&str])] = &[
    ("steamer-api", &[]),
    ("steamer-openbao", &[]),
    ("steamer-runtime", &[]),
    ("steamer-template", &[]),
    ("steamer-core", &["steamer-api", "steamer-openbao", "steamer-runtime", "steamer-convert"]),
    ("steamer-cluster", FAMILY),
    ("steamer-provisioning", FAMILY),
    ("steamer-delivery", FAMILY),
    ("steamer-convert", &["steamer-api", "steamer-template"]),
    ("steamer-import", &["steamer-api", "steamer-openbao", "steamer-convert", "steamer-core"]),
    ("steamer-relay", &["steamer-openbao", "steamer-runtime"]),
    // A leaf as `steamer`. `explain` decides about a token as the roles that the family of projects writes.
    (
        "steamer-cli",
        &[
            "steamer-api",
            "steamer-openbao",
            "steamer-runtime",
            "steamer-core",
            "steamer-provisioning",
            "steamer-convert",
            "steamer-import",
        ],
    ),
    (
        "steamer",
        &[
            "steamer-api",
            "steamer-cli",
            "steamer-runtime",
            "steamer-core",
            "steamer-cluster",
            "steamer-provisioning",
            "steamer-delivery",
            "steamer-convert",
            "steamer-relay",
            "steamer-openbao",
        ],
    ),
];

/// Dependencies of a family of kinds. Families never depend on each other.
const FAMILY: &[&str] =
    &["steamer-api", "steamer-openbao", "steamer-runtime", "steamer-template", "steamer-core"];

/// Crates that are never shipped. They may depend on every crate, and no operator crate may depend on them.
const DEVELOPMENT: &[&str] = &["steamer-testing", "steamer-e2e", "xtask"];

/// Dependencies that [`ALLOWED`] does not list, in the output of `cargo metadata`.
pub(super) fn problems(metadata: &Value) -> Vec<String> {
    let members: Vec<&str> = packages(metadata).filter_map(name).collect();
    packages(metadata).flat_map(|package| problems_of(package, metadata, &members)).collect()
}

/// Name and manifest of every crate below `operator/` that is part of the product.
pub(super) fn operator_crates(metadata: &Value) -> impl Iterator<Item = (&str, &str)> {
    packages(metadata)
        .filter(|package| is_operator_crate(package, metadata))
        .filter_map(|package| Some((name(package)?, package["manifest_path"].as_str()?)))
}

fn problems_of(package: &Value, metadata: &Value, members: &[&str]) -> Vec<String> {
    let Some(name) = name(package).filter(|_| is_operator_crate(package, metadata)) else {
        return Vec::new();
    };
    let Some((_, allowed)) = ALLOWED.iter().find(|(listed, _)| *listed == name) else {
        return vec![format!("unknown crate {name}: add it to ALLOWED in xtask/src/verify/crates.rs")];
    };
    dependencies(package)
        .filter(|dependency| members.contains(dependency) || DEVELOPMENT.contains(dependency))
        .filter(|dependency| !allowed.contains(dependency))
        .map(|dependency| format!("{name} must not depend on {dependency}: remove it from its Cargo.toml"))
        .collect()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"].as_array().into_iter().flatten().filter_map(name)
}

fn name(entry: &Value) -> Option<&str> {
    entry["name"].as_str()
}

fn is_operator_crate(package: &Value, metadata: &Value) -> bool {
    let root = metadata["workspace_root"].as_str().unwrap_or_default();
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    let below_operator =
        manifest.strip_prefix(root).is_some_and(|path| path.trim_start_matches('/').starts_with("operator/"));
    below_operator && !name(package).is_some_and(|name| DEVELOPMENT.contains(&name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Name and kind of each dependency.
    type Dependencies<'a> = &'a [(&'a str, Option<&'a str>)];

    /// Metadata of a workspace with `crates`: name, folder, dependencies.
    fn workspace(crates: &[(&str, &str, Dependencies<'_>)]) -> Value {
        let packages: Vec<Value> = crates
            .iter()
            .map(|(name, folder, dependencies)| {
                let dependencies: Vec<Value> =
                    dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
                json!({
                    "name": name,
                    "manifest_path": format!("/project/{folder}/Cargo.toml"),
                    "dependencies": dependencies,
                })
            })
            .collect();
        json!({"workspace_root": "/project", "packages": packages})
    }

    #[test]
    fn dependencies_in_the_allowed_direction_pass() {
        let metadata = workspace(&[
            ("steamer-api", "operator/api", &[("serde", None)]),
            ("steamer-core", "operator/core", &[("steamer-api", None)]),
            ("steamer-delivery", "operator/delivery", &[("steamer-core", None), ("rstest", Some("dev"))]),
            ("steamer", "operator/bin", &[("steamer-delivery", None)]),
            ("steamer-testing", "operator/testing", &[("steamer-delivery", None)]),
            ("xtask", "xtask", &[("steamer-testing", None)]),
        ]);
        assert_eq!(problems(&metadata), Vec::<String>::new());
    }

    #[test]
    fn a_family_must_not_depend_on_another_family() {
        let metadata = workspace(&[
            ("steamer-cluster", "operator/cluster", &[("steamer-delivery", None)]),
            ("steamer-delivery", "operator/delivery", &[]),
        ]);
        let expected = "steamer-cluster must not depend on steamer-delivery: remove it from its Cargo.toml";
        assert_eq!(problems(&metadata), [expected]);
    }

    #[test]
    fn every_wrong_dependency_is_reported_whatever_its_kind() {
        let metadata = workspace(&[
            ("steamer-api", "operator/api", &[("steamer-runtime", Some("build"))]),
            ("steamer-runtime", "operator/runtime", &[("steamer-testing", Some("dev")), ("xtask", None)]),
            ("steamer-testing", "operator/testing", &[]),
        ]);
        let found = problems(&metadata);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("steamer-api must not depend on steamer-runtime"), "{found:?}");
        assert!(found[1].starts_with("steamer-runtime must not depend on steamer-testing"), "{found:?}");
        assert!(found[2].starts_with("steamer-runtime must not depend on xtask"), "{found:?}");
    }

    #[test]
    fn an_unknown_operator_crate_must_be_added_to_the_table() {
        let metadata = workspace(&[("steamer-new", "operator/new", &[]), ("tool", "tools/tool", &[])]);
        let expected = "unknown crate steamer-new: add it to ALLOWED in xtask/src/verify/crates.rs";
        assert_eq!(problems(&metadata), [expected]);
    }
}
