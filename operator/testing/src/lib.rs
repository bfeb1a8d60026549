//! The test ground: real Kubernetes, OpenBao and PostgreSQL, with or without a container engine.
//!
//! Tests, `make run` and benchmarks use it. It is not part of the operator.

pub mod argocd;
pub mod audit;
pub mod cache;
pub mod certificates;
pub mod control_plane;
pub mod database;
pub mod demo;
pub mod durations;
pub mod fleet;
pub mod ground;
pub mod guide;
pub mod image;
pub mod installation;
pub mod issuer;
pub mod kstatus;
pub mod kubectl;
pub mod nodes;
pub mod objects;
pub mod oidc;
pub mod openbao;
pub mod operator;
pub mod pgbouncer;
pub mod pgp;
pub mod plain_http;
pub mod planes;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod registers;
pub mod relay;
pub mod seals;
pub mod search;
pub mod secure_postgres;
pub mod tools;
pub mod turns;
pub mod wait;

pub use fleet::Fleet;
pub use ground::Ground;
pub use steamer_cluster::operator_policy;
