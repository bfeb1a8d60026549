//! One of the paths of an object, and its keys in the Secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use steamer_api::{Decoding, Find, KvType, Rewrite, SecretSource, SourceKey};
use steamer_core::Error;
use steamer_core::writes::KvEngine;
use steamer_openbao::{Json, Values};
use steamer_runtime::{Key, ObjectName};

use super::decoding::decoded;
use crate::engine::{Document, Held, Obtained, ReadAccess, Request};
use crate::naming::{Budget, Naming, accepted, expression};

/// A path, with the names of its keys in the Secret.
pub(super) struct Part {
    /// With `find`: the folder.
    pub(super) read: Request,
    pub(super) find: Option<Find>,
    prefix: Option<String>,
    /// Empty: all keys.
    keys: Vec<SourceKey>,
    decode: Decoding,
    rewrite: Vec<Rewrite>,
}

/// Keys with their values and encodings.
type Entries = Vec<(String, Json, Decoding)>;

impl Part {
    pub(super) fn new(source: SecretSource, access: &ReadAccess) -> Self {
        let SecretSource { mount, path, find, type_: kind, version, prefix, keys, decode, rewrite } = source;
        let folder = || find.as_ref().and_then(|find| find.path.clone());
        let path = path.or_else(folder).unwrap_or_default();
        let read = Request {
            login: access.login.clone(),
            namespace: access.namespace.clone(),
            mount: mount.trim_matches('/').to_owned(),
            path,
            kind,
            version: version.filter(|version| *version > 0),
        };
        Self { read, find, prefix, keys, decode, rewrite }
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
        if self.find.is_some() || self.decode != Decoding::None || !self.rewrite.is_empty() {
            texts.push(format!("{:?} {:?} {:?}", self.find, self.decode, self.rewrite));
        }
        texts
    }

    /// Location of which a write in the cluster wakes the object.
    pub(super) fn location(&self, cluster: &ObjectName) -> Key {
        let Request { namespace, mount, path, kind, .. } = &self.read;
        let engine = KvEngine { cluster, namespace: namespace.as_str(), mount, version: *kind };
        if self.find.is_some() { engine.folder(path) } else { engine.value(path) }
    }

    /// Name of the source in messages.
    pub(super) fn describe(&self) -> String {
        let Request { mount, path, version, kind, .. } = &self.read;
        let hint = match (kind, path.strip_prefix("data/")) {
            (KvType::V2, Some(rest)) => format!(" (Steamer adds data/ itself: write path: {rest})"),
            _ => String::new(),
        };
        match (version, &self.find) {
            (_, Some(_)) => format!("find in {mount}/{path}"),
            (Some(version), None) => format!("{mount}/{path} version {version}{hint}"),
            (None, None) => format!("{mount}/{path}{hint}"),
        }
    }

    /// The values under their keys in the Secret.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a key of the spec does not exist, if a value is not encoded as the spec states, or if two keys
    /// have the same name.
    pub(super) fn selected(&self, values: &Values, budget: &mut Budget) -> Result<Values, Error> {
        if self.keys.is_empty() {
            let entry = |(key, value): (&String, &Json)| (key.clone(), value.clone(), self.decode);
            return self.named(values.0.iter().map(entry).collect(), budget);
        }
        let entry = |SourceKey { key, name, decode }: &SourceKey| {
            let value = values.0.get(key).ok_or_else(|| self.missing(key))?;
            Ok((name.as_ref().unwrap_or(key).clone(), value.clone(), decode.unwrap_or(self.decode)))
        };
        self.named(self.keys.iter().map(entry).collect::<Result<_, Error>>()?, budget)
    }

    /// The secrets that `find` found, by path, under their keys in the Secret.
    ///
    /// # Errors
    /// As [`Self::selected`].
    pub(super) fn collected(
        &self,
        secrets: &BTreeMap<String, Values>,
        budget: &mut Budget,
    ) -> Result<Values, Error> {
        let key = self.find.as_ref().and_then(|find| find.key.as_ref());
        let entry = |(path, values): (&String, &Values)| {
            let value = match key {
                Some(key) => values.0.get(key).cloned().ok_or_else(|| self.missing(key))?,
                None => values.json(),
            };
            Ok((path.clone(), value, self.decode))
        };
        self.named(secrets.iter().map(entry).collect::<Result<_, Error>>()?, budget)
    }

    /// Decodes and renames. A message contains no key that the spec does not: a key can be secret, too.
    fn named(&self, entries: Entries, budget: &mut Budget) -> Result<Values, Error> {
        let (mut naming, mut named) = (Naming::parse(&self.rewrite, "sources")?, BTreeMap::new());
        let prefix = self.prefix.as_deref().unwrap_or_default();
        for (position, (name, value, decoding)) in entries.into_iter().enumerate() {
            let value = decoded(&value, decoding).ok_or_else(|| self.encoded(position, decoding))?;
            let name = naming.rewritten(&name, budget).ok_or_else(|| self.too_long())?;
            let name = if self.find.is_some() { accepted(&name) } else { name };
            if named.insert(format!("{prefix}{name}"), value).is_some() {
                return Err(self.repeated(&name));
            }
        }
        Ok(Values(named))
    }

    fn repeated(&self, name: &str) -> Error {
        let of_spec = self.keys.iter().any(|key| key.name.as_ref().unwrap_or(&key.key) == name);
        let which = if of_spec { format!("the name `{name}`") } else { "the same name".to_owned() };
        Error::Invalid(format!("two keys of {} have {which}: correct the names or rewrite", self.describe()))
    }

