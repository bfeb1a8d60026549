//! AuthMethods: creation, repair, adoption and deletion of auth mounts.

mod tokens;

use anyhow::{Context, Result, ensure};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::{Certificate, Method, Url};
use serde_json::{Value, json};
use steamer_api::AuthMethod;
use steamer_testing::ground::apply;
use steamer_testing::oidc::OidcProvider;
use steamer_testing::wait::eventually;

use crate::fixture::ready_of;
use crate::openbao_outage::gone;
use crate::root_scope::General;

const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEITyqNTM+kciZ1df4W7Sx82DIftcl\n\
                   ILmEuIKwWpb74eczK1fu8ptYxP4+n9qWSbO8tjhRgX/rdmsdFee5OgnNrA==\n-----END PUBLIC KEY-----\n";
const USERS: &str = "sys/auth/people/users";
/// Address to which a provider returns.
const CALLBACK: &str = "http://localhost:8250/oidc/callback";
const LOCKOUT: &str = "sys/auth/people/users/tune";

/// A mount with every setting.
fn users() -> Value {
    json!({
        "path": "people/users", "type": "userpass", "description": "people", "options": {"a": "1"},
        "sealWrap": true, "local": false,
        "tune": {
            "defaultLeaseTTL": "1h", "maxLeaseTTL": "2h", "listingVisibility": "unauth",
            "auditNonHmacRequestKeys": ["r"], "auditNonHmacResponseKeys": ["s"],
            "passthroughRequestHeaders": ["X-P"], "allowedResponseHeaders": ["X-A"], "tokenType": "default-batch",
            "userLockout": {"threshold": 3, "duration": "10m", "counterReset": "5m", "disable": false},
        },
    })
}

#[tokio::test]
async fn an_auth_mount_is_created_repaired_and_removed_with_its_object() -> Result<()> {
    let general = General::new("auth-mounts", "AuthMethod").await?;
    let case = &general.case;
    let methods: Api<AuthMethod> = case.api();
    general.object("users", users()).await?;
    case.ready::<AuthMethod>("users", "True/Applied").await?;
    let created = [USERS, LOCKOUT];
    assert_eq!(general.writes()?, created);
    general.passed("users", USERS).await?;
    assert_eq!(general.writes()?, created);
    let found = general.read(USERS).await?;
    assert_eq!((&found["type"], &found["seal_wrap"]), (&json!("userpass"), &json!(true)));

    let alterations = [
        json!({"description": "other"}),
        json!({"options": {"a": ""}}),
        json!({"default_lease_ttl": "0s"}),
        json!({"max_lease_ttl": "5h"}),
        json!({"listing_visibility": ""}),
        json!({"audit_non_hmac_request_keys": ["x"]}),
        json!({"audit_non_hmac_response_keys": []}),
        json!({"passthrough_request_headers": ["X-B"]}),
        json!({"allowed_response_headers": []}),
        json!({"token_type": "service"}),
        json!({"user_lockout_config": {"lockout_threshold": 9}}),
        json!({"user_lockout_config": {"lockout_duration": "1m"}}),
        json!({"user_lockout_config": {"lockout_counter_reset_duration": "1m"}}),
        json!({"user_lockout_config": {"lockout_disable": true}}),
    ];
    let alterations: Vec<(&str, Value)> = alterations.into_iter().map(|body| (LOCKOUT, body)).collect();
    general.repairs("users", &[USERS, LOCKOUT], &alterations).await?;
    what_the_spec_no_longer_states_is_closed(&general).await?;

    // Also with the default deletion policy, because a mount is access.
    methods.delete("users", &DeleteParams::default()).await?;
    gone(&methods, "users").await?;
    assert_eq!(general.read(USERS).await?, Value::Null);
    Ok(())
}

