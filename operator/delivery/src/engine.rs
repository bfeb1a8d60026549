//! The engine of all kinds that become Secrets. A kind implements [`Synced`]; its [`Source`] provides the value.

mod change;
mod claim;
mod content;
mod controller;
mod decide;
mod deletion;
mod destination;
mod document;
mod frame;
mod labels;
mod merge;
mod mounts;
mod nudges;
mod observed;
mod pace;
mod pass;
mod readings;
mod rendering;
mod repetition;
mod restart;
#[cfg(test)]
mod rivals;
mod schedule;
mod shared;
mod stamp;
mod state;
mod synced;
mod transformation;
mod validate;
mod workloads;

pub(crate) use controller::Controller;
pub(crate) use document::Document;
pub(crate) use readings::{Asked, Read, Reader, Request};
pub(crate) use schedule::Schedule;
pub(crate) use shared::Engine;
pub(crate) use stamp::{Held, request_digest};
pub(crate) use synced::{Common, Obtained, ReadAccess, Recorded, Source, Synced};
pub(crate) use transformation::{Definition, Program};
