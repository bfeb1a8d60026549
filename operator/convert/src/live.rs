//! Objects of a cluster: a list of each kind whose CustomResourceDefinition is installed. Nothing is written.
//!
//! A kind that cannot be listed is an error, except for generators: few users may list them, and only some PushSecrets need them.

use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::eso::GENERATORS;
use crate::report::{Finding, Severity};

/// Objects in one answer of the API server.
const PAGE: u32 = 250;

/// Group, versions (the first one that is served is used), kind and name in URLs.
type Kind = (&'static str, &'static [&'static str], &'static str, &'static str);

/// The kinds of VSO and ESO.
const KINDS: &[Kind] = &[
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
    (GENERATORS, &["v1alpha1"], "Password", "passwords"),
];

/// A list that the API server refuses.
#[derive(Debug, Error)]
#[error("cannot list {resource}: you need the right to list it in the API group {group}")]
pub struct LiveError {
    resource: &'static str,
    group: &'static str,
    source: Box<kube::Error>,
}

/// The objects of a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Objects of VSO and ESO.
    pub objects: Vec<Map<String, Value>>,
    /// Kinds that were not read.
    pub findings: Vec<Finding>,
}

/// Lists the objects of VSO and ESO, of one namespace or of all. Cluster-scoped kinds are always listed.
///
/// # Errors
/// [`LiveError`] for a kind that is installed and cannot be listed. A generator without the right to list it is a finding.
pub async fn live(client: &Client, namespace: Option<&str>) -> Result<Live, LiveError> {
    let mut live = Live::default();
    for kind in KINDS {
        match listed(client, kind, namespace).await {
            Ok(objects) => live.objects.extend(objects),
            Err(error) => live.findings.push(unread(kind, error)?),
        }
    }
    Ok(live)
}

/// The finding about a kind that cannot be listed.
fn unread(&(group, _, kind, resource): &Kind, error: kube::Error) -> Result<Finding, LiveError> {
    let is_refused = matches!(&error, kube::Error::Api(status) if status.code == 403);
    if group != GENERATORS || !is_refused {
        return Err(LiveError { resource, group, source: Box::new(error) });
    }
    Ok(Finding {
        severity: Severity::Note,
        object: kind.to_owned(),
        field: String::new(),
        value: String::new(),
        action: format!(
            "not read, because you need the right to list {resource} in the API group {group}: a PushSecret with a generatorRef to a \
             {kind} is converted without it and reported; get the right and convert again, or write generate into its item of data"
        ),
    })
}

/// All objects of a kind, in the first version that the API server serves.
async fn listed(
    client: &Client,
    &(group, versions, kind, plural): &Kind,
    namespace: Option<&str>,
) -> Result<Vec<Map<String, Value>>, kube::Error> {
    let namespace = namespace.filter(|_| !kind.starts_with("Cluster"));
    for version in versions {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        if let Some(objects) = list(client, &resource, namespace).await? {
            return Ok(objects);
        }
    }
    Ok(Vec::new())
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

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    /// The finding or the error about a kind for which the API server answers with this code.
    fn said(kind: &str, code: u16) -> String {
        let found = KINDS.iter().find(|(_, _, known, _)| *known == kind).unwrap();
        let error = kube::Error::Api(Box::new(Status { code, ..Status::default() }));
        match unread(found, error) {
            Ok(finding) => format!("{} {finding}", finding.object),
            Err(error) => error.to_string(),
        }
    }

    #[rstest]
    #[case::generator(
        "Password",
        403,
        "Password note: not read, because you need the right to list passwords"
    )]
    #[case::failing_generator("Password", 500, "cannot list passwords")]
    #[case::necessary_kind("PushSecret", 403, "cannot list pushsecrets: you need the right to list it")]
    fn a_generator_that_may_not_be_listed_does_not_end_the_conversion(
        #[case] kind: &str,
        #[case] code: u16,
        #[case] expected: &str,
    ) {
        let said = said(kind, code);
        assert!(said.starts_with(expected), "{said}");
    }
}
