//! How each node logs in to PostgreSQL: with fencing as a role of its own, a new one for each incarnation after a fence.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use steamer_core::digest::hex;
use steamer_core::error::Error;

use crate::children::ChildApi;
use crate::cluster::Cluster;
use crate::database::Database;
use crate::database::login::{password_of, user_of};
use crate::database::roles::{FenceNote, NodeRole, parse_role, role_name};
use crate::objects;
use crate::objects::stateful_set::postgresql_ca;

/// The database, as who owns the tables and as who makes roles.
#[derive(Clone, Copy)]
pub(crate) struct RoleAdmin<'a> {
    pub(crate) owner: &'a Database,
    pub(crate) admin: &'a Database,
    /// The cluster's mark on roles.
    pub(crate) mark: &'a str,
}

/// A password nobody has to type.
pub(crate) fn password() -> Result<SecretString, Error> {
    Ok(random_hex()?.into())
}

/// 32 random bytes in hex.
pub(crate) fn random_hex() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::Waiting("the system gives no random numbers".to_owned()))?;
    Ok(hex(&bytes))
}

/// Whether the Secret holds these entries and there is a role for each.
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

/// What the Secret says of a node.
pub(crate) fn entry(secret: Option<&Secret>, pod: &str) -> Option<String> {
    let value = secret?.data.as_ref()?.get(pod)?;
    String::from_utf8(value.0.clone()).ok()
}

