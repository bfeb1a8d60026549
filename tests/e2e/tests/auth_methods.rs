//! Auth methods of BaoAuth at the auth methods of OpenBao, and defaults of a BaoAuthGlobal.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::{BaoAuth, BaoAuthGlobal, BaoStaticSecret};
use steamer_testing::audit;
use steamer_testing::certificates::Authority;
use steamer_testing::ground::{OPERATOR_NAMESPACE, apply};

use crate::fixture::Case;
use crate::static_secrets::engine;

/// Engine, policy, and prefix of the auth mounts.
const NAME: &str = "auth-methods";

/// Sends a request of the administrator.
async fn post(case: &Case, path: &str, body: Value) -> Result<Value> {
    let path = path.replace("auth/", &format!("auth/{NAME}-"));
    Ok(case.admin()?.request_any(Method::POST, &path, Some(body)).await?)
}

fn text(body: &Value, pointer: &str) -> Result<String> {
    Ok(body.pointer(pointer).and_then(Value::as_str).with_context(|| format!("no {pointer}"))?.to_owned())
}

/// Creates or replaces a Secret that allows logins.
async fn credential(case: &Case, name: &str, data: Value) -> Result<()> {
    let metadata =
        json!({"name": name, "namespace": case.namespace, "labels": {"steamer.dev/login": "true"}});
    apply(
        &case.client,
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}),
    )
    .await
    .map(drop)
}

/// Applies a BaoStaticSecret with the name of its BaoAuth.
async fn sync(case: &Case, name: &str, auth: Value) -> Result<()> {
    let spec = json!({
        "authRef": auth, "mount": NAME, "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": format!("{name}-value"), "create": true},
    });
    case.object("BaoStaticSecret", name, spec).await.map(drop)
}

async fn syncs(case: &Case, name: &str) -> Result<()> {
    case.ready::<BaoStaticSecret>(name, "True/Applied").await?;
    let secret = case.api::<Secret>().get(&format!("{name}-value")).await?;
    ensure!(secret.data.unwrap_or_default()["a"].0 == b"1", "{name} has another value");
    Ok(())
}

/// Creates the auth mounts with a role or user `app` each. Returns role ID and secret ID.
async fn mounts(case: &Case, authority: &Authority) -> Result<(String, String)> {
    let rights = json!({"token_policies": [NAME], "token_ttl": "1h"});
    let with = |field: &str, value: &str| {
        let mut body = rights.clone();
        body[field] = json!(value);
        body
    };
    for method in ["approle", "cert", "userpass"] {
        let mount = Some(json!({"type": method}));
        case.admin()?.request_any(Method::POST, &format!("sys/auth/{NAME}-{method}"), mount).await?;
    }
    post(case, "auth/approle/role/app", rights.clone()).await?;
    post(case, "auth/cert/certs/app", with("certificate", &authority.pem)).await?;
    post(case, "auth/userpass/users/app", with("password", "correct horse")).await?;
    let path = format!("auth/{NAME}-approle/role/app/role-id");
    let role = case.admin()?.request_any(Method::GET, &path, None).await?;
    let id = post(case, "auth/approle/role/app/secret-id", json!({})).await?;
    Ok((text(&role, "/data/role_id")?, text(&id, "/data/secret_id")?))
}

/// Number of requests for a path below the auth mounts.
fn requests(case: &Case, path: &str) -> Result<usize> {
    let path = path.replace("auth/", &format!("auth/{NAME}-"));
    let entries = audit::entries(&case.ground.openbao.audit, &path)?;
    let asked =
        entries.iter().filter(|entry| entry["type"] == "request" && entry["request"]["path"] == *path);
    Ok(asked.count())
}

/// Lets OpenBao log the header `X-Reason` of each request.
async fn log_reasons(case: &Case) -> Result<()> {
    let path = "sys/config/auditing/request-headers/X-Reason";
    case.admin()?.request_any(Method::POST, path, Some(json!({"hmac": false}))).await?;
    Ok(())
}

