//! The controller: selects namespaces, compares, writes, reports.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::Value;
use steamer_api::{BaoStaticSecret, ClusterBaoStaticSecret, ClusterBaoStaticSecretStatus, Kind, Mode};
use steamer_core::references::namespaces_key;
use steamer_core::{Context, Error};
use steamer_runtime::conditions::Verdict;
use steamer_runtime::write_limit::{Write, WriteLimit, digest};
use steamer_runtime::{Action, Dependencies, Key, ObjectName, Reason, Reconcile};

use super::child;
use super::outcome::{Outcome, Problem};
use super::step::{Found, Step, step};
use crate::engine::{Controller as SecretController, Engine};

/// Field manager of the writes.
const MANAGER: &str = "steamer";

/// Reconciles ClusterBaoStaticSecrets.
pub(crate) struct Controller {
    pub(super) context: Arc<Context>,
    /// Computes what BaoStaticSecrets would do that do not exist.
    pub(super) previews: SecretController<BaoStaticSecret>,
    limit: WriteLimit,
}

/// The BaoStaticSecret with the name of the template in the namespace of one with a former name. None: the namespace is not
/// selected.
pub(super) type Successor = Option<Option<Arc<BaoStaticSecret>>>;

/// A namespace, and its next step.
pub(super) struct Visit {
    pub(super) desired: BaoStaticSecret,
    pub(super) existing: Option<Arc<BaoStaticSecret>>,
    pub(super) step: Step,
}

impl Reconcile for Controller {
    type Object = ClusterBaoStaticSecret;
    type Error = Error;
    const NAME: &'static str = "clusterbaostaticsecret";

    async fn reconcile(
        &self,
        object: Arc<ClusterBaoStaticSecret>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        // The garbage collector of Kubernetes deletes the BaoStaticSecrets.
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Action::AwaitChange);
        }
        if object.spec.suspend {
            let last: ClusterBaoStaticSecretStatus = self.context.status(&*object);
            self.context.report(&*object, last, &Verdict::Suspended).await?;
            return Ok(Action::AwaitChange);
        }
        match object.spec.mode {
            Mode::Observe => self.observe(&object, dependencies).await,
            Mode::Enforce => self.run(&object, dependencies).await,
        }
    }

    fn forget(&self, name: &ObjectName) {
        self.limit.forget(name);
    }
}

