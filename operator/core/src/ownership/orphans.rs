//! Orphans: resources in OpenBao whose object is gone. The parent of the object keeps a list of them in its status and
//! removes them when OpenBao is reachable.

use std::sync::Arc;

use kube::Api;
use serde_json::json;
use steamer_api::{
    DeletionPolicy, KindId, OpenBaoCluster, OpenBaoClusterStatus, Orphan, OwnedResource, SecretsTenant,
    SecretsTenantStatus,
};
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::{Object, ObjectName, Presence, StatusError};

use super::claims::folded;
use super::mark::{Mark, Owner};
use super::removal::Owned;
use super::removers::Record;
use crate::context::Context;
use crate::error::Error;
use crate::mac::Mac;

/// Orphans, and the parents that can take care of them.
pub struct Handover {
    /// What remains in OpenBao.
    pub orphans: Vec<Orphan>,
    /// Cluster that runs the OpenBao.
    pub cluster: ObjectName,
    /// Tenant of the deleted object, if it had one. The tenant takes precedence over the cluster.
    pub tenant: Option<ObjectName>,
}

impl Handover {
    /// The OpenBao namespaces of all orphans, for a message. `root` is the root of the cluster.
    pub(super) fn namespaces(&self, root: &NamespacePath) -> String {
        let published = self.orphans.iter().map(|orphan| root.path(&orphan.openbao_namespace));
        published.collect::<Vec<_>>().join(", ")
    }

    /// Writes the orphans to the status of the tenant, or of the cluster if the tenant is gone or another client
    /// overwrites its status each time. If neither status can contain them, only the Event or the log reports the
    /// orphans: a contested status must not keep the finalizer of the deleted object.
    ///
    /// # Errors
    /// Any error of the API server.
    pub async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { orphans, cluster, tenant } = self;
        // Objects that are deleted together have one parent, and each write replaces the whole list.
        let _turn = context.handovers.lock().await;
        let tenant = match tenant {
            Some(name) => existing::<SecretsTenant>(context, &name).await?,
            None => None,
        };
        if let Some(tenant) = tenant.filter(|tenant| tenant.metadata.deletion_timestamp.is_none()) {
            let mut status: SecretsTenantStatus = context.status(&tenant);
            remember(&mut status.orphans, &orphans);
            if is_written(context.runtime.statuses.write(&tenant, &status).await)? {
                return Ok(());
            }
        }
        let Some(cluster) = existing::<OpenBaoCluster>(context, &cluster).await? else { return Ok(()) };
        let mut status: OpenBaoClusterStatus = context.status(&cluster);
        remember(&mut status.orphans, &orphans);
        if !is_written(context.runtime.statuses.write(&cluster, &status).await)? {
            tracing::warn!(
                ?orphans,
                "another client overwrites the status that lists orphans: remove them by hand"
            );
        }
        Ok(())
    }
}

/// Reads an object: the cache can lack an orphan that was listed before.
async fn existing<K: Object>(context: &Context, name: &ObjectName) -> Result<Option<K>, kube::Error> {
    Api::namespaced(context.client.clone(), &name.namespace).get_opt(&name.name).await
}

/// Returns false if another client overwrites the status each time.
fn is_written<T>(result: Result<T, StatusError>) -> Result<bool, Error> {
    match result {
        Err(StatusError::Contested(_)) => Ok(false),
        result => Ok(result.map(|_| true)?),
    }
}

fn remember(known: &mut Vec<Orphan>, orphans: &[Orphan]) {
    for orphan in orphans {
        if !known.contains(orphan) {
            known.push(orphan.clone());
        }
    }
}

/// Returns true if Steamer can remove the orphan: this version supports its kind, the cache contains its namespace,
/// `operatorScope` contains its resources, and no other client wrote it. Others stay in the list.
#[must_use]
pub fn is_removable(context: &Context, orphan: &Orphan) -> bool {
    let (mark, listing) = (mark_of(context, orphan), listing(context, orphan));
    let is_sealed = |it: &Arc<OpenBaoCluster>| is_sealed(&context.mac, &ObjectName::of(&**it), orphan);
    context.removers.of(&mark.owner).is_some()
        && context.presence(&mark) != Presence::Unknown
        && is_in_scope(orphan, &listing)
        && (orphan.resources.is_empty() || listing.iter().any(is_sealed))
}

