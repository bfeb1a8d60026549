//! ServiceAccount of the pods.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::cluster::Cluster;
use crate::objects::metadata;

/// The pods' ServiceAccount. It has no permissions: Steamer labels the leader, so no node needs the Kubernetes API.
pub(crate) fn account(cluster: &Cluster) -> ServiceAccount {
    let annotations = &cluster.spec.service_account.annotations;
    let mut metadata = metadata(cluster, &cluster.name.name);
    metadata.annotations = (!annotations.is_empty()).then(|| annotations.clone());
    ServiceAccount { metadata, ..ServiceAccount::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::{cluster, cluster_with};

    #[test]
    fn an_account_is_owned_by_its_cluster() {
        insta::assert_yaml_snapshot!(account(&cluster()));
    }

    #[test]
    fn annotations_of_the_spec_are_set() {
        let cluster = cluster_with(json!({"serviceAccount": {"annotations": {"role": "arn"}}}));
        assert_eq!(account(&cluster).metadata.annotations.unwrap()["role"], "arn");
    }
}
