//! BaoAuthRole: logins work for exactly those that a role admits, and roles are repaired, adopted and deleted.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::certificates::Authority;
use steamer_testing::ground::{account_token, apply};
use steamer_testing::openbao::mount_kv;

use crate::fixture::ready_of;
use crate::general::{Scene, Subject, altered, check};

/// Settings of tokens, with a value for each field.
fn tokens(spec: Value) -> Value {
    let mut whole = json!({
        "tokenPolicies": ["web", "team/other"], "tokenTTL": "30m", "tokenMaxTTL": "2h", "tokenExplicitMaxTTL": "3h",
        "tokenPeriod": "1h", "tokenType": "Service", "tokenBoundCIDRs": ["127.0.0.1/32", "10.0.0.0/8"],
        "tokenNoDefaultPolicy": true, "tokenNumUses": 7,
    });
    let (Value::Object(whole_fields), Value::Object(fields)) = (&mut whole, spec) else { return whole };
    whole_fields.extend(fields);
    whole
}

const TOKENS: [&str; 8] = [
    "token_policies",
    "token_ttl",
    "token_max_ttl",
    "token_explicit_max_ttl",
    "token_period",
    "token_bound_cidrs",
    "token_no_default_policy",
    "token_num_uses",
];

/// A role of one method, with a value for each field.
struct Sample {
    name: &'static str,
    spec: Value,
    path: &'static str,
    /// Parameters that are changed by hand.
    parameters: Vec<&'static str>,
    /// Parameters that each request needs.
    needed: Value,
    /// Parameters that OpenBao does not return.
    unreturned: Value,
}

fn samples(certificate: &str) -> Vec<Sample> {
    vec![
        Sample {
            name: "kubernetes-role",
            spec: tokens(json!({"mount": "kubernetes", "kubernetes": {
                "serviceAccounts": [{"name": "a", "namespace": "n"}, {"name": "b", "namespace": "n"}],
                "audience": "openbao", "aliasNameSource": "Name",
            }})),
            path: "auth/kubernetes/role/kubernetes-role",
            parameters: vec!["bound_service_account_names", "bound_service_account_namespaces", "audience"],
            needed: json!({}),
            unreturned: json!({}),
        },
        Sample {
            name: "jwt-role",
            spec: tokens(json!({"mount": "jwt", "jwt": {
                "boundAudiences": ["openbao"], "boundSubject": "web", "boundClaims": {"project": ["a", "b"]},
                "boundClaimsType": "Glob", "userClaim": "sub", "groupsClaim": "groups", "claimMappings": {"project": "project"},
            }, "parameters": {"expiration_leeway": "1m"}})),
            path: "auth/jwt/role/jwt-role",
            parameters: vec![
                "bound_audiences",
                "bound_subject",
                "bound_claims",
                "user_claim",
                "groups_claim",
                "claim_mappings",
                "user_claim_json_pointer",
                "expiration_leeway",
            ],
            needed: json!({"role_type": "jwt"}),
            unreturned: json!({}),
        },
        Sample {
            name: "approle",
            spec: tokens(json!({"mount": "approle", "appRole": {
                "roleID": "web-id", "bindSecretID": true, "secretIDNumUses": 3, "secretIDTTL": "1h",
                "secretIDBoundCIDRs": ["127.0.0.0/8"],
            }})),
            path: "auth/approle/role/approle",
            parameters: vec!["bind_secret_id", "secret_id_num_uses", "secret_id_ttl"],
            needed: json!({}),
            unreturned: json!({"role_id": "web-id"}),
        },
        Sample {
            name: "certificate",
            spec: tokens(json!({"mount": "cert", "cert": {
                "certificate": certificate, "allowedCommonNames": ["web"], "allowedDNSSANs": ["web.example.com"],
                "allowedEmailSANs": ["web@example.com"], "allowedURISANs": ["spiffe://web"],
                "allowedOrganizationalUnits": ["web"], "requiredExtensions": ["1.2.3.4:web"], "displayName": "web",
            }})),
            path: "auth/cert/certs/certificate",
            parameters: vec![
                "allowed_common_names",
                "allowed_dns_sans",
                "allowed_email_sans",
                "allowed_uri_sans",
                "allowed_organizational_units",
                "required_extensions",
                "display_name",
            ],
            needed: json!({}),
            unreturned: json!({}),
        },
        Sample {
            name: "user",
            spec: tokens(
                json!({"mount": "userpass", "userPass": {"passwordSecretRef": {"name": "password"}}}),
            ),
            path: "auth/userpass/users/user",
            parameters: vec![],
            needed: json!({}),
            unreturned: json!({"password": "first"}),
        },
        Sample {
            name: "token-role",
            spec: json!({"mount": "token", "token": {
                "allowedPolicies": ["web"], "disallowedPolicies": ["other"], "orphan": true, "renewable": false,
                "pathSuffix": "web", "allowedEntityAliases": ["web"],
            }, "tokenExplicitMaxTTL": "3h", "tokenPeriod": "1h", "tokenNoDefaultPolicy": true}),
            path: "auth/token/roles/token-role",
            parameters: vec![
                "allowed_policies",
                "disallowed_policies",
                "orphan",
                "renewable",
                "path_suffix",
                "allowed_entity_aliases",
                "token_explicit_max_ttl",
                "token_period",
                "token_no_default_policy",
            ],
            needed: json!({}),
            unreturned: json!({}),
        },
    ]
}

