//! Settings of a mount that have no field: free parameters of the request that changes the mount.

use steamer_api::Parameters;
use steamer_core::error::Error;

use crate::general::Resource;

/// A parameter of the request, and the field of the spec that states it.
pub(crate) type Field = (&'static str, &'static str);

/// Parameters of every mount.
const FIELDS: [Field; 10] = [
    ("allowed_response_headers", "tune.allowedResponseHeaders"),
    ("audit_non_hmac_request_keys", "tune.auditNonHmacRequestKeys"),
    ("audit_non_hmac_response_keys", "tune.auditNonHmacResponseKeys"),
    ("default_lease_ttl", "tune.defaultLeaseTTL"),
    ("description", "description"),
    ("listing_visibility", "tune.listingVisibility"),
    ("max_lease_ttl", "tune.maxLeaseTTL"),
    ("options", "options"),
    ("passthrough_request_headers", "tune.passthroughRequestHeaders"),
    ("plugin_version", "pluginVersion"),
];
/// Further parameters of a secrets engine. OpenBao accepts it at the creation only.
pub(crate) const OF_ENGINES: &[Field] = &[("force_no_cache", "forceNoCache")];
/// Further parameters of an auth mount.
pub(crate) const OF_METHODS: &[Field] =
    &[("token_type", "tune.tokenType"), ("user_lockout_config", "tune.userLockout")];
/// Parameter that OpenBao returns for every mount, and ignores in the requests for an auth mount.
const IGNORED: &str = "force_no_cache";

/// The free parameters as a part of a mount. None without any. `own` are the further parameters that have a field. OpenBao
/// ignores a parameter that it does not know and does not return it: such a parameter is written once.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that has a field.
pub(crate) fn tuning(mount: &Resource, free: &Parameters, own: &[Field]) -> Result<Option<Resource>, Error> {
    if let Some(mistake) = free.0.keys().find_map(|name| mistake(name, own)) {
        return Err(Error::Invalid(mistake));
    }
    if free.is_empty() {
        return Ok(None);
    }
    let tuned = format!("{}/tune", mount.path);
    let name = format!("tune.parameters of {}", mount.name);
    // The lockout of users of an auth mount is another part at the same path.
    let resource = Resource::at(name, format!("{tuned}/parameters"), free.0.clone());
    Ok(Some(Resource { read_at: Some(tuned.clone()), changed_at: Some(tuned), deleted_at: None, ..resource }))
}

fn mistake(name: &str, own: &[Field]) -> Option<String> {
    let known = FIELDS.iter().chain(own).find(|(parameter, _)| *parameter == name);
    match known {
        Some((_, field)) => {
            Some(format!("tune.parameters.{name} is a field of the spec: write it to {field} instead"))
        }
        None if name == IGNORED => {
            Some(format!("OpenBao ignores {name} of an auth mount: remove tune.parameters.{name}"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Map, Value, json};

    use super::*;

    fn tuned(parameters: &Value, own: &[Field]) -> Result<Option<Resource>, Error> {
        let mount = Resource::at("auth mount users", "sys/auth/users", Map::new());
        tuning(&mount, &Parameters(parameters.as_object().unwrap().clone()), own)
    }

    #[rstest]
    #[case("max_lease_ttl", OF_ENGINES, Some("write it to tune.maxLeaseTTL instead"))]
    #[case("options", OF_METHODS, Some("write it to options instead"))]
    #[case("plugin_version", OF_METHODS, Some("write it to pluginVersion instead"))]
    #[case("force_no_cache", OF_ENGINES, Some("write it to forceNoCache instead"))]
    #[case("force_no_cache", OF_METHODS, Some("OpenBao ignores force_no_cache of an auth mount"))]
    #[case("user_lockout_config", OF_METHODS, Some("write it to tune.userLockout instead"))]
    #[case("user_lockout_config", OF_ENGINES, None)]
    #[case("of_a_later_version", OF_ENGINES, None)]
    fn a_parameter_with_a_field_is_refused(
        #[case] name: &str,
        #[case] own: &[Field],
        #[case] expected: Option<&str>,
    ) {
        let message = tuned(&json!({name: 1}), own).err().map(|error| error.to_string());
        assert_eq!(message.is_some(), expected.is_some(), "{message:?}");
        assert!(message.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn free_parameters_are_a_part_of_the_mount() {
        assert!(tuned(&json!({}), OF_METHODS).unwrap().is_none());
        let part = tuned(&json!({"a": 1}), OF_METHODS).unwrap().unwrap();
        assert_eq!(Value::Object(part.change_body().parameters), json!({"a": 1}));
        let paths = (part.path.as_str(), part.read_at.as_deref(), part.created_at().map(String::as_str));
        let tune = Some("sys/auth/users/tune");
        assert_eq!(paths, ("sys/auth/users/tune/parameters", tune, tune));
        assert_eq!((part.deleted_at, part.is_complete), (None, false));
    }
}