impl Controller {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let context = engine.context.clone();
        Self { context, previews: SecretController::new(engine), limit: WriteLimit::default() }
    }

    async fn run(
        &self,
        object: &ClusterBaoStaticSecret,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        let namespaces = self.namespaces(object, dependencies);
        let (mut outcome, mut failed) = (Outcome::default(), None);
        for namespace in &namespaces {
            let problem = self.served(object, dependencies, namespace).await.unwrap_or_else(|error| {
                let problem = Problem::of(&error);
                failed.get_or_insert(error);
                Some(problem)
            });
            outcome.add(namespace, problem);
        }
        let pruned = self.prune(object, &namespaces).await;
        let status = outcome.recorded(self.context.status(object), Vec::new());
        match failed.map_or(pruned, Err) {
            Ok(()) => self.context.report(object, status, &outcome.verdict()).await?,
            Err(error) => {
                self.context.runtime.statuses.write(object, &status).await?;
                return Err(error);
            }
        }
        Ok(Action::AwaitChange)
    }

    /// The selected namespaces. One that is being deleted takes no new objects.
    pub(super) fn namespaces(
        &self,
        object: &ClusterBaoStaticSecret,
        dependencies: &Dependencies,
    ) -> BTreeSet<String> {
        dependencies.on(namespaces_key());
        let found = self.context.stores.of::<Namespace>().filter(|namespace| {
            namespace.metadata.deletion_timestamp.is_none()
                && object.spec.selects(&namespace.name_any(), namespace.labels())
        });
        found.iter().map(|namespace| namespace.name_any()).collect()
    }

    /// The next step for a namespace. A change of its BaoStaticSecret requeues the object.
    pub(super) fn visit(
        &self,
        object: &ClusterBaoStaticSecret,
        dependencies: &Dependencies,
        namespace: &str,
    ) -> Visit {
        let desired = child::desired(object, namespace);
        let name = ObjectName::of(&desired);
        // Before the lookup: a later change requeues the object.
        dependencies.on(Key::new(BaoStaticSecret::KIND, name.clone()));
        let store = self.context.stores.of::<BaoStaticSecret>();
        let existing = store.get(&name);
        let found = match &existing {
            _ if store.is_unreadable(&name) => Found::Unreadable,
            Some(existing) => Found::Object(existing),
            None => Found::Absent,
        };
        let step = step(object, &desired, &found);
        Visit { desired, existing, step }
    }

    /// Brings the BaoStaticSecret of a namespace to the desired state. Returns why it is not Ready.
    async fn served(
        &self,
        object: &ClusterBaoStaticSecret,
        dependencies: &Dependencies,
        namespace: &str,
    ) -> Result<Option<Problem>, Error> {
        let Visit { desired, existing: _, step } = self.visit(object, dependencies, namespace);
        match step {
            Step::Settled => Ok(None),
            Step::Blocked(problem) => Ok(Some(problem)),
            Step::Create => self.write(object, &desired, None).await.map(Some),
            Step::Patch(patch) => self.write(object, &desired, Some(&patch)).await.map(Some),
        }
    }

    /// Creates or patches a BaoStaticSecret. Its next version requeues the object.
    async fn write(
        &self,
        object: &ClusterBaoStaticSecret,
        desired: &BaoStaticSecret,
        patch: Option<&Value>,
    ) -> Result<Problem, Error> {
        let (owner, name) = (ObjectName::of(object), ObjectName::of(desired));
        let write = write(desired, patch, self.context.drift_interval);
        self.limit.admit(&owner, write, Instant::now()).map_err(|pause| {
            let text = format!("another client undoes each write of BaoStaticSecret {name}: stop it");
            Error::Repeated(text, pause)
        })?;
        match self.send(desired, patch).await {
            Ok(_) => self.limit.record(&owner, write, Instant::now()),
            Err(kube::Error::Api(status)) if is_overtaken(&status) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Problem::progressing(Reason::Waiting, format!("BaoStaticSecret {name} was written just now")))
    }

    async fn send(
        &self,
        desired: &BaoStaticSecret,
        patch: Option<&Value>,
    ) -> Result<BaoStaticSecret, kube::Error> {
        let (api, manager) = (self.api(&desired.namespace().unwrap_or_default()), Some(MANAGER.to_owned()));
        match patch {
            None => {
                let parameters = PostParams { field_manager: manager, ..PostParams::default() };
                api.create(&parameters, desired).await
            }
            Some(patch) => {
                let parameters = PatchParams { field_manager: manager, ..PatchParams::default() };
                api.patch(&desired.name_any(), &parameters, &Patch::Merge(patch)).await
            }
        }
    }

    /// The BaoStaticSecrets of namespaces that are not selected, and those with a former name. Each with the BaoStaticSecret that
    /// has the name of the template, if its namespace is selected.
    pub(super) fn unwanted(
        &self,
        object: &ClusterBaoStaticSecret,
        namespaces: &BTreeSet<String>,
    ) -> Vec<(Arc<BaoStaticSecret>, Successor)> {
        let (name, store) = (child::name(object), self.context.stores.of::<BaoStaticSecret>());
        let unwanted = store.filter(|found| {
            child::is_owned(found, object)
                && found.metadata.deletion_timestamp.is_none()
                && !(found.name_any() == name && namespaces.contains(&found.namespace().unwrap_or_default()))
        });
        let successor = |found: &BaoStaticSecret| {
            let namespace = found.namespace().unwrap_or_default();
            let is_selected = namespaces.contains(&namespace);
            is_selected.then(|| store.get(&ObjectName::new(&namespace, &name)))
        };
        let with_successor = |found: Arc<BaoStaticSecret>| {
            let successor = successor(&found);
            (found, successor)
        };
        unwanted.into_iter().map(with_successor).collect()
    }

    /// Deletes the BaoStaticSecrets of namespaces that are no longer selected, and those with a former name that are replaced:
    /// a namespace that cannot get the new one keeps its Secret.
    async fn prune(
        &self,
        object: &ClusterBaoStaticSecret,
        namespaces: &BTreeSet<String>,
    ) -> Result<(), Error> {
        for (found, successor) in self.unwanted(object, namespaces) {
            if successor.is_none_or(|current| child::is_replaced(current.as_deref(), object)) {
                self.delete(&found).await?;
                // A namespace that is selected again gets a new one, which repairs nothing.
                self.limit.reset(&ObjectName::of(object), digest(&ObjectName::of(&*found)));
            }
        }
        Ok(())
    }

    async fn delete(&self, found: &BaoStaticSecret) -> Result<(), Error> {
        let preconditions = Some(Preconditions { uid: found.uid(), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        match self.api(&found.namespace().unwrap_or_default()).delete(&found.name_any(), &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn api(&self, namespace: &str) -> Api<BaoStaticSecret> {
        Api::namespaced(self.context.client.clone(), namespace)
    }
}

/// The write of a BaoStaticSecret, for the limit of repeated writes. A new desired state is no repetition.
fn write(desired: &BaoStaticSecret, patch: Option<&Value>, interval: Duration) -> Write {
    Write {
        resource: digest(&ObjectName::of(desired)),
        desired: digest(&format!("{:?} {:?}", desired.spec, desired.metadata)),
        before: digest(&patch.map(|patch| patch["spec"].to_string())),
        interval,
    }
}

/// Returns true if the object or its namespace was changed or deleted in the meantime. The watches requeue the object.
fn is_overtaken(status: &kube::core::Status) -> bool {
    let is_terminating = status.code == 403 && status.message.contains("because it is being terminated");
    status.is_conflict() || status.is_not_found() || status.is_already_exists() || is_terminating
}