/// Returns true for resources with a mark, and for recorded ones that `operatorScope` of a cluster that lists them contains.
fn is_in_scope(orphan: &Orphan, listing: &[Arc<OpenBaoCluster>]) -> bool {
    orphan.resources.is_empty() || listing.iter().any(|it| it.spec.scope_allows(&orphan.openbao_namespace))
}

/// The clusters whose status lists an orphan.
fn listing(context: &Context, orphan: &Orphan) -> Vec<Arc<OpenBaoCluster>> {
    let mut clusters = context.stores.of::<OpenBaoCluster>().filter(|_| true);
    clusters.retain(|it| context.status(&**it).orphans.contains(orphan));
    clusters
}

/// Adds the seal to an orphan of a cluster. Whoever can write a status could otherwise make the operator delete any resource.
#[must_use]
pub fn sealed(mac: &Mac, cluster: &ObjectName, orphan: Orphan) -> Orphan {
    Orphan { seal: Some(seal(mac, cluster, &orphan)), ..orphan }
}

fn seal(mac: &Mac, cluster: &ObjectName, orphan: &Orphan) -> String {
    let Orphan { kind, namespace, name, openbao_namespace, deletion_policy, resources, seal: _ } = orphan;
    let resource = |it: &OwnedResource| {
        let OwnedResource {
            path,
            deleted_at,
            is_part,
            holds_values,
            pending,
            digest: _,
            returned: _,
            seal: _,
        } = it;
        json!([path, deleted_at, is_part, holds_values, pending])
    };
    let resources: Vec<_> = resources.iter().map(resource).collect();
    let text =
        json!([cluster.to_string(), kind, namespace, name, openbao_namespace, deletion_policy, resources]);
    mac.of([("orphan", text.to_string().as_bytes())])
}

fn is_sealed(mac: &Mac, cluster: &ObjectName, orphan: &Orphan) -> bool {
    orphan.seal.as_deref() == Some(&*seal(mac, cluster, orphan))
}

fn mark_of(context: &Context, orphan: &Orphan) -> Mark {
    context.mark(Owner::parse(&orphan.kind), ObjectName::new(&orphan.namespace, &orphan.name))
}

/// Returns true if the orphan is a child of the tenant with the namespace `parent`, which directly contains its namespace.
/// A status that lists others was forged. Other tenants below an organization are not children of its tenant.
#[must_use]
pub fn is_child(orphan: &Orphan, parent: &NamespacePath) -> bool {
    let namespace = NamespacePath::new(&orphan.openbao_namespace);
    let is_tenant = Owner::parse(&orphan.kind) == Owner::Object(KindId::SecretsTenant);
    !is_tenant && namespace.split().is_some_and(|(found, _)| found == *parent)
}

/// Reason to keep an orphan: its kind has no remover.
const UNSUPPORTED: &str = "this version of Steamer cannot remove the resources of this kind";
/// Reason to keep an orphan: an administrator has withdrawn the rights in its namespace.
const OUT_OF_SCOPE: &str = "the operatorScope of the cluster does not contain the namespace";
/// Reason to keep an orphan: its object may have been recreated.
const UNKNOWN_NAMESPACE: &str =
    "Steamer does not watch the namespace of the object, or is not allowed to list it";

/// Next step for an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The object was recreated and owns its resources again.
    Forget,
    /// The orphan stays in the list, for this reason.
    Keep(&'static str),
    Remove,
    /// The object was recreated, and does not own resources without a mark. Access is removed, and values stay.
    RemoveAccess,
}

