//! Dedicated servers for one measurement, and an operator that can be started and stopped.

use std::collections::HashSet;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::discovery::ApiResource;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use steamer_testing::Ground;
use steamer_testing::ground::apply;
use steamer_testing::installation::install_root_scope;
use steamer_testing::operator::{Operator, RunningOperator};
use steamer_testing::wait::eventually;

/// Watches objects until `enough` returns true.
pub(super) async fn seen<K>(api: Api<K>, mut enough: impl FnMut(&K) -> bool) -> Result<()>
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let wait = async {
        while let Some(event) = events.try_next().await? {
            if let Event::Apply(object) | Event::InitApply(object) = event
                && enough(&object)
            {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(Duration::from_secs(600), wait).await.context("not complete within 10 minutes")?
}

/// Waits until the given number of objects of a kind is Ready.
pub(super) async fn all_ready<K>(rig: &Rig, objects: usize) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + 'static,
{
    let mut ready = HashSet::new();
    seen(Api::<K>::namespaced(rig.client.clone(), NAMESPACE), |object| {
        if is_ready(object) {
            ready.insert(object.name_any());
        }
        ready.len() >= objects
    })
    .await
}

/// Waits until the given number of objects of a kind by its name is Ready.
pub(super) async fn all_ready_of(rig: &Rig, kind: &str, objects: usize) -> Result<()> {
    let api = rig.api(kind).await?;
    let ready = async {
        loop {
            let list = api.list(&ListParams::default()).await?;
            if list.iter().filter(is_ready).count() >= objects {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), ready).await.context("not complete within 10 minutes")?
}

/// Waits until an object is Ready, and returns it.
pub(super) async fn ready_object(rig: &Rig, kind: &str, name: &str) -> Result<DynamicObject> {
    let api = rig.api(kind).await?;
    eventually(&format!("{kind} {name} is Ready"), || async {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        if is_ready(&object) { Ok(object) } else { Err(object.data["status"].to_string()) }
    })
    .await
}

fn is_ready(object: &impl Serialize) -> bool {
    let object = serde_json::to_value(object).unwrap_or_default();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// A Steamer object in the namespace of the objects.
pub(super) fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    })
}

/// Namespace of the objects.
pub(super) const NAMESPACE: &str = "bench";

pub(super) struct Rig {
    pub(super) ground: Arc<Ground>,
    pub(super) client: Client,
    operator: Operator,
    running: Option<RunningOperator>,
}

impl Rig {
    /// Starts new servers with namespace `bench` and the OpenBaoCluster `main` in it, but no operator.
    pub(super) async fn new(servers: &Arc<Ground>, operator: &Path, name: String) -> Result<Self> {
        // Names of databases and folders must have a static lifetime.
        let ground = servers.apart(name.leak()).await?;
        let client = ground.client().await?;
        let operator = Operator {
            binary: Some(operator.to_owned()),
            arguments: vec!["--log-level=info".to_owned()],
            ..ground.operator.clone()
        };
        let rig = Self { ground, client, operator, running: None };
        rig.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await?;
        let ca = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca", "namespace": NAMESPACE},
            "stringData": {"ca.crt": rig.ground.openbao.ca},
        });
        rig.apply(ca).await?;
        let spec = json!({
            "external": {
                "address": rig.ground.openbao.url, "caSecretRef": {"name": "ca"},
                "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}},
            },
            "jwtAudience": "https://bao.example.com",
        });
        rig.object("OpenBaoCluster", "main", spec).await?;
        Ok(rig)
    }

    pub(super) async fn apply(&self, object: Value) -> Result<()> {
        apply(&self.client, object).await.map(drop)
    }

    /// Applies a Steamer object.
    pub(super) async fn object(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        self.objects(kind, [(name.to_owned(), spec)]).await
    }

    /// Applies many Steamer objects, 32 at a time.
    pub(super) async fn objects(
        &self,
        kind: &str,
        specs: impl IntoIterator<Item = (String, Value)>,
    ) -> Result<()> {
        let api = self.api(kind).await?;
        let applied = stream::iter(specs).map(|(name, spec)| {
            let api = api.clone();
            async move {
                let object = manifest(kind, &name, &spec);
                let parameters = PatchParams::apply("bench").force();
                api.patch(&name, &parameters, &Patch::Apply(&object)).await.map(drop)
            }
        });
        applied.buffer_unordered(32).try_collect::<()>().await.with_context(|| kind.to_owned())
    }

    /// The API of a kind by its name.
    pub(super) async fn api(&self, kind: &str) -> Result<Api<DynamicObject>> {
        let gvk = kube::core::GroupVersionKind::gvk("steamer.dev", "v1alpha1", kind);
        let (resource, _): (ApiResource, _) = kube::discovery::pinned_kind(&self.client, &gvk).await?;
        Ok(Api::namespaced_with(self.client.clone(), NAMESPACE, &resource))
    }

    /// Adds an argument of the operator.
    pub(super) fn argument(&mut self, argument: &str) {
        self.operator.arguments.push(argument.to_owned());
    }

    /// Lets the cluster `main` create resources in every namespace of its OpenBao.
    pub(super) async fn root_scope(&self) -> Result<()> {
        install_root_scope(&self.ground.openbao).await?;
        let scope = Patch::Merge(json!({"spec": {"operatorScope": "Root"}}));
        self.api("OpenBaoCluster").await?.patch("main", &PatchParams::default(), &scope).await?;
        Ok(())
    }

    /// Sets the address of OpenBao in the cluster `main`.
    pub(super) async fn openbao_at(&self, url: &str) -> Result<()> {
        let external = json!({"address": url, "allowPlaintext": true});
        let address = Patch::Merge(json!({"spec": {"external": external}}));
        self.api("OpenBaoCluster").await?.patch("main", &PatchParams::default(), &address).await?;
        Ok(())
    }

    /// Replaces the kubeconfig of the operator, and returns the former one.
    pub(super) fn replace_kubeconfig(&mut self, kubeconfig: PathBuf) -> PathBuf {
        std::mem::replace(&mut self.operator.kubeconfig, kubeconfig)
    }

    /// Deletes the objects of a kind whose names start with a text, while no operator runs: without the cleanup of finalizers.
    pub(super) async fn discard(&self, kind: &str, start: &str) -> Result<()> {
        let api = &self.api(kind).await?;
        let none = &Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let objects = api.list(&ListParams::default()).await?;
        let names: Vec<String> =
            objects.iter().map(ResourceExt::name_any).filter(|name| name.starts_with(start)).collect();
        let deleted = stream::iter(names).map(|name| async move {
            api.patch(&name, &PatchParams::default(), none).await?;
            api.delete(&name, &DeleteParams::default()).await?;
            anyhow::Ok(())
        });
        deleted.buffer_unordered(32).try_collect().await
    }

    /// Starts the operator. Returns the time of the start.
    pub(super) async fn start(&mut self) -> Result<Instant> {
        let operator = self.operator.clone();
        let started = Instant::now();
        self.running = Some(self.ground.at_home(async move { operator.start() }).await?);
        Ok(started)
    }

    /// Terminates the operator gracefully, so that the next one need not wait for its lease.
    pub(super) fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some(mut running) => running.process.terminate().map(drop),
            None => Ok(()),
        }
    }

    /// Waits until the operator is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        self.running.as_mut().context("the operator is not running")?.ready().await
    }

    /// Returns the resident memory of the operator in MiB.
    pub(super) fn memory(&self) -> Result<f64> {
        Ok(self.running.as_ref().context("the operator is not running")?.process.memory()? as f64 / 1024.0)
    }

    /// Returns the CPU time of the operator in seconds.
    pub(super) fn processor_time(&self) -> Result<f64> {
        self.running.as_ref().context("the operator is not running")?.process.processor_time()
    }
}
