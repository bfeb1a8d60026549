//! Context and rules of all controllers: what they share, how they log in to OpenBao (`access`), which object owns a
//! resource and how its life ends (`ownership`), and every name in OpenBao (`layout`).

pub mod access;
mod api_server;
pub mod census;
pub mod certificates;
pub mod cluster_namespaces;
pub mod context;
pub mod digest;
pub mod error;
pub mod generated_policy;
pub mod generators;
pub mod layout;
pub mod mac;
pub mod ownership;
pub mod policy_lines;
pub mod references;
pub mod report;
pub mod served;
pub mod stops;
pub mod stores;
pub mod tasks;
pub mod urgent;
pub mod windows;
pub mod writes;

pub use context::Context;
pub use error::Error;
pub use stores::Stores;
