//! Method GCP: an ID token of a Google service account, as which a ServiceAccount acts.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::cloud_identity::GcpSource;
use super::endpoint::endpoint;
use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

/// Default endpoint of the Security Token Service.
const STS: &str = "https://sts.googleapis.com";
/// Default endpoint of the IAM Service Account Credentials API.
const IAM: &str = "https://iamcredentials.googleapis.com";

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.gcp.as_ref(), "GCP", "gcp")?;
    let role = required(settings.role.as_ref(), "gcp.role")?;
    let account = settings.workload_identity_service_account.as_ref();
    let source = GcpSource {
        account: required(account, "gcp.workloadIdentityServiceAccount")?,
        project: required(settings.project_id.as_ref(), "gcp.projectID")?,
        region: required(settings.region.as_ref(), "gcp.region")?,
        cluster: required(settings.cluster_name.as_ref(), "gcp.clusterName")?,
        audience: format!("vault/{role}"),
        sts: endpoint(("gcp.stsEndpoint", settings.sts_endpoint.as_deref().unwrap_or(STS)))?,
        iam: endpoint(("gcp.iamEndpoint", settings.iam_endpoint.as_deref().unwrap_or(IAM)))?,
    };
    Ok(Method {
        role,
        credential: MethodCredential::Gcp(source),
        ..Method::new(spec, LoginKind::Role, "gcp")
    })
}
