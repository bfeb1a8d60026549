//! BaoPushSecret: keys of a Secret, and generated values, written to KV engines with the identity of the object.

mod apply;
mod controller;
mod deletion;
mod entry;
mod fetch;
mod generate;
mod observed;
mod pass;
mod permissions;
mod place;
mod plan;
mod problem;
mod release;
mod rotation;
mod status;
#[cfg(test)]
mod tests;
mod transformed;
mod validate;

pub(crate) use controller::Controller;
