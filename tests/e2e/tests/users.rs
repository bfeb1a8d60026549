//! Access of people: management of secrets through `user_jwt`, values through `api_jwt`, and which token passes which login.

use anyhow::{Result, ensure};
use jiff::Timestamp;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{SecretsProject, SecretsTenant, UserPolicy};
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::issuer::{unsigned, user_claims};
use steamer_testing::wait::eventually;

use crate::fixture::Case;
use crate::tenancy::AUDIENCE;

impl Case {
    /// Logs in at an auth mount with a CEL role.
    pub async fn login_at(
        &self,
        (namespace, mount): (&str, &str),
        role: &str,
        jwt: &str,
    ) -> Result<Session, Error> {
        let client = self.ground.openbao.client().map_err(|_| Error::NoLeader)?;
        let anonymous = client.session(Identity::Anonymous).within(namespace);
        let (path, body) = (format!("auth/{mount}/cel/login"), json!({"role": role, "jwt": jwt}));
        let answer = anonymous.request_any(Method::POST, &path, Some(body)).await?;
        let token = answer["auth"]["client_token"].as_str().unwrap_or_default().to_owned();
        Ok(client.session(Identity::Token(token.into())).within(namespace))
    }

    /// Logs in as a user of project 42 at `user_jwt` or `api_jwt`.
    async fn user(&self, namespace: &str, scope: &str, claims: Value) -> Result<Session, Error> {
        let mut token = user_claims(&self.ground.issuer.url, AUDIENCE, scope);
        token["project_id"] = json!("42");
        for (name, value) in claims.as_object().into_iter().flatten() {
            token[name] = value.clone();
        }
        let jwt = self.ground.issuer.sign("key-1", &token).map_err(|_| Error::NoLeader)?;
        let role = if scope == "api" { "all_api" } else { "all_users" };
        self.login_at((namespace, &format!("{scope}_jwt")), role, &jwt).await
    }

    /// Applies a UserPolicy of project `web` and waits until it is in force.
    async fn user_policy(&self, name: &str, principal: Value, grants: Value) -> Result<()> {
        let spec = json!({"projectRef": {"name": "web"}, "principal": principal, "grants": grants});
        self.object("UserPolicy", name, spec).await?;
        self.ready::<UserPolicy>(name, "True/Applied").await.map(drop)
    }
}

