//! What the objects of every general kind have in common: creation, drift, `mode: Observe`, adoption, conflict, deletion.

use anyhow::{Context, Result};
use kube::api::{DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Map, Value, json};
use steamer_openbao::{Error, Session};
use steamer_testing::audit;
use steamer_testing::installation::install_root_scope;
use steamer_testing::openbao::OpenBao;
use steamer_testing::wait::eventually;

use crate::drift;
use crate::fixture::{Case, check_ready, ready_of};
use crate::openbao_outage::gone;

/// An OpenBao whose cluster `own` has `operatorScope: Root`.
pub struct Scene {
    pub case: Case,
    pub openbao: OpenBao,
    pub admin: Session,
}

/// An object of a general kind, and how a person makes its resource by hand.
pub struct Subject<'a> {
    pub kind: &'a str,
    pub name: &'a str,
    pub spec: Value,
    /// Path of the resource.
    pub path: &'a str,
    /// Requests that make the same resource. The resource must not exist.
    pub by_hand: Vec<(&'a str, Value)>,
    /// Requests that change the resource, one for each parameter.
    pub drift: Vec<(&'a str, Value)>,
}

impl Scene {
    pub async fn new(name: &'static str) -> Result<Self> {
        let case = Case::new(name).await?;
        let openbao = case.ground.own_openbao(name).await?;
        install_root_scope(&openbao).await?;
        case.cluster("own", &openbao).await?;
        let admin = openbao.admin()?;
        let scene = Self { case, openbao, admin };
        scene.change("OpenBaoCluster", "own", json!({"spec": {"operatorScope": "Root"}})).await?;
        Ok(scene)
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.admin.request_any(Method::POST, path, Some(body)).await.with_context(|| path.to_owned())
    }

    /// As the function [`state`].
    pub async fn state(&self, path: &str) -> Result<Option<Value>> {
        state(&self.admin, path).await
    }

    /// Applies an object of the cluster `own`. A DatabaseRole belongs to the cluster of its connection.
    pub async fn apply(&self, kind: &str, name: &str, mut spec: Value) -> Result<()> {
        if kind != "DatabaseRole" {
            spec["clusterRef"] = json!({"name": "own"});
        }
        self.case.object(kind, name, spec).await.map(drop)
    }

    pub async fn change(&self, kind: &str, name: &str, patch: Value) -> Result<()> {
        let api = self.case.dynamic(kind)?;
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop).map_err(Into::into)
    }

    /// Requests a reconcile.
    pub async fn nudge(&self, kind: &str, name: &str) -> Result<()> {
        drift::nudge(&self.case, kind, name).await
    }

    /// Waits until `Ready` of the current generation starts with `expected`, and returns the object.
    pub async fn ready(&self, kind: &str, name: &str, expected: &str) -> Result<Value> {
        let api = self.case.dynamic(kind)?;
        eventually(&format!("{kind} {name} is {expected}"), || async {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let object = serde_json::to_value(&object).map_err(|error| error.to_string())?;
            check_ready(&object, expected).map(|()| object)
        })
        .await
    }

    /// Waits until a pass over the current generation has reported that the object is suspended.
    async fn suspended(&self, kind: &str, name: &str) -> Result<()> {
        let api = self.case.dynamic(kind)?;
        eventually(&format!("{kind} {name} is suspended"), || async {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let object = serde_json::to_value(&object).map_err(|error| error.to_string())?;
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            let mut suspended = conditions.into_iter().flatten().filter(|it| it["type"] == "Suspended");
            let is_current =
                object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
            if is_current && suspended.any(|it| it["status"] == "True") {
                Ok(())
            } else {
                Err(object.to_string())
            }
        })
        .await
    }

    /// Requests of the operator with one of the operations, from the audit log: operation and path. `path` starts at the root
    /// namespace, or at that of the request.
    fn requests(&self, operations: &[&str], path: &str) -> Result<Vec<String>> {
        self.logged("response", operations, path)
    }

    /// As [`Self::requests`], from the lines that OpenBao logs before (`request`) or after (`response`) it executes a request.
    fn logged(&self, line_type: &str, operations: &[&str], path: &str) -> Result<Vec<String>> {
        let entries = audit::entries(&self.openbao.audit, "\"display_name\":\"kubernetes-")?;
        let found = entries.iter().filter(|line| {
            let requested = &line["request"];
            let asked = requested["path"].as_str().unwrap_or_default();
            let namespace = requested.pointer("/namespace/path").and_then(Value::as_str).unwrap_or_default();
            line["type"] == line_type
                && is_of_operator(line)
                && operations.iter().any(|operation| requested["operation"] == *operation)
                && (asked.starts_with(path) || format!("{namespace}{asked}").starts_with(path))
                && !asked.ends_with("/login")
                && asked != "auth/token/revoke-self"
                && !asked.starts_with("sys/capabilities-self")
        });
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        Ok(found
            .map(|it| format!("{} {}", text(&it["request"]["operation"]), text(&it["request"]["path"])))
            .collect())
    }

    fn count(&self, operations: &[&str], path: &str) -> Result<usize> {
        Ok(self.requests(operations, path)?.len())
    }

    /// Number of writes of the operator.
    pub fn writes(&self) -> Result<usize> {
        Ok(self.written()?.len())
    }

    /// Writes of the operator: operation and path.
    pub fn written(&self) -> Result<Vec<String>> {
        self.requests(&["create", "update", "patch", "delete"], "")
    }

    /// As [`Self::written`], with writes that OpenBao has begun.
    pub fn begun(&self) -> Result<Vec<String>> {
        self.logged("request", &["create", "update", "patch", "delete"], "")
    }

    /// Waits for a complete pass. A pass starts with a read of the resource.
    pub async fn pass(&self, kind: &str, name: &str, path: &str) -> Result<()> {
        drift::passes(&self.case, kind, name, || self.count(&["read"], path)).await
    }

    /// Waits until the resource has a state.
    pub async fn becomes(&self, path: &str, expected: Option<&Value>) -> Result<()> {
        eventually(&format!("{path} has the expected state"), || async {
            let state = self.state(path).await.map_err(|error| format!("{error:#}"))?;
            if state.as_ref() == expected {
                Ok(())
            } else {
                Err(format!("{state:?} instead of {expected:?}"))
            }
        })
        .await
    }

    pub async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        let api = self.case.dynamic(kind)?;
        api.delete(name, &DeleteParams::default()).await?;
        gone(&api, name).await.with_context(|| format!("{kind} {name}"))
    }
}

