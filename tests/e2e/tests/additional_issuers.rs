//! Additional issuers of a project: each has its own login and its own policies.

use anyhow::{Result, ensure};
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use steamer_api::{JWTIssuer, PipelinePolicy, SecretsProject};
use steamer_testing::issuer::JwtIssuer;
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::tenancy::{AUDIENCE, readable_with};

const NAMESPACE: &str = "org_1404/group_7/project_42";
const NAMES: [&str; 6] = ["GITLAB", "MAIN", "ALL", "KUBERNETES", "AI", "SCAN"];

/// Claims that every token has.
fn token(issuer: &JwtIssuer, claims: Value) -> Value {
    let now = jiff::Timestamp::now().as_second();
    let mut token = json!({"iss": issuer.url, "aud": AUDIENCE, "exp": now + 300, "iat": now, "nbf": now - 5});
    for (name, value) in claims.as_object().into_iter().flatten() {
        token[name] = value.clone();
    }
    token
}

/// A token of Gitea Actions for repository 7.
fn gitea(issuer: &JwtIssuer, reference: &str, id: &str) -> Value {
    token(
        issuer,
        json!({
            "sub": format!("repo:acme/web:ref:{reference}"), "repository_id": id, "repository_owner_id": "3",
            "ref": reference, "ref_type": "branch", "event_name": "push", "actor_id": "5", "run_id": "11",
        }),
    )
}

/// Names of the values that a token can read with the login of an issuer. None: the login is rejected.
async fn reads(case: &Case, mount: &str, issuer: &JwtIssuer, claims: &Value) -> Result<Option<Vec<String>>> {
    let jwt = issuer.sign("key-1", claims)?;
    match case.login_at((NAMESPACE, mount), "all_pipelines", &jwt).await {
        Ok(session) => Ok(Some(readable_with(&session, &NAMES).await?)),
        Err(_) => Ok(None),
    }
}