/// The entries of all nodes as they should be. What a node's entry says already is kept while its role may log in.
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
                let (user, password) = match held.as_deref().and_then(|held| kept(cluster, held, roles)) {
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

/// The login that an entry holds, if it is a node's own and not a fenced one. Its role may have yet to be made.
fn kept(cluster: &Cluster, held: &str, roles: &[NodeRole]) -> Option<(String, SecretString)> {
    let (user, password) = (user_of(held)?, password_of(held)?);
    let own = user != cluster.owner.user && parse_role(user).is_some();
    let taken =
        roles.iter().any(|role| role.name == user && (!role.own || role.note.is_some() || !role.can_login));
    (own && !taken).then(|| (user.to_owned(), password.to_owned().into()))
}

/// A role that was never used.
pub(crate) fn next_role(cluster: &Cluster, ordinal: u32, roles: &[NodeRole]) -> String {
    let of_node = roles.iter().filter_map(|role| parse_role(&role.name)).filter(|(of, _)| *of == ordinal);
    let n = of_node.map(|(_, n)| n).max().map_or(1, |last| last + 1);
    role_name(&cluster.name.name, ordinal, n)
}

/// The Secret that pods mount.
pub(crate) fn secret(cluster: &Cluster, entries: &BTreeMap<String, String>) -> Secret {
    let mut data = entries.clone();
    if !cluster.owner.ca.is_empty() {
        data.insert("ca.crt".to_owned(), cluster.owner.ca.clone());
    }
    objects::secret::secret(cluster, "-postgresql", &data)
}

impl RoleAdmin<'_> {
    /// Makes the roles that entries name and that are not there yet; whether there were any.
    pub(crate) async fn make_roles(
        &self,
        entries: &BTreeMap<String, String>,
        roles: &[NodeRole],
    ) -> Result<bool, Error> {
        let mut made = false;
        for text in entries.values() {
            let (Some(user), Some(password)) = (user_of(text), password_of(text)) else { continue };
            if user == self.owner.login.user || roles.iter().any(|role| role.name == user) {
                continue;
            }
            self.make_role(user, &password.to_owned().into()).await?;
            made = true;
        }
        // Tables that were restored know no node.
        let users: Vec<String> =
            entries.values().filter_map(|text| user_of(text)).map(str::to_owned).collect();
        for user in self.owner.without_grants(&users).await? {
            self.owner.grant(&user).await?;
        }
        Ok(made)
    }

    async fn make_role(&self, role: &str, password: &SecretString) -> Result<(), Error> {
        self.admin.create_role(role, password, self.mark).await?;
        Ok(self.owner.grant(role).await?)
    }

    /// Keeps an incarnation of a node from ever writing again, and frees its lock. Every step can be repeated.
    pub(crate) async fn shut_out(&self, role: &str, note: &FenceNote) -> Result<(), Error> {
        self.admin.disable(role, self.mark, note).await?;
        self.carry_on(role, &note.lock).await
    }

    /// What is left of a fence after its first step.
    pub(crate) async fn carry_on(&self, role: &str, lock: &str) -> Result<(), Error> {
        // A login that was under way when the role lost the right shows at the second look.
        let mut quiet = 0;
        while quiet < 2 {
            quiet = if self.admin.end_sessions(role).await? == 0 { quiet + 1 } else { 0 };
        }
        if !lock.is_empty() {
            self.owner.delete_lock(lock).await?;
        }
        Ok(())
    }

    /// Gives a node its next role.
    pub(crate) async fn renew(
        &self,
        child_api: &ChildApi<'_>,
        cluster: &Cluster,
        ordinal: u32,
    ) -> Result<(), Error> {
        let roles = self.admin.node_roles(&cluster.name.name, self.mark).await?;
        let (role, password) = (next_role(cluster, ordinal, &roles), password()?);
        let pod = cluster.pod(i32::try_from(ordinal).unwrap_or(0));
        let text = cluster.owner.as_role(&role, password.expose_secret().to_owned().into());
        let text = text.service_file(&postgresql_ca());
        let patch = json!({"data": {pod: STANDARD.encode(text)}});
        let name = cluster.child("-postgresql");
        // First the Secret: a role that no Secret names would be made at each try while the API server is away.
        child_api.api::<Secret>().patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        self.make_role(&role, &password).await
    }

    /// Removes roles of incarnations that are long gone.
    pub(crate) async fn forget(&self, role: &str) -> Result<(), Error> {
        self.owner.revoke(role).await?;
        Ok(self.admin.drop_role(role).await?)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;
    use crate::tests::cluster;

    fn role(name: &str, fenced: bool) -> NodeRole {
        let note =
            fenced.then(|| FenceNote { since: 1, lock: "l".into(), uid: "u".into(), reason: "r".into() });
        NodeRole { name: name.to_owned(), own: true, can_login: !fenced, note }
    }

    fn users(entries: &BTreeMap<String, String>) -> Vec<&str> {
        entries.values().filter_map(|text| user_of(text)).collect()
    }

    fn as_secret(entries: &BTreeMap<String, String>) -> Secret {
        let data = entries.iter().map(|(pod, text)| (pod.clone(), ByteString(text.clone().into_bytes())));
        Secret { data: Some(data.collect()), ..Secret::default() }
    }

    #[test]
    fn every_node_has_a_role_of_its_own_and_keeps_it() {
        let first = entries(&cluster(), None, Some(&[])).unwrap();
        assert_eq!(users(&first), ["main_0_1", "main_1_1", "main_2_1"]);
        // Also before the role is made, and after.
        assert_eq!(entries(&cluster(), Some(&as_secret(&first)), Some(&[])).unwrap(), first);
        let made = [role("main_0_1", false), role("main_1_1", false), role("main_2_1", false)];
        assert_eq!(entries(&cluster(), Some(&as_secret(&first)), Some(&made)).unwrap(), first);
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

    #[test]
    fn a_role_of_another_cluster_of_the_name_is_left_alone() {
        let others = [NodeRole { own: false, ..role("main_0_1", false) }];
        assert_eq!(users(&entries(&cluster(), None, Some(&others)).unwrap())[0], "main_0_2");
    }

    #[test]
    fn without_a_login_that_makes_roles_all_share_one() {
        let shared = entries(&cluster(), None, None).unwrap();
        assert_eq!(users(&shared), ["bao", "bao", "bao"]);
    }
}
