//! Method JWT: a token of a ServiceAccount, or a JWT in a Secret. Each read carries it.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, ServiceAccountSource, block, required};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.jwt.as_ref(), "JWT", "jwt")?;
    let credential = match (&settings.service_account, &settings.secret_ref) {
        (Some(name), None) => MethodCredential::ServiceAccount(ServiceAccountSource::new(
            name.clone(),
            &settings.audiences,
            settings.token_expiration_seconds,
        )),
        (None, Some(secret)) => MethodCredential::Jwt(secret.clone()),
        _ => {
            return Err(Error::Invalid(
                "jwt requires exactly one of serviceAccount and secretRef".to_owned(),
            ));
        }
    };
    let role = required(settings.role.as_ref(), "jwt.role")?;
    Ok(Method { role, credential, inline: true, ..Method::new(spec, LoginKind::Role, "jwt") })
}
