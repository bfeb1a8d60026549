//! Method AWS: a request that an access key, or a role of a ServiceAccount, has signed.

use steamer_api::{AwsMethod, BaoAuthSpec};
use steamer_openbao::LoginKind;

use super::cloud_identity::{AwsKeySource, AwsSource};
use super::endpoint::endpoint;
use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

/// Region of requests without one.
const DEFAULT_REGION: &str = "us-east-1";

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.aws.as_ref(), "AWS", "aws")?;
    let key = match (&settings.secret_ref, &settings.irsa_service_account) {
        (Some(name), None) => AwsKeySource::Secret(name.clone()),
        (None, Some(name)) => AwsKeySource::Account(name.clone()),
        _ => {
            return Err(Error::Invalid(
                "aws requires exactly one of secretRef and irsaServiceAccount".to_owned(),
            ));
        }
    };
    let source = AwsSource {
        endpoint: sts(settings)?,
        region: settings.region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        server_id: settings.header_value.clone(),
        session: settings.session_name.clone().unwrap_or_else(|| "steamer".to_owned()),
        key,
    };
    let role = required(settings.role.as_ref(), "aws.role")?;
    Ok(Method { role, credential: MethodCredential::Aws(source), ..Method::new(spec, LoginKind::Aws, "aws") })
}

/// The STS endpoint.
fn sts(settings: &AwsMethod) -> Result<String, Error> {
    match (&settings.sts_endpoint, &settings.region) {
        (Some(stated), _) => endpoint(("aws.stsEndpoint", stated)),
        (None, None) => Ok("https://sts.amazonaws.com".to_owned()),
        (None, Some(region)) => {
            let ending = if region.starts_with("cn-") { ".cn" } else { "" };
            endpoint(("aws.region", &format!("https://sts.{region}.amazonaws.com{ending}")))
        }
    }
}
