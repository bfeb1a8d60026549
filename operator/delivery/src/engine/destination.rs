//! Writing the Secrets that Steamer owns: the first write is a create, later writes are guarded by the resource version,
//! Secrets of other owners stay.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::Value;
use steamer_core::Error;
use steamer_core::access::named_objects::{NamedSecrets, secret_key};
use steamer_core::ownership::Mark;
use steamer_core::ownership::mark::described;
use steamer_runtime::{Dependencies, ObjectName};

use super::frame::{Fit, Frame, Wanted};
use super::labels::MANAGED_BY;
use super::observed::{Observed, ObservedSecrets};

/// Field manager of the writes.
const MANAGER: &str = "steamer";
/// How often a write is repeated that another client overtook.
const ATTEMPTS: usize = 4;

/// Access to the destination Secrets.
pub(crate) struct Destinations {
    pub(crate) client: Client,
    pub(crate) observed: Arc<ObservedSecrets>,
    pub(crate) named: Arc<NamedSecrets>,
}

/// What happens to a Secret of another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// It stays.
    No,
    /// It is replaced.
    Yes,
}

impl Destinations {
    /// Brings the Secret to the desired state. Returns true if a write was necessary.
    pub(crate) async fn put(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        overwrite: Overwrite,
    ) -> Result<bool, Error> {
        let name = &wanted.frame.name;
        // Before the lookup: a later change requeues the object.
        dependencies.on(secret_key(name));
        for _ in 0..ATTEMPTS {
            let observed = self.observed.get(name);
            match self.attempt(dependencies, wanted, overwrite, observed).await {
                Err(error) if is_overtaken(&error) => self.refresh(name).await?,
                result => return result,
            }
        }
        Err(contended(name))
    }

    async fn attempt(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        overwrite: Overwrite,
        observed: Option<Arc<Observed>>,
    ) -> Result<bool, Error> {
        let Some(observed) = observed else {
            return self.create(dependencies, wanted, overwrite).await;
        };
        let frame = wanted.frame;
        self.may_write(dependencies, frame, overwrite, &observed).await?;
        if wanted.fits(&observed) {
            return Ok(false);
        }
        if frame.fit(&observed) == Fit::OtherType {
            // The type of a Secret is immutable.
            self.delete(&frame.name, &observed).await?;
            return self.create(dependencies, wanted, overwrite).await;
        }
        self.patch(&frame.name, wanted.patch(&observed)).await?;
        Ok(true)
    }

    async fn create(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        overwrite: Overwrite,
    ) -> Result<bool, Error> {
        let body: Secret = serde_json::from_value(wanted.object()).map_err(kube::Error::SerdeError)?;
        let frame = wanted.frame;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match self.api(&frame.name.namespace).create(&parameters, &body).await {
            Ok(created) => {
                self.observed.written(&frame.name, &created);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                self.replace_existing(dependencies, wanted, overwrite).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes into a Secret that exists and that the watch has not seen.
    async fn replace_existing(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted<'_>,
        overwrite: Overwrite,
    ) -> Result<bool, Error> {
        let frame = wanted.frame;
        let existing = self.api(&frame.name.namespace).get(&frame.name.name).await?;
        let observed = Observed::of(&existing, &self.observed.mac);
        self.may_write(dependencies, frame, overwrite, &observed).await?;
        if frame.fit(&observed) == Fit::OtherType {
            self.delete(&frame.name, &observed).await?;
            return Err(contended(&frame.name));
        }
        self.patch(&frame.name, wanted.patch(&observed)).await?;
        Ok(true)
    }

    /// Repairs labels, annotations and owner of the observed Secret. The write contains no data. Returns false if another
    /// client changed the Secret in the meantime.
    pub(crate) async fn put_frame(&self, frame: &Frame) -> Result<bool, Error> {
        let Some(observed) = self.own(&frame.name, &frame.mark) else {
            return Ok(false);
        };
        match self.patch(&frame.name, frame.patch(&observed)).await {
            Err(error) if is_overtaken(&error) => self.refresh(&frame.name).await.map(|()| false),
            result => result.map(|()| true),
        }
    }

    /// Refuses a Secret of another owner. The object is requeued when that Secret changes or is deleted.
    async fn may_write(
        &self,
        dependencies: &Dependencies,
        frame: &Frame,
        overwrite: Overwrite,
        observed: &Observed,
    ) -> Result<(), Error> {
        let owner = observed.mark();
        if owner.as_ref() == Some(&frame.mark) || overwrite == Overwrite::Yes {
            return Ok(());
        }
        self.named.get(dependencies, &frame.name).await;
        Err(Error::Conflict(format!(
            "Secret {} belongs to {}: remove it, choose another destination.name, or set destination.overwrite: true",
            frame.name,
            described(owner.as_ref())
        )))
    }

    async fn patch(&self, name: &ObjectName, patch: Value) -> Result<(), Error> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let written = self.api(&name.namespace).patch(&name.name, &parameters, &Patch::Merge(patch)).await?;
        self.observed.written(name, &written);
        Ok(())
    }

    /// Reads the Secret again after a conflict.
    async fn refresh(&self, name: &ObjectName) -> Result<(), Error> {
        match self.api(&name.namespace).get_opt(&name.name).await? {
            Some(existing) if is_watched(&existing) => self.observed.written(name, &existing),
            // The watch does not report the end of a Secret without the label.
            _ => {
                if let Some(known) = self.observed.get(name) {
                    self.observed.deleted(name, &known.uid);
                }
            }
        }
        Ok(())
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

    /// The Secret of that name, if it belongs to `mark`.
    pub(crate) fn own(&self, name: &ObjectName, mark: &Mark) -> Option<Arc<Observed>> {
        self.observed.get(name).filter(|observed| observed.mark().as_ref() == Some(mark))
    }
}

/// Returns true if the Secret has the label of the watch.
fn is_watched(secret: &Secret) -> bool {
    secret.labels().get(MANAGED_BY.0).is_some_and(|value| value == MANAGED_BY.1)
}

fn contended(name: &ObjectName) -> Error {
    Error::Contended(format!("Secret {name} is being changed by another client"))
}

/// Returns true if another client changed or deleted the Secret before the write.
fn is_overtaken(error: &Error) -> bool {
    match error {
        Error::Kubernetes(kube::Error::Api(status)) => status.is_conflict() || status.is_not_found(),
        error => matches!(error, Error::Contended(_)),
    }
}
