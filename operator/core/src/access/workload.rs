//! Login of a workload of a SecretsProject.

use std::collections::BTreeMap;

use steamer_api::ProjectPhase;
use steamer_openbao::{LoginKind, NamespacePath};
use steamer_runtime::{Dependencies, ObjectName};

use super::effective::Effective;
use super::methods::{Method, MethodCredential, ServiceAccountSource};
use super::receivers::{not_provisioned, project_cluster, project_of};
use super::server_audience::server_audience;
use crate::context::Context;
use crate::error::Error;
use crate::layout::WORKLOAD_MOUNT;

/// Lifetime of the tokens of a workload, in seconds.
const TOKEN_SECONDS: i64 = 600;

/// The login of the workload that a BaoAuth names.
pub(super) fn method(
    context: &Context,
    dependencies: &Dependencies,
    auth: &Effective,
) -> Result<Method, Error> {
    let project = project_of(context, dependencies, auth)?;
    let wanted = auth.spec.workload.as_deref().unwrap_or_default();
    let workload = project.spec.workloads.iter().find(|workload| workload.name == wanted);
    let workload = workload.ok_or_else(|| {
        Error::Waiting(format!("SecretsProject {} has no workload `{wanted}`", ObjectName::of(&*project)))
    })?;
    let audience = match &workload.audience {
        Some(audience) => audience.clone(),
        None => server_audience(&*project_cluster(context, dependencies, &project)?),
    };
    let status = project.status.as_ref().filter(|status| status.phase == Some(ProjectPhase::Active));
    let namespace = status.and_then(|status| status.lifecycle.openbao_namespace.as_deref());
    let method = Method {
        namespace: NamespacePath::new(namespace.ok_or_else(|| not_provisioned(&project))?),
        mount: WORKLOAD_MOUNT.to_owned(),
        role: workload.name.clone(),
        kind: LoginKind::Role,
        params: BTreeMap::new(),
        inline: true,
        credential: MethodCredential::ServiceAccount(ServiceAccountSource {
            name: workload.service_account.clone(),
            namespace: Some(workload.namespace.clone()),
            audiences: vec![audience],
            expiration_seconds: TOKEN_SECONDS,
        }),
    };
    method.presented(auth.spec.inline)
}
