//! OpenBaoCluster on machines: real kubelets run real pods, on a real PostgreSQL. One file a behaviour.

mod bao;
mod failover;
mod faults;
mod registers;
mod restore;
mod rollouts;
mod seals;
mod serving;

#[test]
#[ignore = "no test: what ends the cluster when the tests have ended"]
fn guardian() {
    steamer_testing::fleet::guard().unwrap();
}
