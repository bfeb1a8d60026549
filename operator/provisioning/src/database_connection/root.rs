//! The user and password with which OpenBao logs in to the database. OpenBao never returns the password, and a rotated
//! password must not be replaced by the one in the Secret: what is in force is recorded as a digest in the status, with the ID
//! of the MAC key. Digests of different keys cannot be compared.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretString};
use steamer_api::{DatabaseConnection, RootCredential, RotateRoot, SecretValueReference};
use steamer_core::error::Error;
use steamer_core::mac::Mac;
use steamer_runtime::ObjectName;

use crate::database_names::connection_path;
use crate::general::Found;

/// Character between the ID of the key and the digest.
const SEPARATOR: char = '.';

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
    /// Digest of user and password in the Secret, after the ID of its key.
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
        let mac = &found.pass.context.mac;
        let digest = match (&credential, last) {
            (None, Some(last)) => last.digest.clone(),
            _ => digest(credential.as_ref(), mac),
        };
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
        let (path, secret) = (connection_path(connection), secret(connection));
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

/// The Secret with the user and password.
fn secret(connection: &DatabaseConnection) -> Option<ObjectName> {
    let reference = connection.spec.root_secret_ref.as_ref()?;
    Some(ObjectName::new(connection.namespace().unwrap_or_default(), &reference.name))
}

async fn load(connection: &DatabaseConnection, found: &Found<'_>) -> Result<Option<Credential>, Error> {
    let Some(name) = secret(connection) else {
        return Ok(None);
    };
    let username = text(&name, "username", found).await?.expose_secret().to_owned();
    let password = text(&name, "password", found).await?;
    Ok(Some(Credential { username, password }))
}

/// The text in a key of the Secret.
async fn text(name: &ObjectName, key: &str, found: &Found<'_>) -> Result<SecretString, Error> {
    let reference = SecretValueReference { name: name.name.clone(), key: key.to_owned() };
    let text = found.secret(name, &reference).await?;
    if text.expose_secret().is_empty() {
        return Err(Error::Waiting(format!("key `{key}` of Secret {name} is empty: set it")));
    }
    Ok(text)
}

/// The keyed digest of user and password, after the ID of the key.
fn digest(credential: Option<&Credential>, mac: &Mac) -> String {
    let digest = match credential {
        Some(Credential { username, password }) => {
            let password = password.expose_secret().as_bytes();
            mac.of([("username", username.as_bytes()), ("password", password)])
        }
        None => mac.of([]),
    };
    format!("{}{SEPARATOR}{digest}", mac.id())
}

/// Returns true if the Secret has changed since a digest was recorded. A digest of another key does not show a change.
fn is_changed(recorded: &str, digest: &str) -> bool {
    let key = |digest: &str| digest.split_once(SEPARATOR).map(|(key, _)| key.to_owned());
    recorded != digest && key(recorded) == key(digest)
}

fn stage(last: Option<&RootCredential>, digest: &str) -> Stage {
    match last {
        None => Stage::New,
        // After a loss of the key, a password that no longer works must not be written again.
        Some(last) if last.rotated_at.is_some() && !is_changed(&last.digest, digest) => Stage::Rotated,
        Some(last) if last.digest == digest => Stage::Known,
        Some(_) => Stage::Changed,
    }
}

/// The record after a pass. `rotated_at` is set if the pass has rotated the password.
pub(super) fn after(
    last: Option<RootCredential>,
    digest: String,
    rotated_at: Option<Timestamp>,
) -> RootCredential {
    let former = last.filter(|last| !is_changed(&last.digest, &digest)).and_then(|last| last.rotated_at);
    RootCredential { digest, rotated_at: rotated_at.map(Time).or(former) }
}