/// Headers and a disabled lockout that are removed from the spec are removed from the mount.
async fn what_the_spec_no_longer_states_is_closed(general: &General) -> Result<()> {
    let methods: Api<AuthMethod> = general.case.api();
    for (change, expected) in [
        (json!({"userLockout": {"disable": true}}), (true, true)),
        (json!({"userLockout": null, "passthroughRequestHeaders": null}), (false, false)),
    ] {
        let patch = Patch::Merge(json!({"spec": {"tune": change}}));
        methods.patch("users", &PatchParams::default(), &patch).await?;
        eventually("the mount has the settings of the spec", || async {
            let found = general.read(LOCKOUT).await.map_err(|error| error.to_string())?;
            let headers = found["passthrough_request_headers"].as_array().is_some_and(|it| !it.is_empty());
            let seen = (found["user_lockout_disable"] == true, headers);
            if seen == expected { Ok(()) } else { Err(found.to_string()) }
        })
        .await?;
    }
    Ok(())
}

const PARTS: &str = "sys/auth/parts/tune";

/// Makes the edit, and requests a pass, which is no other attempt of a stopped write. Returns false when the edit is repaired, and true
/// when the object reports the conflict instead.
async fn an_edit_stays(general: &General, edit: &Value, right: &Value) -> Result<bool> {
    let methods: Api<AuthMethod> = general.case.api();
    general.post(PARTS, edit.clone()).await?;
    let now = jiff::Timestamp::now().to_string();
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"steamer.dev/pass": now}}}));
    methods.patch("parts", &PatchParams::default(), &patch).await?;
    eventually("the edit is repaired, or the object reports the conflict", || async {
        let object = methods.get("parts").await.map_err(|error| error.to_string())?;
        let state = ready_of(&serde_json::to_value(&object).map_err(|error| error.to_string())?);
        if state.starts_with("False/Conflict: another client undoes each change") {
            return Ok(true);
        }
        let found = general.read(PARTS).await.map_err(|error| error.to_string())?;
        if found == *right { Ok(false) } else { Err(format!("{state}: {found}")) }
    })
    .await
}

/// The mount and its lockout are changed by requests to the same path.
#[tokio::test]
async fn a_client_that_undoes_each_change_of_two_parts_of_a_mount_is_reported() -> Result<()> {
    let general = General::new("auth-parts", "AuthMethod").await?;
    let methods: Api<AuthMethod> = general.case.api();
    let tune = json!({"maxLeaseTTL": "2h", "userLockout": {"threshold": 3}});
    general.object("parts", json!({"type": "userpass", "tune": tune})).await?;
    general.case.ready::<AuthMethod>("parts", "True/Applied").await?;
    let right = general.read(PARTS).await?;
    let edit = json!({"max_lease_ttl": "5h", "user_lockout_config": {"lockout_threshold": 9}});
    let mut repairs = 0;
    while !an_edit_stays(&general, &edit, &right).await? {
        repairs += 1;
        // A pass can read one part before an edit, and the other one after it: this is another difference.
        ensure!(repairs <= 10, "{repairs} repairs, and no conflict is reported");
    }
    ensure!(repairs >= 5, "{repairs} repairs");
    let object = methods.get("parts").await?;
    let stopped = object.status.map(|status| status.lifecycle.stopped).unwrap_or_default();
    ensure!(!stopped.is_empty() && stopped.iter().all(|it| it.path.ends_with(PARTS)), "{stopped:?}");
    Ok(())
}

