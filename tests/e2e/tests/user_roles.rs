//! Roles for users: aggregated to `view`, `edit` and `admin`, and the role of the platform team.

use anyhow::{Result, ensure};
use serde_json::json;
use steamer_api::{KindId, Property};
use steamer_testing::ground::apply;
use steamer_testing::wait::eventually;

use crate::access_review::{Right, allowed_to};
use crate::fixture::Case;

/// Roles that can read every kind.
const READERS: &[&str] = &["view", "edit", "admin", "steamer-platform"];

/// Rights to a kind: verbs, and the roles that allow them.
fn rights(kind: KindId) -> [(&'static [&'static str], &'static [&'static str]); 2] {
    let writers: &[&str] = if kind.is(Property::Platform) {
        &["steamer-platform"]
    } else {
        &["edit", "admin", "steamer-platform"]
    };
    [(&["get", "list", "watch"], READERS), (&["create", "update", "patch", "delete"], writers)]
}

#[tokio::test]
async fn the_roles_for_users_exclude_statuses_and_the_kinds_of_the_platform() -> Result<()> {
    let case = Case::new("user-roles").await?;
    for role in READERS {
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
    for kind in KindId::ALL {
        let resource = &kind.plural();
        for (verbs, allowing) in rights(*kind) {
            for (verb, role) in verbs.iter().flat_map(|verb| READERS.iter().map(move |role| (verb, role))) {
                let (expected, answer) =
                    (allowing.contains(role), asked(&case.namespace, role, verb, resource).await?);
                ensure!(answer == expected, "{role}: {verb} {resource} is {answer}");
                let elsewhere = asked("default", role, verb, resource).await?;
                ensure!(!elsewhere, "{role} can {verb} {resource} in another namespace");
            }
        }
        for role in READERS {
            for (verb, subresource) in [("patch", "status"), ("update", "status"), ("update", "finalizers")] {
                let answer = asked(&case.namespace, role, verb, &format!("{resource}/{subresource}")).await?;
                ensure!(!answer, "{role} can {verb} {resource}/{subresource}");
            }
        }
    }
    Ok(())
}
