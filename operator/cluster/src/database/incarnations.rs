//! The roles of nodes in PostgreSQL: with fencing every node has its own, and a new one after each fence.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use steamer_core::digest::random_hex;
use steamer_core::error::Error;

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::database::login::{password_of, user_of};
use crate::database::roles::{FenceNote, NodeRole, parse_role, role_name};
use crate::database::{Database, DatabaseError};
use crate::objects;
use crate::objects::stateful_set::postgresql_ca;

/// The two logins that manage node roles: table owner and role creator.
#[derive(Clone, Copy)]
pub(crate) struct RoleAdmin<'a> {
    pub(crate) owner: &'a Database,
    pub(crate) admin: &'a Database,
    /// Mark of the cluster on its roles.
    pub(crate) mark: &'a str,
}

/// A random password.
fn password() -> Result<SecretString, Error> {
    Ok(random_hex()?.into())
}

/// Returns true if the Secret contains these entries and a role exists for each.
pub(crate) fn in_force(
    entries: &BTreeMap<String, String>,
    secret: Option<&Secret>,
    roles: &[NodeRole],
) -> bool {
    entries.iter().all(|(pod, text)| {
        let made = user_of(text).is_some_and(|user| roles.iter().any(|role| role.name == user));
        made && entry(secret, pod).as_ref() == Some(text)
    })
}

/// The users of these entries that are among these roles.
pub(crate) fn users_among(entries: &BTreeMap<String, String>, roles: &[String]) -> Vec<String> {
    let users: Vec<&str> = entries.values().filter_map(|text| user_of(text)).collect();
    roles.iter().filter(|role| users.contains(&role.as_str())).cloned().collect()
}

/// The entry of a node in the Secret.
pub(crate) fn entry(secret: Option<&Secret>, pod: &str) -> Option<String> {
    let value = secret?.data.as_ref()?.get(pod)?;
    String::from_utf8(value.0.clone()).ok()
}

/// Desired entries of all nodes. An existing entry is kept while its role may log in.
pub(crate) fn entries(
    cluster: &Cluster,
    secret: Option<&Secret>,
    roles: Option<&[NodeRole]>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut all = BTreeMap::new();
    for ordinal in 0..cluster.spec.replicas {
        let pod = cluster.pod(ordinal);
        let held = entry(secret, &pod);
        let text = match roles {
            None => cluster.owner.service_file(&postgresql_ca()),
            Some(roles) => {
                let ordinal = u32::try_from(ordinal).unwrap_or(0);
                let (user, password) =
                    match held.as_deref().and_then(|held| kept((cluster, &pod), held, roles)) {
                        Some(kept) => kept,
                        None => (next_role(cluster, ordinal, roles), password()?),
                    };
                cluster.owner.as_role(&user, password).service_file(&postgresql_ca())
            }
        };
        all.insert(pod, text);
    }
    Ok(all)
}

/// The login of the entry of a pod, if it is a node role that is not fenced. The role may not exist yet. A node that a user
/// fenced keeps its blocked login.
fn kept((cluster, pod): (&Cluster, &str), held: &str, roles: &[NodeRole]) -> Option<(String, SecretString)> {
    let (user, password) = (user_of(held)?, password_of(held)?);
    let own = user != cluster.owner.user && parse_role(user).is_some();
    let requested = |role: &NodeRole| role.note.as_ref().is_some_and(FenceNote::is_requested);
    let is_kept = |role: &NodeRole| cluster.fence.as_deref() == Some(pod) && requested(role);
    let is_usable = |role: &NodeRole| role.own && (is_kept(role) || role.note.is_none() && role.can_login);
    let taken = roles.iter().any(|role| role.name == user && !is_usable(role));
    (own && !taken).then(|| (user.to_owned(), password.to_owned().into()))
}

/// Returns true if Steamer can add the timeouts that a role lacks.
fn lacks_timeouts(role: &NodeRole) -> bool {
    role.own && role.can_login && role.may_change && !role.has_timeouts
}

