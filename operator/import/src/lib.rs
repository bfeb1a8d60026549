//! Import of an existing OpenBao or Vault: manifests for the resources that it contains.
//!
//! [`live`] reads a running server, and [`terraform`] a Terraform state. [`manifests`] returns the objects of Steamer for the
//! resources, and a [`Report`] of what is not imported. The objects adopt the resources: their specs state what OpenBao
//! returns, so that Steamer has nothing to write. Parameters with their default value are left out.
//!
//! No path with values of secrets is read, and of an authority only its certificate. Secret parameters of a Terraform state
//! are left out and reported by name.

mod bindings;
mod certificates;
mod common;
mod configs;
mod defaults;
mod findings;
mod inventory;
mod issuers;
mod live;
mod manifests;
mod masking;
mod names;
mod owner;
mod prepared;
mod refusals;
mod resource;
mod roles;
mod schema;
mod settings;
mod shapes;
mod spec;
mod tables;
mod terraform;

#[cfg(test)]
mod tests;

pub use inventory::Inventory;
pub use live::live;
pub use manifests::{Import, manifests};
pub use settings::Settings;
pub use steamer_convert::{Finding, Report, Severity};
pub use terraform::{TerraformError, terraform};
