//! Kubernetes objects of any kind, as JSON or YAML.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope};
use serde_json::Value;

/// Parses the documents of a YAML text to JSON.
///
/// # Errors
/// When the text is not valid YAML.
pub fn yaml(text: &str) -> Result<Vec<Value>> {
    let documents = text
        .split("\n---")
        .map(str::trim)
        .filter(|document| !document.trim_start_matches('-').trim().is_empty());
    documents
        .map(|document| {
            serde_saphyr::from_str::<Value>(document.trim_start_matches("---")).map_err(anyhow::Error::from)
        })
        .filter(|value| !matches!(value, Ok(Value::Null)))
        .collect()
}

/// Applies an object like `kubectl apply --server-side` with strict validation.
///
/// # Errors
/// The error of the API server.
pub async fn apply(client: &Client, object: Value) -> Result<DynamicObject> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let (group, version) =
        version.split_once('/').map_or(("", version.as_str()), |(group, version)| (group, version));
    let (resource, scope) = resource(client, GroupVersionKind::gvk(group, version, &kind)).await?;
    let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    let api: Api<DynamicObject> = match (scope, namespace) {
        (Scope::Namespaced, namespace) => {
            Api::namespaced_with(client.clone(), namespace.as_deref().unwrap_or("default"), &resource)
        }
        (Scope::Cluster, _) => Api::all_with(client.clone(), &resource),
    };
    let parameters = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("tests").force()
    };
    Ok(api.patch(&text("/metadata/name"), &parameters, &Patch::Apply(&object)).await?)
}

/// Resources of kinds. A kind has the same resource on every control plane, so that a process asks for it once.
type Resources = HashMap<GroupVersionKind, (ApiResource, Scope)>;

fn resources() -> MutexGuard<'static, Resources> {
    static RESOURCES: LazyLock<Mutex<Resources>> = LazyLock::new(Mutex::default);
    RESOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn resource(client: &Client, gvk: GroupVersionKind) -> Result<(ApiResource, Scope)> {
    let known = resources().get(&gvk).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let (resource, capabilities) = kube::discovery::pinned_kind(client, &gvk).await?;
    let found = (resource, capabilities.scope);
    resources().insert(gvk, found.clone());
    Ok(found)
}

/// Creates a token of a ServiceAccount.
///
/// # Errors
/// The error of the API server.
pub async fn account_token(
    client: &Client,
    namespace: &str,
    name: &str,
    audiences: &[&str],
) -> Result<String> {
    use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
    let spec = TokenRequestSpec { audiences, expiration_seconds: Some(86400), bound_object_ref: None };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = api.create_token_request(name, &PostParams::default(), &request).await?;
    answer.status.map(|status| status.token).context("no token")
}
