//! Secrets of a cluster.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::Cluster;
use crate::objects::metadata;

/// A Secret that is deleted with its cluster.
pub(crate) fn secret(cluster: &Cluster, name: &str, entries: &BTreeMap<String, String>) -> Secret {
    opaque(metadata(cluster, name), entries)
}

/// A Secret that outlives its cluster, because the data of the cluster is useless without it.
pub(crate) fn without_owner(cluster: &Cluster, name: &str, entries: &BTreeMap<String, String>) -> Secret {
    opaque(ObjectMeta { owner_references: None, ..metadata(cluster, name) }, entries)
}

fn opaque(metadata: ObjectMeta, entries: &BTreeMap<String, String>) -> Secret {
    let bytes = |text: &String| ByteString(text.clone().into_bytes());
    Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some(entries.iter().map(|(key, text)| (key.clone(), bytes(text))).collect()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cluster;

    #[test]
    fn values_are_encoded_and_the_secret_has_an_owner() {
        let entries = [("tls.crt".to_owned(), "text".to_owned())].into();
        insta::assert_yaml_snapshot!(secret(&cluster(), "main-tls", &entries));
    }

    #[test]
    fn a_secret_without_an_owner_has_the_labels_of_its_cluster() {
        let entries = [("k1".to_owned(), "key".to_owned())].into();
        insta::assert_yaml_snapshot!(without_owner(&cluster(), "main-seal", &entries));
    }
}
