//! OpenBaoCluster on machines: real kubelets run real pods, on a real PostgreSQL. One file a behaviour.

mod audit;
mod bao;
mod book;
mod databases;
mod exposure;
mod failover;
mod faults;
mod figures;
mod keys;
mod outages;
mod people;
mod pods;
mod races;
mod registers;
mod restore;
mod rollouts;
mod seals;
mod serving;
mod wrong;

#[test]
#[ignore = "no test: what ends the cluster when the tests have ended"]
fn guardian() {
    steamer_testing::fleet::guard().unwrap();
}
