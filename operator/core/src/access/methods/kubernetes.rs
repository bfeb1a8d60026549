//! Method Kubernetes: a token of a ServiceAccount, which OpenBao reviews at the API server.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, ServiceAccountSource, block, required};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.kubernetes.as_ref(), "Kubernetes", "kubernetes")?;
    let account = required(settings.service_account.as_ref(), "kubernetes.serviceAccount")?;
    let account = ServiceAccountSource::new(account, &settings.audiences, settings.token_expiration_seconds);
    Ok(Method {
        role: required(settings.role.as_ref(), "kubernetes.role")?,
        credential: MethodCredential::ServiceAccount(account),
        ..Method::new(spec, LoginKind::Role, "kubernetes")
    })
}
