//! Configuration of the plugin of an auth mount. A block of the spec determines all parameters of its fields: a field that is not
//! set has OpenBao's default, so that a key or reviewer that is removed from the spec is removed from the mount.

use serde_json::{Map, Value, json};
use steamer_api::{AuthMethod, JwtAuthConfig, KubernetesAuthConfig, LdapAuthConfig, SecretKeyReference};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::Found;
use crate::mounts::certificates;
use crate::mounts::configuration::Configuration;

/// Parameter with the token of the token reviewer. OpenBao never returns it.
const REVIEWER: &str = "token_reviewer_jwt";
/// Parameter of an answer that states whether a token reviewer is configured. It is not part of a request.
const REVIEWER_IS_SET: &str = "token_reviewer_jwt_set";
/// Filters of OpenBao for a directory whose filters the spec does not set.
const USERS: &str = "({{.UserAttr}}={{.Username}})";
const GROUPS: &str = "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))";

/// The configuration that the spec states. Empty if it states none.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that is stated twice, and for a type without configuration. Any error of a Secret.
pub(super) async fn of(method: &AuthMethod, found: &Found<'_>) -> Result<Configuration, Error> {
    let ca = match certificate(method) {
        Some(reference) => Some(certificates::public(found, &ObjectName::of(method), reference).await?),
        None => None,
    };
    let spec = &method.spec;
    let configuration = stated(method, ca).joined(&spec.parameters, &spec.secret_parameters)?;
    let configuration = with_reviewer(configuration);
    if !configuration.is_empty() && ["approle", "token", "userpass"].contains(&spec.type_.as_str()) {
        let type_ = &spec.type_;
        return Err(Error::Invalid(format!(
            "an auth mount of type {type_} has no configuration: remove parameters and secretParameters"
        )));
    }
    Ok(configuration)
}

/// The Secret with the CA of the server that the configuration names.
fn certificate(method: &AuthMethod) -> Option<&SecretKeyReference> {
    let spec = &method.spec;
    let kubernetes = spec.kubernetes.as_ref().and_then(|it| it.ca_secret_ref.as_ref());
    let jwt = spec.jwt.as_ref().and_then(|it| it.ca_secret_ref.as_ref());
    kubernetes.or(jwt).or_else(|| spec.ldap.as_ref()?.ca_secret_ref.as_ref())
}

/// The typed part of the configuration. The schema permits at most one.
fn stated(method: &AuthMethod, ca: Option<String>) -> Configuration {
    let spec = &method.spec;
    match (&spec.kubernetes, &spec.jwt, &spec.ldap) {
        (Some(config), _, _) => kubernetes(config, ca),
        (_, Some(config), _) => jwt(config, ca),
        (_, _, Some(config)) => ldap(config, ca),
        _ => Configuration::default(),
    }
}

fn kubernetes(config: &KubernetesAuthConfig, ca: Option<String>) -> Configuration {
    let reviewer = config.token_reviewer_secret_ref.as_ref();
    let parameters = [
        ("kubernetes_host", json!(config.host)),
        ("kubernetes_ca_cert", json!(ca.unwrap_or_default())),
        ("pem_keys", keys(config.public_keys.as_deref())),
        ("disable_local_ca_jwt", json!(config.disable_local_ca_jwt.unwrap_or_default())),
        (REVIEWER_IS_SET, json!(reviewer.is_some())),
    ];
    complete(parameters).with_secret(REVIEWER, reviewer)
}

