//! What GitOps tools conclude from objects: health and actions in Argo CD, status in Flux, and no differences after the
//! first apply.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use steamer_api::KindId;
use steamer_testing::Ground;
use steamer_testing::argocd::{self, Lua, State, Use, actions_of, expected_actions, script, states, subject};
use steamer_testing::cache::checkout;
use steamer_testing::ground::yaml;
use steamer_testing::installation::install;
use steamer_testing::kstatus::kstatus;
use steamer_testing::kubectl::{Kubectl, helm};
use steamer_testing::tools;
use steamer_testing::wait::eventually;

/// An object of each kind in each state.
fn all() -> Vec<(State, KindId, Value)> {
    let of_kind = |kind: &KindId| {
        let kind = *kind;
        states().into_iter().map(move |state| {
            let object = state.object(kind);
            (state, kind, object)
        })
    };
    KindId::ALL.iter().flat_map(of_kind).collect()
}

/// Health and actions are those that the customizations promise.
fn check_scripts(lua: &Lua) -> Result<()> {
    let (all, health) = (all(), script("health")?);
    let objects: Vec<Value> = all.iter().map(|(.., object)| object.clone()).collect();
    for ((state, kind, _), seen) in all.iter().zip(lua.run(&health, Use::Health, &objects)?) {
        let expected = json!({"status": state.health, "message": state.message()});
        ensure!(seen == expected, "{kind} {}: {seen}", state.name);
    }
    for kind in KindId::ALL {
        for suspended in [false, true] {
            let object = subject(*kind, suspended);
            let seen =
                lua.run(&script("actions/discovery")?, Use::Discovery, std::slice::from_ref(&object))?;
            let expected: Value = expected_actions(*kind, suspended)
                .into_iter()
                .map(|(name, disabled)| (name.to_owned(), json!({"disabled": disabled})))
                .collect::<serde_json::Map<_, _>>()
                .into();
            ensure!(seen == [expected], "{kind}: {seen:?}");
            for action in actions_of(*kind) {
                check_action(lua, action, &object)?;
            }
        }
    }
    Ok(())
}

/// An action changes one field and keeps everything else.
fn check_action(lua: &Lua, action: &str, object: &Value) -> Result<()> {
    let seen = lua.run(&script(&format!("actions/{action}"))?, Use::Action, std::slice::from_ref(object))?;
    let mut seen = seen.into_iter().next().context("the action returned no object")?;
    let mut expected = object.clone();
    match action {
        "suspend" | "resume" => expected["spec"]["suspend"] = json!(action == "suspend"),
        _ => {
            let annotations = seen["metadata"]["annotations"].as_object_mut().context("no annotations")?;
            let time = annotations.remove(&format!("steamer.dev/{action}")).unwrap_or_default();
            let is_time = time.as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok());
            ensure!(is_time, "{action}: {time}");
        }
    }
    // Lua has no empty objects: Argo CD restores them.
    if seen["spec"] == json!([]) {
        seen["spec"] = json!({});
    }
    ensure!(seen == expected, "{action}: {seen}");
    Ok(())
}

#[test]
fn argo_cd_shows_the_health_and_the_actions_of_every_kind_in_every_state() -> Result<()> {
    check_scripts(&Lua::interpreter()?)
}

#[test]
#[ignore = "builds Argo CD for minutes: `make gitops`"]
fn the_runner_of_argo_cd_computes_the_same_health_and_actions() -> Result<()> {
    check_scripts(&Lua::argo_cd()?)
}

#[test]
fn kstatus_is_the_expected_one_for_every_kind_in_every_state() -> Result<()> {
    let all = all();
    let objects: Vec<Value> = all.iter().map(|(.., object)| object.clone()).collect();
    for ((state, kind, _), seen) in all.iter().zip(kstatus(&objects)?) {
        ensure!(seen.split(' ').next() == Some(state.kstatus), "{kind} {}: {seen}", state.name);
    }
    Ok(())
}