    fn encoded(&self, position: usize, decoding: Decoding) -> Error {
        Error::Invalid(format!(
            "key {} of {} is not a text in {decoding:?}: correct decode, or the value in OpenBao",
            position + 1,
            self.describe()
        ))
    }

    fn too_long(&self) -> Error {
        Error::Invalid(format!(
            "the names of the keys of {} are too long for rewrite (at most 1024 bytes each, and 32 KiB together), or a template of \
             rewrite fails or needs too many steps: correct them",
            self.describe()
        ))
    }

    /// Checks the expressions of a source.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the expression.
    pub(super) fn check(source: &SecretSource) -> Result<(), Error> {
        if let Some(regexp) = source.find.as_ref().and_then(|find| find.regexp.as_ref()) {
            expression(regexp, "sources", "find.regexp")?;
        }
        Naming::parse(&source.rewrite, "sources").map(drop)
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
    use steamer_openbao::{Client, Identity, NamespacePath, Settings};

    use super::*;
    use crate::engine::{Reader, sample};

    fn part(changes: &Value) -> Part {
        let mut source = json!({"mount": "kv", "path": "app", "type": "kv-v2"});
        for (field, value) in changes.as_object().unwrap() {
            source[field] = value.clone();
        }
        if changes.get("find").is_some() {
            source["path"] = Value::Null;
        }
        let source: SecretSource = serde_json::from_value(source).unwrap();
        let login = sample::login("role", false);
        let session =
            Client::new(&Settings::default()).unwrap().session(Identity::Token("t".to_owned().into()));
        let reader = Reader { session: session.clone(), token: session };
        let owner = Key::new("BaoStaticSecret", ObjectName::default());
        let namespace = NamespacePath::default();
        Part::new(source, &ReadAccess { reader, namespace, login, cluster: None, relayed: None, owner })
    }

    fn names(part: &Part) -> Result<Vec<String>, String> {
        let values = Values::from(&json!({"user": "app", "password": "p"}));
        let selected = part.selected(&values, &mut Budget::default()).map_err(|error| error.to_string())?;
        let entry = |(key, value): (&String, &Json)| format!("{key}={}", value.text().expose_secret());
        Ok(selected.0.iter().map(entry).collect())
    }

    #[rstest]
    #[case::all(json!({}), &["password=p", "user=app"])]
    #[case::prefix(json!({"prefix": "DB_"}), &["DB_password=p", "DB_user=app"])]
    #[case::one(json!({"keys": [{"key": "user"}]}), &["user=app"])]
    #[case::renamed(json!({"prefix": "DB_", "keys": [{"key": "user", "name": "LOGIN"}]}), &["DB_LOGIN=app"])]
    #[case::rewritten(json!({"rewrite": [{"source": "^(.)", "target": "x_$1"}], "prefix": "A"}), &["Ax_password=p", "Ax_user=app"])]
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

    #[rstest]
    #[case::whole(json!({"find": {}}), &[r#"team_a={"value":"1"}"#, r#"team_b={"value":"Mg=="}"#])]
    #[case::key(json!({"find": {"key": "value"}}), &["team_a=1", "team_b=Mg=="])]
    #[case::rewritten(
        json!({"find": {"path": "team", "key": "value"}, "prefix": "T-", "rewrite": [{"source": "^team/", "target": ""}]}),
        &["T-a=1", "T-b=Mg=="]
    )]
    fn found_secrets_become_keys(#[case] changes: Value, #[case] expected: &[&str]) {
        let secrets = [("team/a", "1"), ("team/b", "Mg==")];
        let secrets = secrets.map(|(path, value)| (path.to_owned(), Values::from(&json!({"value": value}))));
        let found = part(&changes).collected(&secrets.into(), &mut Budget::default()).unwrap();
        let entry = |(key, value): (&String, &Json)| format!("{key}={}", value.text().expose_secret());
        assert_eq!(found.0.iter().map(entry).collect::<Vec<_>>(), expected);
    }

    #[rstest]
    #[case::rewrite(json!({"rewrite": [{"source": ".*", "target": "canary"}]}), "have the same name")]
    #[case::encoding(json!({"decode": "Base64"}), "key 1 of kv/app is not a text in Base64")]
    #[case::long(json!({"rewrite": [{"source": "^", "target": "x"}, {"source": "x", "target": "y".repeat(1025)}]}), "too long")]
    fn an_error_of_a_key_does_not_contain_it(#[case] changes: Value, #[case] expected: &str) {
        let error = names(&part(&changes)).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(["canary", "password"].iter().all(|part| !error.contains(part)), "{error}");
    }

    #[test]
    fn found_secrets_with_one_name_are_refused_and_a_missing_key_is_named() {
        let secrets = ["a/b", "a_b"].map(|path| (path.to_owned(), Values::from(&json!({"value": "1"}))));
        let error = |find: Value| {
            let secrets: BTreeMap<String, Values> = secrets.clone().into();
            let found = part(&json!({"find": find})).collected(&secrets, &mut Budget::default());
            found.err().unwrap().to_string()
        };
        assert!(error(json!({})).contains("find in kv/ have the same name"), "{}", error(json!({})));
        assert!(error(json!({"key": "x"})).contains("has no key `x`"));
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
        assert_eq!(part(&json!({"decode": "Auto"})).request().len(), 5);
    }
}
