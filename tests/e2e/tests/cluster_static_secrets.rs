//! A ClusterBaoStaticSecret in namespaces that appear, conflict, drift and disappear.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, ClusterBaoStaticSecret};
use steamer_testing::audit;
use steamer_testing::ground::apply;
use steamer_testing::openbao::mount_kv;
use steamer_testing::wait::eventually;

use crate::fixture::{Case, ready_of};
use crate::observed::{planned, written};
use crate::openbao_outage::gone;
use crate::static_secrets::auth;

const NAME: &str = "spread";
const NAMESPACES: [&str; 3] = ["spread-a", "spread-b", "spread-c"];

/// The test with its objects.
struct Spread {
    case: Case,
    objects: Api<ClusterBaoStaticSecret>,
}

fn spec() -> Value {
    json!({
        "authRef": {"name": "shared", "namespace": NAME}, "mount": NAME, "path": "app", "type": "kv-v2",
        "refreshAfter": "1s", "destination": {"name": "pull", "create": true},
    })
}

impl Spread {
    /// Creates the namespaces `spread-a` and `spread-c` with the label, `spread-b` without it, and a BaoAuth for those with it.
    async fn new() -> Result<Self> {
        let case = Case::new(NAME).await?;
        let admin = case.admin()?;
        mount_kv(&admin, NAME).await?;
        case.role(NAME, json!({format!("{NAME}/*"): {"capabilities": ["read"]}}), "10m").await?;
        let role = json!({
            "bound_service_account_names": ["default"], "bound_service_account_namespaces": NAMESPACES,
            "audience": "openbao", "token_policies": [NAME], "token_ttl": "10m",
        });
        admin.request_any(Method::POST, &format!("auth/kubernetes/role/{NAME}"), Some(role)).await?;
        for (namespace, labels) in
            NAMESPACES.into_iter().zip([json!({NAME: "on"}), json!({}), json!({NAME: "on"})])
        {
            case.make_namespace(namespace, labels).await?;
        }
        let mut shared = auth(NAME);
        let selector = json!({"matchLabels": {NAME: "on"}});
        shared["allowedNamespaces"] = json!({"from": "Selector", "selector": selector});
        case.object("BaoAuth", "shared", shared).await?;
        let objects = Api::all(case.client.clone());
        Ok(Self { case, objects })
    }

    async fn create(&self) -> Result<()> {
        let spec = json!({
            "namespaceSelectors": [{"matchExpressions": [{"key": NAME, "operator": "In", "values": ["on"]}]}],
            "template": {"metadata": {"labels": {"from": "platform"}}, "spec": spec()},
        });
        let object = json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "ClusterBaoStaticSecret", "metadata": {"name": NAME},
            "spec": spec,
        });
        apply(&self.case.client, object).await.map(drop)
    }

    fn children(&self, namespace: &str) -> Api<BaoStaticSecret> {
        Api::namespaced(self.case.client.clone(), namespace)
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.case.client.clone(), namespace)
    }

    /// Waits for `Ready`, and for the numbers of selected and provisioned namespaces.
    async fn is(&self, ready: &str, counts: (i64, i64)) -> Result<ClusterBaoStaticSecret> {
        eventually(&format!("the object is {ready} {counts:?}"), || async {
            let object = self.objects.get(NAME).await.map_err(|error| error.to_string())?;
            let status = object.status.clone().unwrap_or_default();
            let seen = ready_of(&json!(object));
            let found = (status.selected.unwrap_or(-1), status.provisioned.unwrap_or(-1));
            if seen.starts_with(ready) && found == counts {
                Ok(object)
            } else {
                Err(format!("{seen} {found:?}"))
            }
        })
        .await
    }

    async fn follows(&self, namespaces: &[&str], value: &str) -> Result<()> {
        for namespace in namespaces {
            eventually(&format!("the Secret of {namespace} has the value {value}"), || async {
                let secret = self.secrets(namespace).get("pull").await.map_err(|error| error.to_string())?;
                let data = secret.data.unwrap_or_default();
                data.get("a")
                    .is_some_and(|found| found.0 == value.as_bytes())
                    .then_some(())
                    .ok_or_else(|| format!("{:?}", data.keys()))
            })
            .await?;
        }
        Ok(())
    }

    async fn label(&self, namespace: &str, label: &str, value: Value) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.case.client.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": {label: value}}}));
        namespaces.patch(namespace, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Writes of the operator to the object, and to the BaoStaticSecrets in its namespaces except their statuses.
    fn writes(&self) -> Result<usize> {
        let entries = audit::entries(&self.case.ground.plane.audit, "baostaticsecrets")?;
        Ok(entries.iter().filter(|entry| is_write(entry)).count())
    }
}

