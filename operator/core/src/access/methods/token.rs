//! Method Token: a token from a Secret. It is renewed if it is renewable, and never revoked.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.token.as_ref(), "Token", "token")?;
    let name = required(settings.secret_ref.as_ref(), "token.secretRef")?;
    let credential = MethodCredential::Secret { name, key: "token" };
    // The token mount is the same in every namespace.
    let mount = "token".to_owned();
    Ok(Method { mount, credential, ..Method::new(spec, LoginKind::Token, "token") })
}
