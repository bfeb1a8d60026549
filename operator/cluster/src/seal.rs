//! The seal of a managed cluster: check, static keys, rotation, migration, recovery keys.

pub(crate) mod check;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod migration;
pub(crate) mod recovery;
pub(crate) mod rotation;
