//! The fixture that most tests start with.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, Resource, ResourceExt};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use steamer_api::{BaoStaticSecret, KindId, Property};
use steamer_openbao::Session;
use steamer_testing::Ground;
use steamer_testing::ground::apply;
use steamer_testing::openbao::OpenBao;
use steamer_testing::wait::eventually;

/// A dedicated Kubernetes namespace for one test, on the shared ground.
pub struct Case {
    pub ground: Arc<Ground>,
    pub client: Client,
    pub namespace: String,
    /// All namespaces of the test.
    namespaces: Mutex<Vec<String>>,
}

impl Drop for Case {
    /// Ends the work for the objects of the test. Otherwise the operator, which all tests share, would check them against
    /// OpenBao until the last test has ended.
    fn drop(&mut self) {
        let namespaces = std::mem::take(self.namespaces.get_mut().unwrap_or_else(PoisonError::into_inner));
        Ground::after_test(&self.ground, |ground| async move {
            let client = ground.client().await?;
            for namespace in namespaces {
                stop_work(&client, &namespace).await?;
            }
            Ok(())
        });
    }
}

/// Suspends or deletes the objects of a namespace.
async fn stop_work(client: &Client, namespace: &str) -> Result<()> {
    let secrets = Api::<BaoStaticSecret>::namespaced(client.clone(), namespace);
    secrets.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    // The deletion of the others would revoke leases and remove resources. A kind comes after the kinds that refer to it.
    for kind in KindId::ALL.iter().rev().copied().filter(|kind| is_suspended(*kind)) {
        suspend(client, namespace, kind).await?;
    }
    Ok(())
}

/// Returns true for a kind whose objects cause work in OpenBao, and are suspended after a test.
fn is_suspended(kind: KindId) -> bool {
    kind.is(Property::Lifecycle)
        || matches!(
            kind,
            KindId::BaoDynamicSecret | KindId::BaoPKISecret | KindId::JWTIssuer | KindId::OpenBaoCluster
        )
}

async fn suspend(client: &Client, namespace: &str, kind: KindId) -> Result<()> {
    let api = dynamic(client, namespace, kind);
    let patch = Patch::Merge(json!({"spec": {"suspend": true}}));
    for object in api.list(&ListParams::default()).await? {
        api.patch(&object.name_any(), &PatchParams::default(), &patch).await?;
    }
    Ok(())
}

/// Returns the API of a kind in a namespace, for objects whose type is not known.
fn dynamic(client: &Client, namespace: &str, kind: KindId) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

fn resource(kind: KindId) -> ApiResource {
    let gvk = GroupVersionKind::gvk(steamer_api::GROUP, steamer_api::VERSION, kind.as_str());
    ApiResource::from_gvk_with_plural(&gvk, &kind.plural())
}

/// Waits until all objects of Steamer are Ready, in all namespaces. kubectl would need a process for each look.
pub async fn all_ready(client: &Client) -> Result<()> {
    eventually("all objects are Ready", || async {
        for kind in KindId::ALL {
            all_of_kind_ready(client, *kind).await?;
        }
        Ok::<(), String>(())
    })
    .await
}

/// Fails with the first object of a kind that is not Ready.
async fn all_of_kind_ready(client: &Client, kind: KindId) -> Result<(), String> {
    let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
    for object in objects.list(&ListParams::default()).await.map_err(|error| error.to_string())? {
        let seen = ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?);
        if !seen.starts_with("True/") {
            return Err(format!("{kind} {}: {seen}", object.name_any()));
        }
    }
    Ok(())
}

impl Case {
    /// Creates the namespace, and in it the OpenBaoCluster `main`, which refers to the shared OpenBao.
    pub async fn new(name: &str) -> Result<Self> {
        let ground = Ground::shared();
        ground.operator_runs()?;
        Self::on(ground, name).await
    }

    /// Same as [`Case::new`], on another ground.
    pub async fn on(ground: Arc<Ground>, name: &str) -> Result<Self> {
        let client = ground.client().await?;
        let case = Self::of(ground, client, name);
        case.make_namespace(name, json!({})).await?;
        case.cluster("main", &case.ground.openbao).await?;
        Ok(case)
    }

    /// The fixture of a namespace that already exists.
    pub fn of(ground: Arc<Ground>, client: Client, namespace: &str) -> Self {
        Self { ground, client, namespace: namespace.to_owned(), namespaces: Mutex::default() }
    }

