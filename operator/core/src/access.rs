//! Authentication: every way in which the operator and its users log in to OpenBao.

pub mod auth;
pub mod issuer;
pub mod keys;
pub mod managed;
pub mod named_secrets;
pub mod servers;
pub mod service_accounts;
pub mod sessions;
