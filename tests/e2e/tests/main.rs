//! The whole operator against a real API server and a real OpenBao. One file a behaviour.

mod admin;
mod admission;
mod budget;
mod cases;
mod connections;
mod contents;
mod crash;
mod deletion;
mod docs;
mod drift;
mod leadership;
mod leaks;
mod operator_rights;
mod outage;
mod pipelines;
mod random_policies;
mod references;
mod rig;
mod rotation;
mod samples;
mod settled;
mod static_secrets;
mod statuses;
mod tenancy;
mod trouble;