/// Returns true for an entry of the audit log with a request of the operator, which logs in at the auth mount `kubernetes`.
pub fn is_of_operator(entry: &Value) -> bool {
    entry["auth"]["display_name"].as_str().is_some_and(|name| name.starts_with("kubernetes-"))
}

/// What OpenBao returns for a resource, without times, versions and generated IDs. None if it does not exist.
pub async fn state(admin: &Session, path: &str) -> Result<Option<Value>> {
    let mut answer = match admin.request_any(Method::GET, path, None).await {
        Ok(mut answer) => answer["data"].take(),
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    forget(&mut answer, &["version", "modified", "cas_required", "id", "canonical_id", "modify_index"]);
    // The versions of a Transit key, by their times.
    forget(&mut answer, &["creation_time", "last_update_time", "accessor", "uuid", "keys"]);
    Ok(Some(answer))
}

/// Removes fields from a value, wherever they are.
fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|value| forget(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| forget(value, names)),
        _ => {}
    }
}

/// Another value for each parameter of a resource, as a request of its own.
pub fn altered<'a>(
    path: &'a str,
    state: &Value,
    parameters: &[&str],
    needed: &Value,
) -> Vec<(&'a str, Value)> {
    let none = Map::new();
    let state = state.as_object().unwrap_or(&none);
    let request = |name: &&str| {
        let mut body = needed.clone();
        body[*name] = other(state.get(*name).unwrap_or(&Value::Null));
        (path, body)
    };
    parameters.iter().map(request).collect()
}

fn other(value: &Value) -> Value {
    match value {
        Value::Bool(value) => json!(!value),
        Value::Number(number) => json!(number.as_i64().unwrap_or_default() + 60),
        Value::Array(items) => {
            let further =
                items.first().and_then(Value::as_str).map_or("other".to_owned(), |item| format!("{item}9"));
            json!([further])
        }
        Value::Object(_) => json!({"other": "value"}),
        Value::String(text) => json!(format!("{text}-other")),
        Value::Null => json!("other"),
    }
}

