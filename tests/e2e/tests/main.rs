//! The whole operator against a real API server and a real OpenBao. One file a behaviour.

mod admission;
mod cases;
mod drift;
mod pipelines;
mod static_secrets;
mod tenancy;
