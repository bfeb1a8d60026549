//! Secrets that a cluster owns.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::cluster::Cluster;
use crate::objects::metadata;

/// A Secret that is deleted with its cluster.
pub(crate) fn secret(cluster: &Cluster, suffix: &str, entries: &BTreeMap<String, String>) -> Secret {
    let bytes = |text: &String| ByteString(text.clone().into_bytes());
    Secret {
        metadata: metadata(cluster, &cluster.child(suffix)),
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
        insta::assert_yaml_snapshot!(secret(&cluster(), "-tls", &entries));
    }
}
