//! Mistakes in specs of SecretEngine and AuthMethod.

use serde_json::{Value, json};

/// Returns kind, invalid spec, and a part of the expected message.
pub fn mistakes() -> Vec<(&'static str, Value, &'static str)> {
    let spec = |type_: &str, changes: Value| {
        let mut spec = json!({"clusterRef": {"name": "main"}, "type": type_});
        for (name, value) in changes.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        spec
    };
    let engine = |type_: &str, changes: Value| ("SecretEngine", spec(type_, changes));
    let method = |type_: &str, changes: Value| ("AuthMethod", spec(type_, changes));
    let kubernetes = |changes: Value| method("kubernetes", json!({"kubernetes": changes}));
    let jwt = |changes: Value| method("jwt", json!({"jwt": changes}));
    let ldap = |changes: Value| method("ldap", json!({"ldap": changes}));
    let reference = json!({"name": "s", "key": "k"});
    let mistakes = [
        (engine("kv", json!({})), "write type: kv-v1 or type: kv-v2"),
        (engine("a/b", json!({})), "the name of a plugin"),
        (engine("pki", json!({"clusterRef": null})), "set exactly one of clusterRef and projectRef"),
        (engine("pki", json!({"path": "sys/x"})), "path must not be auth, sys, identity, cubbyhole"),
        (engine("pki", json!({"path": "auth"})), "for an auth mount, create an AuthMethod"),
        (engine("pki", json!({"path": "/pki"})), "without / at its start or end"),
        (engine("pki", json!({"path": "a/../b"})), "path must be a path such as secrets/kv"),
        (engine("pki", json!({"config": {"maxVersions": 3}})), "config is the configuration of type kv-v2"),
        (engine("kv-v2", json!({"config": {"maxVersions": -1}})), "greater than or equal to 0"),
        (engine("kv-v2", json!({"options": {"version": "1"}})), "options.version is the type"),
        (engine("pki", json!({"description": "managed by Steamer: x"})), "Steamer marks the mounts"),
        (
            engine("pki", json!({"configs": [{"path": "../x"}]})),
            "path of configs must be a path below config/",
        ),
        (
            engine("pki", json!({"tune": {"defaultLeaseTTL": "2h", "maxLeaseTTL": "1h"}})),
            "defaultLeaseTTL must be at most maxLeaseTTL",
        ),
        (engine("pki", json!({"tune": {"listingVisibility": "all"}})), "Unsupported value"),
        (
            engine("my-plugin", json!({"pluginVersion": "1.2"})),
            "pluginVersion must be a version as OpenBao lists it",
        ),
        (
            method("my-plugin", json!({"pluginVersion": "v1.2"})),
            "pluginVersion must be a version as OpenBao lists it",
        ),
        (engine("pki", json!({"tune": {"tokenType": "batch"}})), "field not declared in schema"),
        (method("token", json!({})), "write both type: token and path: token"),
        (method("jwt", json!({"path": "auth/jwt"})), "write it without auth/"),
        (method("jwt", json!({"path": "token"})), "write both type: token and path: token"),
        (
            method("token", json!({"path": "token/x"})),
            "path must not be auth, sys, or below auth, token or sys",
        ),
        (
            method("token", json!({"path": "token", "tune": {"tokenType": "batch"}})),
            "does not change the type of the tokens",
        ),
        (method("jwt", json!({"path": "sys"})), "OpenBao refuses every further auth mount"),
        (method("jwt", json!({"kubernetes": {"host": "https://k"}})), "set type: kubernetes"),
        (method("kubernetes", json!({"jwt": {"jwksURL": "https://i"}})), "set type: jwt or type: oidc"),
        (method("jwt", json!({"ldap": {"url": "ldaps://l"}})), "set type: ldap"),
        (
            method("jwt", json!({"tune": {"userLockout": {"threshold": 1}}})),
            "locks out users of the types userpass, approle and ldap only",
        ),
        (
            method("jwt", json!({"tune": {"defaultLeaseTTL": "2h", "maxLeaseTTL": "1h"}})),
            "defaultLeaseTTL must be at most maxLeaseTTL",
        ),
        (method("jwt", json!({"description": "managed by Steamer: x"})), "Steamer marks the mounts"),
        (kubernetes(json!({"host": "http://k"})), "host must be an https:// URL"),
        (kubernetes(json!({"host": "https://u:p@k"})), "must be a URL"),
        (kubernetes(json!({"host": "https://k", "disableLocalCAJWT": true})), "requires caSecretRef"),
        (
            kubernetes(json!({"host": "https://k", "publicKeys": ["-----BEGIN EC PRIVATE KEY-----xxx"]})),
            "a private key is not allowed",
        ),
        (jwt(json!({})), "set exactly one of oidcDiscoveryURL, jwksURL and publicKeys"),
        (
            jwt(json!({"oidcDiscoveryURL": "https://i", "jwksURL": "https://i/keys"})),
            "set exactly one of oidcDiscoveryURL, jwksURL and publicKeys",
        ),
        (jwt(json!({"jwksURL": "http://i/keys"})), "Set allowPlaintext: true to accept this"),
        (
            jwt(json!({"oidcDiscoveryURL": "https://i/.well-known/x"})),
            "without /.well-known/openid-configuration",
        ),
        (
            jwt(json!({"oidcDiscoveryURL": "https://i", "oidcClientID": "a"})),
            "set both or none of oidcClientID and oidcClientSecretRef",
        ),
        (
            jwt(json!({"jwksURL": "https://i", "oidcClientID": "a", "oidcClientSecretRef": reference})),
            "oidcClientID requires oidcDiscoveryURL",
        ),
        (
            jwt(json!({"providerConfig": {"provider": "kubernetes"}, "caSecretRef": {"name": "s"}})),
            "caSecretRef requires oidcDiscoveryURL or jwksURL",
        ),
        (jwt(json!({"jwksURL": "https://i", "defaultRole": "Web"})), "defaultRole must be lower case"),
        (jwt(json!({"jwksURL": "https://i", "supportedAlgorithms": ["HS256"]})), "Unsupported value"),
        (ldap(json!({"url": "ldap://l"})), "can read the passwords of logins"),
        (ldap(json!({"url": "https://l"})), "url must consist of URLs such as ldaps://"),
        (ldap(json!({"url": "ldaps://l", "bindPasswordSecretRef": reference})), "requires bindDN"),
        (ldap(json!({"url": "ldaps://l", "userAttr": "uId"})), "userAttr must be lower case"),
    ];
    mistakes.into_iter().map(|((kind, spec), sentence)| (kind, spec, sentence)).collect()
}