#[tokio::test]
async fn each_issuer_has_its_own_login_and_policies() -> Result<()> {
    let case = Case::new("additional-issuers").await?;
    case.tenant(1404).await?;
    let others = case
        .ground
        .at_home(async {
            Ok([JwtIssuer::start().await?, JwtIssuer::start().await?, JwtIssuer::start().await?])
        })
        .await?;
    let [git, cluster, portal] = &others;
    let issuers =
        [("gitea", "Gitea", git), ("cluster", "Kubernetes", cluster), ("portal", "CustomersDot", portal)];
    for (name, profile, issuer) in issuers {
        let spec = json!({"profile": profile, "oidcDiscoveryUrl": issuer.url, "allowPlaintext": true});
        case.object("JWTIssuer", name, spec).await?;
    }
    let account = "system:serviceaccount:ci:builder";
    let additional = json!([
        {"name": "gitea", "issuerRef": {"name": "gitea"}, "id": 7},
        {"name": "cluster", "issuerRef": {"name": "cluster"}, "subjects": [account]},
        {"name": "portal", "issuerRef": {"name": "portal"}, "subjects": ["instance-1"]},
    ]);
    let spec = json!({"tenantRef": {"name": "acme"}, "id": 42, "additionalIssuers": additional});
    case.object("SecretsProject", "web", spec).await?;
    let project = case.ready::<SecretsProject>("web", "True/Applied").await?;
    case.values(NAMESPACE, &NAMES).await?;
    let paths: Vec<String> =
        project.status.unwrap_or_default().issuers.into_iter().map(|it| it.vault.auth_path).collect();
    assert_eq!(paths, ["pipeline_jwt_cluster/cel", "pipeline_jwt_gitea/cel", "pipeline_jwt_portal/cel"]);

    let grant = |secret: &str, changes: Value| {
        let mut spec = json!({"secrets": [{"name": secret}]});
        for (name, value) in changes.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        spec
    };
    case.policy("gitlab", grant("GITLAB", json!({}))).await?;
    case.policy("main", grant("MAIN", json!({"issuer": "gitea", "branches": ["main"]}))).await?;
    case.policy(
        "push",
        grant("ALL", json!({"issuer": "gitea", "when": {"pipelineSources": ["push"], "userIds": [5]}})),
    )
    .await?;
    case.policy("builder", grant("KUBERNETES", json!({"issuer": "cluster"}))).await?;
    case.policy("ai", grant("AI", json!({"issuer": "portal", "scopes": ["ai"]}))).await?;
    case.policy("scan", grant("SCAN", json!({"issuer": "portal", "scopes": ["scan", "other"]}))).await?;
    let unknown = json!({"projectRef": {"name": "web"}, "issuer": "other", "secrets": [{"name": "ALL"}]});
    case.object("PipelinePolicy", "unknown", unknown).await?;
    case.ready::<PipelinePolicy>("unknown", "False/Invalid").await?;

    let (mount, at) = ("pipeline_jwt_gitea", |reference: &str| gitea(git, reference, "7"));
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(reads(&case, mount, git, &at("refs/heads/main")).await?, names(&["MAIN", "ALL"]));
    assert_eq!(reads(&case, mount, git, &at("refs/heads/dev")).await?, names(&["ALL"]));
    // A tag and a pull request are no branches.
    assert_eq!(reads(&case, mount, git, &at("refs/tags/main")).await?, names(&["ALL"]));
    assert_eq!(reads(&case, mount, git, &at("refs/pull/1/head")).await?, names(&["ALL"]));
    let mut event = at("refs/heads/dev");
    event["event_name"] = json!("pull_request");
    assert_eq!(reads(&case, mount, git, &event).await?, names(&[]));
    assert_eq!(reads(&case, mount, git, &gitea(git, "refs/heads/main", "8")).await?, None);

    let mount = "pipeline_jwt_cluster";
    let of_account = |subject: &str| token(cluster, json!({"sub": subject}));
    assert_eq!(reads(&case, mount, cluster, &of_account(account)).await?, names(&["KUBERNETES"]));
    assert_eq!(reads(&case, mount, cluster, &of_account("system:serviceaccount:ci:builder2")).await?, None);

    let mount = "pipeline_jwt_portal";
    let of_instance = |scopes: Value| token(portal, json!({"sub": "instance-1", "scopes": scopes}));
    let expected: [(Value, &[&str]); 5] = [
        (json!(["ai"]), &["AI"]),
        (json!(["scan", "ai", "unknown"]), &["AI", "SCAN"]),
        (json!([]), &[]),
        (json!("ai"), &[]),
        (json!(["AI", 7, null]), &[]),
    ];
    for (scopes, expected) in expected {
        let found = reads(&case, mount, portal, &of_instance(scopes.clone())).await?;
        assert_eq!(found, names(expected), "{scopes}");
    }

    // No token is accepted by the login of another issuer.
    let own = case.claims();
    let tokens =
        [(&case.ground.issuer, &own), (git, &at("refs/heads/main")), (cluster, &of_account(account))];
    let mounts = ["pipeline_jwt", "pipeline_jwt_gitea", "pipeline_jwt_cluster"];
    for (number, (issuer, claims)) in tokens.into_iter().enumerate() {
        for (index, mount) in mounts.into_iter().enumerate() {
            let accepted = reads(&case, mount, issuer, claims).await?.is_some();
            assert_eq!(accepted, index == number, "{claims} at {mount}");
        }
    }

    // A deleted issuer takes its login with it, and no other one.
    case.api::<JWTIssuer>().delete("gitea", &DeleteParams::default()).await?;
    case.says::<SecretsProject>("web", "False/ReferenceNotFound", "additional issuer gitea").await?;
    let admin = case.admin()?.within(NAMESPACE);
    ensure!(admin.auth_mount("pipeline_jwt_gitea").await?.is_none());
    ensure!(admin.policies_below("pipelines_gitea").await?.is_empty());
    assert_eq!(reads(&case, "pipeline_jwt", &case.ground.issuer, &own).await?, names(&["GITLAB"]));
    let projects: Api<SecretsProject> = case.api();
    projects.delete("web", &DeleteParams::default()).await?;
    eventually("no login is left", || async {
        match admin.auth_mounts().await {
            Ok(mounts) if !mounts.keys().any(|path| path.contains("jwt")) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}