/// Decides about an orphan, from the presence of its object. `left` are the orphans before it that remain.
fn step(orphan: &Orphan, left: &[Orphan], presence: Presence) -> Step {
    let below = format!("{}/", orphan.openbao_namespace);
    match presence {
        Presence::Present if orphan.resources.is_empty() => return Step::Forget,
        Presence::Present => return Step::RemoveAccess,
        Presence::Unknown => return Step::Keep(UNKNOWN_NAMESPACE),
        Presence::Absent => {}
    }
    if left.iter().any(|other| other.openbao_namespace.starts_with(&below)) {
        Step::Keep("the namespace contains another orphan")
    } else {
        Step::Remove
    }
}

/// The resources of an orphan that no existing object has created or adopted in the meantime. `records` are those of all objects
/// in its cluster.
fn unclaimed(orphan: &Orphan, records: &[Record]) -> Vec<OwnedResource> {
    let namespace = NamespacePath::new(&orphan.openbao_namespace);
    let claimed = records.iter().filter(|it| it.namespace == namespace).flat_map(|it| &it.resources);
    let claimed: Vec<String> = claimed.map(|it| folded(&it.path)).collect();
    orphan.resources.iter().filter(|it| !claimed.contains(&folded(&it.path))).cloned().collect()
}

/// The records of the objects in the clusters that list an orphan.
fn records(context: &Context, listing: &[Arc<OpenBaoCluster>]) -> Vec<Record> {
    let listing: Vec<ObjectName> = listing.iter().map(|it| ObjectName::of(&**it)).collect();
    let mut records = context.removers.records(&context.stores);
    records.retain(|record| listing.contains(&record.cluster));
    records
}

/// Removes orphans of a cluster from OpenBao. Returns those that remain. An object that was recreated owns its marked resources
/// again. An entry with resources and without a valid seal stays in the list: the key may have changed, and an administrator has
/// to decide about the resources.
pub async fn remove_orphans(
    context: &Context,
    session: &Session,
    (cluster, orphans): (&ObjectName, Vec<Orphan>),
) -> Vec<Orphan> {
    let (mut left, mut untrusted): (Vec<Orphan>, Vec<Orphan>) = Default::default();
    for orphan in orphans {
        let is_trusted = is_sealed(&context.mac, cluster, &orphan);
        if !is_trusted && !orphan.resources.is_empty() {
            tracing::warn!(
                ?orphan,
                "another client wrote this orphan to the status: nothing is deleted for it, and it stays in the list until the \
                 entry is removed from the status by hand"
            );
            untrusted.push(orphan);
            continue;
        }
        // Only what carries the mark of the deleted object is removed without a seal, and no values.
        let policy = if is_trusted { orphan.deletion_policy } else { DeletionPolicy::Retain };
        if let Err(error) = remove(context, session, (&orphan, &left, policy)).await {
            let error = &error as &dyn std::error::Error;
            tracing::info!(
                kind = orphan.kind,
                namespace = orphan.openbao_namespace,
                error,
                "an orphan is not removed yet"
            );
            left.push(orphan);
        }
    }
    // They keep no namespace of another orphan.
    left.extend(untrusted);
    left
}

