//! Certificates of a PKI engine: issued once, renewed before they expire, and revoked when they are replaced.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use reqwest::Method;
use serde_json::{Value, json};
use steamer_api::BaoPKISecret;
use steamer_openbao::Session;
use steamer_testing::wait::eventually;
use x509_parser::pem::Pem;

use crate::fixture::{Case, ready_of};
use crate::observed::{changes, planned, written};
use crate::openbao_outage::gone;
use crate::static_secrets::auth;

/// Mounts a root CA at `<mount>-root` and an intermediate CA at `mount`, with the role `web` that every ServiceAccount of the
/// test's namespace can use.
pub async fn authorities(case: &Case, mount: &str) -> Result<()> {
    let admin = case.admin()?;
    let post = async |path: String, body: Value| admin.request_any(Method::POST, &path, Some(body)).await;
    for path in [format!("{mount}-root"), mount.to_owned()] {
        let tune = json!({"type": "pki", "config": {"max_lease_ttl": "87600h"}});
        post(format!("sys/mounts/{path}"), tune).await?;
    }
    let named = |name: &str| json!({"common_name": name, "ttl": "8760h"});
    post(format!("{mount}-root/root/generate/internal"), named("root")).await?;
    let request = post(format!("{mount}/intermediate/generate/internal"), named("intermediate")).await?;
    let csr = json!({"csr": request["data"]["csr"], "common_name": "intermediate", "ttl": "4380h"});
    let signed = post(format!("{mount}-root/root/sign-intermediate"), csr).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let bundle = format!("{}\n{}", text(&signed["data"]["certificate"]), text(&signed["data"]["issuing_ca"]));
    post(format!("{mount}/intermediate/set-signed"), json!({"certificate": bundle})).await?;
    let role = json!({"allowed_domains": "example.com", "allow_subdomains": true, "max_ttl": "720h", "key_type": "ec"});
    post(format!("{mount}/roles/web"), role).await?;
    login(case, mount).await
}

/// A role of the Kubernetes auth method that may issue and revoke certificates of the mount.
async fn login(case: &Case, mount: &str) -> Result<()> {
    let update = json!({"capabilities": ["update"]});
    let paths = json!({format!("{mount}/issue/*"): update, format!("{mount}/revoke"): update});
    case.role(mount, paths, "10m").await?;
    case.object("BaoAuth", "default", auth(mount)).await.map(drop)
}

