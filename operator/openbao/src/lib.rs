//! Client for OpenBao that handles OpenBao's failure modes.
//!
//! A [`Client`] connects to any node of a server that answers. A [`Session`] is a client bound to one identity and one
//! OpenBao namespace, with a method for every endpoint. This crate does not depend on Kubernetes and never prints a
//! secret.

mod answer;
mod body;
pub mod circuit;
mod client;
mod denials;
mod endpoints;
mod error;
mod fault;
#[cfg(test)]
mod handshakes;
#[cfg(test)]
mod hostile;
mod identity;
mod json;
mod kv_write;
#[cfg(test)]
mod leaks;
mod login;
mod namespace;
mod outgoing;
#[cfg(test)]
mod presence;
#[cfg(test)]
mod proxies;
mod requests;
mod resolver;
mod roots;
mod session;
mod settings;
mod transport;
mod values;

pub use client::{Client, Observer};
pub use denials::Denials;
pub use endpoints::auth::{AuthMount, CelProgram, CelRole, CelVariable, JwtConfig, JwtKeys, JwtRole};
pub use endpoints::health::{Health, Leader, SealStatus};
pub use endpoints::kv::{CustomMetadata, Kv, KvConfig};
pub use endpoints::kv_entries::{KvMetadata, KvSettings, KvVersionChange, KvVersionState};
pub use endpoints::leases::{Issued, Lease};
pub use endpoints::mounts::{KvVersion, Mount, MountRequest};
pub use endpoints::namespaces::{Namespace, NamespaceDeletion};
pub use endpoints::pki::PkiRole;
pub use endpoints::policies::{Cas, Policy};
pub use endpoints::tokens::TokenInfo;
pub use error::{CredentialError, Deleted, Error};
pub use fault::Fault;
pub use identity::Identity;
pub use json::Malformed;
pub use kv_write::{AuditEntry, KvWrite, KvWrites};
pub use login::{Credential, Login, LoginKind, LoginState, OwnToken, Presentation, TokenLife};
pub use namespace::NamespacePath;
pub use outgoing::Outgoing;
pub use reqwest::Url;
pub use resolver::Resolver;
pub use session::Session;
pub use settings::{InvalidSetting, Settings};
pub use transport::{Post, Transport, certificates, joined_pem};
pub use values::{Json, Values};