fn jwt(config: &JwtAuthConfig, ca: Option<String>) -> Configuration {
    let (discovery_ca, jwks_ca) = if config.jwks_url.is_some() { (None, ca) } else { (ca, None) };
    let text = |value: &Option<String>| json!(value.as_deref().unwrap_or_default());
    let parameters = [
        ("oidc_discovery_url", text(&config.oidc_discovery_url)),
        ("oidc_discovery_ca_pem", text(&discovery_ca)),
        ("jwks_url", text(&config.jwks_url)),
        ("jwks_ca_pem", text(&jwks_ca)),
        ("jwt_validation_pubkeys", keys(config.public_keys.as_deref())),
        ("provider_config", json!(config.provider_config)),
        ("bound_issuer", text(&config.bound_issuer)),
        ("jwt_supported_algs", json!(config.supported_algorithms.as_deref().unwrap_or_default())),
        ("default_role", text(&config.default_role)),
        ("oidc_client_id", text(&config.oidc_client_id)),
    ];
    complete(parameters).with_secret("oidc_client_secret", config.oidc_client_secret_ref.as_ref())
}

fn ldap(config: &LdapAuthConfig, ca: Option<String>) -> Configuration {
    let text = |value: &Option<String>, default: &str| json!(value.as_deref().unwrap_or(default));
    let parameters = [
        ("url", json!(config.url)),
        ("starttls", json!(config.start_tls.unwrap_or_default())),
        ("certificate", json!(ca.unwrap_or_default())),
        ("binddn", text(&config.bind_dn, "")),
        ("userdn", text(&config.user_dn, "")),
        ("userattr", text(&config.user_attr, "cn")),
        ("userfilter", text(&config.user_filter, USERS)),
        ("groupdn", text(&config.group_dn, "")),
        ("groupattr", text(&config.group_attr, "cn")),
        ("groupfilter", text(&config.group_filter, GROUPS)),
    ];
    complete(parameters).with_secret("bindpass", config.bind_password_secret_ref.as_ref())
}

/// States whether a token reviewer is configured, whichever field of the spec names its Secret.
fn with_reviewer(mut configuration: Configuration) -> Configuration {
    let is_set = configuration.secrets.contains_key(REVIEWER);
    if let Some(stated) = configuration.parameters.get_mut(REVIEWER_IS_SET) {
        *stated = json!(is_set);
    }
    configuration
}

/// A configuration with every parameter of a block.
fn complete<const N: usize>(parameters: [(&str, Value); N]) -> Configuration {
    let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Configuration { parameters, ..Configuration::default() }
}

/// Keys as OpenBao returns them: without the line break at their end.
fn keys(keys: Option<&[String]>) -> Value {
    keys.unwrap_or_default().iter().map(|key| key.trim_end()).collect()
}

