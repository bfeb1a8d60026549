//! Tests of the whole operator against a real API server and a real OpenBao. One file per behavior.

mod admin;
mod admission;
mod budget;
mod connections;
mod contents;
mod deletion;
mod docs;
mod drift;
mod fixture;
mod leadership;
mod leaks;
mod openbao_outage;
mod operator_crash;
mod operator_rights;
mod pipelines;
mod random_policies;
mod references;
mod rig;
mod rotation;
mod samples;
mod server_faults;
mod settled;
mod static_secrets;
mod statuses;
mod tenancy;
