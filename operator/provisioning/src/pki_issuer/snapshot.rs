//! State of a PKI mount: its issuers and keys, and the issuer of an object.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value};
use steamer_core::error::Error;
use steamer_openbao::{Error as OpenBao, Session};

use super::certificate::Certificate;
use super::names::next;

/// Time until a missing mount is looked for again.
const MISSING_MOUNT: Duration = Duration::from_secs(10);

/// What a mount contains.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    pub(super) issuers: Vec<Issuer>,
    pub(super) keys: Vec<Key>,
    /// ID of the default issuer.
    pub(super) default: String,
    /// The issuer with the name of the spec.
    pub(super) current: Option<Current>,
    /// The issuer of a rotation that does not have the name of the spec yet.
    pub(super) next: Option<Current>,
    /// Settings of the revocation lists.
    pub(super) crl: Map<String, Value>,
}

/// An issuer of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Issuer {
    pub(super) id: String,
    /// Empty for an issuer without a name.
    pub(super) name: String,
    /// ID of its key. Empty for the certificate of an authority whose key is elsewhere.
    pub(super) key: String,
}

/// A key of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) id: String,
    /// Empty for a key without a name.
    pub(super) name: String,
}

/// An issuer with the name of the spec, or the next one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Current {
    pub(super) settings: Map<String, Value>,
    pub(super) certificate: Certificate,
}

impl Snapshot {
    /// Reads a mount. `session` is in its OpenBao namespace. `with_crl`: the settings of the revocation lists are needed.
    pub(super) async fn read(
        session: &Session,
        mount: &str,
        name: &str,
        with_crl: bool,
    ) -> Result<Self, Error> {
        let issuers: Vec<Issuer> = list(session, mount, "issuers").await?.into_iter().map(issuer).collect();
        let keys = list(session, mount, "keys").await?.into_iter().map(key).collect();
        let default = data(session, &format!("{mount}/config/issuers")).await?;
        let default = default.get("default").and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = |name: &str| {
            let issuer = issuers.iter().find(|issuer| issuer.name == name);
            issuer.map(|issuer| format!("{mount}/issuer/{}", issuer.id))
        };
        let (current, next) = (path(name), path(&next(name)));
        let current = read_issuer(session, current).await?;
        let next = read_issuer(session, next).await?;
        let crl = if with_crl { data(session, &format!("{mount}/config/crl")).await? } else { Map::new() };
        Ok(Self { issuers, keys, default, current, next, crl })
    }

    /// The issuer of that name.
    pub(super) fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.name == name)
    }

    /// The key of that name.
    pub(super) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The issuer with that key.
    pub(super) fn issuer_of(&self, key: &Key) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.key == key.id)
    }

    /// The key of an issuer.
    pub(super) fn key_of(&self, issuer: &Issuer) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == issuer.key)
    }
}

fn field(info: &Value, field: &str) -> String {
    info[field].as_str().unwrap_or_default().to_owned()
}

fn issuer((id, info): (String, Value)) -> Issuer {
    Issuer { id, name: field(&info, "issuer_name"), key: field(&info, "key_id") }
}

fn key((id, info): (String, Value)) -> Key {
    Key { id, name: field(&info, "key_name") }
}

/// Entries of a list with their fields.
async fn list(session: &Session, mount: &str, what: &str) -> Result<Vec<(String, Value)>, Error> {
    let method = Method::from_bytes(b"LIST").map_err(Error::internal)?;
    let mut answer = match session.request_any(method, &format!("{mount}/{what}"), None).await {
        Ok(answer) => answer,
        Err(OpenBao::NotFound { mounted: true, .. }) => return Ok(Vec::new()),
        Err(OpenBao::NotFound { .. }) => return Err(missing(session, mount)),
        Err(error) => return Err(error.into()),
    };
    match answer["data"]["key_info"].take() {
        Value::Object(entries) => Ok(entries.into_iter().collect()),
        _ => Ok(Vec::new()),
    }
}

fn missing(session: &Session, mount: &str) -> Error {
    let namespace = session.namespace();
    Error::SourceMissing(
        format!(
            "mount {mount} does not exist in namespace {namespace}: create it as a SecretEngine of type pki"
        ),
        MISSING_MOUNT,
    )
}

async fn data(session: &Session, path: &str) -> Result<Map<String, Value>, Error> {
    let mut answer = session.request_any(Method::GET, path, None).await?;
    match answer["data"].take() {
        Value::Object(data) => Ok(data),
        _ => Ok(Map::new()),
    }
}

/// Reads the issuer at a path.
pub(super) async fn read_issuer(session: &Session, path: Option<String>) -> Result<Option<Current>, Error> {
    let Some(path) = path else {
        return Ok(None);
    };
    let settings = data(session, &path).await?;
    let text = settings.get("certificate").and_then(Value::as_str).unwrap_or_default();
    let unreadable = || {
        Error::Conflict(format!("the certificate of {path} in OpenBao cannot be read: replace the issuer"))
    };
    let certificate = Certificate::parse(text).ok_or_else(unreadable)?;
    Ok(Some(Current { settings, certificate }))
}