/// The request that writes a configuration.
pub(super) fn request(mut parameters: Map<String, Value>) -> Map<String, Value> {
    parameters.remove(REVIEWER_IS_SET);
    parameters
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::kubernetes(
        json!({"type": "kubernetes", "kubernetes": {
            "host": "https://k", "caSecretRef": {"name": "ca"}, "tokenReviewerSecretRef": {"name": "r", "key": "token"},
            "publicKeys": ["-----BEGIN PUBLIC KEY-----\nx\n"], "disableLocalCAJWT": true,
        }}),
        json!({
            "kubernetes_host": "https://k", "kubernetes_ca_cert": "CA", "pem_keys": ["-----BEGIN PUBLIC KEY-----\nx"],
            "disable_local_ca_jwt": true, "token_reviewer_jwt_set": true,
        }),
        &["token_reviewer_jwt"]
    )]
    #[case::discovery(
        json!({"type": "oidc", "jwt": {
            "oidcDiscoveryURL": "https://i", "caSecretRef": {"name": "ca"}, "defaultRole": "web", "oidcClientID": "bao",
            "oidcClientSecretRef": {"name": "c", "key": "secret"}, "providerConfig": {"provider": "azure"},
        }}),
        json!({
            "oidc_discovery_url": "https://i", "oidc_discovery_ca_pem": "CA", "default_role": "web", "jwks_url": "",
            "jwks_ca_pem": "", "jwt_validation_pubkeys": [], "bound_issuer": "", "jwt_supported_algs": [],
            "oidc_client_id": "bao", "provider_config": {"provider": "azure"},
        }),
        &["oidc_client_secret"]
    )]
    #[case::key_set(
        json!({"type": "jwt", "jwt": {
            "jwksURL": "https://i/keys", "caSecretRef": {"name": "ca"}, "boundIssuer": "i", "supportedAlgorithms": ["ES256"],
        }}),
        json!({
            "jwks_url": "https://i/keys", "jwks_ca_pem": "CA", "bound_issuer": "i", "jwt_supported_algs": ["ES256"],
            "oidc_discovery_url": "", "oidc_discovery_ca_pem": "", "default_role": "", "jwt_validation_pubkeys": [],
            "oidc_client_id": "", "provider_config": {},
        }),
        &[]
    )]
    #[case::only_a_host(
        json!({"type": "kubernetes", "kubernetes": {"host": "https://k"}}),
        json!({
            "kubernetes_host": "https://k", "kubernetes_ca_cert": "", "pem_keys": [], "disable_local_ca_jwt": false,
            "token_reviewer_jwt_set": false,
        }),
        &[]
    )]
    #[case::only_a_directory(
        json!({"type": "ldap", "ldap": {"url": "ldaps://l"}}),
        json!({
            "url": "ldaps://l", "starttls": false, "certificate": "", "binddn": "", "userdn": "", "userattr": "cn",
            "userfilter": "({{.UserAttr}}={{.Username}})", "groupdn": "", "groupattr": "cn",
            "groupfilter": "(|(memberUid={{.Username}})(member={{.UserDN}})(uniqueMember={{.UserDN}}))",
        }),
        &[]
    )]
    #[case::ldap(
        json!({"type": "ldap", "ldap": {
            "url": "ldaps://l", "startTLS": false, "caSecretRef": {"name": "ca"}, "bindDN": "cn=b", "userDN": "ou=u",
            "bindPasswordSecretRef": {"name": "b", "key": "password"}, "userAttr": "uid", "userFilter": "f",
            "groupDN": "ou=g", "groupAttr": "cn", "groupFilter": "g",
        }}),
        json!({
            "url": "ldaps://l", "starttls": false, "certificate": "CA", "binddn": "cn=b", "userdn": "ou=u", "userattr": "uid",
            "userfilter": "f", "groupdn": "ou=g", "groupattr": "cn", "groupfilter": "g",
        }),
        &["bindpass"]
    )]
    #[case::none(json!({"type": "approle"}), json!({}), &[])]
    fn typed_fields_become_parameters(
        #[case] spec: Value,
        #[case] expected: Value,
        #[case] secrets: &[&str],
    ) {
        let method = AuthMethod::new("web", serde_json::from_value(spec).unwrap());
        let ca = certificate(&method).map(|_| "CA".to_owned());
        let configuration = stated(&method, ca);
        assert_eq!(configuration.secrets.keys().map(String::as_str).collect::<Vec<_>>(), secrets);
        assert_eq!(Value::Object(configuration.parameters), expected);
    }

    #[test]
    fn a_reviewer_among_the_secret_parameters_is_expected() {
        let spec = json!({
            "type": "kubernetes", "kubernetes": {"host": "https://k"},
            "secretParameters": {"token_reviewer_jwt": {"name": "r", "key": "token"}},
        });
        let method = AuthMethod::new("web", serde_json::from_value(spec).unwrap());
        let stated = stated(&method, None);
        let joined = stated.joined(&method.spec.parameters, &method.spec.secret_parameters).unwrap();
        assert_eq!(with_reviewer(joined).parameters[REVIEWER_IS_SET], true);
    }

    #[test]
    fn a_request_does_not_contain_what_only_an_answer_states() {
        let parameters = Map::from_iter([
            (REVIEWER_IS_SET.to_owned(), json!(true)),
            ("kubernetes_host".to_owned(), json!("https://k")),
        ]);
        assert_eq!(Value::Object(request(parameters)), json!({"kubernetes_host": "https://k"}));
    }
}