/// Spec of a BaoPKISecret with `changes` applied.
fn spec(mount: &str, name: &str, changes: Value) -> Value {
    let mut spec = json!({
        "mount": mount, "role": "web", "commonName": "web.example.com", "revoke": true,
        "destination": {"name": name, "create": true},
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

/// Number of certificates that the engine issued.
async fn issued(admin: &Session, mount: &str) -> Result<usize> {
    let list = Method::from_bytes(b"LIST")?;
    let answer = admin.request_any(list, &format!("{mount}/certs"), None).await?;
    Ok(answer.pointer("/data/keys").and_then(Value::as_array).context("no keys")?.len())
}

pub async fn is_revoked(admin: &Session, mount: &str, serial: &str) -> Result<bool> {
    let answer = admin.request_any(Method::GET, &format!("{mount}/cert/{serial}"), None).await?;
    Ok(answer["data"]["revocation_time"].as_i64().context("no revocation_time")? > 0)
}

async fn revoked(admin: &Session, mount: &str, serial: &str) -> Result<()> {
    eventually("the certificate is revoked", || async {
        match is_revoked(admin, mount, serial).await {
            Ok(true) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

pub fn serial_of(object: &BaoPKISecret) -> Result<String> {
    let status = object.status.as_ref().context("no status")?;
    Ok(status.certificate.as_ref().context("no certificate")?.serial.clone())
}

async fn texts(case: &Case, name: &str) -> Result<BTreeMap<String, String>> {
    let data = case.api::<Secret>().get(name).await?.data.unwrap_or_default();
    Ok(data.into_iter().map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned())).collect())
}

/// Subject and serial number of each certificate of a text.
fn certificates(text: &str) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let pem = pem?;
        let certificate = pem.parse_x509()?;
        let serial: Vec<String> =
            certificate.serial.to_bytes_be().iter().map(|byte| format!("{byte:02x}")).collect();
        all.push((certificate.subject().to_string(), serial.join(":")));
    }
    Ok(all)
}

/// Waits until the Secret contains another certificate than that with the serial number.
async fn replaced(case: &Case, name: &str, serial: &str) -> Result<BaoPKISecret> {
    let objects: Api<BaoPKISecret> = case.api();
    eventually("another certificate is issued", || async {
        let object = objects.get(name).await.map_err(|error| error.to_string())?;
        match serial_of(&object) {
            Ok(now) if now != serial => Ok(object),
            other => {
                Err(format!("{other:?} {}", ready_of(&serde_json::to_value(&object).unwrap_or_default())))
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_certificate_is_issued_once_and_replaced_only_when_the_request_changes() -> Result<()> {
    let case = Case::new("pki-issue").await?;
    let mount = "pki-issue";
    authorities(&case, mount).await?;
    let admin = case.admin()?;
    let before = issued(&admin, mount).await.unwrap_or_default();
    let tls = |name: &str, label: &str| {
        let destination = json!({
            "name": "web", "create": true, "type": "kubernetes.io/tls", "labels": {"team": label},
        });
        // The former certificate is revoked when all workloads that use the Secret are rolled out: there are none.
        let restart = json!({"mode": "Consumers", "debounce": "1s"});
        spec(mount, "web", json!({"commonName": name, "destination": destination, "rolloutRestart": restart}))
    };
    case.object("BaoPKISecret", "web", tls("web.example.com", "a")).await?;
    let object = case.ready::<BaoPKISecret>("web", "True/Applied").await?;
    let first = serial_of(&object)?;
    let data = texts(&case, "web").await?;
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "tls.crt", "tls.key"]);
    let chain = certificates(&data["tls.crt"])?;
    let subjects: Vec<&str> = chain.iter().map(|(subject, _)| subject.as_str()).collect();
    assert_eq!(subjects, ["CN=web.example.com", "CN=intermediate"]);
    assert_eq!(chain[0].1, first);
    assert_eq!(certificates(&data["ca.crt"])?[0].0, "CN=root");
    ensure!(data["tls.key"].contains("PRIVATE KEY"), "no key");

    // Labels of the Secret and of the object, a repaired label, and a time of renewal change no certificate.
    case.object("BaoPKISecret", "web", tls("web.example.com", "b")).await?;
    case.ready::<BaoPKISecret>("web", "True/Applied").await?;
    let secrets: Api<Secret> = case.api();
    let edit = Patch::Merge(json!({"metadata": {"labels": {"team": "edited"}}}));
    secrets.patch("web", &PatchParams::default(), &edit).await?;
    let objects: Api<BaoPKISecret> = case.api();
    let change = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}, "spec": {"expiryOffset": "1h"}}));
    objects.patch("web", &PatchParams::default(), &change).await?;
    eventually("the label is repaired", || async {
        let labels = secrets.get("web").await.map_err(|error| error.to_string())?.metadata.labels;
        let repaired = labels.as_ref().is_some_and(|labels| labels["team"] == "b");
        if repaired { Ok(()) } else { Err(format!("{labels:?}")) }
    })
    .await?;
    case.ready::<BaoPKISecret>("web", "True/Applied").await?;
    assert_eq!(issued(&admin, mount).await? - before, 1, "a certificate was issued without need");

    // Another name is another certificate, and the former one is revoked once the Secret contains it.
    case.object("BaoPKISecret", "web", tls("shop.example.com", "b")).await?;
    let second = serial_of(&replaced(&case, "web", &first).await?)?;
    let chain = certificates(&texts(&case, "web").await?["tls.crt"])?;
    assert_eq!((chain[0].0.as_str(), &chain[0].1), ("CN=shop.example.com", &second));
    revoked(&admin, mount, &first).await?;
    assert_eq!(issued(&admin, mount).await? - before, 2);
    ensure!(!is_revoked(&admin, mount, &second).await?, "the certificate in the Secret is revoked");

    // A name that the role does not allow keeps the certificate.
    case.object("BaoPKISecret", "web", tls("example.org", "b")).await?;
    let object = case.ready::<BaoPKISecret>("web", "False/Invalid").await?;
    ensure!(ready_of(&serde_json::to_value(&object)?).contains("not allowed"), "{object:?}");
    assert_eq!(certificates(&texts(&case, "web").await?["tls.crt"])?[0].1, second);

    objects.delete("web", &DeleteParams::default()).await?;
    gone(&objects, "web").await?;
    ensure!(is_revoked(&admin, mount, &second).await?, "the last certificate is not revoked");
    gone(&secrets, "web").await
}

#[tokio::test]
async fn a_certificate_is_renewed_before_it_expires() -> Result<()> {
    let case = Case::new("pki-renew").await?;
    let mount = "pki-renew";
    authorities(&case, mount).await?;
    let admin = case.admin()?;
    // A Secret of another owner: the certificate comes and goes, the other keys stay.
    let theirs = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": case.namespace},
        "data": {"mine": "eA=="},
    });
    steamer_testing::ground::apply(&case.client, theirs).await?;
    let kept = json!({"name": "theirs", "deletionPolicy": "Retain"});
    let changes = json!({"ttl": "24h", "expiryOffset": "1h", "clear": true, "destination": kept});
    case.object("BaoPKISecret", "short", spec(mount, "theirs", changes)).await?;
    let object = case.ready::<BaoPKISecret>("short", "True/Applied").await?;
    let first = serial_of(&object)?;
    let objects: Api<BaoPKISecret> = case.api();
    let short = json!({"ttl": "24s", "expiryOffset": "20s"});
    objects.patch("short", &PatchParams::default(), &Patch::Merge(json!({"spec": short}))).await?;
    let mut serial = serial_of(&replaced(&case, "short", &first).await?)?;
    for _ in 0..2 {
        let object = replaced(&case, "short", &serial).await?;
        let status = object.status.clone().context("no status")?;
        assert_eq!(status.sync.last_sync.context("no sync")?.reason, "RenewalDue");
        revoked(&admin, mount, &serial).await?;
        serial = serial_of(&object)?;
    }
    let data = texts(&case, "theirs").await?;
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    let of_answer = ["ca_chain", "certificate", "expiration", "issuing_ca", "mine"];
    assert_eq!(keys[..5], of_answer, "{keys:?}");
    assert_eq!(certificates(&data["ca_chain"])?[0].0, "CN=intermediate");

    objects.delete("short", &DeleteParams::default()).await?;
    gone(&objects, "short").await?;
    assert_eq!(texts(&case, "theirs").await?.keys().collect::<Vec<_>>(), ["mine"]);
    Ok(())
}

