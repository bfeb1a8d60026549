//! Folders that two applications of a cluster must not share. Policies, roles and groups are compared as those of all general
//! kinds are.

use std::sync::Arc;

use steamer_api::SecretsApp;
use steamer_core::error::Error;
use steamer_core::references::seniority;
use steamer_runtime::{Key, ObjectName};

use super::names::{self, own};
use crate::engine::Lookup;

/// Checks that no other application has precedence for the folder of this one.
///
/// # Errors
/// [`Error::Conflict`]
pub(super) fn check(app: &SecretsApp, lookup: &Lookup<'_>) -> Result<(), Error> {
    let rivals = lookup.list(key(app), |other: &SecretsApp| is_rival(app, other));
    refuse(app, &rivals)
}

/// Key of the folder: a change of an application requeues those that it contends with. Folders that contend have the same mount
/// and the same first part.
pub(super) fn key(app: &SecretsApp) -> Key {
    let (mount, prefix) = (&app.spec.kv.mount, names::prefix(app));
    let first = prefix.split('/').next().unwrap_or_default();
    Key::new("folder of an application".to_owned(), ObjectName::new("", format!("{mount}/{first}/")))
}

/// The folder, with `/` at its end.
fn folder(app: &SecretsApp) -> String {
    names::folder(app) + "/"
}

fn is_rival(app: &SecretsApp, other: &SecretsApp) -> bool {
    let (own, theirs) = (own(app), own(other));
    own != theirs
        && own.namespace == theirs.namespace
        && app.spec.cluster_ref.name == other.spec.cluster_ref.name
}

fn refuse(app: &SecretsApp, rivals: &[Arc<SecretsApp>]) -> Result<(), Error> {
    let own = folder(app);
    for rival in rivals {
        let theirs = folder(rival);
        let contends = own.starts_with(&theirs) || theirs.starts_with(&own);
        if contends && rank(rival) < rank(app) {
            return Err(Error::Conflict(format!(
                "SecretsApp {} already uses {}: give {} another folder or mount",
                ObjectName::of(&**rival),
                theirs.trim_end_matches('/'),
                own.trim_end_matches('/')
            )));
        }
    }
    Ok(())
}

/// The application that already has the folder comes first, otherwise the oldest.
fn rank(app: &SecretsApp) -> (bool, (i64, bool, ObjectName)) {
    let path = app.status.as_ref().and_then(|status| status.kv_path.as_ref());
    let holds = path.is_some_and(|path| format!("{path}/") == folder(app));
    (!holds, seniority(app, true))
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
        refuse(app, &rivals).err().map(|error| error.to_string())
    }

    fn folder_of(prefix: &str) -> Value {
        json!({"kv": {"prefix": prefix}})
    }

    #[rstest]
    #[case::other_folders(json!({}), json!({}), None)]
    #[case::same(folder_of("teams"), folder_of("teams"), Some("uses kvv2/teams: give kvv2/teams another"))]
    #[case::inner(
        folder_of("teams"),
        folder_of("teams/shop"),
        Some("uses kvv2/teams: give kvv2/teams/shop another")
    )]
    #[case::outer(folder_of("t/shop"), folder_of("t"), Some("uses kvv2/t/shop: give kvv2/t another"))]
    #[case::beside(folder_of("t/shop"), folder_of("t/shop2"), None)]
    #[case::other_mount(folder_of("t"), json!({"kv": {"prefix": "t", "mount": "kv"}}), None)]
    #[case::other_cluster(folder_of("t"), json!({"clusterRef": {"name": "other"}, "kv": {"prefix": "t"}}), None)]
    fn the_younger_application_reports_the_folder_that_both_use(
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
    fn an_older_application_does_not_take_over_the_folder_that_another_one_has() {
        let (first, mut second) = (app("web", 1, folder_of("t")), app("webapp", 2, folder_of("t")));
        second.status = Some(serde_json::from_value(json!({"kvPath": "kvv2/t"})).unwrap());
        assert!(conflict(&first, &second).is_some());
        assert_eq!(conflict(&second, &first), None);
    }
}
