//! Policies of the pods and of the readers of an application.

use steamer_api::{AppReader, SecretsApp};
use steamer_core::error::Error;

use super::hcl::{self, Rule};
use super::parts::Parts;
use super::{names, ops};

/// Names and texts of all policies.
///
/// # Errors
/// As [`ops::rules`].
pub(super) fn all(app: &SecretsApp, parts: &Parts) -> Result<Vec<(String, String)>, Error> {
    Ok(rules(app, parts)?.into_iter().map(|(name, rules)| (name, hcl::text(&rules))).collect())
}

/// Names and rules of all policies.
///
/// # Errors
/// As [`ops::rules`].
pub(super) fn rules(app: &SecretsApp, parts: &Parts) -> Result<Vec<(String, Vec<Rule>)>, Error> {
    let mut policies = vec![(names::app(app), runtime(app, parts.credentials.as_deref()))];
    if has_ops(app) {
        policies.push((names::ops(app), ops::rules(app, parts)?));
    }
    policies.extend(app.spec.readers.iter().map(|it| (it.name.clone(), reader(app, it))));
    Ok(policies)
}

/// Names of all policies.
pub(super) fn names(app: &SecretsApp) -> Vec<String> {
    let ops = has_ops(app).then(|| names::ops(app));
    let readers = app.spec.readers.iter().map(|it| it.name.clone());
    [names::app(app)].into_iter().chain(ops).chain(readers).collect()
}

/// Returns true if CI jobs or people use the policy of the CI jobs.
pub(super) fn has_ops(app: &SecretsApp) -> bool {
    app.spec.ci.is_some() || app.spec.identity_group.enabled
}

/// The rights of the pods. The path of the credentials is exact: `creds/web*` would also match those of `webapp`.
fn runtime(app: &SecretsApp, credentials: Option<&str>) -> Vec<Rule> {
    let mut rules = reads(app, &names::prefix(app));
    rules.extend(credentials.map(|path| Rule::new(path, &["read"])));
    rules
}

fn reader(app: &SecretsApp, reader: &AppReader) -> Vec<Rule> {
    reads(app, &format!("{}/{}", names::prefix(app), reader.prefix))
}

/// The right to read a folder of secrets. OpenBao lists names at the path of the metadata.
fn reads(app: &SecretsApp, folder: &str) -> Vec<Rule> {
    let mount = &app.spec.kv.mount;
    vec![
        Rule::new(format!("{mount}/data/{folder}/*"), &["read", "list"]),
        Rule::new(format!("{mount}/metadata/{folder}/*"), &["list"]),
    ]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::secrets_app::fixture::{app as object, parts};

    fn texts(spec: Value) -> String {
        let object = object(spec);
        let policies = all(&object, &parts(&object)).unwrap();
        policies.into_iter().map(|(name, text)| format!("# {name}\n{text}\n")).collect()
    }

    fn ci() -> Value {
        json!({"audiences": ["gitea"], "boundClaims": {"repository": ["example/web"]}})
    }

    #[rstest]
    #[case::minimal("minimal", json!({"identityGroup": {"enabled": false}}))]
    #[case::steamer("roles_of_steamer", json!({"ci": ci(), "database": {"connectionRef": {"name": "db"}}}))]
    #[case::repository("roles_of_the_repository", json!({
        "ci": ci(), "database": {"connectionRef": {"name": "db"}}, "rolesOwner": "Repository",
        "runtime": {"serviceAccounts": ["web", "cloudflared"]},
    }))]
    #[case::cms("cms", json!({
        "app": "cms", "ci": ci(), "runtime": {"serviceAccounts": ["cms", "cloudflared"]},
        "ops": {
            "extraPolicies": ["factory__cf_r2_arcodange_tf"],
            "extraPaths": [
                {"path": "kvv1/google/credentials", "verbs": ["read"]},
                {"path": "kvv1/cloudflare/cms/*", "verbs": ["create", "read", "update", "delete"]},
            ],
            "terraformCompat": true,
        },
        "readers": [{"name": "factory_crowdsec_conf", "serviceAccount": "reader", "namespace": "kube-system", "prefix": "factory"}],
    }))]
    fn policies_read_like_this(#[case] name: &str, #[case] spec: Value) {
        insta::assert_snapshot!(name, texts(spec));
    }

    #[test]
    fn no_path_of_web_matches_a_path_of_webapp() {
        let text = texts(
            json!({"ci": ci(), "database": {"connectionRef": {"name": "db"}}, "rolesOwner": "Repository"}),
        );
        for path in text.lines().filter_map(|line| line.strip_prefix("path \"")?.strip_suffix("\" {")) {
            let prefix = path.strip_suffix('*').unwrap_or(path);
            assert!(path == prefix || prefix.ends_with('/'), "{path}");
            assert!(!prefix.ends_with("web-"), "{path}");
        }
    }
}
