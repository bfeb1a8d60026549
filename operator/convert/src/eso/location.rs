//! Paths in OpenBao of the keys of External Secrets Operator.

use serde_json::{Map, Value, json};

use crate::inventory::Store;

/// A secret in a KV engine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Location {
    pub(super) mount: String,
    pub(super) path: String,
    pub(super) kv: &'static str,
    pub(super) version: Option<i64>,
}

impl Location {
    /// The fields that state the secret in an object of Steamer.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("mount".to_owned(), json!(self.mount));
        if !self.path.is_empty() {
            fields.insert("path".to_owned(), json!(self.path));
        }
        fields.insert("type".to_owned(), json!(self.kv));
        if let Some(version) = self.version {
            fields.insert("version".to_owned(), json!(version));
        }
        fields
    }
}

/// The secret of a key: the key can start with the mount of the store, and with `data/` after it.
pub(super) fn located(store: &Store, key: &str, version: Option<i64>) -> Option<Location> {
    let (kv, key) = (store.kv?, key.trim_matches('/'));
    let (mount, path) = match &store.mount {
        Some(mount) => {
            (mount.as_str(), key.strip_prefix(&format!("{mount}/")).map(|rest| without_data(rest, kv)))
        }
        None => {
            let (mount, rest) = key.split_once('/')?;
            (mount, Some(without_data(rest, kv)))
        }
    };
    let path = path.unwrap_or(key);
    (!path.is_empty()).then(|| Location { mount: mount.to_owned(), path: path.to_owned(), kv, version })
}

fn without_data<'a>(path: &'a str, kv: &str) -> &'a str {
    path.strip_prefix("data/").filter(|_| kv == "kv-v2").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(Some("kv"), "kv-v2", "app/db", Some(("kv", "app/db")))]
    #[case::with_mount(Some("kv"), "kv-v2", "kv/app", Some(("kv", "app")))]
    #[case::with_data(Some("kv"), "kv-v2", "kv/data/app", Some(("kv", "app")))]
    #[case::data_of_v1(Some("kv"), "kv-v1", "kv/data/app", Some(("kv", "data/app")))]
    #[case::data_without_mount(Some("kv"), "kv-v2", "data/app", Some(("kv", "data/app")))]
    #[case::deep_mount(Some("teams/a"), "kv-v2", "app", Some(("teams/a", "app")))]
    #[case::no_mount(None, "kv-v2", "secret/app/db", Some(("secret", "app/db")))]
    #[case::no_mount_with_data(None, "kv-v2", "secret/data/app", Some(("secret", "app")))]
    #[case::only_a_mount(None, "kv-v2", "secret", None)]
    #[case::empty(Some("kv"), "kv-v2", "", None)]
    fn a_key_is_located(
        #[case] mount: Option<&str>,
        #[case] kv: &'static str,
        #[case] key: &str,
        #[case] expected: Option<(&str, &str)>,
    ) {
        let store = Store { mount: mount.map(str::to_owned), kv: Some(kv) };
        let found = located(&store, key, None).map(|found| (found.mount, found.path));
        assert_eq!(found, expected.map(|(mount, path)| (mount.to_owned(), path.to_owned())));
    }
}
