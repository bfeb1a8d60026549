//! General kinds: each object owns some resources at known paths of one OpenBao namespace, such as a policy or a mount. A kind
//! implements [`General`]: where its resources are, and their desired parameters. The rest is here: rights, comparison with
//! what OpenBao returns, record of ownership in `status.owned`, deletion.

mod body;
mod claims;
mod compare;
mod deleter;
mod deletion;
mod desired;
mod existing;
mod found;
mod home;
mod kind;
mod missing;
mod observed;
mod parameters;
mod plan;
mod provision;
mod readback;
mod receipt;
mod record;
mod requests;
mod resource;
mod seal;
mod site;

pub(crate) use body::{Body, Late};
pub(crate) use compare::differences;
pub(crate) use deletion::{delete, remove_recorded};
pub(crate) use found::Found;
pub(crate) use home::{Home, cluster, location};
pub(crate) use kind::General;
pub(crate) use parameters::{completed, merged, repeated, seconds, stated, time, typed, unstated};
pub(crate) use receipt::{Receipt, send};
pub(crate) use record::{check_location, footprint, located};
pub(crate) use requests::requests_of;
pub(crate) use resource::{FollowUp, Resource};
pub(crate) use seal::Seal;
pub(crate) use site::Site;
