//! Tests of managed OpenBaoClusters: real kubelets run real pods, on a real PostgreSQL. One file per behavior.

mod administrators;
mod audit;
mod bao;
mod break_glass;
mod crash_points;
mod databases;
mod dependency_outages;
mod exposure;
mod failover;
mod faults;
mod homelab;
mod invalid_specs;
mod keys;
mod ldap;
mod leader_election_races;
mod monitoring;
mod operations_page;
mod performance;
mod pods;
mod registers;
mod repairs;
mod requested_fences;
mod restore;
mod rollouts;
mod seals;
mod self_healing;
mod serving;
mod standby_reads;

#[test]
#[ignore = "not a test: the helper process that removes the cluster when the test process exits"]
fn guardian() {
    steamer_testing::fleet::guard().unwrap();
}