/// Checks an object of a general kind from its creation to its deletion.
pub async fn check(scene: &Scene, subject: &Subject<'_>) -> Result<()> {
    let Subject { kind, name, spec, path, .. } = subject;
    scene.apply(kind, name, spec.clone()).await?;
    scene.ready(kind, name, "True/Applied").await?;
    let right = scene.state(path).await?.with_context(|| format!("{path} does not exist"))?;
    let before = scene.writes()?;
    scene.pass(kind, name, path).await?;
    assert_eq!(scene.writes()?, before, "a settled {kind} was written");
    drifts(scene, subject, &right).await?;
    let wrong = observes(scene, subject).await?;
    suspends(scene, subject, (&right, &wrong)).await?;
    scene.delete(kind, name).await?;
    scene.becomes(path, None).await?;
    adopts(scene, subject, &right).await?;
    scene.delete(kind, name).await?;
    scene.becomes(path, None).await
}

async fn drifts(scene: &Scene, subject: &Subject<'_>, right: &Value) -> Result<()> {
    let Subject { kind, name, path, .. } = subject;
    for (changed, body) in &subject.drift {
        let writes = scene.writes()?;
        scene.post(changed, body.clone()).await?;
        // A pass of the operator can repair the change before it is read.
        let is_effective = scene.state(path).await?.as_ref() != Some(right) || scene.writes()? > writes;
        assert!(is_effective, "{body} changes nothing");
        scene.nudge(kind, name).await?;
        scene.becomes(path, Some(right)).await.with_context(|| body.to_string())?;
    }
    let writes = scene.writes()?;
    scene.admin.request_any(Method::DELETE, path, None).await?;
    // OpenBao deletes a namespace in the background. A pass of the operator can create it again before it is read.
    eventually(&format!("{path} is deleted"), || async {
        let state = scene.state(path).await.map_err(|error| format!("{error:#}"))?;
        let is_written = scene.writes().map_err(|error| format!("{error:#}"))? > writes;
        if state.is_none() || is_written { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await?;
    scene.nudge(kind, name).await?;
    scene.becomes(path, Some(right)).await?;
    // Also the parts of the resource.
    scene.pass(kind, name, path).await?;
    scene.ready(kind, name, "True/Applied").await.map(drop)
}

/// Makes drift that is only reported, and returns the state with it.
async fn observes(scene: &Scene, subject: &Subject<'_>) -> Result<Option<Value>> {
    let Subject { kind, name, path, .. } = subject;
    let (changed, body) = subject.drift.first().context("no drift")?;
    scene.change(kind, name, json!({"spec": {"mode": "Observe"}})).await?;
    scene.ready(kind, name, "True/Observed").await?;
    scene.post(changed, body.clone()).await?;
    let wrong = scene.state(path).await?;
    scene.nudge(kind, name).await?;
    let object = scene.ready(kind, name, "True/Drifted").await?;
    assert_eq!(object.pointer("/status/plan/0/operation"), Some(&json!("Update")), "{object}");
    assert_eq!(scene.state(path).await?, wrong, "Observe changed {path}");
    Ok(wrong)
}

/// A suspended object repairs nothing until it is resumed.
async fn suspends(
    scene: &Scene,
    subject: &Subject<'_>,
    (right, wrong): (&Value, &Option<Value>),
) -> Result<()> {
    let Subject { kind, name, path, .. } = subject;
    let before = scene.writes()?;
    scene.change(kind, name, json!({"spec": {"mode": "Enforce", "suspend": true}})).await?;
    scene.suspended(kind, name).await?;
    assert_eq!(scene.state(path).await?, *wrong, "a suspended {kind} changed {path}");
    assert_eq!(scene.writes()?, before, "a suspended {kind} wrote");
    scene.change(kind, name, json!({"spec": {"suspend": false}})).await?;
    scene.becomes(path, Some(right)).await
}

/// An existing resource is a conflict, and is adopted without a write.
async fn adopts(scene: &Scene, subject: &Subject<'_>, right: &Value) -> Result<()> {
    let Subject { kind, name, path, .. } = subject;
    for (made, body) in &subject.by_hand {
        scene.post(made, body.clone()).await?;
    }
    assert_eq!(scene.state(path).await?.as_ref(), Some(right), "the resource that is made by hand");
    let before = scene.writes()?;
    scene.apply(kind, name, subject.spec.clone()).await?;
    let object = scene.ready(kind, name, "False/Conflict").await?;
    assert!(ready_of(&object).contains("set adopt: IfUnowned"), "{object}");
    scene.change(kind, name, json!({"spec": {"adopt": "IfUnowned"}})).await?;
    scene.ready(kind, name, "True/Applied").await?;
    assert_eq!(scene.writes()?, before, "the adoption of {path} made writes");
    assert_eq!(scene.state(path).await?.as_ref(), Some(right));
    Ok(())
}