#[tokio::test]
async fn the_version_of_a_plugin_and_free_settings_of_an_auth_mount_settle() -> Result<()> {
    let general = General::new("auth-plugins", "AuthMethod").await?;
    let case = &general.case;
    let methods: Api<AuthMethod> = case.api();
    general.post("sys/auth/by-hand", json!({"type": "userpass"})).await?;
    let version = general.read("sys/auth/by-hand").await?["running_plugin_version"].clone();
    // OpenBao ignores a parameter that it does not know, and does not return it.
    let tune = json!({"userLockout": {"threshold": 3}, "parameters": {"of_a_later_version": 1}});
    general.object("plugin", json!({"type": "userpass", "pluginVersion": version, "tune": tune})).await?;
    case.ready::<AuthMethod>("plugin", "True/Applied").await?;
    let found = general.state(&["sys/auth/plugin", "sys/auth/plugin/tune"]).await?;
    assert_eq!(
        (&found[0]["running_plugin_version"], &found[1]["user_lockout_threshold"]),
        (&version, &json!(3))
    );
    let mut written = vec!["sys/auth/plugin", "sys/auth/plugin/tune", "sys/auth/plugin/tune"];
    assert_eq!(general.writes()?, written);
    general.passed("plugin", "sys/auth/plugin").await?;
    assert_eq!(general.writes()?, written);

    let patch = Patch::Merge(json!({"spec": {"tune": {"parameters": {"of_a_later_version": 2}}}}));
    methods.patch("plugin", &PatchParams::default(), &patch).await?;
    written.push("sys/auth/plugin/tune");
    eventually("the other value is written", || async {
        let seen = general.writes().map_err(|error| error.to_string())?;
        if seen == written { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await?;
    general.passed("plugin", "sys/auth/plugin").await?;
    assert_eq!(general.writes()?, written);
    let refused = [
        ("typed", json!({"user_lockout_config": {}}), "write it to tune.userLockout instead"),
        ("cached", json!({"force_no_cache": true}), "OpenBao ignores force_no_cache of an auth mount"),
    ];
    for (name, parameters, expected) in refused {
        general.object(name, json!({"type": "userpass", "tune": {"parameters": parameters}})).await?;
        case.says::<AuthMethod>(name, "False/Invalid", expected).await?;
    }
    Ok(())
}

/// A configuration of type `kubernetes` with every field.
async fn kubernetes(general: &General) -> Result<Value> {
    let case = &general.case;
    let secret = |name: &str, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": case.namespace},
            "stringData": data,
        })
    };
    apply(&case.client, secret("ca", json!({"ca.crt": case.ground.plane.ca}))).await?;
    apply(&case.client, secret("reviewer", json!({"token": "first.token.here"}))).await?;
    Ok(json!({
        "path": "workloads", "type": "kubernetes", "kubernetes": {
            "host": case.ground.plane.url, "caSecretRef": {"name": "ca"},
            "tokenReviewerSecretRef": {"name": "reviewer", "key": "token"}, "publicKeys": [KEY], "disableLocalCAJWT": true,
        },
    }))
}

#[tokio::test]
async fn the_configuration_of_an_auth_mount_is_repaired_with_its_secrets() -> Result<()> {
    let general = General::new("auth-configurations", "AuthMethod").await?;
    let case = &general.case;
    general.object("workloads", kubernetes(&general).await?).await?;
    case.ready::<AuthMethod>("workloads", "True/Applied").await?;
    let found = general.read("auth/workloads/config").await?;
    assert_eq!(
        (&found["token_reviewer_jwt_set"], &found["kubernetes_ca_cert"]),
        (&json!(true), &json!(case.ground.plane.ca))
    );
    general.passed("workloads", "sys/auth/workloads").await?;
    assert_eq!(general.writes()?, ["sys/auth/workloads", "auth/workloads/config"]);
    let config = |changes: Value| {
        let mut config = json!({
            "kubernetes_host": case.ground.plane.url, "kubernetes_ca_cert": case.ground.plane.ca,
            "token_reviewer_jwt": "first.token.here", "pem_keys": [KEY], "disable_local_ca_jwt": true,
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            config[name] = value.clone();
        }
        ("auth/workloads/config", config)
    };
    let alterations = [
        config(json!({"kubernetes_host": "https://other.example.com"})),
        config(json!({"kubernetes_ca_cert": case.ground.openbao.ca})),
        config(json!({"token_reviewer_jwt": ""})),
        config(json!({"pem_keys": []})),
        config(json!({"disable_local_ca_jwt": false})),
    ];
    general.repairs("workloads", &["auth/workloads/config"], &alterations).await?;

    let before = general.writes()?.len();
    let changed = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reviewer", "namespace": case.namespace},
        "stringData": {"token": "second.token.here"},
    });
    apply(&case.client, changed).await?;
    eventually("the new token is written", || async {
        let writes = general.writes().map_err(|error| error.to_string())?.len();
        if writes == before + 1 { Ok(()) } else { Err(format!("{writes} writes")) }
    })
    .await?;

    a_removed_reviewer_and_key_are_removed_from_the_mount(&general).await?;
    a_private_key_is_refused(&general).await?;

    let jwt = json!({
        "path": "ci", "type": "jwt", "parameters": {"namespace_in_state": false}, "jwt": {
            "publicKeys": [KEY], "boundIssuer": "https://ci.example.com", "supportedAlgorithms": ["ES256"],
            "defaultRole": "release",
        },
    });
    general.object("ci", jwt).await?;
    case.ready::<AuthMethod>("ci", "True/Applied").await?;
    let keys = json!({"jwt_validation_pubkeys": [KEY], "bound_issuer": "https://evil.example.com"});
    let keyless = json!({"jwks_url": case.ground.issuer.url, "skip_jwks_validation": true});
    let alterations = [("auth/ci/config", keys), ("auth/ci/config", keyless)];
    general.repairs("ci", &["auth/ci/config"], &alterations).await
}

