//! Kind ManagedSecret: one secret of a project, with its metadata, rotation and expiration.

mod status;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Generator, Lifecycle, Reference, SecretValueReference, rules};

pub use status::*;

/// Annotation of a ManagedSecret with a generated value: another value is generated whenever the annotation changes.
pub const ROTATE_ANNOTATION: &str = "steamer.dev/rotate";

/// One secret of a project: its metadata, the source of its value, rotation and expiration.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "steamer.dev",
    version = "v1alpha1",
    kind = "ManagedSecret",
    plural = "managedsecrets",
    namespaced,
    status = "ManagedSecretStatus",
    shortname = "msecret",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".status.version"),
    printcolumn(name = "Compliance", type_ = "string", json_path = ".status.compliance")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("!(has(self.branch) && has(self.protected))", "set branch for a secret of a project, or protected for a secret of a group, not both"))]
#[x_kube(validation = ("!has(self.rotation) || self.rotation.mode != 'Regenerate' || (has(self.valueFrom) && has(self.valueFrom.generate))", "rotation.mode: Regenerate requires valueFrom.generate: for every other source, use Remind"))]
#[x_kube(validation = ("!has(self.rollbackTo) || !has(self.rotation) || !self.rotation.destroyPrevious", "rollbackTo excludes rotation.destroyPrevious, which destroys the versions to roll back to"))]
pub struct ManagedSecretSpec {
    /// SecretsProject that contains the secret. Immutable.
    #[x_kube(validation = ("self == oldSelf", "projectRef is immutable: create another ManagedSecret"))]
    pub project_ref: Reference,
    /// Exact name of the secret. Immutable.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = ("self.matches('^[A-Za-z0-9_]+$')", "the name of a secret must consist of letters, digits and _ only; patterns and paths are not supported"))]
    #[x_kube(validation = ("self == oldSelf", "name is immutable, because policies contain it: create another ManagedSecret"))]
    pub name: String,
    /// Description of the secret, for people. At most 200 characters and 512 bytes. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = rules::SECRET_METADATA)]
    pub description: Option<String>,
    /// Environment that the secret is for, as metadata: a PipelinePolicy grants the access. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::SECRET_METADATA)]
    pub environment: Option<String>,
    /// Branch that the secret is for, as metadata: a PipelinePolicy grants the access. Only in a project with `scope: Project`.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = rules::SECRET_METADATA)]
    pub branch: Option<String>,
    /// Whether the secret is for protected branches only, as metadata: a PipelinePolicy grants the access. Only in a project
    /// with `scope: Group`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Source of the value. Default: a person or another client writes it, and Steamer never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
    /// Time from which no version of the secret can be read. Steamer deletes the versions without destroying them: a later time
    /// restores the value. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Number of versions to keep. It must not be below `maxVersions` of the engine of the project, which OpenBao always keeps.
    /// Default: as many as the engine of the project keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_versions: Option<i64>,
    /// Rotation of the value. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
    /// Version whose value is written again, once, as the latest version. While this field is set, the value does not follow
    /// its source. Steamer must be allowed to read the value: see the page of this kind. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rollback_to: Option<i64>,
    /// Lifecycle of the secret in OpenBao. With `deletionPolicy: Delete`, the secret is deleted with all its versions when this
    /// object is deleted.
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
}

/// Source of a value. Exactly one of `secretKeyRef` and `generate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.secretKeyRef) != has(self.generate)", "valueFrom requires exactly one of secretKeyRef and generate"))]
#[x_kube(validation = ("!has(self.generate) || !has(self.generate.passwordPolicy)", "passwordPolicy is not supported here, because Steamer may not use the password policies of a project: use password"))]
pub struct ValueFrom {
    /// Key of a Secret in the namespace of this object. Its value must be UTF-8. A Secret that Steamer writes is refused: its
    /// values would return to OpenBao. A change of the Secret is written immediately, and another value in OpenBao is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretValueReference>,
    /// Generates the value once, and again only for a rotation. A value that exists is kept. A key pair has its public key in
    /// the field `value.pub`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<Generator>,
}

/// Rotation of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// Age at which the value is due for rotation. Minimum: 168h (7 days).
    #[x_kube(validation = ("duration(self) >= duration('168h')", "rotation.interval must be at least 168h (7 days)"))]
    pub interval: Duration,
    /// What happens then. `Remind`: `Ready` has the reason `RotationDue` until another value is written. `Regenerate`: another
    /// value is generated. Default: `Remind`.
    #[serde(default)]
    pub mode: RotationMode,
    /// `true` destroys all versions before the current one, also versions of other clients, but none in the pass that adopts the
    /// secret. They remain readable otherwise. Default: `false`.
    #[serde(default)]
    pub destroy_previous: bool,
}

/// What happens when a value is due for rotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationMode {
    /// It is reported.
    #[default]
    Remind,
    /// Another value is generated.
    Regenerate,
}
