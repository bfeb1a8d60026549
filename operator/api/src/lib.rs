//! The Kubernetes API of Steamer: group `steamer.dev`, version `v1alpha1`.
//!
//! Types only: what a user may write and what a status says. Nothing here reads or writes anything.

mod bao_auth;
mod bao_connection;
mod bao_static_secret;
mod common;
mod duration;
mod jwt_issuer;
mod openbao_cluster;
mod pipeline_policy;
mod schema;
mod secrets_project;
mod secrets_tenant;

pub use bao_auth::*;
pub use bao_connection::*;
pub use bao_static_secret::*;
pub use common::*;
pub use duration::Duration;
pub use jwt_issuer::*;
pub use openbao_cluster::*;
pub use pipeline_policy::*;
pub use schema::definitions;
pub use secrets_project::*;
pub use secrets_tenant::*;

/// The API group of every kind.
pub const GROUP: &str = "steamer.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// Kept on objects whose state in OpenBao has to be removed before they go.
pub const FINALIZER: &str = "steamer.dev/openbao";
/// Any new value of this annotation makes a full pass now.
pub const RECONCILE_ANNOTATION: &str = "steamer.dev/reconcile";
