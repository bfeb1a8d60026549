//! The JWTIssuer of a project. Only a deleted issuer and a withdrawn grant revoke access; a wrong name in `issuerRef` does
//! not.

use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{JWTIssuer, Reference, SecretsProject, SecretsTenant};
use steamer_core::error::Error;
use steamer_core::references::target;
use steamer_runtime::{Failure, ObjectName, Reason, Retry};

/// The spec refers to a JWTIssuer that does not exist, and the one that was used before exists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "JWTIssuer {missing} does not exist: create it, or correct issuerRef. Until then, nothing is added, and jobs log in with \
     tokens of JWTIssuer {used}"
)]
pub(crate) struct MissingIssuer {
    missing: ObjectName,
    used: ObjectName,
}

impl Failure for MissingIssuer {
    fn reason(&self) -> Reason {
        Reason::ReferenceNotFound
    }

    fn retry(&self) -> Retry {
        Retry::Backoff
    }

    fn stalled(&self) -> bool {
        false
    }
}

/// Resolves a reference in an object of a namespace.
type Resolve<'a> = &'a dyn Fn(&Reference, &str) -> Result<Arc<JWTIssuer>, Error>;

/// A reference to an issuer, and the namespace that must be allowed to refer to it.
struct Referrer<'a> {
    reference: &'a Reference,
    namespace: String,
}

/// The issuer of a project, or the one that it used before if the spec refers to one that does not exist.
pub(super) fn issuer(
    project: &SecretsProject,
    tenant: &SecretsTenant,
    resolve: Resolve<'_>,
) -> Result<(Arc<JWTIssuer>, Option<MissingIssuer>), Error> {
    let current = current(project, tenant);
    let error = match resolve(current.reference, &current.namespace) {
        Ok(issuer) => return Ok((issuer, None)),
        Err(error @ Error::NotFound { .. }) => error,
        Err(error) => return Err(error),
    };
    let missing = target(current.reference, &current.namespace);
    let Some(previous) =
        previous(project, tenant).filter(|it| target(it.reference, &it.namespace) != missing)
    else {
        return Err(error);
    };
    match resolve(previous.reference, &previous.namespace) {
        Ok(issuer) => {
            let used = ObjectName::of(&*issuer);
            Ok((issuer, Some(MissingIssuer { missing, used })))
        }
        // Both are deleted.
        Err(Error::NotFound { .. }) => Err(error),
        Err(error) => Err(error),
    }
}

fn current<'a>(project: &'a SecretsProject, tenant: &'a SecretsTenant) -> Referrer<'a> {
    match &project.spec.issuer_ref {
        Some(reference) => Referrer { reference, namespace: project.namespace().unwrap_or_default() },
        None => of_tenant(tenant, &tenant.spec.issuer_ref),
    }
}

/// The issuer of the last applied spec. It was that of the tenant if the tenant still refers to it.
fn previous<'a>(project: &'a SecretsProject, tenant: &'a SecretsTenant) -> Option<Referrer<'a>> {
    let reference = project.status.as_ref()?.provisioned.as_ref()?.issuer_ref.as_ref()?;
    let tenant_namespace = tenant.namespace().unwrap_or_default();
    let is_of_tenant =
        target(&tenant.spec.issuer_ref, &tenant_namespace) == target(reference, &tenant_namespace);
    if is_of_tenant || project.spec.issuer_ref.is_none() {
        return Some(of_tenant(tenant, reference));
    }
    Some(Referrer { reference, namespace: project.namespace().unwrap_or_default() })
}

