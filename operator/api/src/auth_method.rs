//! Kind AuthMethod: an auth mount at a path of an OpenBao namespace.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Algorithm, AuthTune, CommonStatus, Lifecycle, LifecycleStatus, OwnedResources, Parameters, Placement,
    SecretKeyReference, SecretParameters, SecretValueReference, rules,
};

/// An auth mount in OpenBao, with its settings and the configuration of its plugin.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "AuthMethod",
    plural = "authmethods",
    namespaced,
    status = "AuthMethodStatus",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("path", "path is immutable: create another AuthMethod"))]
#[x_kube(validation = ("self.type == oldSelf.type", "type is immutable: create another AuthMethod"))]
#[x_kube(validation = ("!has(self.kubernetes) || self.type == 'kubernetes'", "kubernetes is the configuration of type kubernetes: remove it, or set type: kubernetes"))]
#[x_kube(validation = ("!has(self.jwt) || self.type in ['jwt', 'oidc']", "jwt is the configuration of the types jwt and oidc: remove it, or set type: jwt or type: oidc"))]
#[x_kube(validation = ("!has(self.ldap) || self.type == 'ldap'", "ldap is the configuration of type ldap: remove it, or set type: ldap"))]
#[x_kube(validation = ("!has(self.tune) || !has(self.tune.userLockout) || self.type in ['userpass', 'approle', 'ldap']", "OpenBao locks out users of the types userpass, approle and ldap only: remove tune.userLockout"))]
#[x_kube(validation = rules::TOKEN_MOUNT)]
#[x_kube(validation = rules::TOKEN_MOUNT_TYPE)]
pub struct AuthMethodSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Path of the mount, without `auth/` and without `/` at its start or end. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::MOUNT_PATH, validation = rules::AUTH_PATH)]
    pub path: Option<String>,
    /// Type of the mount: `kubernetes`, `jwt`, `oidc`, `approle`, `cert`, `userpass`, `ldap`, or the name of a plugin of
    /// type `auth`. `token` is the built-in mount of tokens, and requires `path: token`. Immutable.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::PLUGIN_NAME)]
    pub type_: String,
    /// Version of the plugin in the catalog of OpenBao, such as `v1.2.3`. `latest` needs OpenBao 2.7. After a change, OpenBao runs
    /// the other version when the plugin is reloaded. OpenBao cannot remove a version: without this field, it is left as it is.
    /// Not for built-in types, whose version changes with OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::PLUGIN_VERSION)]
    pub plugin_version: Option<String>,
    /// Text for people who list mounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = rules::MOUNT_DESCRIPTION)]
    pub description: Option<String>,
    /// Options that OpenBao passes to the plugin. An empty value removes an option. Options that are not listed are left as
    /// they are in OpenBao.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    pub options: BTreeMap<String, String>,
    /// Settings of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<AuthTune>,
    /// `true` encrypts the data of the mount with the seal as well. OpenBao cannot change it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal_wrap: Option<bool>,
    /// `true` excludes the mount from replication. OpenBao cannot change it later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<bool>,
    /// Configuration of type `kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesAuthConfig>,
    /// Configuration of the types `jwt` and `oidc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtAuthConfig>,
    /// Configuration of type `ldap`. OpenBao 2.7 and later need the plugin for this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<LdapAuthConfig>,
    /// Further parameters of `auth/<path>/config`, as the API of OpenBao names them.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Parameters of `auth/<path>/config` whose values are in Secrets in the namespace of this object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub secret_parameters: SecretParameters,
    /// Lifecycle of the mount in OpenBao. A deletion removes the mount and all of its roles with both deletion policies,
    /// because they are access. It leaves the built-in mount of type `token` as it is.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Configuration of an auth mount of type `kubernetes`. A change replaces the complete configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.disableLocalCAJWT) || !self.disableLocalCAJWT || has(self.caSecretRef)", "disableLocalCAJWT: true requires caSecretRef: OpenBao then does not know the CA of the API server"))]
pub struct KubernetesAuthConfig {
    /// URL of the API server, such as `https://kubernetes.default.svc`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::URL, validation = ("self.startsWith('https:')", "host must be an https:// URL: OpenBao sends ServiceAccount tokens to it"))]
    pub host: String,
    /// Secret with the CA of the API server. Default: the CA of the pod of OpenBao.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// Secret with the ServiceAccount token with which OpenBao reviews the tokens of logins. Default: the token of the pod of
    /// OpenBao, or with `disableLocalCAJWT` the token of the login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_reviewer_secret_ref: Option<SecretValueReference>,
    /// Public keys or certificates in PEM that verify the signatures of tokens. Default: none; the API server verifies them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), inner(length(min = 32, max = 8192)))]
    #[x_kube(validation = rules::PUBLIC_KEYS)]
    pub public_keys: Option<Vec<String>>,
    /// `true` uses neither the CA nor the token of the pod of OpenBao. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "disableLocalCAJWT")]
    pub disable_local_ca_jwt: Option<bool>,
}