#[test]
fn the_customizations_for_the_repository_of_argo_cd_are_complete() -> Result<()> {
    let files = argocd::customizations()?;
    for kind in KindId::ALL {
        for name in ["health.lua", "health_test.yaml", "actions/discovery.lua", "actions/action_test.yaml"] {
            let path = std::path::PathBuf::from(format!("steamer.dev/{kind}/{name}"));
            ensure!(files.iter().any(|(file, _)| *file == path), "{} is missing", path.display());
        }
    }
    let tests = files.iter().filter(|(file, _)| file.ends_with("health_test.yaml"));
    for (path, text) in tests {
        let tests: Value = serde_saphyr::from_str(text)?;
        for test in tests["tests"].as_array().context("no tests")? {
            let input = path.with_file_name(test["inputPath"].as_str().unwrap_or_default());
            ensure!(files.iter().any(|(file, _)| *file == input), "{} is missing", input.display());
        }
    }
    Ok(())
}

/// Output of kubectl for a folder.
async fn kubectl(kubectl: &Arc<Kubectl>, arguments: &[&str]) -> Result<String> {
    let (kubectl, arguments) =
        (kubectl.clone(), arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let run = move || kubectl.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await?
}

#[tokio::test]
async fn a_second_apply_of_all_samples_changes_nothing() -> Result<()> {
    let ground = Ground::shared().empty("gitops").await?;
    install(&ground.client().await?).await?;
    let tool = Arc::new(Kubectl::new(&ground.plane.kubeconfig)?);
    let folder = checkout().join("config/samples").display().to_string();
    let versions =
        ["get", "steamer", "--all-namespaces", "-o", "jsonpath={.items[*].metadata.resourceVersion}"];
    // Client-side apply, as `kubectl apply` and Argo CD by default.
    kubectl(&tool, &["apply", "--validate=strict", "-k", &folder]).await?;
    let before = kubectl(&tool, &versions).await?;
    ensure!(before.split(' ').count() > KindId::ALL.len(), "{before}");
    // Server-side apply, as Flux and Argo CD with ServerSideApply=true.
    let server_side = ["apply", "--server-side", "--force-conflicts", "--field-manager=flux", "-k", &folder];
    kubectl(&tool, &server_side).await?;
    kubectl(&tool, &["diff", "--server-side", "--field-manager=flux", "-k", &folder]).await?;
    let applied = kubectl(&tool, &versions).await?;
    kubectl(&tool, &server_side).await?;
    ensure!(kubectl(&tool, &versions).await? == applied, "the second server-side apply made a write");
    monitors_are_valid(&ground, &tool).await
}

/// The API server accepts the monitor, the alerts and the dashboards of the chart.
async fn monitors_are_valid(ground: &Ground, tool: &Arc<Kubectl>) -> Result<()> {
    for definition in
        tools::route_definitions()?.iter().filter(|path| path.to_string_lossy().contains("monitoring"))
    {
        kubectl(tool, &["apply", "--server-side", "-f", &definition.display().to_string()]).await?;
    }
    let values = ["serviceMonitor", "prometheusRule", "dashboards"]
        .map(|part| format!("--set=metrics.{part}.enabled=true"));
    let chart = checkout().join("charts/steamer").display().to_string();
    let mut arguments = vec!["template", "steamer", &chart, "--namespace=default", "--kube-version=1.34.0"];
    arguments.extend(values.iter().map(String::as_str));
    let rendered = helm(&ground.plane.kubeconfig, &arguments)?;
    let is_monitoring = |object: &Value| {
        matches!(object["kind"].as_str(), Some("ServiceMonitor" | "PrometheusRule" | "ConfigMap"))
    };
    let objects: Vec<Value> = yaml(&rendered)?.into_iter().filter(is_monitoring).collect();
    ensure!(objects.len() == 4, "{} objects", objects.len());
    let path = ground.folder.join("monitoring.json");
    std::fs::write(&path, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())?;
    let file = path.display().to_string();
    eventually("the API server accepts the objects", || async {
        let apply = ["apply", "--server-side", "--validate=strict", "--dry-run=server", "-f", &file];
        kubectl(tool, &apply).await.map_err(|error| error.to_string())
    })
    .await
    .map(drop)
}

#[tokio::test]
async fn the_examples_for_argo_cd_and_flux_are_valid() -> Result<()> {
    for folder in ["config/gitops/argocd", "config/gitops/flux"] {
        for entry in std::fs::read_dir(checkout().join(folder))? {
            let path = entry?.path();
            for object in yaml(&std::fs::read_to_string(&path)?)? {
                ensure!(
                    object["apiVersion"].is_string() && object["metadata"]["name"].is_string(),
                    "{}",
                    path.display()
                );
            }
        }
    }
    Ok(())
}
