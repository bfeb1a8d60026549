//! Method GCP: an ID token of a Google service account, as which a ServiceAccount acts.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

/// Google service account of a login.
pub struct GcpSource {
    pub(in crate::access) account: String,
    pub(in crate::access) project: String,
    pub(in crate::access) region: String,
    pub(in crate::access) cluster: String,
    /// Audience of the ID token.
    pub(in crate::access) audience: String,
    pub(in crate::access) sts: String,
    pub(in crate::access) iam: String,
}

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.gcp.as_ref(), "GCP", "gcp")?;
    let role = required(settings.role.as_ref(), "gcp.role")?;
    let endpoint = |stated: &Option<String>, default: &str| {
        stated.as_deref().unwrap_or(default).trim_end_matches('/').to_owned()
    };
    let account = settings.workload_identity_service_account.as_ref();
    let source = GcpSource {
        account: required(account, "gcp.workloadIdentityServiceAccount")?,
        project: required(settings.project_id.as_ref(), "gcp.projectID")?,
        region: required(settings.region.as_ref(), "gcp.region")?,
        cluster: required(settings.cluster_name.as_ref(), "gcp.clusterName")?,
        audience: format!("vault/{role}"),
        sts: endpoint(&settings.sts_endpoint, "https://sts.googleapis.com"),
        iam: endpoint(&settings.iam_endpoint, "https://iamcredentials.googleapis.com"),
    };
    Ok(Method {
        role,
        credential: MethodCredential::Gcp(source),
        ..Method::new(spec, LoginKind::Role, "gcp")
    })
}
