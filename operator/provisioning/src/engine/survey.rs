//! What a pass without writes records to explain a missing right: the denied requests, and the server.

use steamer_api::{OpenBaoCluster, OpenBaoClusterSpec};
use steamer_core::Context;
use steamer_core::policy_lines::{Held, Needed};
use steamer_openbao::{Denials, NamespacePath, Session};
use steamer_runtime::Locked;

use crate::write::Request;

/// Record of a pass.
#[derive(Default)]
pub(crate) struct Survey {
    denials: Denials,
    /// Session in the root namespace of the cluster, and the spec of the cluster.
    place: Locked<Option<(Session, OpenBaoClusterSpec)>>,
}

impl Survey {
    /// A session for the pass: nothing exists for it where OpenBao denies it a request.
    pub(super) fn session(&self, session: &Session, cluster: &OpenBaoCluster) -> Session {
        self.place.lock().get_or_insert_with(|| (session.clone(), cluster.spec.clone()));
        session.tolerant(&self.denials)
    }

    /// The denied requests.
    pub(super) fn denied(&self) -> Vec<Request> {
        let request = |(method, path)| Request { method, path };
        self.denials.requests().into_iter().map(request).collect()
    }

    /// Root namespace of the cluster, from that of the server.
    pub(super) fn root(&self) -> NamespacePath {
        let place = self.place.lock();
        place.as_ref().map(|(session, _)| session.namespace().clone()).unwrap_or_default()
    }

    /// What the operator holds at the paths. If OpenBao does not answer that, what its generated policy has.
    pub(super) async fn held(&self, needed: &Needed, context: &Context) -> Held {
        let place = self.place.lock().clone();
        let Some((session, spec)) = place else {
            return Held::new();
        };
        let paths: Vec<String> = needed.keys().map(|path| below(session.namespace(), path)).collect();
        let held = match session.capabilities(&paths).await {
            Ok(held) => held,
            Err(_) => context.generated.held(&spec, &paths),
        };
        let of =
            |(path, below): (&String, &String)| (path.clone(), held.get(below).cloned().unwrap_or_default());
        needed.keys().zip(&paths).map(of).collect()
    }
}

/// A path of the server in the root namespace of a cluster.
fn below(root: &NamespacePath, path: &str) -> String {
    let inside = path.strip_prefix(root.as_str()).and_then(|rest| rest.strip_prefix('/'));
    inside.filter(|_| !root.is_root()).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::root("", "sys/mounts", "sys/mounts")]
    #[case::namespace("teams", "teams/sys/mounts", "sys/mounts")]
    #[case::similar("team", "teams/sys/mounts", "teams/sys/mounts")]
    fn a_path_is_asked_about_in_the_namespace_of_the_session(
        #[case] root: &str,
        #[case] path: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(below(&NamespacePath::new(root), path), expected);
    }
}