#[tokio::test]
async fn an_object_that_observes_issues_no_certificate_and_writes_nothing() -> Result<()> {
    let (case, mount) = (Case::new("pki-observe").await?, "pki-observe");
    authorities(&case, mount).await?;
    let apply = async |mode: &str, type_: Option<&str>, name: &str, expected: &str| {
        let destination = json!({"name": "web", "create": true, "type": type_});
        let changes = json!({"mode": mode, "commonName": name, "destination": destination});
        case.object("BaoPKISecret", "web", spec(mount, "web", changes)).await?;
        case.ready::<BaoPKISecret>("web", expected).await
    };
    let plan = |object: &BaoPKISecret| {
        object.status.as_ref().map(|status| planned(&status.plan)).unwrap_or_default()
    };
    let keys = |operation: &str, keys: &[&str]| {
        let request = "Create pki-observe/issue/web".to_owned();
        let keys = keys.iter().map(|key| format!("{operation} Secret/web/{key}"));
        std::iter::once(request).chain(keys).collect::<Vec<_>>()
    };
    let (tls, name) = (Some("kubernetes.io/tls"), "web.example.com");
    let of_answer = [
        "certificate",
        "expiration",
        "issuing_ca",
        "not_before",
        "private_key",
        "private_key_type",
        "serial_number",
    ];
    let of_tls = ["ca.crt", "tls.crt", "tls.key"];

    let opaque = apply("Observe", None, name, "True/Drifted").await?;
    assert_eq!(plan(&opaque), keys("Create", &of_answer));
    let message = ready_of(&serde_json::to_value(&opaque)?);
    ensure!(message.contains("only a request would show ca_chain"), "{message}");
    let first = apply("Observe", tls, name, "True/Drifted").await?;
    assert_eq!(plan(&first), keys("Create", &of_tls));
    assert_eq!(changes(&case, "pki-observe/issue/")?, [""; 0]);
    assert_eq!(written(&case, &["secrets", "baopkisecrets"])?, [""; 0]);

    let applied = apply("Enforce", tls, name, "True/Applied").await?;
    assert_eq!(plan(&applied), [""; 0]);
    let (serial, issued) = (serial_of(&applied)?, changes(&case, "pki-observe/issue/")?);
    assert_eq!(issued, ["update pki-observe/issue/web"]);
    let writes = written(&case, &["secrets"])?;
    let observed = apply("Observe", tls, name, "True/Observed").await?;
    assert_eq!((plan(&observed).len(), serial_of(&observed)?), (0, serial.clone()));
    let renamed = apply("Observe", tls, "shop.example.com", "True/Drifted").await?;
    assert_eq!(plan(&renamed), keys("Update", &of_tls));
    assert_eq!((changes(&case, "pki-observe/issue/")?, written(&case, &["secrets"])?), (issued, writes));
    ensure!(!is_revoked(&case.admin()?, mount, &serial).await?, "the certificate in the Secret is revoked");
    Ok(())
}
