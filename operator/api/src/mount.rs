//! Types that the kinds of mounts share: settings of a mount, and parameters of its plugin.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, LongDuration, Parameters, SecretValueReference, rules};

/// Secret parameters of a request: for each parameter, the key of a Secret that contains its value.
pub type SecretParameters = BTreeMap<String, SecretValueReference>;

/// Settings of a mount. A lifetime that is not set is left as it is in OpenBao; the other settings have their default then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::LEASE_TTL)]
pub struct MountTune {
    /// Lifetime of leases and tokens whose role states none. `0s`: that of the server. At most `maxLeaseTTL`.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "defaultLeaseTTL")]
    pub default_lease_ttl: Option<LongDuration>,
    /// Longest lifetime of leases and tokens. `0s`: that of the server.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "maxLeaseTTL")]
    pub max_lease_ttl: Option<LongDuration>,
    /// `unauth` lists the mount to clients without a token, such as the login page of the UI. `hidden` does not. Default:
    /// `hidden`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_visibility: Option<ListingVisibility>,
    /// Parameters of requests that audit devices record in plain text. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub audit_non_hmac_request_keys: Option<Vec<String>>,
    /// Fields of responses that audit devices record in plain text. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub audit_non_hmac_response_keys: Option<Vec<String>>,
    /// Headers of requests that OpenBao passes to the plugin. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub passthrough_request_headers: Option<Vec<String>>,
    /// Headers that the plugin may add to responses. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub allowed_response_headers: Option<Vec<String>>,
    /// Further parameters of `sys/mounts/<path>/tune` or `sys/auth/<path>/tune`, as the API of OpenBao names them. A parameter
    /// that has a field is refused. Parameters that are not listed are left as they are in OpenBao.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
}

/// Visibility of a mount for clients without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ListingVisibility {
    /// The mount is listed.
    Unauth,
    /// The mount is not listed.
    Hidden,
}

/// Settings of an auth mount. A lifetime and `tokenType` that are not set are left as they are in OpenBao; the other settings have
/// their default then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthTune {
    /// Settings of every mount.
    #[serde(flatten)]
    pub mount: MountTune,
    /// Type of the tokens of logins. `default-service` and `default-batch` apply to roles that state no type. `service` and
    /// `batch` apply to every role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<MountTokenType>,
    /// Lockout of users after failed logins. Only for the types `userpass`, `approle` and `ldap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_lockout: Option<UserLockout>,
}

/// Type of the tokens of an auth mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountTokenType {
    /// Service tokens, unless the role states another type.
    DefaultService,
    /// Batch tokens, unless the role states another type.
    DefaultBatch,
    /// Service tokens.
    Service,
    /// Batch tokens.
    Batch,
}

/// Lockout of users after failed logins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserLockout {
    /// Number of failed logins after which a user is locked out. Default: that of the server, 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub threshold: Option<i64>,
    /// How long a user is locked out. Default: that of the server, 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Time without a failed login after which the count is 0 again. Default: that of the server, 15m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_reset: Option<Duration>,
    /// `true` disables the lockout. Default: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<bool>,
}