fn is_write(line: &Value) -> bool {
    let (target, verb) = (&line["objectRef"], line["verb"].as_str().unwrap_or_default());
    let is_child = target["resource"] == "baostaticsecrets"
        && target["subresource"].is_null()
        && NAMESPACES.iter().any(|namespace| target["namespace"] == *namespace);
    let is_object = target["resource"] == "clusterbaostaticsecrets" && target["name"] == NAME;
    line["user"]["username"] == "system:serviceaccount:steamer-system:steamer"
        && ["create", "update", "patch", "delete"].contains(&verb)
        && (is_child || is_object)
}

#[tokio::test]
async fn a_secret_is_distributed_to_the_selected_namespaces() -> Result<()> {
    let spread = Spread::new().await?;
    let admin = spread.case.admin()?;
    admin.write_kv2(NAME, "app", &json!({"a": "1"})).await?;
    // An object of someone else is a conflict of its namespace, and of no other.
    let mut foreign = spec();
    foreign["suspend"] = json!(true);
    spread.case.object_in("spread-c", "BaoStaticSecret", NAME, foreign).await?;
    spread.create().await?;
    let object = spread.is("False/Conflict", (2, 1)).await?;
    let failed = object.status.unwrap_or_default().failed;
    assert_eq!((failed[0].namespace.as_str(), failed[0].reason.as_str()), ("spread-c", "Conflict"));
    spread.follows(&["spread-a"], "1").await?;
    assert_eq!(spread.children("spread-a").get(NAME).await?.labels()["from"], "platform");

    spread.children("spread-c").delete(NAME, &DeleteParams::default()).await?;
    spread.is("True/Applied", (2, 2)).await?;
    spread.label("spread-b", NAME, json!("on")).await?;
    spread.is("True/Applied", (3, 3)).await?;
    spread.follows(&NAMESPACES, "1").await?;

    // Drift is undone: an edited spec, and a deleted object.
    let edit = Patch::Merge(json!({"spec": {"destination": {"name": "other"}, "namespace": "other"}}));
    spread.children("spread-b").patch(NAME, &PatchParams::default(), &edit).await?;
    let old = spread.children("spread-a").get(NAME).await?.uid();
    spread.children("spread-a").delete(NAME, &DeleteParams::default()).await?;
    eventually("the BaoStaticSecrets are restored", || async {
        let get = async |namespace: &str| {
            spread.children(namespace).get(NAME).await.map_err(|error| error.to_string())
        };
        let (edited, deleted) = (get("spread-b").await?, get("spread-a").await?);
        let restored = edited.spec.destination.name == "pull" && edited.spec.namespace.is_none();
        (restored && deleted.uid() != old).then_some(()).ok_or_else(|| format!("{:?}", edited.spec))
    })
    .await?;
    spread.is("True/Applied", (3, 3)).await?;

    // Settled: new values and reconciles of the object write neither the object nor the BaoStaticSecrets.
    let before = spread.writes()?;
    spread.label("spread-a", "other", json!("x")).await?;
    admin.write_kv2(NAME, "app", &json!({"a": "2"})).await?;
    spread.follows(&NAMESPACES, "2").await?;
    assert_eq!(spread.writes()?, before, "a settled object was written");

    // No longer selected: the BaoStaticSecret is deleted, and its Secret with it.
    spread.label("spread-c", NAME, Value::Null).await?;
    gone(&spread.secrets("spread-c"), "pull").await?;
    spread.is("True/Applied", (2, 2)).await?;
    spread.objects.delete(NAME, &DeleteParams::default()).await?;
    for namespace in ["spread-a", "spread-b"] {
        gone(&spread.children(namespace), NAME).await?;
        gone(&spread.secrets(namespace), "pull").await?;
    }
    Ok(())
}