#[tokio::test]
async fn roles_of_every_method_are_created_repaired_adopted_and_deleted() -> Result<()> {
    let scene = Scene::new("bao-auth-roles").await?;
    for method in ["jwt", "approle", "cert", "userpass"] {
        scene.post(&format!("sys/auth/{method}"), json!({"type": method})).await?;
    }
    password(&scene, "first").await?;
    let ca = Authority::new("clients")?.pem.clone();
    for sample in samples(&ca) {
        role(&scene, &sample).await.with_context(|| sample.name)?;
    }
    the_role_id_is_repaired(&scene).await?;
    a_changed_password_is_in_force(&scene).await?;
    a_missing_mount_is_named(&scene).await
}

async fn role(scene: &Scene, sample: &Sample) -> Result<()> {
    // The answer of OpenBao is the request that makes the role by hand.
    scene.apply("BaoAuthRole", sample.name, sample.spec.clone()).await?;
    scene.ready("BaoAuthRole", sample.name, "True/Applied").await?;
    let state = scene.state(sample.path).await?.context("the role does not exist")?;
    scene.delete("BaoAuthRole", sample.name).await?;
    let mut by_hand = state.clone();
    if let (Value::Object(by_hand), Value::Object(unreturned)) = (&mut by_hand, sample.unreturned.clone()) {
        by_hand.extend(unreturned);
        // Old names of the settings of tokens, and what the role does not have.
        let is_other = |name: &str| ["explicit_max_ttl", "period", "name"].contains(&name);
        by_hand.retain(|name, value| !is_other(name) && !value.is_null() && value != "");
    }
    // All methods share the settings of tokens.
    let is_first = sample.name == "kubernetes-role";
    let tokens =
        TOKENS.into_iter().filter(|name| is_first || (sample.name == "user" && *name == "token_policies"));
    let parameters: Vec<&str> = sample.parameters.iter().copied().chain(tokens).collect();
    let subject = Subject {
        kind: "BaoAuthRole",
        name: sample.name,
        spec: sample.spec.clone(),
        path: sample.path,
        by_hand: vec![(sample.path, by_hand)],
        drift: altered(sample.path, &state, &parameters, &sample.needed)
            .into_iter()
            .chain(words(sample))
            .collect(),
    };
    check(scene, &subject).await
}

/// Other values of the parameters that accept certain words only.
fn words(sample: &Sample) -> Vec<(&'static str, Value)> {
    let bodies = match sample.name {
        "kubernetes-role" => {
            vec![json!({"token_type": "default"}), json!({"alias_name_source": "serviceaccount_uid"})]
        }
        "jwt-role" => vec![json!({"role_type": "jwt", "bound_claims_type": "string"})],
        _ => Vec::new(),
    };
    bodies.into_iter().map(|body| (sample.path, body)).collect()
}

async fn the_role_id_is_repaired(scene: &Scene) -> Result<()> {
    scene.apply("BaoAuthRole", "by-id", json!({"mount": "approle", "appRole": {"roleID": "known"}})).await?;
    scene.ready("BaoAuthRole", "by-id", "True/Applied").await?;
    let path = "auth/approle/role/by-id/role-id";
    let right = json!({"role_id": "known"});
    scene.becomes(path, Some(&right)).await?;
    scene.post(path, json!({"role_id": "other"})).await?;
    scene.nudge("BaoAuthRole", "by-id").await?;
    scene.becomes(path, Some(&right)).await?;
    scene.delete("BaoAuthRole", "by-id").await
}