async fn a_removed_reviewer_and_key_are_removed_from_the_mount(general: &General) -> Result<()> {
    let methods: Api<AuthMethod> = general.case.api();
    let removed = json!({"spec": {"kubernetes": {"tokenReviewerSecretRef": null, "publicKeys": null}}});
    methods.patch("workloads", &PatchParams::default(), &Patch::Merge(removed)).await?;
    eventually("the reviewer and the key are removed", || async {
        let found = general.read("auth/workloads/config").await.map_err(|error| error.to_string())?;
        let has_keys = found["pem_keys"].as_array().is_some_and(|keys| !keys.is_empty());
        if found["token_reviewer_jwt_set"] == false && !has_keys { Ok(()) } else { Err(found.to_string()) }
    })
    .await?;
    let settled = general.writes()?;
    general.passed("workloads", "sys/auth/workloads").await?;
    assert_eq!(general.writes()?, settled, "a settled mount was written");
    Ok(())
}

/// OpenBao returns the certificates of a configuration.
async fn a_private_key_is_refused(general: &General) -> Result<()> {
    let case = &general.case;
    let bundle =
        format!("{}\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", case.ground.plane.ca);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bundle", "namespace": case.namespace},
        "stringData": {"ca.crt": bundle},
    });
    apply(&case.client, secret).await?;
    let spec =
        json!({"type": "kubernetes", "kubernetes": {"host": "https://k", "caSecretRef": {"name": "bundle"}}});
    general.object("leaking", spec).await?;
    let refused = case.ready::<AuthMethod>("leaking", "False/Invalid").await?;
    let message = ready_of(&serde_json::to_value(&refused)?);
    assert!(message.contains("contains more than certificates"), "{message}");
    assert_eq!(general.read("sys/auth/leaking").await?, Value::Null);
    Ok(())
}