/// Configuration of an auth mount of type `jwt` or `oidc`. A change replaces the complete configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::JWT_KEYS)]
#[x_kube(validation = rules::PLAINTEXT_JWT)]
#[x_kube(validation = ("has(self.oidcClientID) == has(self.oidcClientSecretRef)", "set both or none of oidcClientID and oidcClientSecretRef"))]
#[x_kube(validation = ("!has(self.oidcClientID) || has(self.oidcDiscoveryURL)", "oidcClientID requires oidcDiscoveryURL"))]
#[x_kube(validation = ("!has(self.caSecretRef) || has(self.oidcDiscoveryURL) || has(self.jwksURL)", "caSecretRef requires oidcDiscoveryURL or jwksURL: it is the CA of their server"))]
pub struct JwtAuthConfig {
    /// URL of the issuer, without `/.well-known/openid-configuration`. OpenBao discovers the keys there.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "oidcDiscoveryURL")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::URL, validation = ("!self.contains('.well-known')", "oidcDiscoveryURL must be the URL of the issuer without /.well-known/openid-configuration, such as https://gitlab.example.com"))]
    pub oidc_discovery_url: Option<String>,
    /// URL of the key set (JWKS) of the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "jwksURL")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::URL_WITH_QUERY)]
    pub jwks_url: Option<String>,
    /// `true` accepts `http://` URLs: everyone in the network can replace the keys of the issuer. Default: `false`.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// Public keys or certificates in PEM that verify the signatures of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 32, max = 8192)))]
    #[x_kube(validation = rules::PUBLIC_KEYS)]
    pub public_keys: Option<Vec<String>>,
    /// Settings of a provider, such as `{provider: kubernetes}` or `{provider: azure}`, as the API of OpenBao names them.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub provider_config: Parameters,
    /// Secret with the CA of the server of `oidcDiscoveryURL` or `jwksURL`. Default: public CAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// `iss` claim that tokens must have. Default: OpenBao checks it only with `oidcDiscoveryURL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub bound_issuer: Option<String>,
    /// Accepted signature algorithms. Default: `[RS256]`, or with `publicKeys` all of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10))]
    pub supported_algorithms: Option<Vec<Algorithm>>,
    /// Role of logins that name none. OpenBao changes it to lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = ("self == self.lowerAscii()", "defaultRole must be lower case: OpenBao changes the names of roles to lower case"))]
    pub default_role: Option<String>,
    /// Client ID of OpenBao at the issuer, for logins in a browser. Requires `oidcDiscoveryURL` and `oidcClientSecretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "oidcClientID")]
    #[schemars(length(min = 1, max = 512))]
    pub oidc_client_id: Option<String>,
    /// Secret with the client secret of OpenBao at the issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_client_secret_ref: Option<SecretValueReference>,
}

/// Configuration of an auth mount of type `ldap`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::PLAINTEXT_LDAP)]
#[x_kube(validation = ("has(self.bindDN) || !has(self.bindPasswordSecretRef)", "bindPasswordSecretRef requires bindDN"))]
pub struct LdapAuthConfig {
    /// URL of the directory, such as `ldaps://ldap.example.com`. Several URLs are separated by `,`.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::LDAP_URLS)]
    pub url: String,
    /// `true` accepts `ldap://` URLs without `startTLS`. Default: `false`.
    #[serde(default)]
    pub allow_plaintext: bool,
    /// `true` encrypts connections to `ldap://` URLs with StartTLS.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "startTLS")]
    pub start_tls: Option<bool>,
    /// Secret with the CA of the directory. Default: public CAs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<SecretKeyReference>,
    /// Distinguished name with which OpenBao searches for users and groups. Default: an anonymous search.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "bindDN")]
    #[schemars(length(max = 1024))]
    pub bind_dn: Option<String>,
    /// Secret with the password of `bindDN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_password_secret_ref: Option<SecretValueReference>,
    /// Base of the search for users, such as `ou=users,dc=example,dc=com`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "userDN")]
    #[schemars(length(max = 1024))]
    pub user_dn: Option<String>,
    /// Attribute that contains the name of a user, such as `uid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    #[x_kube(validation = ("self == self.lowerAscii()", "userAttr must be lower case: OpenBao changes it to lower case"))]
    pub user_attr: Option<String>,
    /// Filter of the search for users, such as `({{.UserAttr}}={{.Username}})`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub user_filter: Option<String>,
    /// Base of the search for groups, such as `ou=groups,dc=example,dc=com`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "groupDN")]
    #[schemars(length(max = 1024))]
    pub group_dn: Option<String>,
    /// Attribute that contains the name of a group, such as `cn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub group_attr: Option<String>,
    /// Filter of the search for groups, such as `(member={{.UserDN}})`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub group_filter: Option<String>,
}

/// Observed state of an auth mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthMethodStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
    /// Fields of the resources in OpenBao.
    #[serde(flatten)]
    pub lifecycle: LifecycleStatus,
    /// Resources in OpenBao that this object owns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<OwnedResources>,
}
