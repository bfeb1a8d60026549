//! Authentication: every way in which the operator and its users log in to OpenBao.

pub mod api_audiences;
pub mod audiences;
pub mod auth;
pub mod cloud;
mod connections;
pub mod consent;
mod credentials;
mod defaults;
mod effective;
pub mod issuer;
pub mod keys;
pub mod managed;
mod merge;
pub mod methods;
pub mod named_objects;
pub mod observation;
pub mod public_key;
mod receivers;
mod reused;
pub mod rivals;
pub mod server_audience;
pub mod servers;
pub mod service_accounts;
pub mod sessions;
pub mod token_requests;
pub mod transports;
mod workload;
