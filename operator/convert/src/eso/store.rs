//! SecretStore and ClusterSecretStore: a BaoConnection and a BaoAuth of the same name.

use serde_json::{Value, json};

use super::{auth, conditions};
use crate::consents;
use crate::cursor::Cursor;
use crate::draft::Draft;
use crate::server;
use crate::task::Task;

/// Providers that are an OpenBao.
const PROVIDERS: [&str; 2] = ["vault", "openbao"];

pub(super) fn converted(task: &mut Task<'_>, spec: &mut Cursor) {
    let provider = spec.within("provider", |all| {
        let known = PROVIDERS.into_iter().find(|name| all.has(name));
        known.map(|name| all.within(name, |provider| connected(task, provider))).is_some()
    });
    match provider {
        Some(true) => consent(task, spec),
        _ => {
            let other = spec.take("provider");
            task.review(
                "spec.provider",
                other.as_ref(),
                "the provider is no OpenBao: keep External Secrets Operator for this store",
            );
        }
    }
}

/// Adds the connection and the login of a store.
pub(super) fn connected(task: &mut Task<'_>, provider: &mut Cursor) {
    let namespace = match task.origin.kind.as_str() {
        "ClusterSecretStore" => Some(task.settings.store_namespace.clone()),
        _ => task.origin.namespace.clone(),
    };
    let mut connection = task.draft_in("BaoConnection", namespace.clone());
    server::address(task, provider, &mut connection, "server");
    authority(task, provider, &mut connection);
    client_certificate(provider, &mut connection);
    let mut login = task.draft_in("BaoAuth", namespace);
    login.put("connectionRef", json!({"name": task.origin.name}), "metadata.name");
    login.rename(provider, "namespace", "namespace");
    // The mount and the version are those of the objects that refer to the store.
    provider.text("path");
    provider.take_if("version", |version| version == "v1" || version == "v2");
    let headers = provider.path("headers");
    let all = provider.texts("headers");
    if !all.is_empty() {
        connection.put("headers", Value::Object(all), headers);
    }
    let path = provider.path("auth");
    let chosen = provider.within("auth", |from| auth::moved(task, from, &mut login));
    if chosen != Some(true) {
        task.review(&path, None, "no auth method was converted: write method and its block into the BaoAuth");
    }
    consents::audiences(task, &login, &path);
    task.drafts.extend([connection, login]);
}

/// CA certificates are public: a bundle becomes a Secret.
fn authority(task: &mut Task<'_>, provider: &mut Cursor, connection: &mut Draft) {
    let path = provider.path("caBundle");
    if let Some(bundle) = provider.text("caBundle") {
        let name = format!("{}-ca", task.origin.name);
        let mut metadata = json!({"name": name});
        if let Some(namespace) = &connection.namespace {
            metadata["namespace"] = json!(namespace);
        }
        task.others.push(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"ca.crt": bundle}}),
        );
        connection.put("caCertSecretRef", json!(name), path);
    }
    let namespace = connection.namespace.clone();
    provider.within("caProvider", |from| {
        let is_near = from.peek("namespace").is_none_or(|other| Some(other) == namespace.map(Value::String).as_ref());
        let is_secret = from.peek("type") == Some(&json!("Secret"));
        let has_key = from.peek("key").is_none_or(|key| key == "ca.crt");
        if is_near && is_secret && has_key {
            for field in ["namespace", "type", "key"] {
                from.take(field);
            }
            connection.rename(from, "name", "caCertSecretRef");
        } else {
            task.review(from.path("name"), from.peek("name"), "create a Secret with the key ca.crt in the namespace of the BaoConnection, and set caCertSecretRef to its name");
        }
    });
}

/// One Secret of type `kubernetes.io/tls` contains the client certificate and its key. Its keys are the defaults of External Secrets
/// Operator.
fn client_certificate(provider: &mut Cursor, connection: &mut Draft) {
    provider.within("tls", |tls| {
        let part = |field: &str, key: &str| {
            let part = tls.peek(field)?;
            let has_key =
                part["key"].as_str().map_or(part["key"].is_null(), |found| found.is_empty() || found == key);
            (has_key && part.get("namespace").is_none()).then(|| part["name"].clone())
        };
        let (certificate, key) = (part("certSecretRef", "tls.crt"), part("keySecretRef", "tls.key"));
        if let (Some(certificate), Some(key)) = (certificate, key)
            && certificate == key
        {
            connection.put("clientCertSecretRef", certificate, tls.path("certSecretRef"));
            tls.take("certSecretRef");
            tls.take("keySecretRef");
        }
    });
}

/// A ClusterSecretStore serves all namespaces, or those of its conditions.
fn consent(task: &mut Task<'_>, spec: &mut Cursor) {
    if task.origin.kind != "ClusterSecretStore" {
        return;
    }
    let path = spec.path("conditions");
    let Some(allowed) = conditions::allowed(spec, &task.settings.store_namespace) else {
        // The default of Steamer is the own namespace.
        return;
    };
    // The objects of other namespaces refer to the BaoAuth, which refers to the BaoConnection of its own namespace.
    for draft in task.drafts.iter_mut().filter(|draft| draft.kind == "BaoAuth") {
        draft.put("allowedNamespaces", allowed.clone(), path.as_str());
    }
}