    pub async fn make_namespace(&self, name: &str, labels: Value) -> Result<()> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        apply(&self.client, namespace).await?;
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(self.client.clone(), name);
        eventually("the namespace has its ServiceAccount", || async {
            accounts.get("default").await.map_err(|error| error.to_string())
        })
        .await
        .map(drop)
    }

    /// Applies an OpenBaoCluster that every namespace may refer to.
    pub async fn cluster(&self, name: &str, openbao: &OpenBao) -> Result<()> {
        self.cluster_at(name, openbao, &openbao.url).await
    }

    /// Same as [`Case::cluster`], at another URL.
    pub async fn cluster_at(&self, name: &str, openbao: &OpenBao, url: &str) -> Result<()> {
        let ca = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("{name}-ca"), "namespace": self.namespace},
            "stringData": {"ca.crt": openbao.ca},
        });
        apply(&self.client, ca).await?;
        let spec = json!({
            "external": {
                "address": url, "allowPlaintext": url.starts_with("http:"), "caSecretRef": {"name": format!("{name}-ca")},
                "managementAuth": {"kubernetes": {"role": "steamer", "audience": openbao.audience}},
            },
            "jwtAudience": "https://bao.example.com",
            "allowedNamespaces": {"from": "All"},
        });
        self.object("OpenBaoCluster", name, spec).await.map(drop)
    }

    /// Applies a Steamer object in the test's namespace.
    pub async fn object(&self, kind: &str, name: &str, spec: Value) -> Result<DynamicObject> {
        self.object_in(&self.namespace, kind, name, spec).await
    }

    /// Applies a Steamer object in any namespace.
    pub async fn object_in(
        &self,
        namespace: &str,
        kind: &str,
        name: &str,
        spec: Value,
    ) -> Result<DynamicObject> {
        self.reserve(&spec);
        let object = json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec,
        });
        apply(&self.client, object).await
    }

    /// Reserves the group of a SecretsTenant. Tests share an OpenBao, so that a group of two tests belongs to the test
    /// that comes first.
    fn reserve(&self, spec: &Value) {
        static OWNERS: Mutex<BTreeMap<(String, i64, i64), String>> = Mutex::new(BTreeMap::new());
        let number = |field: &str| spec.get(field).and_then(Value::as_i64);
        if let (Some(organization), Some(group)) = (number("organizationId"), number("groupId")) {
            let key = (self.ground.openbao.url.clone(), organization, group);
            let mut owners = OWNERS.lock().unwrap_or_else(PoisonError::into_inner);
            let owner = owners.entry(key).or_insert_with(|| self.namespace.clone());
            assert_eq!(*owner, self.namespace, "group {group} of organization {organization} has two tests");
        }
    }

    /// Returns an API of the test's namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Returns an API of the test's namespace for a kind by its name.
    pub fn dynamic(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let kind = KindId::parse(kind).with_context(|| format!("{kind} is no kind of Steamer"))?;
        Ok(dynamic(&self.client, &self.namespace, kind))
    }

    /// Waits until `Ready` of the current generation starts with `expected`, such as `True/Applied`, and returns the
    /// object.
    pub async fn ready<K>(&self, name: &str, expected: &str) -> Result<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let found = ready_in(&self.api(), name, expected).await;
        found.with_context(|| format!("logs: {}", self.ground.logs.display()))
    }

    /// Waits until `Ready` starts with `reason`, such as `False/Conflict`, and contains a text.
    pub async fn says<K>(&self, name: &str, reason: &str, text: &str) -> Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let api = self.api::<K>();
        eventually(&format!("{} {name} says {text}", K::kind(&())), || async {
            let object = api.get(name).await.map_err(|error| error.to_string())?;
            let seen = ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?);
            if seen.starts_with(reason) && seen.contains(text) { Ok(()) } else { Err(seen) }
        })
        .await
    }

    /// Creates a policy with `paths`, and a role of the Kubernetes auth method of the same name that grants it to every
    /// ServiceAccount of the test's namespace.
    pub async fn role(&self, name: &str, paths: Value, ttl: &str) -> Result<()> {
        let admin = self.admin()?;
        let policy = json!({"policy": json!({"path": paths}).to_string()});
        admin.request_any(Method::POST, &format!("sys/policies/acl/{name}"), Some(policy)).await?;
        let role = json!({
            "bound_service_account_names": ["*"], "bound_service_account_namespaces": [self.namespace],
            "audience": "openbao", "token_policies": [name], "token_ttl": ttl,
        });
        admin.request_any(Method::POST, &format!("auth/kubernetes/role/{name}"), Some(role)).await?;
        Ok(())
    }

    /// Returns a session of OpenBao's administrator.
    pub fn admin(&self) -> Result<Session> {
        self.ground.openbao.admin()
    }
}

/// Same as [`Case::ready`], in any namespace.
pub async fn ready_in<K>(api: &Api<K>, name: &str, expected: &str) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let kind = K::kind(&());
    eventually(&format!("{kind} {name} is {expected}"), || async {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let value = serde_json::to_value(&object).map_err(|error| error.to_string())?;
        check_ready(&value, expected).map(|()| object)
    })
    .await
}

/// Fails with what `Ready` states, unless it is of the current generation and starts with `expected`.
pub fn check_ready(object: &Value, expected: &str) -> Result<(), String> {
    let seen = ready_of(object);
    let current = object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation");
    if current && seen.starts_with(expected) { Ok(()) } else { Err(seen) }
}

/// Returns `Ready` of an object as `status/reason: message`.
pub fn ready_of(object: &Value) -> String {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
    let text = |name: &str| ready.and_then(|ready| ready[name].as_str()).unwrap_or("-").to_owned();
    format!("{}/{}: {}", text("status"), text("reason"), text("message"))
}
