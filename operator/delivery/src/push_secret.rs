//! BaoPushSecret: keys of Secrets, and generated values, written to KV engines with the identity of the object.

mod apply;
mod controller;
mod deletion;
mod entry;
mod fetch;
mod keys;
mod missing;
mod observed;
mod origin;
mod pass;
mod permissions;
mod place;
mod plan;
mod problem;
mod release;
mod rotation;
mod selection;
mod status;
mod steps;
#[cfg(test)]
mod tests;
mod transformed;
mod unpushed;
mod validate;

pub(crate) use controller::Controller;
