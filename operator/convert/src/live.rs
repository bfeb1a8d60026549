//! Objects of a cluster: a list of each kind whose CustomResourceDefinition is installed. Nothing is written.

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Objects in one answer of the API server.
const PAGE: u32 = 250;
/// Group, versions (the first one that is served is used), kind and name in URLs.
const KINDS: &[(&str, &[&str], &str, &str)] = &[
    ("secrets.hashicorp.com", &["v1beta1"], "VaultConnection", "vaultconnections"),
    ("secrets.hashicorp.com", &["v1beta1"], "VaultAuthGlobal", "vaultauthglobals"),
    ("secrets.hashicorp.com", &["v1beta1"], "VaultAuth", "vaultauths"),
    ("secrets.hashicorp.com", &["v1beta1"], "VaultStaticSecret", "vaultstaticsecrets"),
    ("secrets.hashicorp.com", &["v1beta1"], "VaultDynamicSecret", "vaultdynamicsecrets"),
    ("secrets.hashicorp.com", &["v1beta1"], "VaultPKISecret", "vaultpkisecrets"),
    ("secrets.hashicorp.com", &["v1beta1"], "SecretTransformation", "secrettransformations"),
    ("secrets.hashicorp.com", &["v1beta1"], "HCPAuth", "hcpauths"),
    ("secrets.hashicorp.com", &["v1beta1"], "HCPVaultSecretsApp", "hcpvaultsecretsapps"),
    ("secrets.hashicorp.com", &["v1beta1"], "CSISecrets", "csisecrets"),
    ("external-secrets.io", &["v1", "v1beta1"], "SecretStore", "secretstores"),
    ("external-secrets.io", &["v1", "v1beta1"], "ClusterSecretStore", "clustersecretstores"),
    ("external-secrets.io", &["v1", "v1beta1"], "ExternalSecret", "externalsecrets"),
    ("external-secrets.io", &["v1", "v1beta1"], "ClusterExternalSecret", "clusterexternalsecrets"),
    ("external-secrets.io", &["v1alpha1"], "PushSecret", "pushsecrets"),
    ("external-secrets.io", &["v1alpha1"], "ClusterPushSecret", "clusterpushsecrets"),
    ("generators.external-secrets.io", &["v1alpha1"], "Password", "passwords"),
];

/// A list that the API server refuses.
#[derive(Debug, Error)]
#[error("cannot list {resource}: you need the right to list it in the API group {group}")]
pub struct LiveError {
    resource: &'static str,
    group: &'static str,
    source: Box<kube::Error>,
}

/// Lists the objects of VSO and ESO, of one namespace or of all. Cluster-scoped kinds are always listed.
///
/// # Errors
/// [`LiveError`] for a kind that is installed and cannot be listed.
pub async fn live(client: &Client, namespace: Option<&str>) -> Result<Vec<Map<String, Value>>, LiveError> {
    let mut objects = Vec::new();
    for (group, versions, kind, plural) in KINDS {
        let namespace = namespace.filter(|_| !kind.starts_with("Cluster"));
        for version in *versions {
            let resource =
                ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
            let listed = list(client, &resource, namespace).await;
            let listed =
                listed.map_err(|error| LiveError { resource: plural, group, source: Box::new(error) })?;
            if let Some(listed) = listed {
                objects.extend(listed);
                break;
            }
        }
    }
    Ok(objects)
}

/// All objects of a kind. None if the API server does not serve it.
async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Result<Option<Vec<Map<String, Value>>>, kube::Error> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let (mut objects, mut next) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = ListParams::default().limit(PAGE);
        parameters.continue_token = next;
        let page = match api.list(&parameters).await {
            // The answer for a group that is not served is plain text without a reason.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            page => page?,
        };
        next = page.metadata.continue_.clone().filter(|token| !token.is_empty());
        for object in page.items {
            objects.push(described(object, resource)?);
        }
        if next.is_none() {
            return Ok(Some(objects));
        }
    }
}

/// An object with its version and kind, which elements of a list can lack.
fn described(object: DynamicObject, resource: &ApiResource) -> Result<Map<String, Value>, kube::Error> {
    let name = object.name_any();
    let mut value = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    value["apiVersion"] = json!(resource.api_version);
    value["kind"] = json!(resource.kind);
    value["metadata"]["name"] = json!(name);
    Ok(value.as_object().cloned().unwrap_or_default())
}
