//! Who may log in with a role, for each auth method.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LongDuration, SecretKeyReference, rules};

/// Method of a role that is written with `parameters` only. It determines the path of the role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RoleMethod {
    /// `auth/<mount>/role/<name>` of a mount of type `kubernetes`.
    Kubernetes,
    /// `auth/<mount>/role/<name>` of a mount of type `jwt` or `oidc`.
    JWT,
    /// `auth/<mount>/role/<name>` of a mount of type `approle`.
    AppRole,
    /// `auth/<mount>/certs/<name>`.
    Cert,
    /// `auth/<mount>/users/<name>` of a mount of type `userpass`. The user must exist, because passwords are refused in
    /// `parameters`.
    UserPass,
    /// `auth/<mount>/groups/<name>` of a mount of type `ldap`.
    LDAPGroup,
    /// `auth/<mount>/users/<name>` of a mount of type `ldap`.
    LDAPUser,
    /// `auth/<mount>/groups/<name>` of a mount of type `kerberos`.
    KerberosGroup,
    /// `auth/<mount>/users/<name>` of a mount of type `radius`.
    RADIUSUser,
    /// `auth/token/roles/<name>`.
    Token,
    /// `auth/<mount>/role/<name>` of a mount of any other type.
    Plugin,
}

/// Login with a token of a ServiceAccount that OpenBao validates with the TokenReview API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesRole {
    /// ServiceAccounts that may log in: exactly these. OpenBao admits each listed name in each listed namespace, so a list
    /// with other combinations is refused: create one BaoAuthRole for each namespace then.
    #[schemars(length(min = 1, max = 256))]
    pub service_accounts: Vec<RoleServiceAccount>,
    /// Audience that the token of the ServiceAccount must have. Default: every audience that the API server accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub audience: Option<String>,
    /// Name of the entity alias. `UID`: UID of the ServiceAccount; another ServiceAccount of the same name is another
    /// entity. `Name`: `<namespace>/<name>`. Default: `UID`.
    #[serde(default)]
    pub alias_name_source: AliasNameSource,
}

/// A ServiceAccount that may log in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(self.name.matches('^[*]+$') && self.__namespace__.matches('^[*]+$'))", "name and namespace must not both be *: every ServiceAccount could log in"))]
pub struct RoleServiceAccount {
    /// Name of the ServiceAccount. `*` matches any characters.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9*]([-a-z0-9.*]*[a-z0-9*])?$"))]
    pub name: String,
    /// Kubernetes namespace of the ServiceAccount. `*` matches any characters.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9*]([-a-z0-9*]*[a-z0-9*])?$"))]
    pub namespace: String,
}

/// Name of the entity alias of a ServiceAccount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AliasNameSource {
    /// UID of the ServiceAccount.
    #[default]
    UID,
    /// `<namespace>/<name>` of the ServiceAccount.
    Name,
}

/// Login with a JWT whose signature OpenBao verifies, or with an OIDC provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(has(self.roleType) && self.roleType == 'OIDC') || has(self.boundSubject) || has(self.boundAudiences) || has(self.boundClaims)", "set at least one of boundAudiences, boundSubject and boundClaims: otherwise every token of the issuer could log in"))]
#[x_kube(validation = ("(has(self.roleType) && self.roleType == 'OIDC') == has(self.allowedRedirectURIs)", "allowedRedirectURIs is required with, and only supported with, roleType: OIDC"))]
pub struct JwtRole {
    /// `JWT`: the client has a JWT. `OIDC`: the client logs in with a browser. Default: `JWT`.
    #[serde(default)]
    pub role_type: JwtRoleType,
    /// Accepted `aud` claims: the token must have one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub bound_audiences: Vec<String>,
    /// `sub` claim that the token must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub bound_subject: Option<String>,
    /// Claims that the token must have, each with one of the listed values, such as
    /// `sub: ["system:serviceaccount:web:app"]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "array", "minItems": 1, "maxItems": 256, "items": {"type": "string", "minLength": 1, "maxLength": 1024}}))]
    pub bound_claims: BTreeMap<String, Vec<String>>,
    /// `String`: a claim equals a value of `boundClaims`. `Glob`: `*` in a value matches any characters. Default: `String`.
    #[serde(default)]
    pub bound_claims_type: BoundClaimsType,
    /// Claim that becomes the name of the entity alias, such as `sub`.
    #[schemars(length(min = 1, max = 512))]
    pub user_claim: String,
    /// `true` reads `userClaim` as a JSON pointer. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "userClaimJSONPointer")]
    pub user_claim_json_pointer: bool,
    /// Claim that contains the names of the group aliases: an IdentityGroup of type `External` gives its policies to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub groups_claim: Option<String>,
    /// Claims that become metadata of the token and the alias: name of the claim, and name of the metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "minLength": 1, "maxLength": 512}))]
    pub claim_mappings: BTreeMap<String, String>,
    /// Redirect URIs of the login. Required with `roleType: OIDC`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "allowedRedirectURIs")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub allowed_redirect_uris: Vec<String>,
    /// Scopes that OpenBao requests in addition to `openid`, with `roleType: OIDC`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "oidcScopes")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub oidc_scopes: Vec<String>,
}

