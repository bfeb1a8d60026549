//! Auth mounts that belong to Steamer, or with which the operator logs in.

use steamer_api::{OpenBaoCluster, Placement};
use steamer_core::error::Error;
use steamer_core::layout::{AUTH_MOUNTS, OPERATOR_MOUNT, TOKEN_REVIEW_MOUNT};

use crate::general::Home;

/// The reserved mounts of the location of an object.
pub(super) fn mounts(home: &Home, placement: &Placement) -> Vec<String> {
    if placement.project_ref.is_some() && placement.namespace.is_none() {
        return AUTH_MOUNTS.map(str::to_owned).to_vec();
    }
    if home.namespace.is_root() { of_logins(&home.cluster) } else { Vec::new() }
}

/// The mounts of the operator and the administrators of a cluster, in its root namespace.
fn of_logins(cluster: &OpenBaoCluster) -> Vec<String> {
    let Some(external) = &cluster.spec.external else {
        let issuers = cluster.spec.administrators.iter().filter_map(|it| it.jwt.as_ref());
        let issuers = issuers.map(|it| format!("jwt_{}", it.issuer_ref.name));
        return [OPERATOR_MOUNT, TOKEN_REVIEW_MOUNT].map(str::to_owned).into_iter().chain(issuers).collect();
    };
    let auth = &external.management_auth;
    let logins = [("kubernetes", &auth.kubernetes), ("jwt", &auth.jwt)];
    let mount = |(default, login): (&str, &Option<steamer_api::ManagementLogin>)| {
        let mount = login.as_ref()?.mount.as_deref().unwrap_or(default);
        Some(mount.trim_matches('/').to_owned())
    };
    logins.into_iter().filter_map(mount).collect()
}

/// Refuses a reserved mount: its deletion or change would end logins that the object does not own.
///
/// # Errors
/// [`Error::Invalid`]
pub(super) fn refuse(path: &str, reserved: &[String]) -> Result<(), Error> {
    if reserved.iter().any(|it| it == path) {
        return Err(Error::Invalid(format!(
            "the auth mount {path} belongs to the logins of Steamer: create an AuthMethod with another path"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_openbao::NamespacePath;

    use super::*;

    fn managed() -> Value {
        json!({
            "managed": {
                "version": "2.7.2", "seal": {"static": {}}, "storage": {"postgresql": {"secretRef": {"name": "pg"}}},
            },
            "administrators": [{"name": "a", "jwt": {"issuerRef": {"name": "gitlab"}, "subject": "s"}}],
        })
    }

    fn external(login: Value) -> Value {
        json!({"external": {"address": "https://bao:8200", "managementAuth": login}})
    }

    #[rstest]
    #[case::managed(managed(), "", json!({}), &["kubernetes", "token_review", "jwt_gitlab"])]
    #[case::namespace_of_managed(managed(), "team", json!({}), &[])]
    #[case::external(external(json!({"kubernetes": {"audience": "a"}})), "", json!({}), &["kubernetes"])]
    #[case::other_mount(external(json!({"jwt": {"audience": "a", "mount": "/k8s/"}})), "", json!({}), &["k8s"])]
    #[case::project(managed(), "org_1/group_7/project_42", json!({"projectRef": {"name": "web"}}), &["pipeline_jwt", "workload_jwt"])]
    #[case::below_a_project(managed(), "org_1/group_7/project_42/x", json!({"projectRef": {"name": "web"}, "namespace": "x"}), &[])]
    fn the_mounts_of_logins_are_reserved(
        #[case] cluster: Value,
        #[case] namespace: &str,
        #[case] placement: Value,
        #[case] expected: &[&str],
    ) {
        let cluster = OpenBaoCluster::new("main", serde_json::from_value(cluster).unwrap());
        let home = Home { cluster: Arc::new(cluster), namespace: NamespacePath::new(namespace) };
        let reserved = mounts(&home, &serde_json::from_value(placement).unwrap());
        assert_eq!(reserved, expected);
        assert!(expected.iter().all(|path| refuse(path, &reserved).is_err()));
        assert!(refuse("applications", &reserved).is_ok());
    }
}
