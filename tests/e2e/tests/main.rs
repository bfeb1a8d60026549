//! The whole operator against a real API server and a real OpenBao. One file a behaviour.

mod admission;
mod cases;
mod static_secrets;
