//! A ClusterBaoStaticSecret in namespaces that appear, conflict, drift and disappear.

use anyhow::Result;
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
