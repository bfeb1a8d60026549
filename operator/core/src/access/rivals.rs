//! Rivals: OpenBaoClusters of other namespaces that name the server, or the audience, of an external cluster.
//!
//! A cluster that was in conflict about an audience stays in conflict when the holder of the audience is deleted: the server
//! of the holder still accepts the audience, and the holder may be recreated. The status of the waiting cluster records the
//! holder. Nothing records an audience of a deleted cluster that no other cluster claimed: the next cluster obtains it.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{AudienceHolder, OpenBaoCluster, Referable};
use steamer_runtime::ObjectName;

use super::server_audience::{has_default_audience, server_audience};
use crate::references::seniority;

/// A cluster whose login is checked.
pub struct Claim<'a> {
    /// The cluster.
    pub cluster: &'a OpenBaoCluster,
    /// Cluster ID that its external server reports. Empty for a managed cluster, which can have a copy of the data.
    pub cluster_id: &'a str,
    /// Labels of its namespace.
    pub labels: &'a BTreeMap<String, String>,
    /// Returns true if OpenBaoClusters are honored in the namespace of a cluster.
    pub is_honored: &'a dyn Fn(&OpenBaoCluster) -> bool,
}

/// A conflict with another cluster.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The cluster that had the audience first, for the status.
    pub holder: Option<AudienceHolder>,
    /// Names the other cluster, and the necessary change.
    pub message: String,
}

impl Claim<'_> {
    /// Checks that a login of the operator can be of use only to the server that its audience identifies, and only to
    /// namespaces that this server's cluster allows.
    ///
    /// # Errors
    /// [`Conflict`] names the other cluster.
    pub fn check(&self, others: &[Arc<OpenBaoCluster>]) -> Result<(), Conflict> {
        let audience = server_audience(self.cluster);
        if let Some(former) = recorded(self.cluster, &audience) {
            self.recorded(former, others)?;
        }
        let holds = |other: &OpenBaoCluster| {
            server_audience(other) == audience && recorded(other, &audience).is_none()
        };
        if let Some(holder) = self.holder(others, holds) {
            self.audience(holder)?;
        }
        let id = self.cluster_id;
        let runs_it = |other: &OpenBaoCluster| !id.is_empty() && cluster_id(other) == id;
        self.holder(others, runs_it).map_or(Ok(()), |holder| self.server(holder))
    }

    /// The first of the clusters, if it belongs to another namespace. Only the first one counts: a cluster that is itself
    /// in conflict cannot exclude others.
    fn holder<'o>(
        &self,
        others: &'o [Arc<OpenBaoCluster>],
        holds: impl Fn(&OpenBaoCluster) -> bool,
    ) -> Option<&'o OpenBaoCluster> {
        let first = others
            .iter()
            .filter(|other| (self.is_honored)(other) && holds(other))
            .min_by_key(|other| rank(other))?;
        let in_other_namespace = first.namespace() != self.cluster.namespace();
        (in_other_namespace && rank(first) < rank(self.cluster)).then_some(&**first)
    }

    /// Checks the holder of an earlier conflict. It precedes this cluster also after it was recreated.
    fn recorded(&self, former: &AudienceHolder, others: &[Arc<OpenBaoCluster>]) -> Result<(), Conflict> {
        match others.iter().find(|other| ObjectName::of(&***other).to_string() == former.cluster) {
            Some(other) if !(self.is_honored)(other) || server_audience(other) != former.audience => Ok(()),
            Some(other) => self.audience(other),
            None => Err(Conflict {
                message: format!(
                    "audience `{}` identified the server of OpenBaoCluster {}, which was deleted while this object claimed \
                     its audience: choose another audience, and bind it in the role of the operator; or recreate this object \
                     if the audience identifies its server now",
                    former.audience, former.cluster
                ),
                holder: Some(former.clone()),
            }),
        }
    }

    fn audience(&self, other: &OpenBaoCluster) -> Result<(), Conflict> {
        let audience = server_audience(self.cluster);
        let theirs = addresses(other);
        let is_same_server = addresses(self.cluster).iter().all(|address| theirs.contains(address));
        if audience != server_audience(other) || is_same_server {
            return Ok(());
        }
        let name = ObjectName::of(other);
        let message = format!(
            "audience `{audience}` identifies the server of OpenBaoCluster {name}, which has another address: choose another \
             audience, and bind it in the role of the operator"
        );
        Err(Conflict { message, holder: Some(AudienceHolder { cluster: name.to_string(), audience }) })
    }

    fn server(&self, other: &OpenBaoCluster) -> Result<(), Conflict> {
        let own = self.cluster.namespace().unwrap_or_default();
        let namespace = other.namespace().unwrap_or_default();
        if other.allowed_namespaces().allow(&namespace, &own, self.labels) {
            return Ok(());
        }
        let name = ObjectName::of(other);
        let message = format!(
            "the server is the one of OpenBaoCluster {name}, which does not allow namespace {own}: refer to {name}, and add \
             the namespace to its allowedNamespaces"
        );
        Err(Conflict { message, holder: None })
    }
}

