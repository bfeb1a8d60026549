//! Conversion of the objects of Vault Secrets Operator (VSO) and External Secrets Operator (ESO) to objects of Steamer.
//!
//! [`objects`] reads documents, or [`live`] lists the objects of a cluster; [`convert`] returns the objects of Steamer and a
//! [`Report`] of everything that has no counterpart. A converter takes the fields of an object one by one; the fields that
//! remain are the report, so that no field is dropped silently. The report contains paths and types of fields, never values.
//!
//! A converted object takes over the Secret that VSO or ESO wrote without a change of its data. If a part of an object that
//! determines data cannot be converted, the converted object has `suspend: true`: it changes no Secret before it is reviewed.

mod consents;
mod conversion;
mod cursor;
mod draft;
mod eso;
mod input;
mod inventory;
mod leftovers;
mod live;
mod metadata;
mod origin;
mod output;
mod report;
mod schema;
mod secret_keys;
mod server;
mod settings;
mod task;
mod value;
mod vso;

#[cfg(test)]
mod tests;

pub use conversion::{Conversion, convert};
pub use input::{InputError, objects};
pub use live::{Live, LiveError, live};
pub use output::documents;
pub use report::{Finding, Report, Severity};
pub use schema::{Mistake, fitted, schema_of};
pub use settings::Settings;
