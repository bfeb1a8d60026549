//! Checks of the operator's policy. For each line, OpenBao evaluates all policies of the login, so that a check of all lines is not
//! made in every reconcile.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use steamer_openbao::{Error, Session};
use steamer_runtime::write_limit::digest;
use steamer_runtime::{Locked, ObjectName};

use super::Rules;
use super::covered::DENY;
use super::missing::missing;

/// Time after which all lines are checked again.
const INTERVAL: Duration = Duration::from_secs(30);

/// Clusters in which the operator's policy was complete.
#[derive(Default)]
pub(crate) struct PolicyChecks(Locked<HashMap<ObjectName, Complete>>);

/// A check that found all lines.
struct Complete {
    /// Digest of the subject of the check.
    subject: u64,
    at: Instant,
}

/// What is checked: other lines, another spec or another server make another check necessary.
#[derive(Clone, Copy, Hash)]
pub(crate) struct Subject<'a> {
    pub(crate) needed: &'a Rules,
    /// Generation of the OpenBaoCluster.
    pub(crate) generation: Option<i64>,
    /// ID that the server reports.
    pub(crate) server: &'a str,
}

impl PolicyChecks {
    /// Lines that the operator needs and that the policy in OpenBao does not contain. If all lines were found a short time ago, only
    /// one is checked: it shows whether the operator can log in and has its policy.
    ///
    /// # Errors
    /// Any error of OpenBao.
    pub(crate) async fn missing(
        &self,
        cluster: &ObjectName,
        session: &Session,
        subject: Subject<'_>,
    ) -> Result<Vec<String>, Error> {
        if self.is_recent(cluster, subject, Instant::now()) {
            match missing(session, &probe(subject.needed)).await {
                Ok(lines) if lines.is_empty() => return Ok(lines),
                Ok(_) => {}
                Err(error) => {
                    self.forget(cluster);
                    return Err(error);
                }
            }
        }
        let result = missing(session, subject.needed).await;
        self.checked(cluster, subject, (Instant::now(), result.as_ref().is_ok_and(Vec::is_empty)));
        result
    }

    /// Discards the check of a cluster: its server may be another one.
    pub(crate) fn forget(&self, cluster: &ObjectName) {
        self.0.lock().remove(cluster);
    }

    fn is_recent(&self, cluster: &ObjectName, subject: Subject<'_>, now: Instant) -> bool {
        let checks = self.0.lock();
        let last = checks.get(cluster).filter(|last| last.subject == digest(&subject));
        last.is_some_and(|last| now.saturating_duration_since(last.at) < INTERVAL)
    }

    fn checked(&self, cluster: &ObjectName, subject: Subject<'_>, (at, is_complete): (Instant, bool)) {
        let mut checks = self.0.lock();
        checks.remove(cluster);
        if is_complete {
            checks.insert(cluster.clone(), Complete { subject: digest(&subject), at });
        }
    }
}

/// One line that a login without the policy lacks.
fn probe(needed: &Rules) -> Rules {
    let granted = needed.iter().find(|(_, capabilities)| capabilities.as_slice() != DENY);
    granted.map(|(path, capabilities)| (path.clone(), capabilities.clone())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str) -> Rules {
        Rules::from([(path.to_owned(), vec!["read"])])
    }

    #[test]
    fn a_login_without_the_policy_lacks_the_probe() {
        let mut needed = rules("b");
        needed.insert("a".to_owned(), DENY.to_vec());
        assert_eq!(probe(&needed), rules("b"));
    }

    #[test]
    fn all_lines_are_checked_again_after_some_time_and_after_each_change() {
        let (checks, now, lines, others) = (PolicyChecks::default(), Instant::now(), rules("a"), rules("b"));
        let needed = Subject { needed: &lines, generation: Some(1), server: "id" };
        let (name, other) = (ObjectName::new("openbao", "main"), ObjectName::new("openbao", "other"));
        assert!(!checks.is_recent(&name, needed, now));
        checks.checked(&name, needed, (now, true));
        assert!(checks.is_recent(&name, needed, now + INTERVAL / 2));
        assert!(!checks.is_recent(&name, needed, now + INTERVAL));
        assert!(!checks.is_recent(&other, needed, now), "another cluster");
        let changed = [
            Subject { needed: &others, ..needed },
            Subject { generation: Some(2), ..needed },
            Subject { server: "other", ..needed },
        ];
        assert!(!changed.into_iter().any(|subject| checks.is_recent(&name, subject, now)));
        checks.checked(&name, needed, (now, false));
        assert!(!checks.is_recent(&name, needed, now), "a line is missing");
        checks.checked(&name, needed, (now, true));
        checks.forget(&name);
        assert!(!checks.is_recent(&name, needed, now), "the server may be another one");
    }
}
