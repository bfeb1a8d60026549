//! Locations of KV values as keys of the index: an object depends on the locations that it reads.

use steamer_api::KvType;
use steamer_openbao::KvWrite;
use steamer_runtime::{Key, ObjectName};

/// Endpoints of KV version 2 that change a value or its metadata.
const ENDPOINTS: [&str; 5] = ["data", "metadata", "delete", "undelete", "destroy"];
/// Most folders of a path. An object cannot find values in a deeper one.
const FOLDERS: usize = 64;

/// A KV engine of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct KvEngine<'a> {
    /// Name of the OpenBaoCluster.
    pub cluster: &'a ObjectName,
    /// OpenBao namespace.
    pub namespace: &'a str,
    /// Path of the mount.
    pub mount: &'a str,
    /// Version of the engine.
    pub version: KvType,
}

impl KvEngine<'_> {
    /// Key of the value at a path.
    #[must_use]
    pub fn value(&self, path: &str) -> Key {
        self.key("KV value", path)
    }

    /// Key of all values below a folder. The folder of the mount itself is empty.
    #[must_use]
    pub fn folder(&self, path: &str) -> Key {
        self.key("KV folder", path)
    }

    fn key(&self, kind: &'static str, path: &str) -> Key {
        let ObjectName { namespace, name } = self.cluster;
        let version = match self.version {
            KvType::V1 => 1,
            KvType::V2 => 2,
        };
        let (mount, path) = (self.mount.trim_matches('/'), path.trim_matches('/'));
        let location = format!("{version}\n{}\n{mount}\n{path}", self.namespace.trim_matches('/'));
        Key::new(kind, ObjectName::new(format!("{namespace}/{name}"), location))
    }

    /// The value, and all folders above it.
    fn keys(&self, path: &str) -> impl Iterator<Item = Key> {
        let path = path.trim_matches('/');
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        let folders = std::iter::once("").chain(parents).take(FOLDERS).map(|folder| self.folder(folder));
        std::iter::once(self.value(path)).chain(folders)
    }
}

/// Keys of everything that a write can have changed. The write does not state the version of the engine.
pub(super) fn changed(cluster: &ObjectName, write: &KvWrite) -> Vec<Key> {
    let KvWrite { namespace, mount, path } = write;
    let engine = |version| KvEngine { cluster, namespace, mount, version };
    let mut keys: Vec<Key> = engine(KvType::V1).keys(path).collect();
    if let Some((endpoint, path)) = path.split_once('/')
        && ENDPOINTS.contains(&endpoint)
    {
        keys.extend(engine(KvType::V2).keys(path));
    }
    keys
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn engine<'a>(cluster: &'a ObjectName, version: KvType) -> KvEngine<'a> {
        KvEngine { cluster, namespace: "org/web", mount: "kv", version }
    }

    #[rstest]
    #[case::data("data/a/b", KvType::V2, "a/b", true)]
    #[case::metadata("metadata/a/b", KvType::V2, "a/b", true)]
    #[case::delete("delete/a/b", KvType::V2, "a/b", true)]
    #[case::undelete("undelete/a/b", KvType::V2, "a/b", true)]
    #[case::destroy("destroy/a/b", KvType::V2, "a/b", true)]
    #[case::slashes("data/a/b", KvType::V2, "/a/b/", true)]
    #[case::configuration("config", KvType::V2, "config", false)]
    #[case::other_endpoint("subkeys/a/b", KvType::V2, "a/b", false)]
    #[case::other_path("data/a/b", KvType::V2, "a/bc", false)]
    #[case::parent("data/a/b", KvType::V2, "a", false)]
    #[case::child("data/a", KvType::V2, "a/b", false)]
    #[case::first_version("a/b", KvType::V1, "a/b", true)]
    #[case::first_version_named_data("data/a", KvType::V1, "data/a", true)]
    #[case::first_version_is_not_the_second("a/b", KvType::V2, "a/b", false)]
    fn a_write_wakes_the_readers_of_its_value(
        #[case] path: &str,
        #[case] version: KvType,
        #[case] read: &str,
        #[case] woken: bool,
    ) {
        let cluster = ObjectName::new("openbao", "main");
        let write =
            KvWrite { namespace: "org/web".to_owned(), mount: "kv".to_owned(), path: path.to_owned() };
        assert_eq!(changed(&cluster, &write).contains(&engine(&cluster, version).value(read)), woken);
    }

    #[rstest]
    #[case("", true)]
    #[case("a", true)]
    #[case("a/b/", true)]
    #[case("a/b/c", false)]
    #[case("b", false)]
    fn a_write_wakes_those_that_find_values_above_it(#[case] folder: &str, #[case] woken: bool) {
        let cluster = ObjectName::new("openbao", "main");
        let write = KvWrite {
            namespace: "org/web".to_owned(),
            mount: "kv".to_owned(),
            path: "metadata/a/b/c".to_owned(),
        };
        assert_eq!(changed(&cluster, &write).contains(&engine(&cluster, KvType::V2).folder(folder)), woken);
    }

    #[test]
    fn locations_of_other_clusters_namespaces_and_mounts_differ() {
        let (main, other) = (ObjectName::new("openbao", "main"), ObjectName::new("openbao", "other"));
        let engine = engine(&main, KvType::V2);
        let others = [
            KvEngine { cluster: &other, ..engine },
            KvEngine { namespace: "org", ..engine },
            KvEngine { mount: "kv2", ..engine },
            KvEngine { version: KvType::V1, ..engine },
        ];
        assert!(others.iter().all(|other| other.value("a") != engine.value("a")));
        assert_ne!(engine.value("a"), engine.folder("a"));
    }
}
