//! Objects of Vault Secrets Operator (VSO) that Steamer serves. In memory, each one is an object of Steamer with the name of
//! the object of VSO: the parser of the watch converts it. The API server stores nothing but a status and annotations of it.

mod conversion;
mod facts;
mod form;
mod installed;
mod names;
mod object;
mod permission;
mod settings;
mod status;
#[cfg(test)]
mod tests;

pub use form::Form;
pub use installed::Installed;
pub use names::{Counterpart, GROUP, kind, parse};
pub use object::Served;
pub use settings::configure;
pub use status::translation;

pub(crate) use names::referred;
pub(crate) use permission::with_default;
