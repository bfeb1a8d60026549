//! Kind IdentityGroup: a group of the identity engine in OpenBao.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CommonStatus, Lifecycle, LifecycleStatus, OwnedResources, Placement, rules};

/// A group of the identity engine in OpenBao: its members get its policies.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "IdentityGroup",
    plural = "identitygroups",
    namespaced,
    status = "IdentityGroupStatus",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Namespace", type_ = "string", json_path = ".status.openbaoNamespace")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = crate::rules::immutable!("name", "name is immutable: create another IdentityGroup"))]
#[x_kube(validation = ("(self.type == 'External') == has(self.alias)", "alias is required with, and only supported with, type: External"))]
#[x_kube(validation = ("self.type == 'Internal' || !(has(self.memberGroups) || has(self.memberEntities))", "memberGroups and memberEntities are only supported with type: Internal: logins determine the members of an external group"))]
pub struct IdentityGroupSpec {
    /// Location in OpenBao.
    #[serde(flatten)]
    pub placement: Placement,
    /// Name of the group in OpenBao. OpenBao ignores the case of names. Immutable. Default: the name of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::ROLE_NAME)]
    pub name: Option<String>,
    /// `Internal`: `memberGroups` and `memberEntities` are the members. `External`: the members are those whose login names
    /// the group in `alias`. Immutable. Default: `Internal`.
    #[serde(default, rename = "type")]
    #[x_kube(validation = ("self == oldSelf", "type is immutable: create another IdentityGroup"))]
    pub type_: GroupType,
    /// Policies of the members, without `root`. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::GRANTED_POLICIES)]
    pub policies: Vec<String>,
    /// Metadata of the group, which templates of policies can contain. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 512}))]
    pub metadata: BTreeMap<String, String>,
    /// Names of groups whose members are members of this group. They must exist in the same OpenBao namespace. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::ROLE_NAMES)]
    pub member_groups: Vec<String>,
    /// Names or IDs of entities that are members. They must exist in the same OpenBao namespace. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::ROLE_NAMES)]
    pub member_entities: Vec<String>,
    /// Name of the group at an auth mount. Required with `type: External`. OpenBao supports one alias for each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<GroupAlias>,
    /// Lifecycle of the group in OpenBao. A deletion removes the group with both deletion policies, because it is access.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Type of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GroupType {
    /// The spec lists the members.
    #[default]
    Internal,
    /// Logins determine the members.
    External,
}

/// Name of a group at an auth mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupAlias {
    /// Name of the group as the login states it, such as a value of the claim `groupsClaim`, or a group in LDAP.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// Path of the auth mount, without `auth/`. The mount must exist.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::AUTH_MOUNT)]
    pub mount: String,
}

/// Observed state of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityGroupStatus {
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
