//! Names and folders that two applications of a cluster must not share. Those of readers, CI jobs and folders are free text, and
//! with `adopt: IfUnowned` one application would take over the role of the other.

use std::sync::Arc;

use steamer_api::SecretsApp;
use steamer_core::error::Error;
use steamer_core::references::seniority;
use steamer_runtime::{Key, ObjectName};

use super::bindings::{Method, roles};
use super::names::{self, own};
use crate::engine::Lookup;

/// Checks that no other application has precedence for a name or folder of this one.
///
/// # Errors
/// [`Error::Conflict`]
pub(super) fn check(app: &SecretsApp, lookup: &Lookup<'_>) -> Result<(), Error> {
    for claim in claims(app) {
        let rivals = lookup.list(claim.key(), |other: &SecretsApp| is_rival(app, other));
        refuse(app, &claim, &rivals)?;
    }
    Ok(())
}

/// Keys of the claims: a change of an application requeues those that it contends with.
pub(super) fn keys(app: &SecretsApp) -> Vec<Key> {
    claims(app).iter().map(Claim::key).collect()
}

/// Use of a path by one application only.
struct Claim {
    /// Path of a policy or role in lower case, or of a folder with `/` at its end.
    path: String,
    /// Part of the path that contending paths have in common.
    start: String,
}

impl Claim {
    fn of(path: String) -> Self {
        Self { start: path.clone(), path }
    }

    fn key(&self) -> Key {
        Key::new("claim of an application".to_owned(), ObjectName::new("", &self.start))
    }

    fn contends_with(&self, other: &Self) -> bool {
        let contains = |outer: &str, inner: &str| outer.ends_with('/') && inner.starts_with(outer);
        self.path == other.path || contains(&self.path, &other.path) || contains(&other.path, &self.path)
    }
}

fn claims(app: &SecretsApp) -> Vec<Claim> {
    let (mount, prefix) = (&app.spec.kv.mount, names::prefix(app));
    let first = prefix.split('/').next().unwrap_or_default();
    let mut claims = vec![Claim { path: format!("{mount}/{prefix}/"), start: format!("{mount}/{first}/") }];
    let role = |mount: &str, name: &str| Claim::of(format!("auth/{mount}/role/{name}").to_lowercase());
    let runtime = &app.spec.runtime.mount;
    claims.extend(roles(app, Method::Kubernetes).iter().map(|it| role(runtime, &it.name)));
    for reader in &app.spec.readers {
        claims.push(Claim::of(crate::write::policy_path(&reader.name).to_lowercase()));
        claims.push(role(runtime, &reader.name));
    }
    claims.extend(app.spec.ci.as_ref().zip(names::ci_role(app)).map(|(ci, name)| role(&ci.mount, &name)));
    claims
}

fn is_rival(app: &SecretsApp, other: &SecretsApp) -> bool {
    let (own, theirs) = (own(app), own(other));
    own != theirs
        && own.namespace == theirs.namespace
        && app.spec.cluster_ref.name == other.spec.cluster_ref.name
}

fn refuse(app: &SecretsApp, claim: &Claim, rivals: &[Arc<SecretsApp>]) -> Result<(), Error> {
    for rival in rivals {
        let contended = claims(rival).into_iter().find(|it| it.contends_with(claim));
        let Some(other) = contended.filter(|other| rank(rival, other) < rank(app, claim)) else { continue };
        return Err(Error::Conflict(format!(
            "SecretsApp {} already uses {}: give {} another name, folder or mount",
            ObjectName::of(&**rival),
            other.path.trim_end_matches('/'),
            claim.path.trim_end_matches('/')
        )));
    }
    Ok(())
}

/// The application that already has the path comes first, otherwise the oldest.
fn rank(app: &SecretsApp, claim: &Claim) -> (bool, (i64, bool, ObjectName)) {
    (!holds(app, claim), seniority(app, true))
}

fn holds(app: &SecretsApp, claim: &Claim) -> bool {
    let Some(status) = &app.status else { return false };
    let owned = status.owned.iter().flat_map(|it| &it.resources);
    let folder = status.kv_path.as_ref().map(|it| format!("{it}/"));
    folder.as_ref() == Some(&claim.path)
        || owned.filter(|it| !it.pending).any(|it| it.path.to_lowercase() == claim.path)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::fixture::app as object;

    fn app(name: &str, second: i64, spec: Value) -> SecretsApp {
        let mut app = object(spec);
        app.metadata.name = Some(name.to_owned());
        app.metadata.creation_timestamp = Some(Time(jiff::Timestamp::from_second(second).unwrap()));
        app
    }

    fn conflict(app: &SecretsApp, other: &SecretsApp) -> Option<String> {
        let rivals: Vec<Arc<SecretsApp>> =
            [other].into_iter().filter(|it| is_rival(app, it)).map(|it| Arc::new(it.clone())).collect();
        claims(app).iter().find_map(|claim| refuse(app, claim, &rivals).err()).map(|error| error.to_string())
    }

    fn ci(role: &str) -> Value {
        json!({"ci": {"role": role, "audiences": ["a"], "boundClaims": {"r": ["x"]}}})
    }

    fn reader(name: &str) -> Value {
        json!({"readers": [{"name": name, "serviceAccount": "r", "namespace": "n", "prefix": "p"}]})
    }

    #[rstest]
    #[case::nothing_shared(json!({}), json!({}), None)]
    #[case::ci_role(ci("deploy"), ci("Deploy"), Some("uses auth/gitea_jwt/role/deploy:"))]
    #[case::default_ci_role(
        ci("gitea_cicd_web"),
        ci("gitea_cicd_web"),
        Some("uses auth/gitea_jwt/role/gitea_cicd_web:")
    )]
    #[case::reader(reader("x_conf"), reader("x_conf"), Some("uses sys/policies/acl/x_conf:"))]
    #[case::folder(json!({"kv": {"prefix": "teams"}}), json!({"kv": {"prefix": "teams/shop"}}), Some("uses kvv2/teams:"))]
    #[case::deeper(json!({"kv": {"prefix": "t/shop"}}), json!({"kv": {"prefix": "t"}}), Some("uses kvv2/t/shop:"))]
    #[case::beside(json!({"kv": {"prefix": "t/shop"}}), json!({"kv": {"prefix": "t/shop2"}}), None)]
    #[case::other_cluster(ci("deploy"), json!({"clusterRef": {"name": "other"}, "ci": ci("deploy")["ci"]}), None)]
    fn the_younger_application_reports_what_both_use(
        #[case] first: Value,
        #[case] second: Value,
        #[case] problem: Option<&str>,
    ) {
        let (first, second) = (app("web", 1, first), app("webapp", 2, second));
        let message = conflict(&second, &first);
        assert_eq!(message.is_some(), problem.is_some(), "{message:?}");
        assert!(message.unwrap_or_default().contains(problem.unwrap_or_default()));
        assert_eq!(conflict(&first, &second), None);
    }

    #[test]
    fn an_older_application_does_not_take_over_what_another_one_owns() {
        let (first, mut second) = (app("web", 1, ci("deploy")), app("webapp", 2, ci("deploy")));
        let owned = json!({"owned": {"clusterRef": {"name": "main"}, "resources": [{"path": "auth/gitea_jwt/role/deploy"}]}});
        second.status = Some(serde_json::from_value(owned).unwrap());
        assert!(conflict(&first, &second).is_some());
        assert_eq!(conflict(&second, &first), None);
    }
}
