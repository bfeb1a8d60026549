//! Checks of the Helm charts and of the kustomizations in `config/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use steamer_testing::cache::checkout;
use steamer_testing::tools::{self, output};

/// Typical values of the chart, each with a name.
const CASES: &[(&str, &[&str])] = &[
    ("defaults", &[]),
    ("one replica", &["--set", "replicas=1,podDisruptionBudget.enabled=false,openshift=true"]),
    ("namespaces", &["--set", "watchNamespaces={web,api},clusterNamespaces={openbao}"]),
    (
        "all features",
        &[
            "--set",
            "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true,networkPolicy.enabled=true,installationId=home",
        ],
    ),
    ("own account", &["--set", "serviceAccount.create=false,serviceAccount.name=mine,rbac.create=false"]),
];

/// Without a Kubernetes version, Helm assumes an old one.
const TEMPLATE: [&str; 6] =
    ["template", "steamer", "--namespace", "steamer-system", "--kube-version", "1.34.0"];

/// Values that the schema of the chart rejects.
const WRONG: &[&str] = &[
    "replicas=many",
    "logLevl=debug",
    "leaseDuration=soon",
    "image.digest=latest",
    "watchNamespaces={Web}",
    "podDisruptionBudget.minAvailable=some",
];

/// Values that are set as a whole.
const WHOLE: &[&str] = &["resources", "podSecurityContext", "securityContext"];

/// Effect of a value, an entry of `chart-values.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Effect {
    set: String,
    to: Value,
    /// Values that it requires.
    #[serde(default)]
    with: BTreeMap<String, Value>,
    /// Text that appears.
    shows: Option<String>,
    /// Text that disappears.
    hides: Option<String>,
}

/// Lints and renders the charts, and builds the kustomizations.
///
/// # Errors
/// When a chart fails to lint or render, or accepts an invalid value.
pub(crate) fn check() -> Result<()> {
    let helm = tools::helm()?;
    let chart = |name: &str| checkout().join("charts").join(name);
    for name in ["steamer", "steamer-crds"] {
        output(Command::new(&helm).args(["lint", "--strict"]).arg(chart(name)))?;
    }
    output(Command::new(&helm).args(["template", "crds"]).arg(chart("steamer-crds")))?;
    for (name, values) in CASES {
        let rendered = output(Command::new(&helm).args(TEMPLATE).arg(chart("steamer")).args(*values));
        let documents = steamer_testing::ground::yaml(
            &rendered.with_context(|| format!("cannot render chart steamer with values: {name}"))?,
        )?;
        println!("chart steamer, {name}: {} objects", documents.len());
    }
    for values in WRONG {
        let rendered =
            output(Command::new(&helm).args(TEMPLATE).arg(chart("steamer")).args(["--set", values]));
        ensure!(rendered.is_err(), "chart steamer accepts the invalid value {values}");
    }
    effects(&helm)?;
    kustomize()
}

/// Checks that every value has the effect that `chart-values.yaml` describes.
fn effects(helm: &Path) -> Result<()> {
    let path = checkout().join("xtask/chart-values.yaml");
    let effects: Vec<Effect> = serde_saphyr::from_str(&std::fs::read_to_string(path)?)?;
    let values: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(checkout().join("charts/steamer/values.yaml"))?)?;
    let mut paths = Vec::new();
    leaves("", &values, &mut paths);
    let untested: Vec<&String> =
        paths.iter().filter(|path| !effects.iter().any(|effect| effect.set == **path)).collect();
    ensure!(untested.is_empty(), "values without an entry in xtask/chart-values.yaml: {untested:?}");
    for effect in &effects {
        effect.check(helm).with_context(|| format!("value {} of chart steamer", effect.set))?;
    }
    println!("chart steamer: {} values with their effects", effects.len());
    Ok(())
}

/// Paths of the values that can be set.
fn leaves(path: &str, value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !WHOLE.contains(&path) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, value, paths);
            }
        }
        _ => paths.push(path.to_owned()),
    }
}

impl Effect {
    fn check(&self, helm: &Path) -> Result<()> {
        let before = rendered(helm, &self.with)?;
        let mut values = self.with.clone();
        values.insert(self.set.clone(), self.to.clone());
        let after = rendered(helm, &values)?;
        if let Some(text) = &self.shows {
            ensure!(after.contains(text) && !before.contains(text), "{} does not add {text:?}", self.to);
        }
        if let Some(text) = &self.hides {
            ensure!(before.contains(text) && !after.contains(text), "{} does not remove {text:?}", self.to);
        }
        ensure!(self.shows.is_some() || self.hides.is_some(), "the entry has neither `shows` nor `hides`");
        Ok(())
    }
}

fn rendered(helm: &Path, values: &BTreeMap<String, Value>) -> Result<String> {
    let mut command = Command::new(helm);
    command.args(TEMPLATE).arg(checkout().join("charts/steamer"));
    command
        .args(values.iter().flat_map(|(path, value)| ["--set-json".to_owned(), format!("{path}={value}")]));
    output(&mut command)
}

/// Builds the kustomizations, which install the same objects without Helm.
fn kustomize() -> Result<()> {
    for folder in ["config/default", "config/samples", "config/namespaced", "config/vso"] {
        println!("{folder}: {} objects", built(folder)?.len());
    }
    namespaced(&built("config/namespaced")?)
}

/// Objects of a kustomization.
fn built(folder: &str) -> Result<Vec<Value>> {
    let kubectl = tools::kubernetes("kubectl")?;
    steamer_testing::ground::yaml(&output(
        Command::new(kubectl).arg("kustomize").arg(checkout().join(folder)),
    )?)
}

/// Checks that an installation for some namespaces grants the rights for namespaced objects in these only.
fn namespaced(objects: &[Value]) -> Result<()> {
    let names = |kind: &str| {
        let of_kind = objects.iter().filter(|object| object["kind"] == kind);
        let place =
            |object: &Value| format!("{} {}", object["roleRef"]["name"], object["metadata"]["namespace"]);
        let mut names: Vec<String> = of_kind.map(place).collect();
        names.sort();
        names.join(", ").replace('"', "")
    };
    let bindings = "steamer steamer-system, steamer-clusters openbao, steamer-delivery apps, steamer-delivery openbao, \
                    steamer-delivery steamer-system, steamer-restarts apps, steamer-restarts openbao, \
                    steamer-restarts steamer-system";
    ensure!(names("ClusterRoleBinding") == "steamer null", "{}", names("ClusterRoleBinding"));
    ensure!(names("RoleBinding") == bindings, "{}", names("RoleBinding"));
    let arguments = objects.iter().find_map(|object| object.pointer("/spec/template/spec/containers/0/args"));
    let expected = json!(["run", "--watch-namespaces=apps", "--cluster-namespaces=openbao"]);
    ensure!(arguments == Some(&expected), "{arguments:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_that_can_be_set_is_a_leaf() {
        let mut paths = Vec::new();
        leaves("", &json!({"a": {"b": 1, "c": {}}, "resources": {"limits": {}}, "d": []}), &mut paths);
        paths.sort();
        assert_eq!(paths, ["a.b", "a.c", "d", "resources"]);
    }
}
