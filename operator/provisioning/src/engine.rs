//! The engine of all kinds that create resources in OpenBao. A kind implements [`Provision`]: what it refers to, its
//! desired state, its state in OpenBao, and the difference. The engine does the rest: finalizer, `suspend`,
//! `mode: Observe`, claims, adoption, ordered writes, drift, deletion with a deadline, orphans, revoked rights.

mod claims;
mod controller;
mod course;
mod deletion;
mod orphans;
mod pass;
mod prepared;
mod provision;
mod removal;
mod repairs;
mod rights;
mod status;
mod subject;
mod survey;
mod unprivileged;

pub(crate) use claims::may_claim;
pub(crate) use controller::Controller;
pub(crate) use course::AFTER_EXPIRATION;
pub(crate) use pass::{Lookup, Pass};
pub(crate) use provision::{Memory, Provision, Setting};
pub(crate) use removal::{Footprint, Removal};
pub(crate) use rights::{Hold, Rights};
pub(crate) use subject::Subject;
