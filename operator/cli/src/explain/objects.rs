//! The objects that determine a login.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use steamer_api::{
    AllowedNamespaces, JWTIssuer, OpenBaoCluster, PipelinePolicy, Reference, SecretsProject, SecretsTenant,
};
use steamer_core::references::{seniority, target};
use steamer_runtime::ObjectName;

/// A project, and everything that its logins depend on.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) project: SecretsProject,
    pub(super) tenant: SecretsTenant,
    pub(super) cluster: OpenBaoCluster,
    pub(super) issuer: JWTIssuer,
    /// PipelinePolicies that the project allows, oldest first.
    pub(super) policies: Vec<Arc<PipelinePolicy>>,
    /// What could not be checked.
    pub(super) notes: Vec<String>,
}

/// Labels of namespaces, by name.
pub(super) type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// Name of the tenant of a project.
pub(super) fn tenant_of(project: &SecretsProject) -> ObjectName {
    target(&project.spec.tenant_ref, namespace(&project.metadata))
}

/// Name of the cluster of a tenant.
pub(super) fn cluster_of(tenant: &SecretsTenant) -> ObjectName {
    target(&tenant.spec.cluster_ref, namespace(&tenant.metadata))
}

/// Name of the issuer of a project, and the namespace that refers to it.
pub(super) fn issuer_of(project: &SecretsProject, tenant: &SecretsTenant) -> (ObjectName, String) {
    let of = |reference: &Reference, namespace: &str| (target(reference, namespace), namespace.to_owned());
    match &project.spec.issuer_ref {
        Some(reference) => of(reference, namespace(&project.metadata)),
        None => of(&tenant.spec.issuer_ref, namespace(&tenant.metadata)),
    }
}

impl Objects {
    /// The PipelinePolicies of a project that it allows, oldest first.
    pub(super) fn keep(&mut self, policies: Vec<PipelinePolicy>, labels: Option<&Labels>) {
        let (name, own) = (ObjectName::of(&self.project), namespace(&self.project.metadata).to_owned());
        let allowed = &self.project.spec.allowed_namespaces;
        let (mut unknown, mut additional) = (Vec::new(), Vec::new());
        for policy in policies {
            let from = namespace(&policy.metadata);
            if target(&policy.spec.project_ref, from) != name {
                continue;
            }
            if policy.spec.issuer.is_some() {
                additional.push(ObjectName::of(&policy).to_string());
                continue;
            }
            match allows(allowed, (&own, from), labels) {
                Some(true) => self.policies.push(Arc::new(policy)),
                Some(false) => {}
                None => unknown.push(ObjectName::of(&policy).to_string()),
            }
        }
        if !unknown.is_empty() {
            let policies = unknown.join(", ");
            self.notes.push(format!(
                "not considered, because the labels of their namespaces are unknown: PipelinePolicy {policies}"
            ));
        }
        self.note_additional(&additional);
        self.policies.sort_by_key(|policy| seniority(&**policy, true));
    }

    fn note_additional(&mut self, policies: &[String]) {
        if policies.is_empty() && self.project.spec.additional_issuers.is_empty() {
            return;
        }
        let issuer = ObjectName::of(&self.issuer);
        let ignored = if policies.is_empty() { "none".to_owned() } else { policies.join(", ") };
        self.notes.push(format!(
            "only the login of jobs of the project's own JWTIssuer {issuer} is explained, not those of additionalIssuers; \
             PipelinePolicies for them: {ignored}"
        ));
    }

    /// Checks that each object allows the one that refers to it.
    ///
    /// # Errors
    /// When one does not: the project then has no access at all.
    pub(super) fn check_references(&mut self, labels: Option<&Labels>) -> Result<()> {
        let (project, tenant) = (namespace(&self.project.metadata), namespace(&self.tenant.metadata));
        let (_, issuer_from) = issuer_of(&self.project, &self.tenant);
        let references = [
            ("SecretsTenant", ObjectName::of(&self.tenant), &self.tenant.spec.allowed_namespaces, project),
            ("OpenBaoCluster", ObjectName::of(&self.cluster), &self.cluster.spec.allowed_namespaces, tenant),
            ("JWTIssuer", ObjectName::of(&self.issuer), &self.issuer.spec.allowed_namespaces, &*issuer_from),
        ];
        let mut notes = Vec::new();
        for (kind, name, allowed, from) in references {
            match allows(allowed, (&name.namespace, from), labels) {
                Some(true) => {}
                Some(false) => bail!(
                    "{kind} {name} does not allow references from namespace {from}: add it to spec.allowedNamespaces"
                ),
                None => notes.push(format!("not checked, because the labels of namespace {from} are unknown: allowedNamespaces of {kind} {name}")),
            }
        }
        self.notes.extend(notes);
        Ok(())
    }
}

/// Whether an object in the first namespace allows those of the second one. None: that depends on unknown labels.
fn allows(allowed: &AllowedNamespaces, (own, from): (&str, &str), labels: Option<&Labels>) -> Option<bool> {
    let known = labels.and_then(|labels| labels.get(from));
    let nothing = BTreeMap::new();
    let depends = allowed.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty());
    match known {
        Some(labels) => Some(allowed.allow(own, from, labels)),
        None if allowed.allow(own, from, &nothing) => Some(true),
        None if depends => None,
        None => Some(false),
    }
}

/// Namespace of an object.
pub(super) fn namespace(metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> &str {
    metadata.namespace.as_deref().unwrap_or_default()
}

/// Name and namespace of a project on the command line.
///
/// # Errors
/// When a part is empty.
pub(super) fn project_name(text: &str, default: &str) -> Result<ObjectName> {
    let (namespace, name) = text.split_once('/').unwrap_or((default, text));
    if namespace.is_empty() || name.is_empty() {
        return Err(anyhow!("{text:?} is not a SecretsProject: write web, or web/web with its namespace"));
    }
    Ok(ObjectName::new(namespace, name))
}
