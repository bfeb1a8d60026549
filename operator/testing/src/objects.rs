//! Kubernetes objects of any kind, as JSON or YAML.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::{ApiCapabilities, ApiResource, Scope};
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
    let gvk = kube::core::GroupVersionKind::gvk(group, version, &kind);
    let (resource, capabilities): (ApiResource, ApiCapabilities) =
        kube::discovery::pinned_kind(client, &gvk).await?;
    let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
    let api: Api<DynamicObject> = match (capabilities.scope, namespace) {
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