/// Applies an object that reads for namespaces, and waits for `Ready` and its plan.
async fn previewed(
    case: &Case,
    changes: Value,
    ready: &str,
    plan: &[&str],
) -> Result<ClusterBaoStaticSecret> {
    let mut spec = json!({
        "namespaces": ["preview"],
        "template": {"spec": {
            "mount": "preview", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
            "destination": {"name": "pull", "create": true},
        }},
    });
    for (pointer, value) in changes.as_object().into_iter().flatten() {
        let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = spec.pointer_mut(parent) {
            parent[field] = value.clone();
        }
    }
    let object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "ClusterBaoStaticSecret", "metadata": {"name": "preview"},
        "spec": spec,
    });
    let generation = apply(&case.client, object).await?.metadata.generation;
    let objects: Api<ClusterBaoStaticSecret> = Api::all(case.client.clone());
    eventually(&format!("the object is {ready} with the plan {plan:?}"), || async {
        let object = objects.get("preview").await.map_err(|error| error.to_string())?;
        let status = object.status.clone().unwrap_or_default();
        let (seen, found) = (ready_of(&json!(object)), planned(&status.plan));
        let is_current = Some(status.common.observed_generation) == generation;
        if is_current && seen.starts_with(ready) && found == plan {
            Ok(object)
        } else {
            Err(format!("{seen} {found:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn an_object_that_observes_lists_the_changes_of_each_namespace_and_writes_nothing() -> Result<()> {
    let case = Case::new("preview").await?;
    let admin = case.admin()?;
    mount_kv(&admin, "preview").await?;
    case.role("preview", json!({"preview/*": {"capabilities": ["read"]}}), "10m").await?;
    case.object("BaoAuth", "default", auth("preview")).await?;
    admin.write_kv2("preview", "app", &json!({"a": "canary"})).await?;
    let writes = || written(&case, &["secrets", "baostaticsecrets"]);

    let new = ["Create preview/BaoStaticSecret/preview", "Create preview/Secret/pull/a"];
    let first = previewed(&case, json!({"/mode": "Observe"}), "True/Drifted", &new).await?;
    ensure!(!serde_json::to_string(&first)?.contains("canary"), "the status contains a value");
    let status = first.status.unwrap_or_default();
    assert_eq!((status.selected, status.provisioned), (Some(1), Some(0)));
    assert_eq!(writes()?, [""; 0]);

    previewed(&case, json!({}), "True/Applied", &[]).await?;
    previewed(&case, json!({"/mode": "Observe"}), "True/Observed", &[]).await?;
    let before = writes()?;
    let label = json!({"/mode": "Observe", "/template/spec/destination/labels": {"team": "web"}});
    let edited = ["Update preview/BaoStaticSecret/preview", "Update preview/Secret/pull"];
    previewed(&case, label, "True/Drifted", &edited).await?;
    let unselected = json!({"/mode": "Observe", "/namespaces": ["preview-absent"]});
    let removed = ["Delete preview/BaoStaticSecret/preview", "Delete preview/Secret/pull"];
    previewed(&case, unselected, "True/Drifted", &removed).await?;
    assert_eq!(writes()?, before);

    let objects: Api<ClusterBaoStaticSecret> = Api::all(case.client.clone());
    objects.delete("preview", &DeleteParams::default()).await?;
    gone(&case.api::<BaoStaticSecret>(), "preview").await
}
