//! Method Cert: the client certificate of the connection, or one from a Secret.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, block};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.cert.as_ref(), "Cert", "cert")?;
    let credential = match &settings.secret_ref {
        Some(name) => MethodCredential::Certificate(name.clone()),
        None => MethodCredential::Connection,
    };
    let role = settings.role.clone().unwrap_or_default();
    Ok(Method { role, credential, ..Method::new(spec, LoginKind::Certificate, "cert") })
}
