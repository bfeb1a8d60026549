//! Endpoints of OpenBao, one file per family, as methods of [`crate::Session`].

pub(crate) mod auth;
pub(crate) mod health;
pub(crate) mod inventory;
pub(crate) mod kv;
pub(crate) mod kv_entries;
pub(crate) mod leases;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod pki;
pub(crate) mod policies;
pub(crate) mod tokens;
