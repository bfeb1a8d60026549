//! BaoAuthRole: logins work for exactly those that a role admits, and roles are repaired, adopted and deleted.

mod samples;

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_openbao::{Error, Identity, Session};
use steamer_testing::certificates::Authority;
use steamer_testing::ground::{OPERATOR_NAMESPACE, account_token, apply};
use steamer_testing::openbao::mount_kv;

use crate::fixture::ready_of;
use crate::general::{Scene, Subject, altered, check};
use samples::{Sample, joined, samples};

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
    access_ends_while_a_secret_is_missing(&scene).await?;
    logins_of_steamer_are_refused(&scene).await?;
    a_missing_mount_is_named(&scene).await
}

async fn role(scene: &Scene, sample: &Sample) -> Result<()> {
    let single = altered(sample.path, &sample.by_hand, &sample.parameters, &sample.needed);
    // Who may log in with a token is changed one parameter at a time. One request changes all parameters of other methods.
    let drift: Vec<(&str, Value)> = match sample.name {
        "kubernetes-role" | "jwt-role" => single,
        _ => {
            single.into_iter().reduce(|(path, all), (_, one)| (path, joined(all, one))).into_iter().collect()
        }
    };
    let subject = Subject {
        kind: "BaoAuthRole",
        name: sample.name,
        spec: sample.spec.clone(),
        path: sample.path,
        by_hand: vec![(sample.path, sample.by_hand.clone())],
        drift: drift.into_iter().chain(words(sample)).collect(),
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
    let removed = scene.change("BaoAuthRole", "by-id", json!({"spec": {"appRole": {"roleID": null}}})).await;
    let refusal = removed.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(refusal.contains("roleID cannot be removed"), "{refusal}");
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

/// A missing password does not keep a policy that the spec no longer contains.
async fn access_ends_while_a_secret_is_missing(scene: &Scene) -> Result<()> {
    let user = |secret: &str| json!({"passwordSecretRef": {"name": secret}});
    let spec = json!({"mount": "userpass", "userPass": user("password"), "tokenPolicies": ["web", "more"]});
    scene.apply("BaoAuthRole", "bob", spec).await?;
    scene.ready("BaoAuthRole", "bob", "True/Applied").await?;
    let changed = json!({"spec": {"tokenPolicies": ["web"], "userPass": user("missing")}});
    scene.change("BaoAuthRole", "bob", changed).await?;
    let path = "auth/userpass/users/bob";
    steamer_testing::wait::eventually("the policy is removed", || async {
        let state = scene.state(path).await.map_err(|error| format!("{error:#}"))?.unwrap_or_default();
        if state["token_policies"] == json!(["web"]) { Ok(()) } else { Err(state.to_string()) }
    })
    .await?;
    let object = scene.ready("BaoAuthRole", "bob", "False/ReferenceNotFound").await?;
    assert!(ready_of(&object).contains("missing does not exist"), "{object}");
    // The password of the user is unchanged.
    log_in(scene, "auth/userpass/login/bob", json!({"password": "second"})).await?;
    scene.delete("BaoAuthRole", "bob").await
}

/// The role of the operator is not changed, even with `adopt`.
async fn logins_of_steamer_are_refused(scene: &Scene) -> Result<()> {
    let role = "auth/kubernetes/role/steamer";
    let right = scene.state(role).await?;
    let spec = json!({
        "mount": "kubernetes", "name": "steamer", "adopt": "IfUnowned",
        "kubernetes": {"serviceAccounts": [{"name": "default", "namespace": scene.case.namespace}]},
    });
    scene.apply("BaoAuthRole", "operator", spec).await?;
    let object = scene.ready("BaoAuthRole", "operator", "False/Invalid").await?;
    assert!(ready_of(&object).contains("role steamer of auth/kubernetes belongs to Steamer"), "{object}");
    assert_eq!(scene.state(role).await?, right);
    scene.delete("BaoAuthRole", "operator").await
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
    logins_at_a_mount_of_an_auth_method(&scene).await?;
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

/// OpenBao asks the API server about each token, with the host, the CA and the reviewer of the AuthMethod.
async fn logins_at_a_mount_of_an_auth_method(scene: &Scene) -> Result<()> {
    let (case, plane) = (&scene.case, &scene.case.ground.plane);
    let reviewer = account_token(&case.client, OPERATOR_NAMESPACE, "openbao", &[]).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pods", "namespace": case.namespace},
        "stringData": {"ca.crt": plane.ca, "token": reviewer},
    });
    apply(&case.client, secret).await?;
    let kubernetes = json!({
        "host": plane.url, "caSecretRef": {"name": "pods"}, "tokenReviewerSecretRef": {"name": "pods", "key": "token"},
        "disableLocalCAJWT": true,
    });
    scene.apply("AuthMethod", "pods", json!({"type": "kubernetes", "kubernetes": kubernetes})).await?;
    scene.ready("AuthMethod", "pods", "True/Applied").await?;
    let accounts =
        json!({"serviceAccounts": [{"name": "default", "namespace": case.namespace}], "audience": "mine"});
    let role = json!({"mount": "pods", "kubernetes": accounts, "tokenPolicies": ["web"]});
    scene.apply("BaoAuthRole", "pods", role).await?;
    scene.ready("BaoAuthRole", "pods", "True/Applied").await?;
    for (account, admitted) in [("default", true), ("other", false)] {
        let jwt = account_token(&case.client, &case.namespace, account, &["mine"]).await?;
        let login = log_in(scene, "auth/pods/login", json!({"role": "pods", "jwt": jwt})).await;
        assert_eq!(login.is_ok(), admitted, "{account}: {:?}", login.err());
    }
    scene.delete("BaoAuthRole", "pods").await?;
    scene.delete("AuthMethod", "pods").await
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
