//! Kind BaoPolicy: an ACL policy in OpenBao.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CommonStatus, Duration, Lifecycle, LifecycleStatus, OwnedResources, Parameters, Placement};

/// An ACL policy in OpenBao, as HCL or as rules.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "BaoPolicy",
    plural = "baopolicies",
    namespaced,
    status = "BaoPolicyStatus",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.policy) != (has(self.rules) && size(self.rules) > 0)", "set exactly one of policy and rules"))]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another BaoPolicy"))]
pub struct BaoPolicySpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Name of the policy in OpenBao: lower-case letters, digits and `-_./`. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = crate::rules::POLICY_NAME)]
    pub name: Option<String>,
    /// Text of the policy, in HCL or JSON. OpenBao checks it before it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 131_072))]
    pub policy: Option<String>,
    /// Rules of the policy, one for each path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["path"]))]
    pub rules: Vec<PolicyRule>,
    /// Further parameters of the endpoint `sys/policies/acl/<name>`, under the names of OpenBao's API: `expiration` (a time such as
    /// `2030-01-02T03:04:05Z`, or an empty text for none), `cas_required`, `allow_slashes_in_identity_templates`,
    /// `allow_wildcards_in_identity_templates`. A parameter that is not stated keeps the value that it has in OpenBao. `ttl` and `cas`
    /// are refused.
    #[serde(default, skip_serializing_if = "Parameters::is_empty")]
    pub parameters: Parameters,
    /// Lifecycle of the policy in OpenBao. A deletion removes the policy with both deletion policies, because it is access.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Access to one path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!self.capabilities.exists(it, it == 'deny') || size(self.capabilities) == 1", "deny excludes every other capability: write capabilities: [deny]"))]
#[x_kube(validation = ("!has(self.listScanResponseKeysFilterPath) || self.capabilities.exists(it, it == 'list')", "listScanResponseKeysFilterPath requires the capability list"))]
pub struct PolicyRule {
    /// Path, relative to the OpenBao namespace of the policy. `+` matches one segment, `*` at the end matches any rest.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = ("!self.startsWith('/')", "path must not start with /: paths are relative to the OpenBao namespace"))]
    pub path: String,
    /// Operations that the rule allows: at least one.
    #[schemars(length(min = 1, max = 10))]
    pub capabilities: Vec<PathCapability>,
    /// Parameters that a request may contain, and their values. An empty list allows any value. Empty: all parameters. A value is a
    /// text, in which `*` at the start or the end matches any rest, `true`, `false`, or a list of them, such as
    /// `token_policies: [[default, web]]`. OpenBao compares a list with its order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub allowed_parameters: BTreeMap<String, Vec<ParameterValue>>,
    /// Parameters that a request must not contain, and their values. An empty list denies every value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub denied_parameters: BTreeMap<String, Vec<ParameterValue>>,
    /// Parameters that a request must contain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_parameters: Vec<String>,
    /// Shortest lifetime of a wrapped response.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "minWrappingTTL")]
    pub min_wrapping_ttl: Option<Duration>,
    /// Longest lifetime of a wrapped response.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "maxWrappingTTL")]
    pub max_wrapping_ttl: Option<Duration>,
    /// Most names in an answer to a list or scan request of an endpoint with pages. OpenBao refuses a request with a higher `limit`.
    /// Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub pagination_limit: Option<i64>,
    /// Template of the path that a token must be able to access to see a name in the answer to a list or scan request, such as
    /// `{{ .path }}{{ .key }}`. It requires the capability `list`. Default: every name is in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub list_scan_response_keys_filter_path: Option<String>,
    /// Time from which OpenBao ignores the rule. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Time>,
    /// Comment for people who read the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub comment: Option<String>,
}

/// A value of a parameter in a rule: a text, `true`, `false`, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterValue(pub Value);

impl JsonSchema for ParameterValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ParameterValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// CEL rules do not reach values without a type, so the controller checks them.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-preserve-unknown-fields": true})
    }
}

/// Operation on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathCapability {
    /// Create a value that does not exist.
    Create,
    /// Read a value.
    Read,
    /// Change a value.
    Update,
    /// Change a part of a value.
    Patch,
    /// Delete a value.
    Delete,
    /// List names.
    List,
    /// List the names that the token may access.
    Scan,
    /// Access paths that are protected by OpenBao.
    Sudo,
    /// Nothing. It takes precedence over other rules of the same path.
    Deny,
}

/// Observed state of a policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BaoPolicyStatus {
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
