//! Writing Secrets that are Steamer's own: the first write is a create, later ones are guarded, foreign ones stay.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use steamer_runtime::Dependencies;

use super::observed::{Observed, ObservedSecrets};
use super::wanted::Wanted;
use crate::error::Error;
use crate::named_secrets::{NamedSecrets, secret_key};

/// Where Secrets are written.
pub(crate) struct Destinations {
    pub(crate) client: Client,
    pub(crate) observed: Arc<ObservedSecrets>,
    pub(crate) named: Arc<NamedSecrets>,
}

/// What to do about a Secret that is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It stays.
    Stays,
    /// It is taken over.
    TakenOver,
}

impl Destinations {
    /// Makes the Secret be what is wanted; whether anything was written.
    pub(crate) async fn put(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted,
        foreign: Foreign,
    ) -> Result<bool, Error> {
        // Before looking: a change from now on wakes the object.
        dependencies.on(secret_key(&wanted.name));
        // A guarded write that someone overtook is made again on what they left.
        for _ in 0..4 {
            let observed = self.observed.get(&wanted.name);
            match self.attempt(dependencies, wanted, foreign, observed).await {
                Err(Error::Kubernetes(kube::Error::Api(status)))
                    if status.is_conflict() || status.is_not_found() =>
                {
                    self.look(wanted).await?;
                }
                result => return result,
            }
        }
        Err(Error::Waiting(format!("Secret {} is being changed by someone else all the time", wanted.name)))
    }

    async fn attempt(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted,
        foreign: Foreign,
        observed: Option<Arc<Observed>>,
    ) -> Result<bool, Error> {
        let Some(observed) = observed else {
            return self.create(dependencies, wanted, foreign).await;
        };
        self.may_write(dependencies, wanted, foreign, &observed).await?;
        if wanted.shape(&self.observed.mac).fits(&observed) {
            return Ok(false);
        }
        if observed.type_ != wanted.type_ {
            // The type of a Secret cannot be changed.
            self.delete(&wanted.name, &observed).await?;
            return self.create(dependencies, wanted, foreign).await;
        }
        self.patch(wanted, &observed).await?;
        Ok(true)
    }

    async fn create(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted,
        foreign: Foreign,
    ) -> Result<bool, Error> {
        let body: Secret = serde_json::from_value(wanted.object()).map_err(kube::Error::SerdeError)?;
        let api = self.api(&wanted.name.namespace);
        match api
            .create(&PostParams { field_manager: Some("steamer".to_owned()), ..PostParams::default() }, &body)
            .await
        {
            Ok(made) => {
                self.observed.written(&wanted.name, &made);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let there = api.get(&wanted.name.name).await?;
                let observed = Observed::of(&there, &self.observed.mac);
                self.may_write(dependencies, wanted, foreign, &observed).await?;
                if observed.type_ != wanted.type_ {
                    self.delete(&wanted.name, &observed).await?;
                    return Err(Error::Waiting(format!("Secret {} is made anew", wanted.name)));
                }
                self.patch(wanted, &observed).await?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses what is not ours, and has the object woken when that goes.
    async fn may_write(
        &self,
        dependencies: &Dependencies,
        wanted: &Wanted,
        foreign: Foreign,
        observed: &Observed,
    ) -> Result<(), Error> {
        let owner = observed.mark();
        if owner.as_ref() == Some(&wanted.mark) || foreign == Foreign::TakenOver {
            return Ok(());
        }
        self.named.get(dependencies, &wanted.name).await;
        let whose =
            owner.map_or_else(|| "someone else".to_owned(), |owner| format!("{} {}", owner.kind, owner.name));
        Err(Error::Conflict(format!(
            "Secret {} is {whose}'s: remove it, choose another destination.name, or set destination.overwrite: true",
            wanted.name
        )))
    }

    async fn patch(&self, wanted: &Wanted, observed: &Observed) -> Result<(), Error> {
        let patch = Patch::Merge(wanted.patch(observed));
        let parameters = PatchParams { field_manager: Some("steamer".to_owned()), ..PatchParams::default() };
        let written = self.api(&wanted.name.namespace).patch(&wanted.name.name, &parameters, &patch).await?;
        self.observed.written(&wanted.name, &written);
        Ok(())
    }

    /// Reads the Secret once more after a conflict.
    async fn look(&self, wanted: &Wanted) -> Result<(), Error> {
        match self.api(&wanted.name.namespace).get_opt(&wanted.name.name).await? {
            Some(there) => self.observed.written(&wanted.name, &there),
            None => {
                if let Some(known) = self.observed.get(&wanted.name) {
                    self.observed.deleted(&wanted.name, &known.uid);
                }
            }
        }
        Ok(())
    }

    /// Deletes a Secret that is ours, and no other that has taken its name meanwhile.
    pub(crate) async fn delete(
        &self,
        name: &steamer_runtime::Name,
        observed: &Observed,
    ) -> Result<(), Error> {
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

    fn api(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The Secret of that name if it was written for `mark`.
    pub(crate) fn own(
        &self,
        name: &steamer_runtime::Name,
        mark: &crate::ownership::Mark,
    ) -> Option<Arc<Observed>> {
        self.observed.get(name).filter(|observed| observed.mark().as_ref() == Some(mark))
    }
}

/// The Secret's own uid, for who patches it.
pub(crate) fn uid_of(secret: &Secret) -> String {
    secret.uid().unwrap_or_default()
}
