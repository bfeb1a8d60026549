//! Method LDAP: a user of a directory and its password.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.ldap.as_ref(), "LDAP", "ldap")?;
    let name = required(settings.secret_ref.as_ref(), "ldap.secretRef")?;
    Ok(Method {
        role: required(settings.username.as_ref(), "ldap.username")?,
        credential: MethodCredential::Secret { name, key: "password" },
        ..Method::new(spec, LoginKind::Password, "ldap")
    })
}