fn of_tenant<'a>(tenant: &SecretsTenant, reference: &'a Reference) -> Referrer<'a> {
    Referrer { reference, namespace: tenant.namespace().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::project::samples::{found, project};

    const TENANT: &str = "platform";

    /// Issuers that exist, and the namespace that each allows.
    const ISSUERS: [(&str, &str); 3] =
        [("platform/gitlab", TENANT), ("ns/own", "ns"), ("platform/shared", "ns")];

    fn resolve(reference: &Reference, from: &str) -> Result<Arc<JWTIssuer>, Error> {
        let name = target(reference, from);
        let Some((_, allowed)) = ISSUERS.iter().find(|(issuer, _)| *issuer == name.to_string()) else {
            return Err(Error::NotFound { kind: "JWTIssuer", name });
        };
        if *allowed != from {
            return Err(Error::Denied { kind: "JWTIssuer", name, from: from.to_owned() });
        }
        let mut issuer = (*found().references.issuer).clone();
        issuer.metadata.namespace = Some(name.namespace);
        issuer.metadata.name = Some(name.name);
        Ok(Arc::new(issuer))
    }

    fn reference(name: &str) -> Value {
        let (namespace, name) = name.split_once('/').unwrap();
        json!({"namespace": namespace, "name": name})
    }

    /// The issuers that the project, its tenant, and the last applied spec name.
    fn resolved(own: Option<&str>, of_tenant: &str, before: Option<&str>) -> String {
        let provisioned = before.map(|before| {
            json!({"clusterRef": {"name": "main"}, "tenantNamespace": "t", "openbaoNamespace": "t/p",
                   "engine": "secrets/kv", "issuerRef": reference(before)})
        });
        let project = project(json!({
            "spec": {"issuerRef": own.map(reference)}, "status": {"provisioned": provisioned},
        }));
        let mut tenant = (*found().references.tenant).clone();
        tenant.metadata.namespace = Some(TENANT.to_owned());
        tenant.spec.issuer_ref = serde_json::from_value(reference(of_tenant)).unwrap();
        match issuer(&project, &tenant, &resolve) {
            Ok((issuer, None)) => ObjectName::of(&*issuer).to_string(),
            Ok((issuer, Some(missing))) => {
                assert!(
                    missing.to_string().contains("JWTIssuer ns/")
                        || missing.to_string().contains("JWTIssuer platform/")
                );
                format!("{} instead of {}", ObjectName::of(&*issuer), missing.missing)
            }
            Err(Error::NotFound { name, .. }) => format!("revoked: no {name}"),
            Err(Error::Denied { name, .. }) => format!("revoked: not allowed by {name}"),
            Err(error) => error.to_string(),
        }
    }

    #[rstest]
    #[case::of_tenant(None, "platform/gitlab", None, "platform/gitlab")]
    #[case::own(Some("ns/own"), "platform/gitlab", None, "ns/own")]
    #[case::new_project(Some("ns/wrong"), "platform/gitlab", None, "revoked: no ns/wrong")]
    #[case::wrong_name(Some("ns/wrong"), "platform/gitlab", Some("ns/own"), "ns/own instead of ns/wrong")]
    #[case::wrong_name_after_that_of_the_tenant(
        Some("ns/wrong"),
        "platform/gitlab",
        Some("platform/gitlab"),
        "platform/gitlab instead of ns/wrong"
    )]
    #[case::wrong_name_in_the_tenant(
        None,
        "platform/wrong",
        Some("platform/gitlab"),
        "platform/gitlab instead of platform/wrong"
    )]
    #[case::deleted(None, "platform/deleted", Some("platform/deleted"), "revoked: no platform/deleted")]
    #[case::wrong_name_and_deleted(
        Some("ns/wrong"),
        "platform/gitlab",
        Some("platform/deleted"),
        "revoked: no ns/wrong"
    )]
    #[case::wrong_name_and_withdrawn(
        None,
        "platform/wrong",
        Some("platform/shared"),
        "revoked: not allowed by platform/shared"
    )]
    #[case::withdrawn(
        Some("platform/gitlab"),
        "platform/gitlab",
        Some("ns/own"),
        "revoked: not allowed by platform/gitlab"
    )]
    fn only_a_deleted_issuer_and_a_withdrawn_grant_revoke_access(
        #[case] own: Option<&str>,
        #[case] of_tenant: &str,
        #[case] before: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(resolved(own, of_tenant, before), expected);
    }
}
