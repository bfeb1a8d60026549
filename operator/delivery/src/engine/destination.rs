//! Writing the Secrets that Steamer owns: the first write is a create, later writes are guarded by the resource version,
//! Secrets of other owners stay.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::Value;
use steamer_core::access::named_objects::{NamedSecrets, secret_key};
use steamer_core::ownership::secret::Intent;
use steamer_core::ownership::{Claim, Mark};
use steamer_core::{Error, Stores};
use steamer_runtime::write_limit::WriteLimit;
use steamer_runtime::{Dependencies, ObjectName};

use super::frame::{Fit, Frame, Wanted};
use super::labels::MANAGED_BY;
use super::observed::{Observed, ObservedSecrets};
use super::repetition::write;
use super::stamp::Stamp;

/// Field manager of the writes.
const MANAGER: &str = "steamer";
/// How often a write is repeated that another client overtook.
pub(super) const ATTEMPTS: usize = 4;

/// Access to the destination Secrets.
pub(crate) struct Destinations {
    pub(crate) client: Client,
    pub(crate) observed: Arc<ObservedSecrets>,
    pub(crate) named: Arc<NamedSecrets>,
    pub(crate) stores: Stores,
    pub(crate) limit: WriteLimit,
    /// Interval of tools that write the same Secrets.
    pub(crate) interval: Duration,
}

impl Destinations {
    /// Brings the Secret to the desired state. Returns true if a write was necessary.
    pub(crate) async fn put(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        intent: Intent,
    ) -> Result<bool, Error> {
        let name = &wanted.frame.name;
        // Before the lookup: a later change requeues the object.
        dependencies.on(secret_key(name));
        let mut existing = self.current(name, intent).await?;
        for _ in 0..ATTEMPTS {
            let result = match &existing {
                Some(observed) => self.update(dependencies, wanted, intent, observed).await,
                None => self.create(wanted).await.map(|()| true),
            };
            match result {
                Err(error) if is_overtaken(&error) => existing = self.refresh(name).await?,
                result => return result,
            }
        }
        Err(contended(name))
    }

    /// The Secret. The watch does not report Secrets of other owners. A create finds them, except if a quota is used up:
    /// replacing a Secret needs no quota.
    async fn current(&self, name: &ObjectName, intent: Intent) -> Result<Option<Arc<Observed>>, Error> {
        match self.observed.get(name) {
            None if intent != Intent::Create => self.refresh(name).await,
            observed => Ok(observed),
        }
    }

    async fn update(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        intent: Intent,
        observed: &Observed,
    ) -> Result<bool, Error> {
        let frame = wanted.frame;
        let claim = self.claim(dependencies, frame, intent, observed).await?;
        if wanted.fits(observed) {
            return Ok(false);
        }
        writable(frame, claim, observed)?;
        let write = write(frame, &wanted.stamp.content, Some(observed), self.interval);
        self.limited(frame, write, self.replace(wanted, observed)).await.map(|()| true)
    }

    async fn replace(&self, wanted: &Wanted<'_>, observed: &Observed) -> Result<(), Error> {
        if wanted.replaces(observed) {
            return self.recreate(wanted, observed).await;
        }
        self.patch(&wanted.frame.name, wanted.patch(observed)).await
    }

    /// Replaces a Secret of another type, or an immutable one. It is deleted only if the API server accepts the new one. After
    /// a crash in between, the Secret is missing, and the next pass creates it.
    async fn recreate(&self, wanted: &Wanted<'_>, observed: &Observed) -> Result<(), Error> {
        let name = &wanted.frame.name;
        let parameters = PostParams { dry_run: true, ..parameters() };
        match self.api(&name.namespace).create(&parameters, &body(wanted)?).await {
            Ok(_) => {}
            // The API server validates the new Secret before it looks for an existing one.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(kept(name, observed, error)),
        }
        self.delete(name, observed).await?;
        self.post(wanted).await
    }

    async fn create(&self, wanted: &Wanted<'_>) -> Result<(), Error> {
        let write = write(wanted.frame, &wanted.stamp.content, None, self.interval);
        self.limited(wanted.frame, write, self.post(wanted)).await
    }

    async fn post(&self, wanted: &Wanted<'_>) -> Result<(), Error> {
        let name = &wanted.frame.name;
        let created = self.api(&name.namespace).create(&parameters(), &body(wanted)?).await?;
        self.observed.written(name, &created);
        Ok(())
    }

