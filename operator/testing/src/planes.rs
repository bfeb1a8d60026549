//! Control planes that grounds use one after another: a start costs ten seconds of processor time, a cleanup less than one.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::json;
use steamer_api::KindId;
use tokio::runtime::Handle;

use crate::control_plane::ControlPlane;
use crate::ground::OPERATOR_NAMESPACE;
use crate::installation::install;
use crate::wait::{PAUSE, eventually};

/// Namespaces of Kubernetes and of the operator. All others are those of tests.
const KEPT: [&str; 5] = ["default", "kube-node-lease", "kube-public", "kube-system", OPERATOR_NAMESPACE];

/// Control plane of one ground.
pub struct Plane {
    servers: Arc<ControlPlane>,
    /// Thread of the servers, if another ground uses the control plane afterwards.
    home: Option<Handle>,
}

/// Control planes that no ground uses.
struct Left {
    /// Number of control planes that were started for several grounds.
    started: usize,
    /// Those with Steamer and without any other object.
    clean: Vec<Arc<ControlPlane>>,
    /// Number of those that are cleaned.
    in_cleanup: usize,
}

static LEFT: Mutex<Left> = Mutex::new(Left { started: 0, clean: Vec::new(), in_cleanup: 0 });

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Plane {
    type Target = ControlPlane;

    fn deref(&self) -> &ControlPlane {
        &self.servers
    }
}

impl Plane {
    /// Control plane of one ground only.
    pub(crate) fn own(servers: ControlPlane) -> Self {
        Self { servers: Arc::new(servers), home: None }
    }

    /// Control plane with Steamer and without any other object: that of a ground that has ended, or a new one with its data and
    /// logs below these folders. The calling thread is that of the servers.
    pub(crate) async fn shared(folder: &Path, logs: &Path) -> Result<Self> {
        let servers = match clean_one().await {
            Some(servers) => servers,
            None => Arc::new(start(folder, logs).await?),
        };
        Ok(Self { servers, home: Some(Handle::current()) })
    }
}

impl Drop for Plane {
    /// Cleans the control plane for the next ground, on the thread of the servers.
    fn drop(&mut self) {
        let Some(home) = &self.home else { return };
        let servers = self.servers.clone();
        left().in_cleanup += 1;
        home.spawn(async move {
            let cleaned = clean(&servers).await;
            let mut left = left();
            left.in_cleanup -= 1;
            match cleaned {
                Ok(()) => left.clean.push(servers),
                Err(error) => eprintln!("cannot clean the control plane at {}: {error:#}", servers.url),
            }
        });
    }
}

/// A clean control plane. Waits while one is being cleaned, because a start takes longer.
async fn clean_one() -> Option<Arc<ControlPlane>> {
    loop {
        let (found, in_cleanup) = {
            let mut left = left();
            (left.clean.pop(), left.in_cleanup)
        };
        if found.is_some() || in_cleanup == 0 {
            return found;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn start(folder: &Path, logs: &Path) -> Result<ControlPlane> {
    let number = {
        let mut left = left();
        left.started += 1;
        left.started
    };
    let name = format!("plane-{number}");
    let (folder, logs) = (folder.join(&name), logs.join(&name));
    std::fs::create_dir_all(&folder)?;
    std::fs::create_dir_all(&logs)?;
    let plane = ControlPlane::start(&folder, &logs).await?;
    install(&plane.client().await?).await?;
    Ok(plane)
}

/// Deletes what was not installed. The operator and the test have ended.
async fn clean(plane: &ControlPlane) -> Result<()> {
    let client = plane.client().await?;
    let (parameters, all) = (DeleteParams::default(), ListParams::default());
    let leases: Api<Lease> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    leases.delete_collection(&parameters, &all).await?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    secrets.delete_collection(&parameters, &all).await?;
    release(&client).await?;
    eventually("the namespaces of the test are deleted", || async {
        without_namespaces(&client).await.map_err(|error| format!("{error:#}"))
    })
    .await
}

/// Removes the finalizers of all objects of Steamer, and deletes the objects outside of the namespaces of tests.
async fn release(client: &Client) -> Result<()> {
    let released = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    for kind in KindId::ALL {
        let gvk = GroupVersionKind::gvk(steamer_api::GROUP, steamer_api::VERSION, kind.as_str());
        let resource = ApiResource::from_gvk_with_plural(&gvk, &kind.plural());
        let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in everywhere.list(&ListParams::default()).await? {
            let (name, namespace) = (object.name_any(), object.namespace());
            let api: Api<DynamicObject> = match &namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => everywhere.clone(),
            };
            if !object.finalizers().is_empty() {
                unless_gone(api.patch(&name, &PatchParams::default(), &released).await)?;
            }
            if namespace.is_none_or(|namespace| KEPT.contains(&namespace.as_str())) {
                unless_gone(api.delete(&name, &DeleteParams::default()).await)?;
            }
        }
    }
    Ok(())
}

/// Fails while a namespace of a test exists, and deletes it.
async fn without_namespaces(client: &Client) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut remaining = Vec::new();
    for namespace in namespaces.list(&ListParams::default()).await? {
        let name = namespace.name_any();
        if KEPT.contains(&name.as_str()) {
            continue;
        }
        if namespace.metadata.deletion_timestamp.is_none() {
            unless_gone(namespaces.delete(&name, &DeleteParams::default()).await)?;
        }
        let conditions = namespace.status.and_then(|status| status.conditions).unwrap_or_default();
        // The last request of the operator can have added a finalizer after all others were removed.
        if conditions.iter().any(|it| it.type_ == "NamespaceFinalizersRemaining" && it.status == "True") {
            release(client).await?;
        }
        remaining.push(name);
    }
    ensure!(remaining.is_empty(), "remaining namespaces: {}", remaining.join(", "));
    Ok(())
}

fn unless_gone<T>(answer: Result<T, kube::Error>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        answer => Ok(answer.map(drop)?),
    }
}
