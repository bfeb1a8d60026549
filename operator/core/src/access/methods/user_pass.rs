//! Method UserPass: a user of OpenBao and its password.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.user_pass.as_ref(), "UserPass", "userPass")?;
    let name = required(settings.secret_ref.as_ref(), "userPass.secretRef")?;
    Ok(Method {
        role: required(settings.username.as_ref(), "userPass.username")?,
        credential: MethodCredential::Secret { name, key: "password" },
        ..Method::new(spec, LoginKind::Password, "userpass")
    })
}
