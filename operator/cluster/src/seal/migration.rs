//! Another kind of seal: OpenBao's own procedure, one node at a time, and how far it is by storage's own word.
//!
//! Nodes are rolled with both seals and opened with the recovery keys; the first of them that leads wraps everything anew.
//! From then on storage names the new kind, and nodes are rolled with it alone.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use steamer_api::SealMigration;
use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, Identity, Session};

use crate::database::storage::Storage;
use crate::managed::apply::{Done, Work};
use crate::nodes::members::{Answer, Member};
use crate::objects::seal::{SealSettings, openbao_kind, seal};
use crate::seal::check::{First, SealCheck};
use crate::seal::{check as preflight, recovery};

/// What `sys/seal-status` says.
#[derive(Deserialize)]
struct SealStatus {
    #[serde(default)]
    migration: bool,
}

/// What a node says that is open and has another seal than storage.
const OTHER_SEAL: &str = "barrier seal type";

impl Work<'_> {
    /// Whether storage is sealed with the seal before.
    pub(crate) fn migrates(&self, storage: &Storage) -> Result<bool, Error> {
        let wanted = openbao_kind(&self.cluster.spec.seal);
        let Some(found) = storage.contents.seal.as_deref().filter(|found| *found != wanted) else {
            return Ok(false);
        };
        match &self.cluster.spec.seal_migration {
            Some(SealMigration { from }) if openbao_kind(from) == found => Ok(true),
            _ => Err(Error::Invalid(format!(
                "storage is sealed by a seal `{found}`, and seal is `{wanted}`: put that seal back, or name it in \
                 sealMigration.from"
            ))),
        }
    }

    /// The seal as nodes are to have it.
    pub(crate) fn seal(&self, done: &Done) -> Result<SealSettings, Error> {
        let spec = &self.cluster.spec;
        let rotation =
            done.keys.as_ref().and_then(|keys| Some((keys.in_use.as_str(), keys.rotating.as_ref()?)));
        let own = seal(self.cluster, &spec.seal, rotation)?;
        match spec.seal_migration.as_ref().filter(|_| done.migrating) {
            Some(SealMigration { from }) => Ok(own.after(seal(self.cluster, from, None)?)),
            None => Ok(own),
        }
    }

    /// Tries the seal, and during a migration the one before, too.
    pub(crate) async fn try_seal(&self, first: First, migrating: bool) -> SealCheck {
        let spec = &self.cluster.spec;
        let first = if migrating { First::Start } else { first };
        let own = preflight::check(self.context, self.dependencies, (self.cluster, first), &spec.seal).await;
        match spec.seal_migration.as_ref().filter(|_| migrating && own.opens()) {
            Some(SealMigration { from }) => {
                let past = (self.cluster, First::Past);
                let before = preflight::check(self.context, self.dependencies, past, from).await;
                if before.opens() { own } else { before }
            }
            None => own,
        }
    }

    /// A node that is open with both seals answers nothing but that its own is not storage's.
    pub(crate) async fn asked_for_seals(&self, members: &mut [Member]) {
        for member in members.iter_mut().filter(|member| member.answer == Answer::NoStorage) {
            let status = self.seal_status(member).await;
            if matches!(status, Err(Error::OpenBao(OpenBao::Server { message, .. })) if message.contains(OTHER_SEAL))
            {
                member.answer = Answer::Migrating;
            }
        }
    }

    fn session(&self, member: &Member) -> Result<Session, Error> {
        Ok(self.node(&member.name())?.session(Identity::Anonymous))
    }

    async fn seal_status(&self, member: &Member) -> Result<SealStatus, Error> {
        let status = self.session(member)?.request_any(Method::GET, "sys/seal-status", None).await?;
        serde_json::from_value(status).map_err(|error| Error::Waiting(error.to_string()))
    }

    /// Opens nodes that have both seals: they do not do it by themselves.
    pub(crate) async fn open_with_both(&self, done: &Done) -> Result<(), Error> {
        let shares = recovery::shares(self.cluster, &self.child_api.all());
        let sealed = done.members.iter().filter(|member| member.answer.is_sealed() && !member.is_ending());
        // All at once: one that does not answer keeps no other waiting.
        let opened = sealed.map(|member| self.open_one_with_both(member, &shares));
        futures::future::join_all(opened).await.into_iter().collect()
    }

    async fn open_one_with_both(&self, member: &Member, shares: &[SecretString]) -> Result<(), Error> {
        if !self.seal_status(member).await?.migration {
            return Ok(());
        }
        let session = self.session(member)?;
        tracing::info!(cluster = %self.cluster.name, pod = member.name(), "opening a node for another seal");
        for share in shares {
            let body = json!({"key": share.expose_secret(), "migrate": true});
            let answer = session.request_any(Method::PUT, "sys/unseal", Some(body)).await?;
            if answer.get("sealed") == Some(&Value::Bool(false)) {
                break;
            }
        }
        Ok(())
    }
}
