//! ClusterBaoStaticSecret: keeps a BaoStaticSecret in each selected namespace. The BaoStaticSecrets do the rest, with the
//! logins of their namespaces.

mod child;
mod controller;
mod outcome;
mod preview;
mod step;

pub(crate) use controller::Controller;