/// Removes an orphan. `left` are the orphans before it that remain.
async fn remove(
    context: &Context,
    session: &Session,
    (orphan, left, policy): (&Orphan, &[Orphan], DeletionPolicy),
) -> Result<(), Error> {
    let mark = mark_of(context, orphan);
    let keep = |reason: &str| Err(Error::Deleting(reason.to_owned()));
    let Some(remove) = context.removers.of(&mark.owner) else {
        return keep(UNSUPPORTED);
    };
    let listing = listing(context, orphan);
    if !is_in_scope(orphan, &listing) {
        return keep(OUT_OF_SCOPE);
    }
    match step(orphan, left, context.presence(&mark)) {
        Step::Forget => Ok(()),
        Step::Keep(reason) => keep(reason),
        step => {
            let resources = &unclaimed(orphan, &records(context, &listing));
            let is_recreated = step == Step::RemoveAccess;
            let policy = if is_recreated { DeletionPolicy::Retain } else { policy };
            let is_reclaimed = &|| !is_recreated && context.exists(&mark);
            let owned = Owned { mark: &mark, policy, resources, is_reclaimed };
            remove(session, &NamespacePath::new(&orphan.openbao_namespace), owned).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::*;

    fn orphan(kind: &str, name: &str, namespace: &str) -> Orphan {
        Orphan {
            kind: kind.to_owned(),
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            openbao_namespace: namespace.to_owned(),
            deletion_policy: DeletionPolicy::Delete,
            resources: Vec::new(),
            seal: None,
        }
    }

    fn decided(orphan: &Orphan, left: &[Orphan]) -> Step {
        let presence = match orphan.name.as_str() {
            "recreated" => Presence::Present,
            "unknown" => Presence::Unknown,
            _ => Presence::Absent,
        };
        step(orphan, left, presence)
    }

    #[rstest]
    #[case::gone("gone", Step::Remove)]
    #[case::recreated("recreated", Step::Forget)]
    #[case::unknown_namespace("unknown", Step::Keep(UNKNOWN_NAMESPACE))]
    fn an_orphan_is_removed_only_if_its_object_is_gone(#[case] name: &str, #[case] expected: Step) {
        assert_eq!(decided(&orphan("SecretsProject", name, "org_1/group_7"), &[]), expected);
    }

    fn entry(path: &str) -> OwnedResource {
        OwnedResource { path: path.to_owned(), ..OwnedResource::default() }
    }

    #[test]
    fn a_recreated_object_does_not_own_what_carries_no_mark() {
        let orphan = Orphan {
            resources: vec![entry("sys/policies/acl/web")],
            ..orphan("BaoPolicy", "recreated", "team")
        };
        assert_eq!(decided(&orphan, &[]), Step::RemoveAccess);
    }

    #[rstest]
    #[case::adopted("team", "a", &["b"])]
    #[case::other_namespace("other", "a", &["a", "b"])]
    #[case::other_resource("team", "c", &["a", "b"])]
    fn what_an_existing_object_records_is_not_removed(
        #[case] namespace: &str,
        #[case] path: &str,
        #[case] expected: &[&str],
    ) {
        let orphan =
            Orphan { resources: vec![entry("a"), entry("b")], ..orphan("BaoPolicy", "gone", "team") };
        let record = Record {
            cluster: ObjectName::new("ns", "main"),
            namespace: NamespacePath::new(namespace),
            resources: vec![entry(path)],
        };
        let left = unclaimed(&orphan, &[record]);
        assert_eq!(left.iter().map(|it| &*it.path).collect::<Vec<_>>(), expected);
    }

    #[rstest]
    #[case::same("sys/policies/acl/web", true)]
    #[case::other_case("sys/policies/acl/Web", true)]
    #[case::other("sys/policies/acl/web-ops", false)]
    fn a_policy_that_an_object_adopted_is_not_removed(#[case] path: &str, #[case] is_kept: bool) {
        let resources = vec![entry("sys/policies/acl/web")];
        let orphan = Orphan { resources, ..orphan("SecretsApp", "gone", "team") };
        let (cluster, namespace) = (ObjectName::new("ns", "main"), NamespacePath::new("team"));
        let adopted = Record { cluster, namespace, resources: vec![entry(path)] };
        assert_eq!(unclaimed(&orphan, &[adopted]).is_empty(), is_kept);
    }

    #[rstest]
    #[case::contains_another("gone", "org_1/group_7", Step::Keep("the namespace contains another orphan"))]
    #[case::recreated("recreated", "org_1/group_7", Step::Forget)]
    #[case::beside_another("gone", "org_1/group_70", Step::Remove)]
    fn an_orphan_is_removed_after_those_that_its_namespace_contains(
        #[case] name: &str,
        #[case] namespace: &str,
        #[case] expected: Step,
    ) {
        let left = [orphan("SecretsProject", "web", "org_1/group_7/project_42")];
        assert_eq!(decided(&orphan("SecretsTenant", name, namespace), &left), expected);
    }

    #[rstest]
    #[case::child("org_1/group_7/project_42", true)]
    #[case::itself("org_1/group_7", false)]
    #[case::sibling("org_1/group_8/project_42", false)]
    #[case::same_prefix("org_1/group_70/project_42", false)]
    #[case::grandchild("org_1/group_7/project_42/x", false)]
    #[case::outside("org_2", false)]
    fn an_orphan_belongs_to_the_tenant_that_contains_it(#[case] namespace: &str, #[case] expected: bool) {
        let orphan = orphan("SecretsProject", "web", namespace);
        assert_eq!(is_child(&orphan, &NamespacePath::new("org_1/group_7")), expected);
    }

    #[test]
    fn a_tenant_is_no_child_of_the_tenant_of_its_organization() {
        let organization = NamespacePath::new("org_1");
        assert!(!is_child(&orphan("SecretsTenant", "acme", "org_1/group_7"), &organization));
        assert!(is_child(&orphan("SecretsProject", "web", "org_1/group_7"), &organization));
    }

    fn unavailable() -> StatusError {
        kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))).into()
    }

    #[rstest]
    #[case::written(Ok(()), Some(true))]
    #[case::contested(Err(StatusError::Contested(Duration::from_secs(3600))), Some(false))]
    #[case::unavailable(Err(unavailable()), None)]
    fn a_contested_status_of_the_parent_does_not_keep_a_deleted_object(
        #[case] result: Result<(), StatusError>,
        #[case] expected: Option<bool>,
    ) {
        assert_eq!(is_written(result).ok(), expected);
    }

    #[rstest]
    #[case::unchanged(|_: &mut Orphan| {}, true)]
    #[case::policy(|it: &mut Orphan| it.deletion_policy = DeletionPolicy::Retain, false)]
    #[case::namespace(|it: &mut Orphan| it.openbao_namespace = "other".to_owned(), false)]
    #[case::name(|it: &mut Orphan| it.name = "other".to_owned(), false)]
    #[case::resource(|it: &mut Orphan| it.resources.push(entry("b")), false)]
    #[case::deletion_path(|it: &mut Orphan| it.resources[0].deleted_at = Some("sys/mounts/kv".to_owned()), false)]
    #[case::no_seal(|it: &mut Orphan| it.seal = None, false)]
    fn an_orphan_that_another_client_wrote_is_not_trusted(
        #[case] change: fn(&mut Orphan),
        #[case] expected: bool,
    ) {
        let (mac, cluster) = (Mac::new(&[7; 32]), ObjectName::new("ns", "main"));
        let orphan = Orphan { resources: vec![entry("a")], ..orphan("BaoPolicy", "gone", "team") };
        let mut orphan = sealed(&mac, &cluster, orphan);
        change(&mut orphan);
        assert_eq!(is_sealed(&mac, &cluster, &orphan), expected);
        // An entry of one cluster is none of another.
        assert!(!is_sealed(&mac, &ObjectName::new("ns", "other"), &orphan));
    }

    #[rstest]
    #[case::marked(json!([]), "Tenants", true)]
    #[case::recorded(json!([{"path": "a"}]), "Tenants", false)]
    #[case::recorded_in_scope(json!([{"path": "a"}]), "Root", true)]
    fn a_narrowed_scope_keeps_recorded_resources(
        #[case] resources: serde_json::Value,
        #[case] scope: &str,
        #[case] expected: bool,
    ) {
        let resources = serde_json::from_value(resources).unwrap();
        let spec = json!({"operatorScope": scope, "external": {
            "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
        }});
        let cluster = OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap());
        let orphan = Orphan { resources, ..orphan("BaoPolicy", "gone", "team") };
        assert_eq!(is_in_scope(&orphan, &[Arc::new(cluster)]), expected);
    }

    #[test]
    fn an_orphan_is_listed_once() {
        let (first, second) =
            (orphan("SecretsProject", "a", "org_1/a"), orphan("SecretsProject", "b", "org_1/b"));
        let mut known = vec![first.clone()];
        remember(&mut known, &[second.clone(), first.clone(), second.clone()]);
        assert_eq!(known, [first.clone(), second]);
        let retained = Orphan { deletion_policy: DeletionPolicy::Retain, ..first };
        remember(&mut known, &[retained]);
        assert_eq!(known.len(), 3);
    }
}
