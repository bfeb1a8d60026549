//! Method AppRole: a role ID, and a secret ID from a Secret or a file. A secret ID can be valid for few logins, so the login
//! is never inline.

use steamer_api::BaoAuthSpec;
use steamer_openbao::LoginKind;

use super::method::{Method, MethodCredential, block, required};
use crate::error::Error;

pub(super) fn method(spec: &BaoAuthSpec) -> Result<Method, Error> {
    let settings = block(spec.app_role.as_ref(), "AppRole", "appRole")?;
    let credential = match (&settings.secret_ref, &settings.secret_id_path) {
        (Some(name), None) => MethodCredential::Secret { name: name.clone(), key: "id" },
        (None, Some(path)) => MethodCredential::File(path.clone()),
        _ => {
            return Err(Error::Invalid(
                "appRole requires exactly one of secretRef and secretIDPath".to_owned(),
            ));
        }
    };
    let role = required(settings.role_id.as_ref(), "appRole.roleId")?;
    Ok(Method { role, credential, ..Method::new(spec, LoginKind::AppRole, "approle") })
}
