//! Method GCP: an ID token of a Google service account, as which a ServiceAccount acts.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::cloud_identity::GcpSource;
use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

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
