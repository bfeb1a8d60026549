//! Key shares of a namespace with a seal. OpenBao returns them once, in the answer to the creation, encrypted with PGP keys.
//! A Secret without shares exists before the request, so that a refused Secret prevents the namespace, and lost shares are
//! noticed. It is deleted again if OpenBao refuses the namespace.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use steamer_api::{BaoNamespace, KeySharesOrigin, NamespaceSeal};
use steamer_core::error::Error;
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

use crate::engine::Pass;
use crate::general::Receipt;

/// Annotation with the mark of the object.
const OWNER: &str = "steamer.dev/owner";
/// Annotation with the path of the namespace.
const NAMESPACE: &str = "steamer.dev/openbao-namespace";
/// Annotation of a Secret that waits for the shares.
const PENDING: &str = "steamer.dev/key-shares-pending";
/// Attempts to write the shares, which exist nowhere else.
const ATTEMPTS: u32 = 6;
/// First pause between attempts. It doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// The Secret for the key shares of a namespace.
pub(super) struct KeyShares {
    secrets: Api<Secret>,
    secret: ObjectName,
    owner: String,
    /// Path of the namespace, from the root namespace of the server.
    namespace: NamespacePath,
    count: usize,
    /// UID of the Secret that waits for the shares.
    uid: OnceLock<String>,
}

impl fmt::Debug for KeyShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyShares({} in Secret {})", self.namespace, self.secret)
    }
}

/// What a Secret of that name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It does not exist.
    Absent,
    /// It waits for the shares of this namespace.
    Pending,
    /// It contains the shares of this namespace.
    Kept,
    /// It is another one.
    Taken,
}

impl KeyShares {
    pub(super) fn of(
        object: &BaoNamespace,
        seal: &NamespaceSeal,
        (pass, namespace): (&Pass<'_>, &NamespacePath),
    ) -> Self {
        let own = object.namespace().unwrap_or_default();
        Self {
            secrets: Api::namespaced(pass.context.client.clone(), &own),
            secret: ObjectName::new(&own, &seal.recovery_secret_name),
            owner: pass.context.mark_of(object).to_string(),
            namespace: namespace.clone(),
            count: seal.pgp_keys.len(),
            uid: OnceLock::new(),
        }
    }

    /// The origin of the shares of an existing namespace. `known` is the one in the status.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the shares were not written, and the object does not adopt the namespace.
    pub(super) async fn origin(
        &self,
        known: Option<KeySharesOrigin>,
        is_adopting: bool,
    ) -> Result<KeySharesOrigin, Error> {
        let secret = self.secrets.get_opt(&self.secret.name).await?;
        let state = state(secret.as_ref(), &self.owner, &self.namespace);
        origin(state, known, is_adopting).ok_or_else(|| self.lost(state))
    }

    /// OpenBao does not tell who created a namespace.
    fn lost(&self, state: State) -> Error {
        let Self { namespace, secret, .. } = self;
        let discard =
            if state == State::Pending { format!("delete Secret {secret} and ") } else { String::new() };
        Error::Conflict(format!(
            "Steamer has not received the key shares of namespace {namespace}: they were lost with the answer to its creation, \
             or someone else created it. If they are lost, delete the namespace with `bao namespace delete-sealed`, so that it \
             is created again; otherwise {discard}set adopt: IfUnowned"
        ))
    }

    /// The Secret before the creation of the namespace.
    fn pending(&self) -> Secret {
        let metadata = ObjectMeta {
            name: Some(self.secret.name.clone()),
            namespace: Some(self.secret.namespace.clone()),
            annotations: Some(annotations(&self.owner, &self.namespace)),
            ..ObjectMeta::default()
        };
        Secret { metadata, type_: Some("Opaque".to_owned()), ..Secret::default() }
    }

    async fn create(&self) -> Result<(), Error> {
        let existing = self.secrets.get_opt(&self.secret.name).await?;
        let secret = match (state(existing.as_ref(), &self.owner, &self.namespace), existing) {
            (State::Pending, Some(secret)) => secret,
            (State::Absent, _) => self.created().await?,
            _ => return Err(self.taken()),
        };
        self.uid.get_or_init(|| secret.uid().unwrap_or_default());
        Ok(())
    }

    async fn created(&self) -> Result<Secret, Error> {
        match self.secrets.create(&PostParams::default(), &self.pending()).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Err(self.taken()),
            result => Ok(result?),
        }
    }