/// The record after a pass with a paused write, which can be that of the password: the former one, unless the pass has rotated the
/// password. `written` is the record of the pass without a pause.
pub(super) fn after_pause(
    written: Option<RootCredential>,
    former: Option<RootCredential>,
) -> Option<RootCredential> {
    let rotated = |it: &Option<RootCredential>| it.as_ref().and_then(|it| it.rotated_at.clone());
    let is_rotated = rotated(&written).is_some() && rotated(&written) != rotated(&former);
    if is_rotated { written } else { former }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::new_password(("new", None), Some(("former", None)), Some("former"))]
    #[case::first_password(("new", None), None, None)]
    #[case::rotated_before(("new", None), Some(("former", Some(1))), Some("former"))]
    #[case::rotated_now(("same", Some(2)), Some(("same", None)), Some("same"))]
    fn a_password_whose_write_is_paused_is_not_recorded(
        #[case] written: (&str, Option<i64>),
        #[case] former: Option<(&str, Option<i64>)>,
        #[case] expected: Option<&str>,
    ) {
        let record = |(digest, rotated): (&str, Option<i64>)| RootCredential {
            digest: digest.to_owned(),
            rotated_at: rotated.map(|second| Time(Timestamp::from_second(second).unwrap())),
        };
        let found = after_pause(Some(record(written)), former.map(record));
        assert_eq!(found.as_ref().map(|it| &*it.digest), expected);
        let rotated = written.1.or(former.and_then(|(_, rotated)| rotated));
        assert_eq!(found.and_then(|it| it.rotated_at).is_some(), rotated.is_some());
    }

    fn record(digest: &str, rotated: bool) -> RootCredential {
        let rotated_at = rotated.then_some(Time(Timestamp::UNIX_EPOCH));
        RootCredential { digest: digest.to_owned(), rotated_at }
    }

    #[rstest]
    #[case::first_pass(None, Stage::New, Some(false))]
    #[case::recorded(Some(record("k.a", false)), Stage::Known, Some(true))]
    #[case::rotated(Some(record("k.a", true)), Stage::Rotated, None)]
    #[case::another_secret(Some(record("k.b", false)), Stage::Changed, Some(false))]
    #[case::another_secret_after_a_rotation(Some(record("k.b", true)), Stage::Changed, Some(false))]
    #[case::another_key(Some(record("j.b", false)), Stage::Changed, Some(false))]
    #[case::another_key_after_a_rotation(Some(record("j.b", true)), Stage::Rotated, None)]
    #[case::unknown_key_after_a_rotation(Some(record("b", true)), Stage::Rotated, None)]
    fn a_password_is_rotated_once_after_it_was_recorded(
        #[case] last: Option<RootCredential>,
        #[case] expected: Stage,
        #[case] rotation: Option<bool>,
    ) {
        let stage = stage(last.as_ref(), "k.a");
        assert_eq!(stage, expected);
        let root = |rotate| Root { username: None, password: None, digest: "k.a".to_owned(), stage, rotate };
        assert_eq!(root(RotateRoot::Once).rotation(), rotation);
        assert_eq!(root(RotateRoot::Never).rotation(), None);
    }

    #[test]
    fn the_record_ends_with_the_password_that_it_is_about() {
        let now = Some(Timestamp::UNIX_EPOCH);
        let after = |last, digest: &str, rotated_at| after(last, digest.to_owned(), rotated_at);
        assert_eq!(after(None, "k.a", None), record("k.a", false));
        assert_eq!(after(Some(record("k.a", false)), "k.a", now), record("k.a", true));
        assert_eq!(after(Some(record("k.a", true)), "k.a", None), record("k.a", true));
        assert_eq!(after(Some(record("k.a", true)), "k.b", None), record("k.b", false));
        // The digest of another key is recorded, so that the next change of the Secret is found.
        assert_eq!(after(Some(record("j.b", true)), "k.a", None), record("k.a", true));
    }

    #[test]
    fn a_digest_shows_its_key_and_the_secret() {
        let credential = |password: &str| Credential {
            username: "u".to_owned(),
            password: SecretString::from(password.to_owned()),
        };
        let of = |key: u8, password: &str| digest(Some(&credential(password)), &Mac::new(&[key; 32]));
        assert!(is_changed(&of(7, "a"), &of(7, "b")));
        assert!(!is_changed(&of(7, "a"), &of(7, "a")));
        assert!(!is_changed(&of(7, "a"), &of(8, "a")) && !is_changed(&of(7, "a"), &of(8, "b")));
        assert!(of(7, "a").len() <= 128, "the schema of the status allows 128 characters");
    }
}