async fn password(scene: &Scene, password: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password", "namespace": scene.case.namespace},
        "stringData": {"password": password},
    });
    apply(&scene.case.client, secret).await.map(drop)
}

async fn a_changed_password_is_in_force(scene: &Scene) -> Result<()> {
    let spec = json!({"mount": "userpass", "userPass": {"passwordSecretRef": {"name": "password"}}, "tokenPolicies": ["web"]});
    scene.apply("BaoAuthRole", "alice", spec).await?;
    scene.ready("BaoAuthRole", "alice", "True/Applied").await?;
    let login = "auth/userpass/login/alice";
    log_in(scene, login, json!({"password": "first"})).await?;
    let before = scene.writes()?;
    password(scene, "second").await?;
    steamer_testing::wait::eventually("the new password is in force", || async {
        log_in(scene, login, json!({"password": "second"})).await.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    assert!(log_in(scene, login, json!({"password": "first"})).await.is_err(), "the old password works");
    scene.pass("BaoAuthRole", "alice", "auth/userpass/users/alice").await?;
    assert_eq!(scene.writes()?, before + 1, "the password was written once");
    scene.delete("BaoAuthRole", "alice").await
}

async fn a_missing_mount_is_named(scene: &Scene) -> Result<()> {
    let role = |mount: &str| json!({"mount": mount, "jwt": {"userClaim": "sub", "boundSubject": "a"}});
    scene.apply("BaoAuthRole", "early", role("later")).await?;
    let object = scene.ready("BaoAuthRole", "early", "False/SourceMissing").await?;
    assert!(ready_of(&object).contains("auth mount later does not exist in namespace"), "{object}");
    scene.post("sys/auth/later", json!({"type": "jwt"})).await?;
    scene.ready("BaoAuthRole", "early", "True/Applied").await?;
    scene.apply("BaoAuthRole", "wrong-type", role("approle")).await?;
    let object = scene.ready("BaoAuthRole", "wrong-type", "False/Invalid").await?;
    assert!(ready_of(&object).contains("is of type approle"), "{object}");
    scene.delete("BaoAuthRole", "wrong-type").await?;
    scene.delete("BaoAuthRole", "early").await
}

/// Logs in and returns a session with the token.
async fn log_in(scene: &Scene, path: &str, body: Value) -> Result<Session> {
    let anonymous = scene.openbao.client()?.session(Identity::Anonymous);
    let answer = anonymous.request_any(Method::POST, path, Some(body)).await?;
    let token = answer.pointer("/auth/client_token").and_then(Value::as_str).context("no token")?;
    Ok(scene.openbao.client()?.session(Identity::Token(token.to_owned().into())))
}

async fn reads(session: &Session, path: &str) -> Result<bool> {
    match session.request_any(Method::GET, path, None).await {
        Ok(_) => Ok(true),
        Err(Error::Denied { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[tokio::test]
async fn a_login_reads_what_the_policy_of_its_role_allows_and_nothing_else() -> Result<()> {
    let scene = Scene::new("bao-auth-role-logins").await?;
    mount_kv(&scene.admin, "kv").await?;
    for name in ["web/a", "other/a"] {
        scene.admin.write_kv2("kv", name, &json!({"value": name})).await?;
    }
    let rules = json!({"rules": [{"path": "kv/data/web/*", "capabilities": ["read"]}]});
    scene.apply("BaoPolicy", "web", rules).await?;
    scene.ready("BaoPolicy", "web", "True/Applied").await?;
    kubernetes_logins(&scene).await?;
    jwt_logins(&scene).await
}

async fn kubernetes_logins(scene: &Scene) -> Result<()> {
    let own = scene.case.namespace.clone();
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "other", "namespace": own}});
    apply(&scene.case.client, account).await?;
    let accounts = json!([{"name": "default", "namespace": own}]);
    let spec = json!({
        "mount": "kubernetes", "kubernetes": {"serviceAccounts": accounts, "audience": "mine"}, "tokenPolicies": ["web"],
    });
    scene.apply("BaoAuthRole", "web", spec).await?;
    scene.ready("BaoAuthRole", "web", "True/Applied").await?;
    let token = |account: &'static str, audience: &'static str| {
        let (client, own) = (scene.case.client.clone(), own.clone());
        async move { account_token(&client, &own, account, &[audience]).await }
    };
    let login = |jwt: String| log_in(scene, "auth/kubernetes/login", json!({"role": "web", "jwt": jwt}));
    let session = login(token("default", "mine").await?).await?;
    assert!(reads(&session, "kv/data/web/a").await?, "the policy of the role is not in force");
    assert!(!reads(&session, "kv/data/other/a").await?, "a login reads another path");
    assert!(login(token("other", "mine").await?).await.is_err(), "another ServiceAccount logs in");
    assert!(login(token("default", "openbao").await?).await.is_err(), "another audience logs in");
    // A pattern admits the names that it matches, in the listed namespace only.
    let pattern = json!([{"name": "def*", "namespace": own}]);
    scene.change("BaoAuthRole", "web", json!({"spec": {"kubernetes": {"serviceAccounts": pattern}}})).await?;
    scene.ready("BaoAuthRole", "web", "True/Applied").await?;
    login(token("default", "mine").await?).await?;
    assert!(login(token("other", "mine").await?).await.is_err(), "another ServiceAccount logs in");
    // A list that OpenBao would extend to other ServiceAccounts leaves the role unchanged.
    let pairs = json!([{"name": "default", "namespace": own}, {"name": "other", "namespace": "elsewhere"}]);
    scene.change("BaoAuthRole", "web", json!({"spec": {"kubernetes": {"serviceAccounts": pairs}}})).await?;
    let object = scene.ready("BaoAuthRole", "web", "False/Invalid").await?;
    assert!(ready_of(&object).contains(&format!("{own}/other could log in too")), "{object}");
    assert!(login(token("other", "mine").await?).await.is_err(), "another ServiceAccount logs in");
    scene.delete("BaoAuthRole", "web").await?;
    assert!(login(token("default", "mine").await?).await.is_err(), "a deleted role admits a login");
    Ok(())
}

async fn jwt_logins(scene: &Scene) -> Result<()> {
    let issuer = scene.case.ground.issuer.clone();
    scene.post("sys/auth/ci", json!({"type": "jwt"})).await?;
    let keys = json!({"jwt_validation_pubkeys": [issuer.public_pem("key-1")?], "bound_issuer": issuer.url});
    scene.post("auth/ci/config", keys).await?;
    let spec = json!({
        "mount": "ci", "jwt": {"userClaim": "sub", "boundAudiences": ["openbao"], "boundClaims": {"project": ["web"]}, "groupsClaim": "groups"},
    });
    scene.apply("BaoAuthRole", "ci", spec).await?;
    scene.ready("BaoAuthRole", "ci", "True/Applied").await?;
    let group = json!({"type": "External", "policies": ["web"], "alias": {"name": "devs", "mount": "ci"}});
    scene.apply("IdentityGroup", "developers", group).await?;
    scene.ready("IdentityGroup", "developers", "True/Applied").await?;
    let login = |sub: &str, project: &str, groups: Value| {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": issuer.url, "aud": "openbao", "sub": sub, "project": project, "groups": groups, "iat": now, "exp": now + 600,
        });
        let jwt = issuer.sign("key-1", &claims);
        async move { log_in(scene, "auth/ci/login", json!({"role": "ci", "jwt": jwt?})).await }
    };
    let member = login("alice", "web", json!(["devs"])).await?;
    assert!(reads(&member, "kv/data/web/a").await?, "the group of the claim does not give its policy");
    assert!(!reads(&member, "kv/data/other/a").await?, "a member reads another path");
    let stranger = login("bob", "web", json!(["guests"])).await?;
    assert!(!reads(&stranger, "kv/data/web/a").await?, "someone without the group has its policy");
    assert!(
        login("carol", "other", json!(["devs"])).await.is_err(),
        "a token without the bound claim logs in"
    );
    scene.delete("IdentityGroup", "developers").await?;
    let former = login("alice", "web", json!(["devs"])).await?;
    assert!(!reads(&former, "kv/data/web/a").await?, "a deleted group gives its policy");
    scene.delete("BaoAuthRole", "ci").await?;
    scene.delete("BaoPolicy", "web").await
}