    fn taken(&self) -> Error {
        Error::Conflict(format!(
            "Secret {} exists, and the key shares of namespace {} must not replace it: set another \
             seal.recoverySecretName in another BaoNamespace, or delete the Secret if no namespace needs it",
            self.secret, self.namespace
        ))
    }

    /// Deletes the Secret that waits for shares, and no other one.
    async fn remove(&self) -> Result<(), Error> {
        let preconditions = Preconditions { uid: self.uid.get().cloned(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.secrets.delete(&self.secret.name, &parameters).await {
            // Another client has deleted or replaced it.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }

    /// Writes the shares to the Secret, which is immutable afterwards.
    async fn write(&self, answer: &Value) -> Result<(), Error> {
        let data = entries(answer, self.count).ok_or_else(|| Error::internal(NoShares))?;
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            let Err(error) = self.save(&data).await else {
                return Ok(());
            };
            tracing::warn!(secret = %self.secret, %error, "the key shares of a namespace are not written yet");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(self.save(&data).await?)
    }

    /// Writes the shares to the Secret that waits for them and no other one, or creates it again if it was deleted.
    async fn save(&self, data: &BTreeMap<String, ByteString>) -> Result<(), kube::Error> {
        let patch = Patch::Merge(json!({
            "metadata": {"uid": self.uid.get(), "annotations": {PENDING: null}}, "data": data, "immutable": true,
        }));
        match self.secrets.patch(&self.secret.name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                let secret = filled(self.pending(), data);
                self.secrets.create(&PostParams::default(), &secret).await.map(drop)
            }
            result => result.map(drop),
        }
    }
}

impl Receipt for KeyShares {
    fn prepare(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.create().boxed()
    }

    fn discard(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.remove().boxed()
    }

    fn keep<'a>(&'a self, answer: &'a Value) -> BoxFuture<'a, Result<(), Error>> {
        self.write(answer).boxed()
    }
}

/// The annotations of a Secret that waits for the shares.
fn annotations(owner: &str, namespace: &NamespacePath) -> BTreeMap<String, String> {
    [(OWNER, owner), (NAMESPACE, namespace.as_str()), (PENDING, "true")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// A Secret that waits for the shares, with them.
fn filled(mut pending: Secret, data: &BTreeMap<String, ByteString>) -> Secret {
    pending.annotations_mut().remove(PENDING);
    Secret { data: Some(data.clone()), immutable: Some(true), ..pending }
}

fn state(secret: Option<&Secret>, owner: &str, namespace: &NamespacePath) -> State {
    let Some(annotations) = secret.map(ResourceExt::annotations) else {
        return State::Absent;
    };
    let is = |name: &str, value: &str| annotations.get(name).is_some_and(|it| it == value);
    match is(OWNER, owner) && is(NAMESPACE, namespace.as_str()) {
        false => State::Taken,
        true if annotations.contains_key(PENDING) => State::Pending,
        true => State::Kept,
    }
}

/// The origin of the shares of an existing namespace. None if they were not written. A Secret that waits for shares shows that
/// a creation was attempted last.
fn origin(state: State, known: Option<KeySharesOrigin>, is_adopting: bool) -> Option<KeySharesOrigin> {
    match state {
        State::Kept => Some(KeySharesOrigin::Written),
        State::Pending => None,
        State::Absent | State::Taken => known.or(is_adopting.then_some(KeySharesOrigin::Adopted)),
    }
}

/// The shares in an answer of OpenBao as entries of a Secret. None unless it contains `count` shares.
fn entries(answer: &Value, count: usize) -> Option<BTreeMap<String, ByteString>> {
    let shares = answer.pointer("/data/key_shares")?.as_array()?;
    let entry = |(index, share): (usize, &Value)| {
        Some((format!("share-{}", index + 1), ByteString(share.as_str()?.as_bytes().to_vec())))
    };
    let entries: BTreeMap<_, _> = shares.iter().enumerate().map(entry).collect::<Option<_>>()?;
    (entries.len() == count).then_some(entries)
}

/// OpenBao answered without shares.
#[derive(Debug, thiserror::Error)]
#[error("OpenBao returned no key shares of the namespace")]
struct NoShares;

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::complete(json!({"data": {"key_shares": ["c1c0", "c15e"]}}), Some(vec![("share-1", "c1c0"), ("share-2", "c15e")]))]
    #[case::too_few(json!({"data": {"key_shares": ["c1c0"]}}), None)]
    #[case::none(json!({"data": {}}), None)]
    #[case::no_text(json!({"data": {"key_shares": [1, 2]}}), None)]
    fn the_shares_are_entries_of_the_secret(
        #[case] answer: Value,
        #[case] expected: Option<Vec<(&str, &str)>>,
    ) {
        let found = entries(&answer, 2).map(|entries| {
            let text = |(name, share): (String, ByteString)| (name, String::from_utf8(share.0).unwrap());
            entries.into_iter().map(text).collect::<Vec<_>>()
        });
        let owned = |(name, share): (&str, &str)| (name.to_owned(), share.to_owned());
        assert_eq!(found, expected.map(|it| it.into_iter().map(owned).collect()));
    }

    #[rstest]
    #[case::absent(None, State::Absent)]
    #[case::pending(Some(json!({"owner": "i/BaoNamespace/ns/a", "openbao-namespace": "a", "key-shares-pending": "true"})), State::Pending)]
    #[case::with_shares(Some(json!({"owner": "i/BaoNamespace/ns/a", "openbao-namespace": "a"})), State::Kept)]
    #[case::of_another_namespace(Some(json!({"owner": "i/BaoNamespace/ns/a", "openbao-namespace": "b", "key-shares-pending": "true"})), State::Taken)]
    #[case::of_another_object(Some(json!({"owner": "i/BaoNamespace/ns/b", "openbao-namespace": "a", "key-shares-pending": "true"})), State::Taken)]
    #[case::of_a_user(Some(json!({})), State::Taken)]
    fn a_secret_is_used_only_for_the_shares_of_its_namespace(
        #[case] found: Option<Value>,
        #[case] expected: State,
    ) {
        let secret = found.map(|found| {
            let annotations = found.as_object().unwrap().iter();
            let annotations = annotations
                .map(|(name, value)| (format!("steamer.dev/{name}"), value.as_str().unwrap().to_owned()));
            let metadata = ObjectMeta { annotations: Some(annotations.collect()), ..ObjectMeta::default() };
            Secret { metadata, ..Secret::default() }
        });
        assert_eq!(state(secret.as_ref(), "i/BaoNamespace/ns/a", &NamespacePath::new("a")), expected);
    }

    #[rstest]
    #[case::written(State::Kept, None, false, Some(KeySharesOrigin::Written))]
    #[case::lost(State::Pending, None, false, None)]
    #[case::lost_after_a_second_creation(State::Pending, Some(KeySharesOrigin::Written), true, None)]
    #[case::secret_was_deleted_before_the_shares(State::Absent, None, false, None)]
    #[case::of_someone_else(State::Taken, None, false, None)]
    #[case::adopted(State::Absent, None, true, Some(KeySharesOrigin::Adopted))]
    #[case::adopted_before(
        State::Absent,
        Some(KeySharesOrigin::Adopted),
        false,
        Some(KeySharesOrigin::Adopted)
    )]
    #[case::shares_were_moved(
        State::Absent,
        Some(KeySharesOrigin::Written),
        false,
        Some(KeySharesOrigin::Written)
    )]
    fn shares_that_were_not_written_are_never_reported_as_success(
        #[case] state: State,
        #[case] known: Option<KeySharesOrigin>,
        #[case] is_adopting: bool,
        #[case] expected: Option<KeySharesOrigin>,
    ) {
        assert_eq!(origin(state, known, is_adopting), expected);
    }

    #[test]
    fn a_secret_that_was_deleted_is_created_again_with_the_shares() {
        let annotations = annotations("i/BaoNamespace/ns/a", &NamespacePath::new("a"));
        let metadata = ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() };
        let pending = Secret { metadata, ..Secret::default() };
        let data = BTreeMap::from([("share-1".to_owned(), ByteString(b"c1c0".to_vec()))]);
        let secret = filled(pending, &data);
        assert_eq!(state(Some(&secret), "i/BaoNamespace/ns/a", &NamespacePath::new("a")), State::Kept);
        assert_eq!((secret.data, secret.immutable), (Some(data), Some(true)));
    }
}
