//! Roles for users: aggregated to `view`, `edit` and `admin`, and the role of the platform team.

use anyhow::{Result, ensure};
use serde_json::json;
use steamer_testing::ground::apply;
use steamer_testing::wait::eventually;

use crate::access_review::{Right, allowed_to};
use crate::fixture::Case;

/// Rights of each role: verb, resource, and the roles that allow it.
const RIGHTS: [(&str, &str, &str); 16] = [
    ("get", "openbaoclusters", "view edit admin steamer-platform"),
    ("watch", "baostaticsecrets", "view edit admin steamer-platform"),
    ("list", "jwtissuers", "view edit admin steamer-platform"),
    ("create", "baostaticsecrets", "edit admin steamer-platform"),
    ("update", "secrettransformations", "edit admin steamer-platform"),
    ("patch", "baoauths", "edit admin steamer-platform"),
    ("delete", "pipelinepolicies", "edit admin steamer-platform"),
    ("update", "secretsprojects", "edit admin steamer-platform"),
    ("create", "openbaoclusters", "steamer-platform"),
    ("patch", "openbaoclusters", "steamer-platform"),
    ("update", "secretstenants", "steamer-platform"),
    ("delete", "jwtissuers", "steamer-platform"),
    ("patch", "baoauths/status", ""),
    ("update", "secretstenants/status", ""),
    ("patch", "secretsprojects/status", ""),
    ("update", "openbaoclusters/finalizers", ""),
];

#[tokio::test]
async fn the_roles_for_users_exclude_statuses_and_the_kinds_of_the_platform() -> Result<()> {
    let case = Case::new("user-roles").await?;
    let roles = ["view", "edit", "admin", "steamer-platform"];
    for role in roles {
        apply(&case.client, json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": case.namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("{role}-user")}],
        })).await?;
    }
    let asked = async |namespace: &str, role: &str, verb: &str, resource: &str| {
        let right = Right { namespace, verb, group: "steamer.dev", resource };
        allowed_to(&case.client, &format!("{role}-user"), &right).await
    };
    eventually("Kubernetes has aggregated the roles", || async {
        let ready = asked(&case.namespace, "admin", "create", "baoauths").await;
        ready.map_err(|error| error.to_string())?.then_some(()).ok_or_else(|| "not yet".to_owned())
    })
    .await?;
    for (verb, resource, allowing) in RIGHTS {
        for role in roles {
            let expected = allowing.split_whitespace().any(|allowing| allowing == role);
            let answer = asked(&case.namespace, role, verb, resource).await?;
            ensure!(answer == expected, "{role}: {verb} {resource} is {answer}");
            ensure!(!asked("default", role, verb, resource).await?, "{role} has rights in another namespace");
        }
    }
    for definition in steamer_api::definitions() {
        let kind = definition.spec.names.plural;
        for role in roles {
            ensure!(asked(&case.namespace, role, "list", &kind).await?, "{role} cannot list {kind}");
            for (verb, subresource) in [("patch", "status"), ("update", "status"), ("update", "finalizers")] {
                let answer = asked(&case.namespace, role, verb, &format!("{kind}/{subresource}")).await?;
                ensure!(!answer, "{role} can {verb} {kind}/{subresource}");
            }
        }
    }
    Ok(())
}
