//! Kind SecretTransformation: templates and filters that several objects share.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AllowedNamespaces, CommonStatus, SecretTemplate, SourceTemplate, rules};

/// Templates and filters for the keys of Secrets, which several objects share.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "SecretTransformation",
    plural = "secrettransformations",
    namespaced,
    status = "SecretTransformationStatus",
    shortname = "stf"
)]
#[serde(rename_all = "camelCase")]
pub struct SecretTransformationSpec {
    /// Templates by the key of the Secret that contains their result. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::TEMPLATE_KEYS)]
    pub templates: BTreeMap<String, SecretTemplate>,
    /// Templates that the templates of the referring object and of all its SecretTransformations can use. They are not
    /// written to a Secret. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub source_templates: Vec<SourceTemplate>,
    /// Regular expressions in Go's syntax, added to the `includes` of the referring object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub includes: Vec<String>,
    /// Regular expressions in Go's syntax, added to the `excludes` of the referring object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub excludes: Vec<String>,
    /// Namespaces whose objects may refer to this SecretTransformation. Default: only its own namespace.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
}

/// Observed state of a transformation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTransformationStatus {
    /// Fields of every kind.
    #[serde(flatten)]
    pub common: CommonStatus,
}
