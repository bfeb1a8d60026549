//! The user and password with which OpenBao logs in to the database. OpenBao never returns the password, and a rotated
//! password must not be replaced by the one in the Secret: what is in force is recorded as a digest in the status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use secrecy::{ExposeSecret, SecretString};
use steamer_api::{DatabaseConnection, RootCredential, RotateRoot};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use super::location::{path, secret};
use crate::general::Found;

/// State of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is recorded: OpenBao receives the password if the connection does not exist.
    New,
    /// The Secret has changed: OpenBao receives the password.
    Changed,
    /// OpenBao has the password: it receives it again only if the connection is created again.
    Known,
    /// OpenBao has replaced the password, and only OpenBao knows the new one.
    Rotated,
}

/// User and password of a connection.
pub(super) struct Root {
    pub(super) username: Option<String>,
    /// None if OpenBao has another password, or none is known.
    pub(super) password: Option<SecretString>,
    /// Digest of user and password in the Secret.
    pub(super) digest: String,
    pub(super) stage: Stage,
    rotate: RotateRoot,
}

/// The user and password in a Secret.
struct Credential {
    username: String,
    password: SecretString,
}

impl Root {
    /// The user and password of the Secret. After a rotation, the Secret may be deleted.
    pub(super) async fn of(
        connection: &DatabaseConnection,
        last: Option<&RootCredential>,
        found: &Found<'_>,
    ) -> Result<Self, Error> {
        let is_rotated = last.is_some_and(|last| last.rotated_at.is_some());
        let credential = match load(connection, found).await {
            Err(Error::NotFound { .. }) if is_rotated => None,
            result => result?,
        };
        let digest = match &credential {
            Some(it) => Some(digest(it, found)),
            None => last.map(|last| last.digest.clone()),
        };
        let digest = digest.unwrap_or_else(|| found.pass.context.mac.of([]));
        let stage = stage(last, &digest);
        let (username, password) = credential.map(|it| (it.username, it.password)).unzip();
        let password = password.filter(|_| stage != Stage::Rotated);
        Ok(Self { username, password, digest, stage, rotate: connection.spec.rotate_root })
    }

    /// Whether a rotation is due: `Some(false)` after the writes of this pass are recorded, so that no later pass takes the
    /// password in the Secret for one that was not written yet. None without a rotation.
    pub(super) fn rotation(&self) -> Option<bool> {
        match (self.rotate, self.stage) {
            (RotateRoot::Never, _) | (_, Stage::Rotated) => None,
            (RotateRoot::Once, Stage::New | Stage::Changed) => Some(false),
            (RotateRoot::Once, Stage::Known) => Some(true),
        }
    }

    /// Message about a connection that does not exist and has an unknown password.
    pub(super) fn lost(&self, connection: &DatabaseConnection) -> String {
        let (path, secret) = (path(connection), secret(connection));
        match (self.stage, secret) {
            (Stage::Rotated, Some(secret)) => format!(
                "{path} was deleted in OpenBao, and only OpenBao knew the rotated password: set another password for the user \
                 in the database, and write it to Secret {secret}"
            ),
            _ => format!(
                "{path} does not exist in OpenBao: set rootSecretRef to a Secret with the keys username and password"
            ),
        }
    }
}

async fn load(connection: &DatabaseConnection, found: &Found<'_>) -> Result<Option<Credential>, Error> {
    let Some(name) = secret(connection) else {
        return Ok(None);
    };
    let username = text(&name, "username", found).await?;
    let password = text(&name, "password", found).await?.into();
    Ok(Some(Credential { username, password }))
}

/// The text in a key of the Secret.
async fn text(name: &ObjectName, key: &str, found: &Found<'_>) -> Result<String, Error> {
    let (secrets, dependencies) = (&found.pass.context.secrets, found.pass.dependencies);
    let value = secrets.value(dependencies, name, key).await?;
    match String::from_utf8(value) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(Error::Waiting(format!("key `{key}` of Secret {name} is empty or no text: set it"))),
    }
}

fn digest(credential: &Credential, found: &Found<'_>) -> String {
    let Credential { username, password } = credential;
    found
        .pass
        .context
        .mac
        .of([("username", username.as_bytes()), ("password", password.expose_secret().as_bytes())])
}

fn stage(last: Option<&RootCredential>, digest: &str) -> Stage {
    match last {
        None => Stage::New,
        Some(last) if last.digest != digest => Stage::Changed,
        Some(last) if last.rotated_at.is_some() => Stage::Rotated,
        Some(_) => Stage::Known,
    }
}

/// The record after a pass. `rotated_at` is set if the pass has rotated the password.
pub(super) fn after(
    last: Option<RootCredential>,
    digest: String,
    rotated_at: Option<Timestamp>,
) -> RootCredential {
    let former = last.filter(|last| last.digest == digest).and_then(|last| last.rotated_at);
    RootCredential { digest, rotated_at: rotated_at.map(Time).or(former) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn record(digest: &str, rotated: bool) -> RootCredential {
        let rotated_at = rotated.then_some(Time(Timestamp::UNIX_EPOCH));
        RootCredential { digest: digest.to_owned(), rotated_at }
    }

    #[rstest]
    #[case::first_pass(None, Stage::New, Some(false))]
    #[case::recorded(Some(record("a", false)), Stage::Known, Some(true))]
    #[case::rotated(Some(record("a", true)), Stage::Rotated, None)]
    #[case::another_secret(Some(record("b", false)), Stage::Changed, Some(false))]
    #[case::another_secret_after_a_rotation(Some(record("b", true)), Stage::Changed, Some(false))]
    fn a_password_is_rotated_once_after_it_was_recorded(
        #[case] last: Option<RootCredential>,
        #[case] expected: Stage,
        #[case] rotation: Option<bool>,
    ) {
        let stage = stage(last.as_ref(), "a");
        assert_eq!(stage, expected);
        let root = |rotate| Root { username: None, password: None, digest: "a".to_owned(), stage, rotate };
        assert_eq!(root(RotateRoot::Once).rotation(), rotation);
        assert_eq!(root(RotateRoot::Never).rotation(), None);
    }

    #[test]
    fn the_record_ends_with_the_password_that_it_is_about() {
        let now = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(after(None, "a".to_owned(), None), record("a", false));
        assert_eq!(after(Some(record("a", false)), "a".to_owned(), now), record("a", true));
        assert_eq!(after(Some(record("a", true)), "a".to_owned(), None), record("a", true));
        assert_eq!(after(Some(record("a", true)), "b".to_owned(), None), record("b", false));
    }
}