#[tokio::test]
async fn an_issuer_is_configured_with_the_secret_of_its_client() -> Result<()> {
    let general = General::new("auth-issuers", "AuthMethod").await?;
    let case = &general.case;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "client", "namespace": case.namespace},
        "stringData": {"secret": "client-secret", "ca.crt": case.ground.plane.ca},
    });
    apply(&case.client, secret).await?;
    let browser = json!({
        "type": "oidc", "parameters": {"skip_jwks_validation": true}, "jwt": {
            "oidcDiscoveryURL": "https://127.0.0.1:9", "caSecretRef": {"name": "client"}, "oidcClientID": "openbao",
            "oidcClientSecretRef": {"name": "client", "key": "secret"}, "boundIssuer": "https://127.0.0.1:9",
        },
    });
    let keys = json!({
        "type": "jwt", "parameters": {"skip_jwks_validation": true},
        "jwt": {"jwksURL": "https://127.0.0.1:9/keys", "caSecretRef": {"name": "client"}},
    });
    for (name, spec) in [("browser", browser), ("keys", keys)] {
        general.object(name, spec).await?;
        case.ready::<AuthMethod>(name, "True/Applied").await?;
        general.passed(name, &format!("sys/auth/{name}")).await?;
    }
    let found = general.read("auth/browser/config").await?;
    assert_eq!(
        (&found["oidc_client_id"], &found["oidc_discovery_ca_pem"]),
        (&json!("openbao"), &json!(case.ground.plane.ca))
    );
    let found = general.read("auth/keys/config").await?;
    assert_eq!(
        (&found["jwks_url"], &found["jwks_ca_pem"]),
        (&json!("https://127.0.0.1:9/keys"), &json!(case.ground.plane.ca))
    );
    let mut writes = general.writes()?;
    writes.retain(|write| write.ends_with("/config"));
    assert_eq!(writes, ["auth/browser/config", "auth/keys/config"]);
    the_provider_receives_the_secret_of_the_client(&general).await
}

/// OpenBao does not return the secret: it authenticates with it when it exchanges the code of a login for a token.
async fn the_provider_receives_the_secret_of_the_client(general: &General) -> Result<()> {
    let case = &general.case;
    let provider = OidcProvider::start().await?;
    let login = json!({
        "type": "oidc", "parameters": {"namespace_in_state": false}, "jwt": {
            "oidcDiscoveryURL": provider.url, "allowPlaintext": true, "oidcClientID": "openbao",
            "oidcClientSecretRef": {"name": "client", "key": "secret"}, "boundIssuer": provider.url,
        },
    });
    general.object("login", login).await?;
    case.ready::<AuthMethod>("login", "True/Applied").await?;
    let role = json!({"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": [CALLBACK]});
    general.post("auth/login/role/people", role).await?;
    for (changes, secret) in [(1, "client-secret"), (2, "second-secret")] {
        let changed = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "client", "namespace": case.namespace},
            "stringData": {"secret": secret, "ca.crt": case.ground.plane.ca},
        });
        apply(&case.client, changed).await?;
        // OpenBao keeps the former secret in memory if a login begins during the write.
        eventually("the configuration is written", || async {
            let writes = general.completed("auth/login/config").map_err(|error| format!("{error:#}"))?;
            if writes == changes { Ok(()) } else { Err(writes.to_string()) }
        })
        .await?;
        eventually(&format!("the provider receives {secret}"), || async {
            log_in(general).await.map_err(|error| format!("{error:#}"))?;
            let clients = provider.clients();
            let is_received = clients.last().is_some_and(|client| *client == format!("openbao:{secret}"));
            if is_received { Ok(()) } else { Err(format!("{clients:?}")) }
        })
        .await?;
    }
    Ok(())
}

/// Starts a login, and returns from the provider with a code, which the provider refuses.
async fn log_in(general: &General) -> Result<()> {
    let request = json!({"role": "people", "redirect_uri": CALLBACK});
    let answer = general.admin.request_any(Method::POST, "auth/login/oidc/auth_url", Some(request)).await?;
    let url = Url::parse(answer["data"]["auth_url"].as_str().context("no URL")?)?;
    let state = url.query_pairs().find(|(name, _)| name == "state").context("no state")?.1.into_owned();
    let openbao = &general.case.ground.openbao;
    let callback = format!("{}/v1/{}/auth/login/oidc/callback", openbao.url, general.case.namespace);
    let mut callback = Url::parse(&callback)?;
    callback.query_pairs_mut().append_pair("state", &state).append_pair("code", "code");
    let authorities = Certificate::from_pem_bundle(openbao.ca.as_bytes())?;
    let client = reqwest::Client::builder().tls_certs_only(authorities).no_proxy().build()?;
    client.get(callback).send().await?;
    Ok(())
}