/// Name of a role that was never used.
fn next_role(cluster: &Cluster, ordinal: u32, roles: &[NodeRole]) -> String {
    let of_node = roles.iter().filter_map(|role| parse_role(&role.name)).filter(|(of, _)| *of == ordinal);
    let n = of_node.map(|(_, n)| n).max().map_or(1, |last| last + 1);
    role_name(cluster.name(), ordinal, n)
}

/// The Secret that pods mount.
pub(crate) fn secret(cluster: &Cluster, entries: &BTreeMap<String, String>) -> Secret {
    let mut data = entries.clone();
    if !cluster.owner.ca.is_empty() {
        data.insert("ca.crt".to_owned(), cluster.owner.ca.clone());
    }
    objects::secret::secret(cluster, &cluster.logins_secret(), &data)
}

impl RoleAdmin<'_> {
    /// Creates the missing roles of these entries, and grants missing rights.
    pub(crate) async fn create_roles(
        &self,
        entries: &BTreeMap<String, String>,
        roles: &[NodeRole],
    ) -> Result<(), Error> {
        for text in entries.values() {
            let (Some(user), Some(password)) = (user_of(text), password_of(text)) else { continue };
            if user == self.owner.login.user || roles.iter().any(|role| role.name == user) {
                continue;
            }
            self.create_role(user, &password.to_owned().into()).await?;
        }
        self.set_timeouts(roles).await?;
        let users: Vec<String> =
            entries.values().filter_map(|text| user_of(text)).map(str::to_owned).collect();
        self.grant(&self.owner.without_grants(&users).await?).await
    }

    /// Grants roles the rights of a node, for example after a restore: restored tables have no grants.
    pub(crate) async fn grant(&self, roles: &[String]) -> Result<(), Error> {
        for role in roles {
            self.owner.grant(role).await?;
        }
        Ok(())
    }

    /// Adds missing timeouts. A refusal must not block a reconcile: OpenBao works without them.
    pub(crate) async fn set_timeouts(&self, roles: &[NodeRole]) -> Result<(), Error> {
        for NodeRole { name, .. } in roles.iter().filter(|role| lacks_timeouts(role)) {
            match self.admin.set_timeouts(name).await {
                Err(error @ DatabaseError::Statement { .. }) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(role = name, error, "cannot set the timeouts of the role of a node");
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn create_role(&self, role: &str, password: &SecretString) -> Result<(), Error> {
        self.admin.create_role(role, password, self.mark).await?;
        Ok(self.owner.grant(role).await?)
    }

    /// Gives a node a new role.
    pub(crate) async fn renew(
        &self,
        child_api: &ChildApi<'_>,
        cluster: &Cluster,
        ordinal: u32,
    ) -> Result<(), Error> {
        let roles = self.admin.node_roles(cluster.name(), self.mark).await?;
        let (role, password) = (next_role(cluster, ordinal, &roles), password()?);
        let pod = cluster.pod(i32::try_from(ordinal).unwrap_or(0));
        let text = cluster.owner.as_role(&role, password.expose_secret().to_owned().into());
        let text = text.service_file(&postgresql_ca());
        let patch = json!({"data": {pod: STANDARD.encode(text)}});
        let name = cluster.logins_secret();
        // The Secret is first: otherwise each attempt would leave a role while the API server is unreachable.
        child_api.api::<Secret>().patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        self.create_role(&role, &password).await
    }

    /// Ends the sessions of an obsolete incarnation, and drops its role.
    pub(crate) async fn drop_role(&self, role: &str) -> Result<(), Error> {
        self.admin.end_sessions(role).await?;
        self.owner.revoke(role).await?;
        Ok(self.admin.drop_role(role).await?)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use rstest::rstest;

    use super::*;
    use crate::database::roles::requested;
    use crate::tests::cluster;

    fn role(name: &str, fenced: bool) -> NodeRole {
        let note =
            fenced.then(|| FenceNote { since: 1, lock: "l".into(), uid: "u".into(), reason: "r".into() });
        NodeRole {
            name: name.to_owned(),
            own: true,
            can_login: !fenced,
            may_change: true,
            has_timeouts: true,
            note,
        }
    }

    fn users(entries: &BTreeMap<String, String>) -> Vec<&str> {
        entries.values().filter_map(|text| user_of(text)).collect()
    }

    fn as_secret(entries: &BTreeMap<String, String>) -> Secret {
        let data = entries.iter().map(|(pod, text)| (pod.clone(), ByteString(text.clone().into_bytes())));
        Secret { data: Some(data.collect()), ..Secret::default() }
    }

    #[test]
    fn every_node_has_its_own_role_and_keeps_it() {
        let first = entries(&cluster(), None, Some(&[])).unwrap();
        assert_eq!(users(&first), ["main_0_1", "main_1_1", "main_2_1"]);
        // Both before and after the role is created.
        assert_eq!(entries(&cluster(), Some(&as_secret(&first)), Some(&[])).unwrap(), first);
        let made = [role("main_0_1", false), role("main_1_1", false), role("main_2_1", false)];
        assert_eq!(entries(&cluster(), Some(&as_secret(&first)), Some(&made)).unwrap(), first);
    }

    #[test]
    fn only_roles_that_nodes_use_get_rights() {
        let entries = entries(&cluster(), None, Some(&[])).unwrap();
        let roles = ["main_1_1".to_owned(), "main_1_9".to_owned()];
        assert_eq!(users_among(&entries, &roles), ["main_1_1"]);
    }

    #[test]
    fn a_fenced_role_is_never_used_again() {
        let first = entries(&cluster(), None, Some(&[])).unwrap();
        let roles = [
            role("main_0_1", false),
            role("main_1_1", true),
            role("main_1_2", true),
            role("main_2_1", false),
        ];
        let next = entries(&cluster(), Some(&as_secret(&first)), Some(&roles)).unwrap();
        assert_eq!(users(&next), ["main_0_1", "main_1_3", "main_2_1"]);
    }

    #[rstest]
    #[case::in_force(Some("main-1"), requested(None), "main_1_1")]
    #[case::annotation_removed(None, requested(None), "main_1_2")]
    #[case::of_another_pod(Some("main-2"), requested(None), "main_1_2")]
    #[case::fence_of_a_lost_leader(Some("main-1"), "it hangs".to_owned(), "main_1_2")]
    fn only_a_requested_fence_of_the_named_pod_keeps_its_login(
        #[case] fence: Option<&str>,
        #[case] reason: String,
        #[case] expected: &str,
    ) {
        let first = entries(&cluster(), None, Some(&[])).unwrap();
        let cluster = Cluster { fence: fence.map(str::to_owned), ..cluster() };
        let mut fenced = role("main_1_1", true);
        fenced.note = fenced.note.map(|note| FenceNote { reason, ..note });
        let next = entries(&cluster, Some(&as_secret(&first)), Some(&[fenced])).unwrap();
        assert_eq!(users(&next), ["main_0_1", expected, "main_2_1"]);
    }

    #[test]
    fn a_role_of_another_cluster_of_the_same_name_is_not_used() {
        let others = [NodeRole { own: false, ..role("main_0_1", false) }];
        assert_eq!(users(&entries(&cluster(), None, Some(&others)).unwrap())[0], "main_0_2");
    }

    #[test]
    fn timeouts_are_added_only_to_a_role_that_the_admin_may_change() {
        let lacking = NodeRole { has_timeouts: false, ..role("main_0_1", false) };
        assert!(lacks_timeouts(&lacking));
        assert!(!lacks_timeouts(&NodeRole { may_change: false, ..lacking.clone() }));
        assert!(!lacks_timeouts(&NodeRole { own: false, ..lacking.clone() }));
        assert!(!lacks_timeouts(&NodeRole { has_timeouts: true, ..lacking }));
        assert!(!lacks_timeouts(&NodeRole { has_timeouts: false, ..role("main_0_1", true) }));
    }

    #[test]
    fn without_an_admin_login_all_nodes_share_one_login() {
        let shared = entries(&cluster(), None, None).unwrap();
        assert_eq!(users(&shared), ["bao", "bao", "bao"]);
    }
}
