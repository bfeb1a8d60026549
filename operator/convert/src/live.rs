//! Objects of a cluster: a list of each kind whose CustomResourceDefinition is installed. Nothing is written.
//!
//! The kinds are discovered first: the API server refuses a list without the right to it, also of a kind that it does not serve. A
//! kind that cannot be listed is an error, except for generators: few users may list them, and only some objects need them.

use std::collections::BTreeSet;

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
    (GENERATORS, &["v1alpha1"], "SSHKey", "sshkeys"),
    (GENERATORS, &["v1alpha1"], "VaultDynamicSecret", "vaultdynamicsecrets"),
];

/// Kinds that the API server serves: version with its group, and name in URLs.
type Served = BTreeSet<(String, String)>;

/// A cluster that cannot be read.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The kinds cannot be discovered.
    #[error(
        "cannot list the API groups of the cluster: check the connection, and the rights of the ClusterRole system:discovery"
    )]
    Discovery(#[source] Box<kube::Error>),
    /// A kind cannot be listed.
    #[error("cannot list {resource}: you need the right to list it in the API group {group}")]
    List {
        /// Name of the kind in URLs.
        resource: &'static str,
        /// API group.
        group: &'static str,
        /// Answer of the API server.
        source: Box<kube::Error>,
    },
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
    let served = served(client).await.map_err(|error| LiveError::Discovery(Box::new(error)))?;
    let mut live = Live::default();
    for kind in KINDS {
        let Some(resource) = resource(kind, &served) else { continue };
        let namespace = namespace.filter(|_| !resource.kind.starts_with("Cluster"));
        match list(client, &resource, namespace).await {
            Ok(objects) => live.objects.extend(objects),
            Err(error) => live.findings.push(unread(kind, error)?),
        }
    }
    Ok(live)
}

/// The kinds of the groups of VSO and ESO that the API server serves.
async fn served(client: &Client) -> Result<Served, kube::Error> {
    let mut served = Served::new();
    let groups = client.list_api_groups().await?.groups;
    for group in groups.into_iter().filter(|group| KINDS.iter().any(|(known, ..)| *known == group.name)) {
        for version in group.versions {
            let resources = client.list_api_group_resources(&version.group_version).await?.resources;
            let names = resources.into_iter().map(|resource| resource.name);
            served.extend(names.map(|name| (version.group_version.clone(), name)));
        }
    }
    Ok(served)
}

/// A kind in the first of its versions that the API server serves. None if it serves none.
fn resource(&(group, versions, kind, plural): &Kind, served: &Served) -> Option<ApiResource> {
    let is_served = |version: &&&str| served.contains(&(format!("{group}/{version}"), plural.to_owned()));
    let version = versions.iter().find(is_served)?;
    Some(ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural))
}

/// The finding about a kind that cannot be listed.
fn unread(&(group, _, kind, resource): &Kind, error: kube::Error) -> Result<Finding, LiveError> {
    let is_refused = matches!(&error, kube::Error::Api(status) if status.code == 403);
    if group != GENERATORS || !is_refused {
        return Err(LiveError::List { resource, group, source: Box::new(error) });
    }
    Ok(Finding {
        severity: Severity::Note,
        object: kind.to_owned(),
        field: String::new(),
        value: String::new(),
        action: format!(
            "not read, because you need the right to list {resource} in the API group {group}: a generatorRef to a {kind} is reported \
             and not converted; get the right, and convert again"
        ),
    })
}

/// All objects of a kind.
async fn list(
    client: &Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Result<Vec<Map<String, Value>>, kube::Error> {
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let (mut objects, mut next) = (Vec::new(), None::<String>);
    loop {
        let mut parameters = ListParams::default().limit(PAGE);
        parameters.continue_token = next;
        let page = match api.list(&parameters).await {
            // The CustomResourceDefinition was deleted after the discovery.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(objects),
            page => page?,
        };
        next = page.metadata.continue_.clone().filter(|token| !token.is_empty());
        for object in page.items {
            objects.push(described(object, resource)?);
        }
        if next.is_none() {
            return Ok(objects);
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

    fn found(kind: &str, served: &[(&str, &str)]) -> Option<String> {
        let known = KINDS.iter().find(|(_, _, known, _)| *known == kind).unwrap();
        let served =
            served.iter().map(|(version, name)| ((*version).to_owned(), (*name).to_owned())).collect();
        resource(known, &served).map(|found| format!("{} {}", found.api_version, found.plural))
    }

    /// A user without rights gets 403 for each kind, also for one that is not installed.
    #[rstest]
    #[case::no_group("VaultAuth", &[("external-secrets.io/v1", "externalsecrets")], None)]
    #[case::another_kind_of_the_group("CSISecrets", &[("secrets.hashicorp.com/v1beta1", "vaultauths")], None)]
    #[case::served(
        "VaultAuth",
        &[("secrets.hashicorp.com/v1beta1", "vaultauths")],
        Some("secrets.hashicorp.com/v1beta1 vaultauths")
    )]
    #[case::first_version(
        "ExternalSecret",
        &[("external-secrets.io/v1", "externalsecrets"), ("external-secrets.io/v1beta1", "externalsecrets")],
        Some("external-secrets.io/v1 externalsecrets")
    )]
    #[case::former_version(
        "ExternalSecret",
        &[("external-secrets.io/v1", "pushsecrets"), ("external-secrets.io/v1beta1", "externalsecrets")],
        Some("external-secrets.io/v1beta1 externalsecrets")
    )]
    #[case::kind_of_the_same_name(
        "VaultDynamicSecret",
        &[("generators.external-secrets.io/v1alpha1", "vaultdynamicsecrets")],
        None
    )]
    fn only_kinds_that_are_served_are_listed(
        #[case] kind: &str,
        #[case] served: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(found(kind, served).as_deref(), expected);
    }
}