/// Type of a role of the method JWT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JwtRoleType {
    /// The client has a JWT.
    #[default]
    JWT,
    /// The client logs in with a browser.
    OIDC,
}

/// Comparison of bound claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BoundClaimsType {
    /// A claim equals a value.
    #[default]
    String,
    /// A claim matches a pattern.
    Glob,
}

/// Login with a role ID and a secret ID.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!has(self.bindSecretID) || self.bindSecretID || has(self.secretIDBoundCIDRs)", "bindSecretID: false requires secretIDBoundCIDRs: otherwise everyone who knows the role ID could log in"))]
#[x_kube(validation = ("has(self.roleID) || !has(oldSelf.roleID)", "roleID cannot be removed, because OpenBao keeps the role ID: write another roleID"))]
pub struct AppRole {
    /// Role ID. It is not a secret. It can be changed, but not removed. Default: OpenBao generates it.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "roleID")]
    #[schemars(length(min = 1, max = 255))]
    pub role_id: Option<String>,
    /// `true` requires a secret ID for each login. Default: `true`.
    #[serde(default = "crate::common::yes", rename = "bindSecretID")]
    pub bind_secret_id: bool,
    /// Number of logins with a secret ID. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "secretIDNumUses")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub secret_id_num_uses: Option<i64>,
    /// Lifetime of a secret ID. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "secretIDTTL")]
    pub secret_id_ttl: Option<LongDuration>,
    /// Addresses and networks that may log in, such as `10.0.0.0/8`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "secretIDBoundCIDRs")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 64)))]
    #[x_kube(validation = rules::NETWORKS)]
    pub secret_id_bound_cidrs: Vec<String>,
}

/// Login with a TLS client certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.certificate) != has(self.certificateSecretRef)", "set exactly one of certificate and certificateSecretRef"))]
pub struct CertRole {
    /// Certificate in PEM: of the client, or of the CA that issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 32, max = 65_536))]
    #[x_kube(validation = ("self.startsWith('-----BEGIN CERTIFICATE-----') && !self.contains('PRIVATE KEY')", "certificate must be a PEM block that starts with -----BEGIN CERTIFICATE-----: a private key is not allowed"))]
    pub certificate: Option<String>,
    /// Secret in the namespace of this object that holds the certificate in PEM. A key with a private key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_secret_ref: Option<SecretKeyReference>,
    /// Common names of which the client certificate must have one. `*` matches any characters. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allowed_common_names: Vec<String>,
    /// DNS names of which the client certificate must have one. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "allowedDNSSANs")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allowed_dns_sans: Vec<String>,
    /// E-mail addresses of which the client certificate must have one. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "allowedEmailSANs")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allowed_email_sans: Vec<String>,
    /// URIs of which the client certificate must have one. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "allowedURISANs")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allowed_uri_sans: Vec<String>,
    /// Organizational units of which the client certificate must have one. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allowed_organizational_units: Vec<String>,
    /// Extensions that the client certificate must have, as `oid:value`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 3, max = 512)))]
    pub required_extensions: Vec<String>,
    /// Name of the tokens in the audit log. Default: the name of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub display_name: Option<String>,
}

/// Login with the name of a user and a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPassRole {
    /// Secret in the namespace of this object that holds the password. A change of the Secret changes the password. An
    /// adopted user keeps its password until the Secret changes.
    pub password_secret_ref: PasswordReference,
}

/// Reference to a password in a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret. Default: `password`.
    #[serde(default = "password")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn password() -> String {
    "password".to_owned()
}

/// Rules for tokens that are created with a role of the mount `token`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRole {
    /// Policies that a new token may have, without `root`. Default: those of the token that creates it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::GRANTED_POLICIES)]
    pub allowed_policies: Vec<String>,
    /// Policies that a new token must not have. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub disallowed_policies: Vec<String>,
    /// `true` creates tokens that do not end with the token that creates them. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub orphan: bool,
    /// `true` creates tokens that can be renewed. Default: `true`.
    #[serde(default = "crate::common::yes")]
    pub renewable: bool,
    /// Suffix of the path of new tokens. Leases can be revoked by it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 253), regex(pattern = r"^\w[\w.-]+\w$"))]
    pub path_suffix: Option<String>,
    /// Names of entity aliases that a new token may have. `*` matches any characters. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub allowed_entity_aliases: Vec<String>,
}
