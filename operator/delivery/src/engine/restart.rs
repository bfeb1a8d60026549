//! Restarts of workloads after a change of the Secret that they use. The stamp of the Secret contains the number of the last
//! change, the status the number for which all workloads were restarted, and an annotation of each workload the change that
//! it was restarted for. A restart is owed as long as the numbers differ, so that a crash at any point loses no restart and
//! repeats none.

mod batches;
mod consumers;
mod course;
mod marks;
mod outcome;
mod owed;
mod plan;
mod problem;
mod progress;
mod selection;
mod workload;

pub(super) use course::Restarts;
pub(super) use marks::Change;
pub(super) use outcome::{Condition, Outcome};
pub(super) use owed::Owed;