    /// Repairs labels, annotations and owner of the observed Secret, and its stamp if there is one. The write contains no data. Returns false if another
    /// client changed the Secret in the meantime.
    pub(crate) async fn put_frame(&self, frame: &Frame, stamp: Option<&Stamp>) -> Result<bool, Error> {
        let Some(observed) = self.own(&frame.name, &frame.mark) else {
            return Ok(false);
        };
        let Some(frame) = frame.completed(&observed) else {
            return Ok(false);
        };
        let write = write(&frame, &observed.mac, Some(&observed), self.interval);
        match self.limited(&frame, write, self.patch(&frame.name, frame.patch(&observed, stamp))).await {
            Err(error) if is_overtaken(&error) => self.refresh(&frame.name).await.map(|_| false),
            result => result.map(|()| true),
        }
    }

    async fn patch(&self, name: &ObjectName, patch: Value) -> Result<(), Error> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let written = self.api(&name.namespace).patch(&name.name, &parameters, &Patch::Merge(patch)).await?;
        self.observed.written(name, &written);
        Ok(())
    }

    /// Reads the Secret. The watch does not report one without its label, nor the end of such a Secret.
    pub(super) async fn refresh(&self, name: &ObjectName) -> Result<Option<Arc<Observed>>, Error> {
        let found = self.api(&name.namespace).get_opt(&name.name).await?;
        match &found {
            Some(existing) if is_watched(existing) => self.observed.written(name, existing),
            _ => {
                if let Some(known) = self.observed.get(name) {
                    self.observed.deleted(name, &known.uid);
                }
            }
        }
        Ok(found.map(|secret| Arc::new(Observed::of(&secret, &self.observed.mac))))
    }

    /// Deletes the observed Secret, and no other Secret that has the same name in the meantime.
    pub(crate) async fn delete(&self, name: &ObjectName, observed: &Observed) -> Result<(), Error> {
        let uid = Some(observed.uid.clone());
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::default()
        };
        match self.api(&name.namespace).delete(&name.name, &parameters).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => return Err(error.into()),
        }
        self.observed.deleted(name, &observed.uid);
        Ok(())
    }

    pub(super) fn api(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The Secret of that name, if it belongs to `mark` and to no other object.
    pub(crate) fn own(&self, name: &ObjectName, mark: &Mark) -> Option<Arc<Observed>> {
        let is_own = |observed: &Arc<Observed>| {
            let occupant = observed.occupant();
            occupant.owner.as_ref() == Some(mark)
                && self.right(mark, &occupant, Intent::Create) == Ok(Claim::Ours)
        };
        self.observed.get(name).filter(is_own)
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn body(wanted: &Wanted<'_>) -> Result<Secret, Error> {
    Ok(serde_json::from_value(wanted.object()).map_err(kube::Error::SerdeError)?)
}

/// Refuses a write that the API server never accepts, and a type that only a deletion can change: Steamer does not delete
/// Secrets of other owners.
fn writable(frame: &Frame, claim: Claim, observed: &Observed) -> Result<(), Error> {
    let (name, type_) = (&frame.name, &observed.type_);
    match (frame.fit(observed), claim) {
        (Fit::OtherType | Fit::Frozen, Claim::Ours) => Ok(()),
        (Fit::OtherType, _) => Err(Error::Conflict(format!(
            "Secret {name} has type {type_}, and Kubernetes does not allow to change it: set destination.type to it, or \
             delete the Secret"
        ))),
        _ if observed.immutable && !frame.immutable => Err(Error::Invalid(format!(
            "Secret {name} is immutable and cannot follow the value: delete it, and Steamer creates it again, or set \
             destination.immutable: true"
        ))),
        _ => Ok(()),
    }
}

/// The error for a new type or value that the API server does not accept. The existing Secret stays.
fn kept(name: &ObjectName, observed: &Observed, error: kube::Error) -> Error {
    let invalid = matches!(&error, kube::Error::Api(status) if status.code == 422);
    let error = Error::from(error);
    if !invalid {
        return error;
    }
    Error::Invalid(format!("Secret {name} keeps type {} and its data: {error}", observed.type_))
}

/// Returns true if the Secret has the label of the watch.
fn is_watched(secret: &Secret) -> bool {
    secret.labels().get(MANAGED_BY.0).is_some_and(|value| value == MANAGED_BY.1)
}

pub(super) fn contended(name: &ObjectName) -> Error {
    Error::Contended(format!("Secret {name} is being changed by another client"))
}

/// Returns true if another client changed, created or deleted the Secret before the write.
pub(super) fn is_overtaken(error: &Error) -> bool {
    match error {
        Error::Kubernetes(kube::Error::Api(status)) => {
            status.is_conflict() || status.is_not_found() || status.is_already_exists()
        }
        error => matches!(error, Error::Contended(_)),
    }
}
