//! One of the paths of an object, and its keys in the Secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use steamer_api::{KvType, SecretSource, SourceKey};
use steamer_core::Error;
use steamer_openbao::{Json, Values};

use crate::engine::{Document, Held, Obtained, ReadAccess, Request};

/// A path, with the names of its keys in the Secret.
pub(super) struct Part {
    pub(super) read: Request,
    prefix: Option<String>,
    /// Empty: all keys.
    keys: Vec<SourceKey>,
}

impl Part {
    pub(super) fn new(source: SecretSource, access: &ReadAccess) -> Self {
        let SecretSource { mount, path, type_: kind, version, prefix, keys } = source;
        let read = Request {
            login: access.login.clone(),
            namespace: access.namespace.clone(),
            mount: mount.trim_matches('/').to_owned(),
            path,
            kind,
            version: version.filter(|version| *version > 0),
        };
        Self { read, prefix, keys }
    }

    /// Texts of the digest of the request. Without prefix and keys they are those of earlier versions of Steamer.
    pub(super) fn request(&self) -> Vec<String> {
        let Request { mount, path, kind, version, .. } = &self.read;
        let kind = match kind {
            KvType::V1 => "kv-v1",
            KvType::V2 => "kv-v2",
        };
        let version = version.map(|version| version.to_string()).unwrap_or_default();
        let mut texts = vec![mount.clone(), path.clone(), kind.to_owned(), version];
        if self.prefix.is_some() || !self.keys.is_empty() {
            texts.push(format!("{:?} {:?}", self.prefix, self.keys));
        }
        texts
    }

    /// Name of the source in messages.
    pub(super) fn describe(&self) -> String {
        let Request { mount, path, version, kind, .. } = &self.read;
        let hint = match (kind, path.strip_prefix("data/")) {
            (KvType::V2, Some(rest)) => format!(" (Steamer adds data/ itself: write path: {rest})"),
            _ => String::new(),
        };
        match version {
            Some(version) => format!("{mount}/{path} version {version}{hint}"),
            None => format!("{mount}/{path}{hint}"),
        }
    }

    /// The values under their keys in the Secret.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a key of the spec does not exist, or if two have the same name.
    pub(super) fn selected(&self, values: &Values) -> Result<Values, Error> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if self.keys.is_empty() {
            let prefixed = |(key, value): (&String, &Json)| (format!("{prefix}{key}"), value.clone());
            return Ok(Values(values.0.iter().map(prefixed).collect()));
        }
        let mut selected = BTreeMap::new();
        for SourceKey { key, name } in &self.keys {
            let value = values.0.get(key).ok_or_else(|| self.missing(key))?;
            let name = format!("{prefix}{}", name.as_ref().unwrap_or(key));
            if selected.insert(name.clone(), value.clone()).is_some() {
                return Err(Error::Invalid(format!(
                    "two keys of {} have the name `{name}`",
                    self.describe()
                )));
            }
        }
        Ok(Values(selected))
    }

    fn missing(&self, key: &str) -> Error {
        Error::Invalid(format!(
            "{} has no key `{key}`: correct keys of the source, or add the key in OpenBao",
            self.describe()
        ))
    }
}

/// Value of one path.
pub(super) struct Found {
    pub(super) document: Document,
    pub(super) version: Option<i64>,
    /// ID of the mount, if it is known.
    pub(super) mount: Option<String>,
    pub(super) at: Timestamp,
}

/// Values of all paths.
#[derive(Default)]
pub(super) struct Collected {
    documents: Vec<Document>,
    versions: Vec<Option<i64>>,
    mounts: Vec<String>,
    /// When the oldest value was read.
    at: Option<Timestamp>,
}

impl Collected {
    /// Adds the value of the next path.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a key that another path has. The message contains no key: a key can be secret, too.
    pub(super) fn add(&mut self, found: Found) -> Result<(), Error> {
        let Found { document, version, mount, at } = found;
        let repeats = |other: &Document| document.values.0.keys().any(|key| other.values.0.contains_key(key));
        if let Some(other) = self.documents.iter().position(repeats) {
            return Err(Error::Invalid(format!(
                "sources {} and {} have a key of the same name: set prefix or keys of one of them",
                other + 1,
                self.documents.len() + 1
            )));
        }
        self.documents.push(document);
        self.versions.push(version);
        self.mounts.push(mount.unwrap_or_default());
        self.at = Some(self.at.map_or(at, |oldest| oldest.min(at)));
        Ok(())
    }