#[tokio::test]
async fn an_existing_auth_mount_is_adopted_without_a_write_and_logins_of_the_operator_are_reserved()
-> Result<()> {
    let general = General::new("adopted-mounts", "AuthMethod").await?;
    let case = &general.case;
    let methods: Api<AuthMethod> = case.api();
    let config = json!({
        "default_lease_ttl": "1h", "max_lease_ttl": "120m", "listing_visibility": "unauth",
        "audit_non_hmac_request_keys": ["r"], "audit_non_hmac_response_keys": ["s"],
        "passthrough_request_headers": ["X-P"], "allowed_response_headers": ["X-A"], "token_type": "default-batch",
    });
    let mount = json!({
        "type": "userpass", "description": "people", "options": {"a": "1"}, "seal_wrap": true, "config": config,
    });
    general.post(USERS, mount).await?;
    let lockout = json!({
        "lockout_threshold": "3", "lockout_duration": "600s", "lockout_counter_reset_duration": "5m", "lockout_disable": false,
    });
    general.post(LOCKOUT, json!({"user_lockout_config": lockout})).await?;
    let kubernetes = kubernetes(&general).await?;
    general.post("sys/auth/workloads", json!({"type": "kubernetes"})).await?;
    let config = json!({
        "kubernetes_host": case.ground.plane.url, "kubernetes_ca_cert": case.ground.plane.ca,
        "token_reviewer_jwt": "first.token.here", "pem_keys": [KEY], "disable_local_ca_jwt": true,
    });
    general.post("auth/workloads/config", config).await?;
    for (name, spec) in [("users", users()), ("workloads", kubernetes)] {
        general.object(name, spec).await?;
        let refused = case.ready::<AuthMethod>(name, "False/Conflict").await?;
        let message = ready_of(&serde_json::to_value(&refused)?);
        assert!(message.contains("set adopt: IfUnowned"), "{message}");
        let adopt = Patch::Merge(json!({"spec": {"adopt": "IfUnowned"}}));
        methods.patch(name, &PatchParams::default(), &adopt).await?;
        case.ready::<AuthMethod>(name, "True/Applied").await?;
    }
    general.passed("users", USERS).await?;
    general.passed("workloads", "sys/auth/workloads").await?;
    assert_eq!(general.writes()?, Vec::<String>::new());

    let operator = json!({"type": "kubernetes", "adopt": "IfUnowned", "clusterRef": {"name": "root"}});
    case.object("AuthMethod", "kubernetes", operator).await?;
    let other = json!({"type": "approle", "path": "workloads", "adopt": "IfUnowned"});
    general.object("other", other).await?;
    let parameters = json!({"type": "approle", "parameters": {"a": 1}});
    general.object("approle", parameters).await?;
    general.object("token", json!({"type": "approle"})).await?;
    let refused = [
        ("kubernetes", "False/Invalid", "the auth mount kubernetes belongs to the logins of Steamer"),
        ("other", "False/Conflict", "already claims auth mount workloads"),
        ("approle", "False/Invalid", "an auth mount of type approle has no configuration"),
        ("token", "False/Invalid", "OpenBao creates no auth mount at token"),
    ];
    for (name, reason, expected) in refused {
        let refused = case.ready::<AuthMethod>(name, reason).await?;
        let message = ready_of(&serde_json::to_value(&refused)?);
        assert!(message.contains(expected), "{message}");
    }
    general
        .object("seen", json!({"type": "cert", "parameters": {"disable_binding": true}, "mode": "Observe"}))
        .await?;
    let seen = case.ready::<AuthMethod>("seen", "True/Drifted").await?;
    let plan = seen.status.context("the object has no status")?.lifecycle.plan;
    let paths: Vec<&str> = plan.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["adopted-mounts/sys/auth/seen", "adopted-mounts/auth/seen/config"]);
    assert_eq!(general.writes()?, Vec::<String>::new());
    Ok(())
}