/// The recorded holder of an audience that a cluster claims. The audience of a cluster that names it has no other holder.
fn recorded<'c>(cluster: &'c OpenBaoCluster, audience: &str) -> Option<&'c AudienceHolder> {
    let holder = cluster.status.as_ref()?.audience_holder.as_ref()?;
    (holder.audience == audience && !has_default_audience(cluster)).then_some(holder)
}

/// Order of clusters with the same server or audience: the one that the audience names, then managed ones that have run,
/// then older ones.
fn rank(cluster: &OpenBaoCluster) -> (bool, bool, (i64, bool, ObjectName)) {
    let has_run = cluster.spec.managed.is_some() && !cluster_id(cluster).is_empty();
    (!has_default_audience(cluster), !has_run, seniority(cluster, true))
}

/// The cluster ID that OpenBao reported last. Empty if there is none.
fn cluster_id(cluster: &OpenBaoCluster) -> &str {
    cluster.status.as_ref().and_then(|status| status.cluster_id.as_deref()).unwrap_or_default()
}

/// All addresses of a cluster.
fn addresses(cluster: &OpenBaoCluster) -> Vec<String> {
    let mut addresses = vec![cluster.address()];
    addresses.extend(cluster.spec.external.iter().flat_map(|external| external.additional_addresses.clone()));
    addresses.iter().map(|address| address.to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn cluster(name: &str, created: &str, spec: Value) -> OpenBaoCluster {
        let (namespace, name) = name.split_once('/').unwrap();
        serde_json::from_value(json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster",
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
            "spec": spec, "status": {"clusterId": "id-1"},
        }))
        .unwrap()
    }

    fn external(address: &str, audience: &str) -> Value {
        json!({"external": {"address": address, "managementAuth": {"jwt": {"audience": audience}}}})
    }

    fn managed() -> Value {
        json!({"managed": {
            "version": "2.7.2", "seal": {"static": {}},
            "storage": {"postgresql": {"secretRef": {"name": "pg"}, "tls": {"mode": "Require"}}},
        }})
    }

    fn owned(audience: &str) -> Value {
        let mut spec = managed();
        spec["managed"]["audience"] = json!(audience);
        spec
    }

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-01-02T00:00:00Z";

    /// Own spec, own server, and the other cluster.
    #[rstest]
    #[case::unrelated(
        external("https://b", "b"),
        "id-2",
        cluster("a/a", EARLY, external("https://a", "a")),
        None
    )]
    #[case::same_audience(
        external("https://b", "a"),
        "id-2",
        cluster("a/a", EARLY, external("https://a", "a")),
        Some("identifies the server of OpenBaoCluster a/a")
    )]
    #[case::same_audience_of_a_younger_one(
        external("https://b", "a"),
        "id-2",
        cluster("a/a", LATE, external("https://a", "a")),
        None
    )]
    #[case::same_audience_in_the_same_namespace(
        external("https://b", "a"),
        "id-2",
        cluster("own/a", EARLY, external("https://a", "a")),
        None
    )]
    #[case::same_audience_and_address(
        external("https://A", "a"),
        "id-2",
        cluster("a/a", EARLY, external("https://a", "a")),
        None
    )]
    #[case::one_address_more(
        json!({"external": {
            "address": "https://evil", "additionalAddresses": ["https://a"],
            "managementAuth": {"jwt": {"audience": "a"}},
        }}),
        "id-2", cluster("a/a", EARLY, external("https://a", "a")), Some("choose another audience")
    )]
    #[case::same_server(
        external("https://b", "b"),
        "id-1",
        cluster("a/a", EARLY, external("https://a", "a")),
        Some("which does not allow namespace own")
    )]
    #[case::unknown_server(
        external("https://b", "b"),
        "",
        cluster("a/a", EARLY, external("https://a", "a")),
        None
    )]
    #[case::server_of_a_managed_one(
        external("https://main.a.svc:8200", "b"),
        "id-1",
        cluster("a/main", LATE, managed()),
        Some("the server is the one of OpenBaoCluster a/main")
    )]
    #[case::audience_of_a_managed_one(
        external("https://b", "openbao:a/main"),
        "id-2",
        cluster("a/main", LATE, managed()),
        Some("identifies the server of OpenBaoCluster a/main")
    )]
    #[case::managed_with_the_default_audience(managed(), "", cluster("a/main", EARLY, managed()), None)]
    #[case::managed_with_an_audience_of_an_external_one(
        owned("x"),
        "",
        cluster("a/a", EARLY, external("https://a", "x")),
        None
    )]
    #[case::managed_with_an_audience_of_a_managed_one(
        owned("x"),
        "",
        cluster("a/main", EARLY, owned("x")),
        Some("identifies the server of OpenBaoCluster a/main")
    )]
    #[case::restored_beside_the_original(
        owned("openbao:a/main"),
        "",
        cluster("a/main", LATE, managed()),
        Some("identifies the server of OpenBaoCluster a/main")
    )]
    #[case::external_with_the_audience_of_this_one(
        managed(),
        "",
        cluster("a/a", EARLY, external("https://a", "openbao:own/main")),
        None
    )]
    #[case::managed_with_the_audience_of_this_one(
        managed(),
        "",
        cluster("a/main", EARLY, owned("openbao:own/main")),
        None
    )]
    #[case::managed_with_an_audience_of_its_own(owned("x"), "", cluster("a/main", EARLY, owned("y")), None)]
    #[case::audience_of_a_managed_one_of_the_same_namespace(
        external("https://b", "openbao:own/other"),
        "id-2",
        cluster("own/other", LATE, managed()),
        None
    )]
    fn a_login_is_of_use_only_to_the_server_that_its_audience_identifies(
        #[case] spec: Value,
        #[case] cluster_id: &str,
        #[case] other: OpenBaoCluster,
        #[case] expected: Option<&str>,
    ) {
        let own = cluster("own/main", "2026-01-01T12:00:00Z", spec);
        let claim = Claim { cluster: &own, cluster_id, labels: &BTreeMap::new(), is_honored: &|_| true };
        match (claim.check(&[Arc::new(other)]), expected) {
            (Ok(()), None) => {}
            (Err(conflict), Some(expected)) if conflict.message.contains(expected) => {
                assert_eq!(
                    conflict.holder.is_some(),
                    expected.contains("audience") || expected.contains("identifies")
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_server_can_be_named_where_its_cluster_allows_it() {
        let own = cluster("own/main", LATE, external("https://b", "b"));
        let mut other = cluster("a/a", EARLY, managed());
        other.spec.allowed_namespaces = serde_json::from_value(json!({"from": "All"})).unwrap();
        let claim =
            Claim { cluster: &own, cluster_id: "id-1", labels: &BTreeMap::new(), is_honored: &|_| true };
        assert!(claim.check(&[Arc::new(other)]).is_ok());
    }

    #[test]
    fn a_cluster_that_is_itself_in_conflict_excludes_no_other() {
        let own = cluster("own/main", LATE, external("https://a", "a"));
        let mut first = cluster("a/a", EARLY, external("https://a", "a"));
        first.spec.allowed_namespaces = serde_json::from_value(json!({"from": "All"})).unwrap();
        let second = cluster("b/b", "2026-01-01T06:00:00Z", external("https://evil", "a"));
        let claim =
            Claim { cluster: &own, cluster_id: "id-1", labels: &BTreeMap::new(), is_honored: &|_| true };
        assert!(claim.check(&[Arc::new(second), Arc::new(first), Arc::new(own.clone())]).is_ok());
    }

    /// An external cluster that was in conflict with `a/a` about an audience.
    fn waiting(audience: &str, recorded: &str) -> OpenBaoCluster {
        let mut cluster = cluster("own/main", EARLY, external("https://own", audience));
        cluster.status.as_mut().unwrap().audience_holder =
            Some(AudienceHolder { cluster: "a/a".to_owned(), audience: recorded.to_owned() });
        cluster
    }

    const DELETED: &str = "which was deleted while this object claimed its audience";
    const HELD: &str = "audience `x` identifies the server of OpenBaoCluster a/a";

    #[rstest]
    #[case::holder_deleted(waiting("x", "x"), None, true, Some(DELETED))]
    #[case::holder_recreated(
        waiting("x", "x"),
        Some(cluster("a/a", LATE, external("https://a", "x"))),
        true,
        Some(HELD)
    )]
    #[case::holder_has_another_audience(
        waiting("x", "x"),
        Some(cluster("a/a", LATE, external("https://a", "y"))),
        true,
        None
    )]
    #[case::holder_is_not_honored(
        waiting("x", "x"),
        Some(cluster("a/a", EARLY, external("https://a", "x"))),
        false,
        None
    )]
    #[case::audience_changed(waiting("y", "x"), None, true, None)]
    fn a_waiting_cluster_does_not_obtain_the_audience_of_a_deleted_one(
        #[case] own: OpenBaoCluster,
        #[case] holder: Option<OpenBaoCluster>,
        #[case] is_honored: bool,
        #[case] expected: Option<&str>,
    ) {
        let others: Vec<_> = holder.into_iter().chain([own.clone()]).map(Arc::new).collect();
        let is_honored = &|other: &OpenBaoCluster| is_honored || other.namespace() == own.namespace();
        let claim = Claim { cluster: &own, cluster_id: "id-2", labels: &BTreeMap::new(), is_honored };
        match (claim.check(&others), expected) {
            (Ok(()), None) => {}
            (Err(conflict), Some(expected)) => {
                assert!(conflict.message.contains(expected), "{conflict:?}");
                assert_eq!(conflict.holder, own.status.as_ref().unwrap().audience_holder);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_recreated_cluster_is_not_excluded_by_one_that_waited() {
        let recreated = cluster("a/a", LATE, external("https://a", "x"));
        let others = [Arc::new(waiting("x", "x")), Arc::new(recreated.clone())];
        let claim = Claim {
            cluster: &recreated,
            cluster_id: "id-2",
            labels: &BTreeMap::new(),
            is_honored: &|_| true,
        };
        assert_eq!(claim.check(&others), Ok(()));
    }
}
