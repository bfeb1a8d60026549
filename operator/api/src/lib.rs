//! The Kubernetes API of Steamer: group `steamer.dev`, version `v1alpha1`.
//!
//! Contains only types: specs and statuses. No code here performs I/O.

mod auth_method;
mod auth_methods;
mod bao_auth;
mod bao_auth_global;
mod bao_auth_role;
mod bao_connection;
mod bao_dynamic_secret;
mod bao_namespace;
mod bao_pki_secret;
mod bao_policy;
mod bao_push_secret;
mod bao_rate_limit_quota;
mod bao_static_secret;
mod cluster_bao_static_secret;
mod common;
mod database_connection;
mod database_role;
mod duration;
mod generator;
mod identity_group;
#[cfg(test)]
mod input;
mod jwt_issuer;
mod kind;
mod managed_secret;
mod mount;
mod namespace_selection;
mod openbao_cluster;
mod pipeline_policy;
mod pki_issuer;
mod pki_role;
mod placement;
pub mod rules;
mod schema;
mod secret_engine;
mod secret_source;
mod secret_transformation;
mod secrets_app;
mod secrets_project;
mod secrets_tenant;
mod status;
mod sync_window;
mod transformation;
mod transit_key;
mod user_policy;
mod workload_restarts;

pub use auth_method::*;
pub use auth_methods::*;
pub use bao_auth::*;
pub use bao_auth_global::*;
pub use bao_auth_role::*;
pub use bao_connection::*;
pub use bao_dynamic_secret::*;
pub use bao_namespace::*;
pub use bao_pki_secret::*;
pub use bao_policy::*;
pub use bao_push_secret::*;
pub use bao_rate_limit_quota::*;
pub use bao_static_secret::*;
pub use cluster_bao_static_secret::*;
pub use common::*;
pub use database_connection::*;
pub use database_role::*;
pub use duration::{BoundedDuration, Duration, LongDuration};
pub use generator::*;
pub use identity_group::*;
pub use jwt_issuer::*;
pub use kind::{HasLifecycle, Kind, KindId, Property, Referable};
pub use managed_secret::*;
pub use mount::*;
pub use namespace_selection::*;
pub use openbao_cluster::*;
pub use pipeline_policy::*;
pub use pki_issuer::*;
pub use pki_role::*;
pub use placement::*;
pub use rules::{is_no_auth_path, is_no_engine_path};
pub use schema::definitions;
pub use secret_engine::*;
pub use secret_source::*;
pub use secret_transformation::*;
pub use secrets_app::*;
pub use secrets_project::*;
pub use secrets_tenant::*;
pub use status::*;
pub use sync_window::*;
pub use transformation::*;
pub use transit_key::*;
pub use user_policy::*;
pub use workload_restarts::*;

/// API group of every kind.
pub const GROUP: &str = "steamer.dev";
/// The only served version.
pub const VERSION: &str = "v1alpha1";
/// Finalizer of objects with state in OpenBao that must be removed before deletion.
pub const FINALIZER: &str = "steamer.dev/openbao";
/// Annotation that triggers a full reconcile whenever its value changes.
pub const RECONCILE_ANNOTATION: &str = "steamer.dev/reconcile";

/// Annotation of a BaoStaticSecret with the ID of a recreated mount: values that are missing in it count as deleted.
pub const ACCEPT_MOUNT_ANNOTATION: &str = "steamer.dev/accept-mount";
