//! Behaviour: one folder a kind, and what several kinds share beside them.

mod access;
mod bao_auth;
mod bao_connection;
mod bao_static_secret;
mod context;
mod error;
mod installation;
mod jwt_issuer;
mod named_secrets;
mod openbao_cluster;
pub mod operator_policy;
mod ownership;
mod pipeline_policy;
pub mod pipelines;
mod references;
mod report;
mod secrets_project;
mod secrets_tenant;
mod service_accounts;
mod sessions;
mod start;
mod sync;

pub use start::{Settings, start};
