//! The engine of secret sync: what is wanted, what is seen, when to act, how to write. Kinds of secrets differ only in
//! how a value is fetched and when it is due.

pub(crate) mod decide;
pub(crate) mod destination;
pub(crate) mod mac;
pub(crate) mod merge;
pub(crate) mod observed;
pub(crate) mod readings;
pub(crate) mod wanted;
