//! Customizations of Argo CD for all kinds: health scripts, actions, and their test data in the layout of Argo CD's
//! repository.

mod lua;
mod states;

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use steamer_api::KindId;

use crate::cache;

pub use lua::{Lua, Use};
pub use states::{State, states};

/// Actions, by the name of their file.
pub const ACTIONS: [&str; 5] = ["reconcile", "restart", "resume", "step-down", "suspend"];

/// A script of `config/argocd`, such as `health` or `actions/suspend`.
///
/// # Errors
/// When the file cannot be read.
pub fn script(name: &str) -> Result<String> {
    let path = cache::checkout().join("config/argocd").join(format!("{name}.lua"));
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The keys of the ConfigMap `argocd-cm` for all kinds, as a patch.
///
/// # Errors
/// As [`script`].
pub fn config_map() -> Result<String> {
    let health = indented(&script("health")?, 4);
    let mut text =
        "# Generated from health.lua and actions/: keys of the ConfigMap argocd-cm.\ndata:\n".to_owned();
    for kind in KindId::ALL {
        let _ = write!(text, "  resource.customizations.health.steamer.dev_{kind}: |\n{health}");
        let _ = write!(text, "  resource.customizations.actions.steamer.dev_{kind}: |\n{}", actions(*kind)?);
    }
    Ok(text)
}

/// The definition of the actions of a kind.
fn actions(kind: KindId) -> Result<String> {
    let mut text =
        format!("    discovery.lua: |\n{}    definitions:\n", indented(&script("actions/discovery")?, 6));
    for action in actions_of(kind) {
        let script = indented(&script(&format!("actions/{action}"))?, 10);
        let _ = write!(text, "      - name: {action}\n        action.lua: |\n{script}");
    }
    Ok(text)
}

/// The actions that a kind can have.
pub fn actions_of(kind: KindId) -> impl Iterator<Item = &'static str> {
    let can_be_suspended = can_be_suspended(kind);
    ACTIONS.into_iter().filter(move |action| match *action {
        "suspend" | "resume" => can_be_suspended,
        "restart" | "step-down" => kind == KindId::OpenBaoCluster,
        _ => true,
    })
}

/// Returns true if the spec of the kind has a field `suspend`.
#[must_use]
pub fn can_be_suspended(kind: KindId) -> bool {
    // The definitions are derived from all types, which takes a while.
    static SUSPENDABLE: LazyLock<Vec<String>> = LazyLock::new(|| {
        let field = "/openAPIV3Schema/properties/spec/properties/suspend";
        let has_field = |definition: &CustomResourceDefinition| {
            let schema = serde_json::to_value(&definition.spec.versions[0].schema);
            schema.is_ok_and(|schema| schema.pointer(field).is_some())
        };
        let definitions = steamer_api::definitions().into_iter().filter(has_field);
        definitions.map(|definition| definition.spec.names.kind).collect()
    });
    SUSPENDABLE.iter().any(|name| name == kind.as_str())
}

fn indented(text: &str, spaces: usize) -> String {
    let indent = " ".repeat(spaces);
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{indent}{line}\n") })
        .collect()
}

/// The files of all kinds below `resource_customizations` of Argo CD's repository.
///
/// # Errors
/// As [`script`].
pub fn customizations() -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    for kind in KindId::ALL {
        let folder = PathBuf::from(format!("steamer.dev/{kind}"));
        files.push((folder.join("health.lua"), script("health")?));
        files.push((folder.join("health_test.yaml"), health_test()?));
        for state in states() {
            files.push((folder.join(format!("testdata/{}.yaml", state.name)), yaml(&state.object(*kind))?));
        }
        files.push((folder.join("actions/discovery.lua"), script("actions/discovery")?));
        for action in actions_of(*kind) {
            let path = folder.join(format!("actions/{action}/action.lua"));
            files.push((path, script(&format!("actions/{action}"))?));
        }
        files.push((folder.join("actions/action_test.yaml"), discovery_test(*kind)?));
        for suspended in [false, true] {
            let path = folder.join(format!("actions/testdata/{}.yaml", name_of(suspended)));
            files.push((path, yaml(&subject(*kind, suspended))?));
        }
    }
    Ok(files)
}

fn health_test() -> Result<String> {
    let test = |state: &State| {
        let health = json!({"status": state.health, "message": state.message()});
        json!({"inputPath": format!("testdata/{}.yaml", state.name), "healthStatus": health})
    };
    yaml(&json!({"tests": states().iter().map(test).collect::<Vec<_>>()}))
}

/// The tests of the discovery, and of the actions whose result does not contain the time.
fn discovery_test(kind: KindId) -> Result<String> {
    let discovery = |suspended: bool| {
        let result: Vec<Value> = expected_actions(kind, suspended)
            .into_iter()
            .map(|(name, disabled)| json!({"name": name, "disabled": disabled}))
            .collect();
        json!({"inputPath": format!("testdata/{}.yaml", name_of(suspended)), "result": result})
    };
    let mut test = json!({"discoveryTests": [discovery(false), discovery(true)]});
    if can_be_suspended(kind) {
        let action = |name: &str, from: bool| {
            let path = |suspended| format!("testdata/{}.yaml", name_of(suspended));
            json!({"action": name, "inputPath": path(from), "expectedOutputPath": path(!from)})
        };
        test["actionTests"] = json!([action("suspend", false), action("resume", true)]);
    }
    yaml(&test)
}

/// Names of the actions of an object, and whether they are disabled.
#[must_use]
pub fn expected_actions(kind: KindId, suspended: bool) -> Vec<(&'static str, bool)> {
    let suspended = suspended && can_be_suspended(kind);
    actions_of(kind).map(|name| (name, if name == "resume" { !suspended } else { suspended })).collect()
}

fn name_of(suspended: bool) -> &'static str {
    if suspended { "suspended" } else { "active" }
}

/// An object for the tests of actions.
#[must_use]
pub fn subject(kind: KindId, suspended: bool) -> Value {
    let mut object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": kind.as_str(),
        "metadata": {"name": "example", "namespace": "web", "annotations": {"example.com/kept": "yes"}}, "spec": {},
    });
    if can_be_suspended(kind) {
        object["spec"]["suspend"] = suspended.into();
    }
    if kind == KindId::OpenBaoCluster {
        object["spec"]["managed"] = json!({"version": crate::tools::OPENBAO});
    }
    object
}

fn yaml(value: &Value) -> Result<String> {
    Ok(serde_saphyr::to_string(value)?)
}
