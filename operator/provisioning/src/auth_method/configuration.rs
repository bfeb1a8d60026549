//! Configuration of the plugin of an auth mount.

use serde_json::{Map, Value, json};
use steamer_api::{AuthMethod, JwtAuthConfig, KubernetesAuthConfig, LdapAuthConfig, SecretKeyReference};
use steamer_core::error::Error;
use steamer_runtime::ObjectName;

use crate::general::Found;
use crate::mounts::configuration::Configuration;
use crate::mounts::typed;

/// Parameter of an answer that states whether a token reviewer is configured. It is not part of a request.
const REVIEWER_IS_SET: &str = "token_reviewer_jwt_set";

/// The configuration that the spec states. Empty if it states none.
///
/// # Errors
/// [`Error::Invalid`] for a parameter that is stated twice, and for a type without configuration. Any error of a Secret.
pub(super) async fn of(method: &AuthMethod, found: &Found<'_>) -> Result<Configuration, Error> {
    let ca = match certificate(method) {
        Some(reference) => Some(found.certificates(&ObjectName::of(method), reference).await?),
        None => None,
    };
    let spec = &method.spec;
    let configuration = stated(method, ca).joined(&spec.parameters, &spec.secret_parameters)?;
    if !configuration.is_empty() && ["approle", "userpass"].contains(&spec.type_.as_str()) {
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
    let parameters = typed([
        ("kubernetes_host", Some(json!(config.host))),
        ("kubernetes_ca_cert", ca.map(Value::from)),
        ("pem_keys", config.public_keys.as_deref().map(keys)),
        ("disable_local_ca_jwt", config.disable_local_ca_jwt.map(Value::from)),
        (REVIEWER_IS_SET, reviewer.map(|_| json!(true))),
    ]);
    Configuration { parameters, ..Configuration::default() }.with_secret("token_reviewer_jwt", reviewer)
}

fn jwt(config: &JwtAuthConfig, ca: Option<String>) -> Configuration {
    let (discovery_ca, jwks_ca) = if config.jwks_url.is_some() { (None, ca) } else { (ca, None) };
    let provider = &config.provider_config;
    let parameters = typed([
        ("oidc_discovery_url", config.oidc_discovery_url.as_ref().map(|it| json!(it))),
        ("oidc_discovery_ca_pem", discovery_ca.map(Value::from)),
        ("jwks_url", config.jwks_url.as_ref().map(|it| json!(it))),
        ("jwks_ca_pem", jwks_ca.map(Value::from)),
        ("jwt_validation_pubkeys", config.public_keys.as_deref().map(keys)),
        ("provider_config", (!provider.is_empty()).then(|| json!(provider))),
        ("bound_issuer", config.bound_issuer.as_ref().map(|it| json!(it))),
        ("jwt_supported_algs", config.supported_algorithms.as_ref().map(|it| json!(it))),
        ("default_role", config.default_role.as_ref().map(|it| json!(it))),
        ("oidc_client_id", config.oidc_client_id.as_ref().map(|it| json!(it))),
    ]);
    Configuration { parameters, ..Configuration::default() }
        .with_secret("oidc_client_secret", config.oidc_client_secret_ref.as_ref())
}

fn ldap(config: &LdapAuthConfig, ca: Option<String>) -> Configuration {
    let text = |value: &Option<String>| value.as_ref().map(|it| json!(it));
    let parameters = typed([
        ("url", Some(json!(config.url))),
        ("starttls", config.start_tls.map(Value::from)),
        ("certificate", ca.map(Value::from)),
        ("binddn", text(&config.bind_dn)),
        ("userdn", text(&config.user_dn)),
        ("userattr", text(&config.user_attr)),
        ("userfilter", text(&config.user_filter)),
        ("groupdn", text(&config.group_dn)),
        ("groupattr", text(&config.group_attr)),
        ("groupfilter", text(&config.group_filter)),
    ]);
    Configuration { parameters, ..Configuration::default() }
        .with_secret("bindpass", config.bind_password_secret_ref.as_ref())
}

/// Keys as OpenBao returns them: without the line break at their end.
fn keys(keys: &[String]) -> Value {
    keys.iter().map(|key| key.trim_end()).collect()
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
            "oidc_discovery_url": "https://i", "oidc_discovery_ca_pem": "CA", "default_role": "web",
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
        }),
        &[]
    )]
    #[case::keys(
        json!({"type": "jwt", "jwt": {"publicKeys": []}}),
        json!({"jwt_validation_pubkeys": []}),
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
    fn a_request_does_not_contain_what_only_an_answer_states() {
        let parameters = Map::from_iter([
            (REVIEWER_IS_SET.to_owned(), json!(true)),
            ("kubernetes_host".to_owned(), json!("https://k")),
        ]);
        assert_eq!(Value::Object(request(parameters)), json!({"kubernetes_host": "https://k"}));
    }
}
