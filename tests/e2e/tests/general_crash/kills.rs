//! How often the operator was killed during a change of all objects, and between two writes for each of them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use steamer_testing::proxy::Asked;

use super::subjects::{START, Subject};
use crate::rig::Rig;

/// Kills of the operator by the fail point.
#[derive(Default)]
pub struct Kills {
    pub number: usize,
    /// Number of processes that have written for an object, by its name.
    processes: BTreeMap<String, usize>,
}

impl Kills {
    /// Counts the process that has ended. The gates have forgotten the requests of the processes before it.
    pub fn add(&mut self, rig: &Rig) {
        let seen = [rig.kubernetes.seen(), rig.openbao.seen()].concat();
        let names: BTreeSet<String> = seen.iter().filter_map(written_for).collect();
        for name in names {
            *self.processes.entry(name).or_default() += 1;
        }
    }

    /// Checks that the operator was killed at least so many times between two writes for each object. No process makes two counted
    /// writes for an object before it is complete, so that there is one process for each write, and a kill between two of them.
    pub fn check(&self, subjects: &[Subject], least: impl Fn(&Subject) -> usize) -> Result<()> {
        for subject in subjects {
            let processes = self.processes.get(subject.name).copied().unwrap_or_default();
            let (kills, least) = (processes.saturating_sub(1), least(subject));
            ensure!(kills >= least, "{} was interrupted {kills} times instead of {least}", subject.name);
        }
        Ok(())
    }
}

/// Name of the object for which a request writes, as the fail point counts it.
fn written_for(asked: &Asked) -> Option<String> {
    // The writes of a login to its own token do not count.
    if !asked.writes() || asked.path.ends_with("-self") {
        return None;
    }
    let place = format!("{}{}", asked.namespace, asked.path);
    let (_, rest) = place.split_once(START)?;
    let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
    Some(format!("{START}{name}"))
}

#[test]
fn a_write_belongs_to_the_first_name_of_its_place() {
    let asked = |method: &str, namespace: &str, path: &str| Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        namespace: namespace.to_owned(),
        body: Vec::<u8>::new().into(),
    };
    for (method, namespace, path, expected) in [
        ("POST", "", "/v1/sys/policies/acl/crashed-app-ops", Some("crashed-app")),
        ("POST", "", "/v1/database/static-roles/crashed-app.owner", Some("crashed-app")),
        ("POST", "crashed-group", "/v1/identity/group-alias", Some("crashed-group")),
        ("GET", "", "/v1/sys/policies/acl/crashed-app", None),
        ("POST", "crashed-group", "/v1/sys/capabilities-self", None),
        ("POST", "", "/v1/auth/userpass/users/secret-user", None),
        (
            "PATCH",
            "",
            "/apis/steamer.dev/v1alpha1/namespaces/x/baopolicies/crashed-app/status",
            Some("crashed-app"),
        ),
    ] {
        assert_eq!(written_for(&asked(method, namespace, path)).as_deref(), expected, "{path}");
    }
}
