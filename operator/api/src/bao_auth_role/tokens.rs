//! Settings of the tokens that a login with a role returns.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LongDuration, rules};

/// Settings of tokens. A setting that is not set gets OpenBao's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenSettings {
    /// Policies of the tokens, without `root`. Default: none, except for the policy `default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::GRANTED_POLICIES)]
    pub token_policies: Vec<String>,
    /// Lifetime of a token until its first renewal. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "tokenTTL")]
    pub token_ttl: Option<LongDuration>,
    /// Longest lifetime of a token with renewals. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "tokenMaxTTL")]
    pub token_max_ttl: Option<LongDuration>,
    /// Longest lifetime of a token, which later changes of the role and the mount do not extend. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "tokenExplicitMaxTTL")]
    pub token_explicit_max_ttl: Option<LongDuration>,
    /// Period of a token that can be renewed without end: each renewal extends it by this time. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_period: Option<LongDuration>,
    /// Type of the tokens. Default: that of the mount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<TokenType>,
    /// Addresses and networks that may log in and use the tokens, such as `10.0.0.0/8`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "tokenBoundCIDRs")]
    #[schemars(length(max = 64), inner(length(min = 2, max = 64)))]
    #[x_kube(validation = rules::NETWORKS)]
    pub token_bound_cidrs: Vec<String>,
    /// `true` issues tokens without the policy `default`. Default: `false`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub token_no_default_policy: bool,
    /// Number of requests that a token can make. Default: not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub token_num_uses: Option<i64>,
}

/// Type of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenType {
    /// Tokens that OpenBao stores. They can be renewed and revoked.
    Service,
    /// Tokens that OpenBao does not store. They cannot be renewed and revoked.
    Batch,
}
