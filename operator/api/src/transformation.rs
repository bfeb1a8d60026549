//! Transformation of a value: templates and filters for the keys of a Secret.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::common::yes;
use crate::{Reference, rules};

/// Templates and filters for the keys of a Secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transformation {
    /// Templates by the key of the Secret that contains their result. A template replaces a key of the value with the same
    /// name. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = rules::TEMPLATE_KEYS)]
    pub templates: BTreeMap<String, SecretTemplate>,
    /// Templates whose result is a YAML mapping of texts: each of its keys is a key of the Secret. A key of `templates` has
    /// precedence. The keys can depend on the value: `{{ range $key, $value := .Secrets }}app_{{ $key }}: {{ $value | quote }}`.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub keys_and_values: Vec<SourceTemplate>,
    /// Templates of labels of the Secret, by the key of the label. Everybody who lists Secrets can read a label. The
    /// result must be the value of a label. Ignored with `create: false`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(validation = rules::KEYS, validation = rules::SECRET_KEYS)]
    pub labels: BTreeMap<String, String>,
    /// Templates of annotations of the Secret, by the key of the annotation. The results have at most 64 KiB together.
    /// Ignored with `create: false`. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 65536}))]
    #[x_kube(validation = rules::KEYS, validation = rules::SECRET_KEYS)]
    pub annotations: BTreeMap<String, String>,
    /// SecretTransformations to use, in order. A key that `templates` or an earlier reference defines is not replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub transformation_refs: Vec<TransformationRef>,
    /// Regular expressions in Go's syntax. Only keys of the value that match one of them are written. They do not apply to
    /// templates. Default: all keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub includes: Vec<String>,
    /// Regular expressions in Go's syntax. Keys of the value that match one of them are not written, even if `includes`
    /// matches. `.*` excludes all keys. They do not apply to templates. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub excludes: Vec<String>,
    /// `false` adds the key `_raw`: the whole answer of the KV engine as JSON, with `data` and `metadata` for `kv-v2`. The
    /// filters do not apply to it. Default: `true`.
    #[serde(default = "yes")]
    pub exclude_raw: bool,
}

/// Template of one key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Name of the template in messages and for the action `template`. Default: its key, or
    /// `<namespace>/<SecretTransformation>/<key>` in a SecretTransformation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Text of the template: Go's `text/template` with the functions of Vault Secrets Operator. Input: `.Secrets` (the
    /// value), `.Metadata` (of the version, `kv-v2` only), `.Annotations` and `.Labels` (of the object).
    #[schemars(length(max = 65536))]
    pub text: String,
}

/// Template that other templates use with the action `template`. It has no key in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceTemplate {
    /// Name of the template. Default: `<namespace>/<SecretTransformation>/<position>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Text of the template, which can contain several `define` actions.
    #[schemars(length(max = 65536))]
    pub text: String,
}

/// Reference to a SecretTransformation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransformationRef {
    /// Name of the SecretTransformation.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Namespace of the SecretTransformation. Default: the namespace of the referring object. A SecretTransformation in
    /// another namespace must allow the reference in its `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Templates to write. Default: all `templates` of the SecretTransformation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub template_refs: Vec<TemplateRef>,
    /// `true` does not use the `includes` of the SecretTransformation. Default: `false`.
    #[serde(default)]
    pub ignore_includes: bool,
    /// `true` does not use the `excludes` of the SecretTransformation. Default: `false`.
    #[serde(default)]
    pub ignore_excludes: bool,
}

impl TransformationRef {
    /// Returns the reference without its templates and filters.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference { name: self.name.clone(), namespace: self.namespace.clone() }
    }
}

/// Reference to a template of a SecretTransformation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// Key of the template in `templates` of the SecretTransformation.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key of the Secret that contains the result. Default: `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::KEY_OVERRIDE)]
    pub key_override: Option<String>,
}