    pub(super) fn obtained(self) -> Obtained {
        let is_known = self.mounts.iter().any(|id| !id.is_empty());
        Obtained {
            documents: self.documents,
            held: Held::Read { versions: self.versions },
            mount: is_known.then(|| self.mounts.join(",")),
            at: self.at.unwrap_or_else(Timestamp::now),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};
    use steamer_core::access::sessions::{CredentialOwner, LoginKey, ServerKey};
    use steamer_openbao::NamespacePath;
    use steamer_runtime::ObjectName;

    use super::*;

    fn part(changes: &Value) -> Part {
        let mut source = json!({"mount": "kv", "path": "app", "type": "kv-v2"});
        for (field, value) in changes.as_object().unwrap() {
            source[field] = value.clone();
        }
        let SecretSource { mount, path, type_: kind, prefix, keys, .. } =
            serde_json::from_value(source).unwrap();
        let login = LoginKey {
            server: ServerKey::default(),
            namespace: NamespacePath::default(),
            mount: "kubernetes".to_owned(),
            role: "role".to_owned(),
            inline: false,
            owner: CredentialOwner::Secret(ObjectName::default(), String::new()),
        };
        let namespace = NamespacePath::default();
        Part { read: Request { login, namespace, mount, path, kind, version: None }, prefix, keys }
    }

    fn names(part: &Part) -> Result<Vec<String>, String> {
        let values = Values::from(&json!({"user": "app", "password": "p"}));
        let selected = part.selected(&values).map_err(|error| error.to_string())?;
        let entry = |(key, value): (&String, &Json)| format!("{key}={}", value.text().expose_secret());
        Ok(selected.0.iter().map(entry).collect())
    }

    #[rstest]
    #[case::all(json!({}), &["password=p", "user=app"])]
    #[case::prefix(json!({"prefix": "DB_"}), &["DB_password=p", "DB_user=app"])]
    #[case::one(json!({"keys": [{"key": "user"}]}), &["user=app"])]
    #[case::renamed(json!({"prefix": "DB_", "keys": [{"key": "user", "name": "LOGIN"}]}), &["DB_LOGIN=app"])]
    #[case::twice(json!({"keys": [{"key": "user"}, {"key": "user", "name": "u"}]}), &["u=app", "user=app"])]
    fn keys_are_selected_and_renamed(#[case] changes: Value, #[case] expected: &[&str]) {
        assert_eq!(names(&part(&changes)).unwrap(), expected);
    }

    #[test]
    fn a_missing_or_repeated_key_names_the_path() {
        let error = names(&part(&json!({"keys": [{"key": "x"}]}))).unwrap_err();
        assert!(error.contains("kv/app has no key `x`"), "{error}");
        let keys = json!({"keys": [{"key": "user", "name": "a"}, {"key": "password", "name": "a"}]});
        let error = names(&part(&keys)).unwrap_err();
        assert!(error.contains("two keys of kv/app have the name `a`"), "{error}");
    }

    fn found(value: &Value, mount: Option<&str>, second: i64) -> Found {
        Found {
            document: Document { values: Values::from(value), metadata: Value::Null },
            version: Some(second),
            mount: mount.map(str::to_owned),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn several_paths_are_as_old_as_the_oldest_and_keep_the_ids_of_their_mounts() {
        let mut all = Collected::default();
        all.add(found(&json!({"a": "1"}), Some("x"), 9)).unwrap();
        all.add(found(&json!({"b": "1"}), None, 3)).unwrap();
        let error = all.add(found(&json!({"canary": "1", "a": "2"}), None, 4)).unwrap_err().to_string();
        assert!(error.starts_with("sources 1 and 3 have a key of the same name"), "{error}");
        let Obtained { documents, held, mount, at } = all.obtained();
        assert_eq!((documents.len(), held.version()), (2, None));
        assert_eq!((mount.as_deref(), at.as_second()), (Some("x,"), 3));
    }

    #[test]
    fn the_request_of_one_path_is_that_of_earlier_versions() {
        assert_eq!(part(&json!({})).request(), ["kv", "app", "kv-v2", ""]);
        assert_eq!(part(&json!({"prefix": "a"})).request().len(), 5);
    }
}