/// What a session can do with a secret, in a fixed order.
async fn abilities(session: &Session, name: &str) -> Result<String> {
    let data = format!("secrets/kv/data/explicit/{name}");
    let metadata = format!("secrets/kv/metadata/explicit/{name}");
    let list = Method::from_bytes(b"LIST")?;
    let value = Some(json!({"data": {"value": "written by a user"}}));
    let requests = [
        ("value", Method::GET, data.as_str(), None),
        ("metadata", Method::GET, metadata.as_str(), None),
        ("list", list.clone(), "secrets/kv/metadata/explicit/", None),
        ("details", list, "secrets/kv/detailed-metadata/explicit/", None),
        ("write", Method::POST, data.as_str(), value),
        ("delete", Method::DELETE, metadata.as_str(), None),
    ];
    let mut able = Vec::new();
    for (ability, method, path, body) in requests {
        match session.request_any(method, path, body).await {
            Ok(_) => able.push(ability),
            Err(Error::Denied { .. }) => {}
            // Deleted by the administrator.
            Err(Error::NotFound { .. }) => able.push("missing"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(able.join(" "))
}

#[tokio::test]
async fn users_manage_secrets_and_only_the_api_login_reads_values() -> Result<()> {
    let case = Case::new("users").await?;
    let namespace = &case.project(1405).await?;
    case.values(namespace, &["DB", "OTHER"]).await?;
    let admin = case.admin()?.within(namespace);
    ensure!(admin.auth_mount("user_jwt").await?.is_none(), "no user has access yet");
    let projects: Api<SecretsProject> = case.api();
    let long = Patch::Merge(json!({"spec": {"userAuth": {"tokenTTL": "1h"}}}));
    projects.patch("web", &PatchParams::default(), &long).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;

    let manage = json!({"all": ["ReadMetadata", "Write", "Delete"]});
    case.user_policy("owners", json!({"role": {"accessLevel": "Owner"}}), manage).await?;
    let one = json!({"secrets": [{"name": "DB", "verbs": ["ReadMetadata", "ReadValue"]}]});
    case.user_policy("reader", json!({"user": {"id": 5}}), one).await?;
    let write = json!({"secrets": [{"name": "DB", "verbs": ["Write"]}]});
    case.user_policy("writer", json!({"user": {"id": 5}}), write).await?;
    case.user_policy("auditors", json!({"memberRole": {"id": 9}}), json!({"all": ["ReadMetadata"]})).await?;

    let developer = json!({"user_id": "5", "role_id": "30"});
    let user = case.user(namespace, "user", developer.clone()).await?;
    assert_eq!(abilities(&user, "DB").await?, "metadata write");
    assert_eq!(abilities(&user, "OTHER").await?, "");
    let api = case.user(namespace, "api", developer.clone()).await?;
    assert_eq!(abilities(&api, "DB").await?, "value");
    assert_eq!(abilities(&api, "OTHER").await?, "");
    let auditor = case.user(namespace, "user", json!({"user_id": "6", "member_role_id": "9"})).await?;
    assert_eq!(abilities(&auditor, "DB").await?, "metadata list details");
    let owner = case.user(namespace, "user", json!({"user_id": "7", "role_id": "50"})).await?;
    assert_eq!(abilities(&owner, "OTHER").await?, "metadata list details write delete");
    // A user can neither change access nor read values in another way.
    for path in ["secrets/kv/subkeys/explicit/DB", "sys/policies/acl/users/roles/50", "auth/user_jwt/config"]
    {
        let read = owner.request_any(Method::GET, path, None).await;
        ensure!(matches!(read, Err(Error::Denied { .. })), "{path}: {read:?}");
    }
    let stranger = case.user(namespace, "api", json!({"user_id": "8", "role_id": "20"})).await?;
    assert_eq!(abilities(&stranger, "DB").await?, "");

    // Each object takes back exactly its own access, also that of existing tokens.
    let policies: Api<UserPolicy> = case.api();
    policies.delete("writer", &DeleteParams::default()).await?;
    eventually("the user can no longer write", || async {
        match abilities(&user, "DB").await.as_deref() {
            Ok("metadata") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(abilities(&api, "DB").await?, "value");
    let expired = json!({"spec": {"expiresAt": Timestamp::now().to_string()}});
    policies.patch("reader", &PatchParams::default(), &Patch::Merge(&expired)).await?;
    case.ready::<UserPolicy>("reader", "True/Expired").await?;
    assert_eq!(abilities(&user, "DB").await?, "");
    eventually("the login without grants is removed", || async {
        match admin.auth_mount("api_jwt").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn default_roles_are_written_once_and_a_read_only_tenant_only_deletes() -> Result<()> {
    let case = Case::new("users-defaults").await?;
    case.tenant(1402).await?;
    let roles = json!([
        {"accessLevel": "Owner", "verbs": ["ReadMetadata", "Write", "Delete"]},
        {"accessLevel": "Developer", "verbs": ["ReadMetadata"]},
    ]);
    let spec = json!({
        "tenantRef": {"name": "acme"}, "id": 42, "defaultRoles": roles, "userAuth": {"tokenTTL": "1h", "boundCIDRs": ["127.0.0.0/8", "::1/128"]},
    });
    case.object("SecretsProject", "web", spec.clone()).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    let namespace = "org_1402/group_7/project_42";
    case.values(namespace, &["A", "B"]).await?;
    let (owner, developer) =
        (json!({"user_id": "1", "role_id": "50"}), json!({"user_id": "2", "role_id": "30"}));
    let user = case.user(namespace, "user", developer.clone()).await?;
    assert_eq!(abilities(&user, "A").await?, "metadata list details");
    // The owner withdraws the access of developers in OpenBao.
    let admin = case.admin()?.within(namespace);
    admin.delete_policy("users/defaults/30").await?;
    let projects: Api<SecretsProject> = case.api();
    let visit = json!({"metadata": {"annotations": {"steamer.dev/reconcile": "1"}}, "spec": {"userAuth": {"tokenTTL": "30m"}}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&visit)).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    assert_eq!(abilities(&user, "A").await?, "");
    case.user_policy("maintained", json!({"role": {"accessLevel": "Owner"}}), json!({"all": ["Write"]}))
        .await?;

    let tenants: Api<SecretsTenant> = case.api();
    let entitlement = |state: &str| Patch::Merge(json!({"spec": {"entitlement": state}}));
    let change = async |state: &str, expected: &str| {
        tenants.patch("acme", &PatchParams::default(), &entitlement(state)).await?;
        case.ready::<SecretsTenant>("acme", expected).await?;
        eventually(&format!("the project follows entitlement {state}"), || async {
            let session = case.user(namespace, "user", owner.clone()).await;
            let able = match &session {
                Ok(session) => abilities(session, "A").await.map_err(|error| error.to_string())?,
                Err(_) => "no login".to_owned(),
            };
            // A deletion leaves no metadata to read.
            let able = able.replace("missing", "metadata");
            let wanted = match state {
                "ReadOnly" => "metadata list details delete",
                "Blocked" => "no login",
                _ => "metadata list details write delete",
            };
            if able == wanted { Ok(()) } else { Err(able) }
        })
        .await
    };
    change("Grace", "True/Applied").await?;
    change("ReadOnly", "True/Applied").await?;
    case.says::<SecretsProject>("web", "True/Applied", "read-only").await?;
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    ensure!(case.login(namespace, "all_pipelines", &jwt).await.is_ok(), "jobs still read");
    change("Blocked", "True/Disabled").await?;
    ensure!(case.login(namespace, "all_pipelines", &jwt).await.is_err(), "no job logs in");
    ensure!(admin.mount("secrets/kv").await?.is_some(), "values are kept");
    eventually("no policy of users is left", || async {
        match admin.policies_below("users").await {
            Ok(policies) if policies.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    // The UserPolicy applies again; the default roles do not come back.
    tenants.patch("acme", &PatchParams::default(), &entitlement("Active")).await?;
    case.ready::<UserPolicy>("maintained", "True/Applied").await?;
    eventually("only the policy of the UserPolicy is restored", || async {
        let found = admin.policies_below("users").await.map_err(|error| error.to_string())?;
        if found.keys().eq(["users/roles/50"]) { Ok(()) } else { Err(format!("{:?}", found.keys())) }
    })
    .await?;

    // A token is worthless outside of its networks.
    eventually("the user writes again", || async {
        let session = case.user(namespace, "user", owner.clone()).await.map_err(|error| error.to_string())?;
        let inside = abilities(&session, "B").await.map_err(|error| error.to_string())?;
        if inside.contains("write") { Ok(()) } else { Err(inside) }
    })
    .await?;
    let networks = json!({"spec": {"userAuth": {"boundCIDRs": ["192.0.2.0/24"]}}});
    projects.patch("web", &PatchParams::default(), &Patch::Merge(&networks)).await?;
    case.ready::<SecretsProject>("web", "True/Applied").await?;
    let outside = match case.user(namespace, "user", owner.clone()).await {
        Ok(session) => abilities(&session, "B").await?,
        Err(_) => String::new(),
    };
    assert_eq!(outside, "");
    Ok(())
}

/// A login: namespace, mount, role.
type Login = (&'static str, &'static str, &'static str);

const PROJECT: &str = "org_1403/group_7/project_42";
const GROUP: &str = "org_1403/group_7/group_7";
const LOGINS: [Login; 7] = [
    (PROJECT, "pipeline_jwt", "all_pipelines"),
    (PROJECT, "pipeline_jwt", "id_tokens"),
    (PROJECT, "user_jwt", "all_users"),
    (PROJECT, "api_jwt", "all_api"),
    (GROUP, "pipeline_jwt", "all_pipelines"),
    (GROUP, "user_jwt", "all_users"),
    (GROUP, "api_jwt", "all_api"),
];

/// Tokens: description, claims, and for each login the cause of its rejection. An empty cause: the token is accepted.
fn tokens(case: &Case) -> Vec<(&'static str, Value, [&'static str; 7])> {
    let now = Timestamp::now().as_second();
    let url = &case.ground.issuer.url;
    let job = |changes: Value| changed(case.claims(), changes);
    let user = |scope: &str, changes: Value| changed(user_claims(url, AUDIENCE, scope), changes);
    let pipeline = "the subject is not a pipeline";
    let person = "the subject is not a user";
    let privileged = "the token is privileged";
    let audience = "aud";
    let same = |cause: &'static str| [cause; 7];
    let (other, outside) = ("belongs to another project", "a project outside the group");
    let (group, entity) = ("belongs to another group", "the token has no");
    let (no_pipeline, no_user, no_api) =
        ("lacks the pipeline scope", "lacks the user scope", "lacks the api scope");
    vec![
        ("a job", job(json!({})), ["", audience, person, person, "", person, person]),
        (
            "a job of a sibling",
            job(json!({"project_id": "43"})),
            [other, audience, person, person, "", person, person],
        ),
        (
            "a job of a fork",
            job(json!({"project_id": "99", "project_group_ids": ["8"]})),
            [other, audience, person, person, outside, person, person],
        ),
        (
            "a user of the project",
            user("user", json!({"project_id": "42"})),
            [pipeline, audience, "", no_api, pipeline, entity, no_api],
        ),
        (
            "a user of another project",
            user("user", json!({"project_id": "43"})),
            [pipeline, audience, other, no_api, pipeline, entity, no_api],
        ),
        (
            "a user of the group",
            user("user", json!({"group_id": "7"})),
            [pipeline, audience, entity, no_api, pipeline, "", no_api],
        ),
        (
            "a user of the parent group",
            user("user", json!({"group_id": "1"})),
            [pipeline, audience, entity, no_api, pipeline, group, no_api],
        ),
        (
            "a client of a user of the project",
            user("api", json!({"project_id": "42"})),
            [pipeline, audience, no_user, "", pipeline, no_user, entity],
        ),
        (
            "a client of a user of the group",
            user("api", json!({"group_id": "7"})),
            [pipeline, audience, no_user, entity, pipeline, no_user, ""],
        ),
        (
            "a user without an ID",
            user("user", json!({"project_id": "42", "user_id": null})),
            [pipeline, audience, "the token has no user_id", no_api, pipeline, entity, no_api],
        ),
        (
            "the issuer itself",
            job(json!({"sub": "gitlab_secrets_manager", "secrets_manager_scope": "privileged"})),
            [privileged, audience, privileged, privileged, privileged, privileged, privileged],
        ),
        (
            "a user's job with the subject of a user",
            job(json!({"sub": "user:dev"})),
            [pipeline, audience, no_user, no_api, pipeline, no_user, no_api],
        ),
        (
            "an ID token with the audience of pipelines",
            job(json!({"secrets_manager_scope": null})),
            [no_pipeline, audience, person, person, no_pipeline, person, person],
        ),
        ("no subject", job(json!({"sub": null})), {
            let missing = "the token has no subject";
            [missing, audience, missing, missing, missing, missing, missing]
        }),
        ("a wrong audience", user("user", json!({"project_id": "42", "aud": "x"})), same(audience)),
        ("no audience", user("user", json!({"project_id": "42", "aud": null})), same(audience)),
        ("another issuer", user("user", json!({"project_id": "42", "iss": "https://other"})), same("iss")),
        (
            "expired",
            user("user", json!({"project_id": "42", "exp": now - 120, "iat": now - 150, "nbf": now - 150})),
            ["expired", "validat", "expired", "expired", "expired", "expired", "expired"],
        ),
    ]
}

fn changed(mut claims: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        match value {
            Value::Null => drop(claims.as_object_mut().map(|claims| claims.remove(name))),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn each_login_accepts_its_own_tokens_only_and_names_the_cause_of_a_rejection() -> Result<()> {
    let case = Case::new("users-matrix").await?;
    case.project(1403).await?;
    let spec = json!({"tenantRef": {"name": "acme"}, "scope": "Group", "id": 7});
    case.object("SecretsProject", "group", spec).await?;
    case.ready::<SecretsProject>("group", "True/Applied").await?;
    for project in ["web", "group"] {
        let spec = json!({
            "projectRef": {"name": project}, "principal": {"user": {"id": 5}}, "grants": {"all": ["ReadMetadata", "ReadValue"]},
        });
        case.object("UserPolicy", project, spec).await?;
        case.ready::<UserPolicy>(project, "True/Applied").await?;
    }
    for (what, claims, causes) in tokens(&case) {
        let jwt = case.ground.issuer.sign("key-1", &claims)?;
        for ((namespace, mount, role), cause) in LOGINS.into_iter().zip(causes) {
            let login = case.login_at((namespace, mount), role, &jwt).await;
            let place = format!("{what} at {namespace}/{mount}/{role}");
            match login {
                Ok(_) => ensure!(cause.is_empty(), "{place} is accepted"),
                Err(error) => {
                    let text = format!("{error:?}");
                    ensure!(!cause.is_empty() && text.contains(cause), "{place}, expected {cause:?}: {text}");
                    ensure!(!text.contains("pb.Auth"), "{place} shows the program: {text}");
                }
            }
        }
    }
    // A token without a signature, and a role of another login.
    let jwt = unsigned(&changed(
        user_claims(&case.ground.issuer.url, AUDIENCE, "user"),
        json!({"project_id": "42"}),
    ));
    ensure!(case.login_at((PROJECT, "user_jwt"), "all_users", &jwt).await.is_err());
    let jwt = case.ground.issuer.sign("key-1", &case.claims())?;
    ensure!(case.login_at((PROJECT, "user_jwt"), "all_pipelines", &jwt).await.is_err());
    Ok(())
}