/// Checks that every operation of this name at a path arrived with the header of its BaoAuth.
fn arrived_with_reason(case: &Case, operation: &str, path: &str) -> Result<()> {
    let entries = audit::entries(&case.ground.openbao.audit, path)?;
    let is_asked = |entry: &Value| {
        let request = &entry["request"];
        entry["type"] == "request" && request["path"] == *path && request["operation"] == *operation
    };
    let requests: Vec<&Value> =
        entries.iter().filter(|entry| is_asked(entry)).map(|entry| &entry["request"]).collect();
    ensure!(!requests.is_empty(), "no {operation} of {path}");
    for request in requests {
        ensure!(request["headers"]["x-reason"] == json!(["test"]), "{path}: {}", request["headers"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_value_is_synced_with_each_method_and_a_refused_credential_is_tried_once() -> Result<()> {
    let case = Case::new(NAME).await?;
    engine(&case, NAME).await?;
    log_reasons(&case).await?;
    case.admin()?.write_kv2(NAME, "app", &json!({"a": "1"})).await?;
    let authority = Authority::new("clients")?;
    let leaf = authority.leaf("app", None, &["app"])?;
    let (role_id, secret_id) = mounts(&case, &authority).await?;
    let body = json!({"policies": [NAME], "ttl": "1h"});
    let token = case.admin()?.request_any(Method::POST, "auth/token/create", Some(body)).await?;
    credential(&case, "approle", json!({"id": secret_id})).await?;
    credential(&case, "cert", json!({"tls.crt": leaf.pem, "tls.key": leaf.key_pem})).await?;
    credential(&case, "token", json!({"token": text(&token, "/auth/client_token")?})).await?;
    let methods = [
        ("approle", "AppRole", "appRole", json!({"roleId": role_id, "secretRef": "approle"})),
        ("cert", "Cert", "cert", json!({"role": "app", "secretRef": "cert"})),
        ("userpass", "UserPass", "userPass", json!({"username": "app", "secretRef": "userpass"})),
        ("token", "Token", "token", json!({"secretRef": "token"})),
    ];
    for (name, method, block, settings) in &methods {
        let spec = json!({
            "clusterRef": {"name": "main"}, "method": method, "mount": format!("{NAME}-{name}"), *block: settings,
            "params": {"reason": "test"}, "headers": {"X-Reason": "test"},
        });
        case.object("BaoAuth", name, spec).await?;
        sync(&case, name, json!({"name": name})).await?;
    }
    for name in ["approle", "cert", "token"] {
        syncs(&case, name).await?;
    }
    let logins = requests(&case, "auth/approle/login")?;
    assert_eq!((logins, requests(&case, "auth/cert/login")?), (1, 1));
    arrived_with_reason(&case, "update", &format!("auth/{NAME}-approle/login"))?;
    arrived_with_reason(&case, "update", &format!("auth/{NAME}-cert/login"))?;
    arrived_with_reason(&case, "read", &format!("{NAME}/data/app"))?;

    // Without its label, a Secret is not used. A wrong password is tried once for all objects.
    case.ready::<BaoStaticSecret>("userpass", "False/ReferenceNotFound").await?;
    let unlabeled = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "userpass", "namespace": NAME},
        "stringData": {"password": "wrong horse"},
    });
    apply(&case.client, unlabeled).await?;
    case.ready::<BaoStaticSecret>("userpass", "False/ReferenceDenied: Secret auth-methods/userpass does not")
        .await?;
    assert_eq!(requests(&case, "auth/userpass/login/app")?, 0);
    credential(&case, "userpass", json!({"password": "wrong horse"})).await?;
    sync(&case, "again", json!({"name": "userpass"})).await?;
    for name in ["userpass", "again"] {
        case.ready::<BaoStaticSecret>(name, "False/PermissionDenied: OpenBao rejects the login").await?;
    }
    assert_eq!(requests(&case, "auth/userpass/login/app")?, 1);
    credential(&case, "userpass", json!({"password": "correct horse\n"})).await?;
    syncs(&case, "userpass").await?;
    syncs(&case, "again").await?;
    assert_eq!(requests(&case, "auth/userpass/login/app")?, 2);

    // A rotated secret ID leads to a new login.
    credential(&case, "approle", json!({"id": "00000000-0000-0000-0000-000000000000"})).await?;
    case.ready::<BaoStaticSecret>("approle", "False/PermissionDenied").await?;
    let id = post(&case, "auth/approle/role/app/secret-id", json!({})).await?;
    credential(&case, "approle", json!({"id": text(&id, "/data/secret_id")?})).await?;
    syncs(&case, "approle").await?;
    assert_eq!(requests(&case, "auth/approle/login")?, logins + 2);

    // A file of the operator's pod is used only by a BaoAuth of its namespace.
    let file = case.ground.folder.join("secret-id");
    std::fs::write(&file, text(&id, "/data/secret_id")?)?;
    let spec = json!({
        "clusterRef": {"name": "main", "namespace": NAME}, "method": "AppRole", "mount": format!("{NAME}-approle"),
        "appRole": {"roleId": role_id, "secretIDPath": file.display().to_string()}, "allowedNamespaces": {"from": "All"},
    });
    case.object("BaoAuth", "file", spec.clone()).await?;
    case.ready::<BaoAuth>("file", "False/Invalid: secretIDPath requires a BaoAuth").await?;
    case.object_in(OPERATOR_NAMESPACE, "BaoAuth", NAME, spec).await?;
    sync(&case, "file", json!({"name": NAME, "namespace": OPERATOR_NAMESPACE})).await?;
    syncs(&case, "file").await
}

#[tokio::test]
async fn a_login_uses_the_defaults_of_its_global_and_follows_their_changes() -> Result<()> {
    const SHARED: &str = "auth-globals-shared";
    let case = Case::new("auth-globals").await?;
    engine(&case, "auth-globals").await?;
    case.make_namespace(SHARED, json!({})).await?;
    case.admin()?.write_kv2("auth-globals", "app", &json!({"a": "1"})).await?;
    let spec = json!({
        "clusterRef": {"name": "main", "namespace": case.namespace}, "defaultAuthMethod": "JWT",
        "defaultMount": "missing", "kubernetes": {"role": "other", "serviceAccount": "default", "mount": "kubernetes"},
        "allowedNamespaces": {"from": "All"},
    });
    case.object_in(SHARED, "BaoAuthGlobal", "shared", spec).await?;
    let reference = json!({"name": "shared", "namespace": SHARED});
    let own =
        json!({"authGlobalRef": reference, "method": "Kubernetes", "kubernetes": {"role": "auth-globals"}});
    case.object("BaoAuth", "default", own).await?;
    let spec = json!({
        "mount": "auth-globals", "path": "app", "type": "kv-v2", "refreshAfter": "1s",
        "destination": {"name": "app", "create": true},
    });
    case.object("BaoStaticSecret", "app", spec).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    let auth = case.ready::<BaoAuth>("default", "True/Applied").await?;
    assert_eq!(auth.status.and_then(|status| status.mount).as_deref(), Some("auth/kubernetes"));

    // A change of the defaults, and of the consent, takes effect.
    let globals: Api<BaoAuthGlobal> = Api::namespaced(case.client.clone(), SHARED);
    let patch = |spec: Value| Patch::Merge(json!({"spec": spec}));
    let patched = async |spec: Value| globals.patch("shared", &PatchParams::default(), &patch(spec)).await;
    patched(json!({"kubernetes": {"mount": "missing"}})).await?;
    case.ready::<BaoStaticSecret>("app", "False/PermissionDenied").await?;
    patched(json!({"kubernetes": {"mount": "kubernetes"}})).await?;
    case.ready::<BaoStaticSecret>("app", "True/Applied").await?;
    patched(json!({"allowedNamespaces": {"from": "Same"}})).await?;
    case.ready::<BaoAuth>("default", "False/ReferenceDenied").await?;
    case.ready::<BaoStaticSecret>("app", "False/ReferenceDenied").await.map(drop)
}
