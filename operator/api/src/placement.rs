//! Location of resources in OpenBao that no tenant determines, and the record of what an object owns there.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{HasLifecycle, HasLifecycleStatus, LocalReference, Reference};

/// Location of the resources of an object in OpenBao: exactly one of `clusterRef` and `projectRef`, and a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placement {
    /// OpenBaoCluster that contains the resources. Its `provisioningNamespaces` must contain the namespace of this object,
    /// and its `operatorScope` must contain the OpenBao namespace. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<Reference>,
    /// SecretsProject in the namespace of this object whose OpenBao namespace contains the resources. The `operatorScope` of
    /// the cluster must contain that OpenBao namespace. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_ref: Option<LocalReference>,
    /// OpenBao namespace that contains the resources, such as `teams/web`. With `clusterRef`, relative to
    /// `external.namespace` of the cluster. With `projectRef`, relative to the OpenBao namespace of the project. It must
    /// exist. Immutable. Default: the namespace that it is relative to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = crate::rules::NAMESPACE)]
    pub namespace: Option<String>,
}

/// Parameters that OpenBao accepts at the path of a resource. Names and values are those of the API of OpenBao.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub Map<String, Value>);

impl Parameters {
    /// Returns true if no parameter is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl JsonSchema for Parameters {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameters".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
    }
}

/// Resources in OpenBao that an object owns. A deletion removes them without the objects that the spec refers to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedResources {
    /// OpenBaoCluster that contains the resources.
    pub cluster_ref: Reference,
    /// OpenBao namespace that contains the resources, relative to `external.namespace` of the cluster.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub namespace: String,
    /// The resources, in the order in which they were created.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub resources: Vec<OwnedResource>,
}

impl OwnedResources {
    /// The entry of the resource at a path.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&OwnedResource> {
        self.resources.iter().find(|it| it.path == path)
    }

    /// Returns true if the object owns the resource at a path, and has not only announced to create or adopt it.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        self.entry(path).is_some_and(|it| !it.pending)
    }
}

/// A resource in OpenBao that an object owns, because it created or adopted the resource, or is about to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnedResource {
    /// Path of the resource, relative to the OpenBao namespace.
    #[schemars(length(max = 1024))]
    pub path: String,
    /// Path of its deletion, if it is another path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub deleted_at: Option<String>,
    /// `true` for a part of another resource, which is not deleted on its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_part: bool,
    /// `true` if the resource contains values: only `deletionPolicy: Delete` deletes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds_values: bool,
    /// `true` before the first pass that creates or adopts the resource ends: the object does not own it yet. A deletion of the
    /// object keeps the resource, unless it is as the spec states.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
    /// Keyed digest (MAC) of the request that was sent last. It shows changes of parameters that OpenBao does not return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub digest: Option<String>,
    /// Keyed digest (MAC) of secret parameters that OpenBao returns in another form than they were sent. It shows changes that
    /// other clients make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub returned: Option<String>,
    /// Keyed digest (MAC) of this entry and its owner. An entry that another client wrote gives no right to the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub seal: Option<String>,
}

impl OwnedResource {
    /// Returns the path whose deletion removes the resource. None for a part of another resource.
    #[must_use]
    pub fn deletion_path(&self) -> Option<&str> {
        let path = self.deleted_at.as_deref().unwrap_or(&self.path);
        (!self.is_part).then_some(path)
    }
}

/// A kind whose spec contains a [`Placement`]. The list of kinds implements it for each kind with the property `Placed`.
pub trait HasPlacement: HasLifecycle {
    /// Returns the location of the resources.
    fn placement(&self) -> &Placement;
}

/// The status of a kind that records its resources in `status.owned`. The list of kinds implements it for the status of each
/// kind with the property `Owning`.
pub trait HasOwned: HasLifecycleStatus {
    /// Returns the resources that the object owns.
    fn owned(&self) -> Option<&OwnedResources>;

    /// Returns the resources that the object owns, for modification.
    fn owned_mut(&mut self) -> &mut Option<OwnedResources>;
}
