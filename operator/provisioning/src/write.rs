//! Writes to OpenBao: the request and the reason of each.

mod call;
mod canonical;
pub(crate) mod reason;
mod request;

use std::borrow::Borrow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use steamer_api::{Operation, PlannedChange};
use steamer_core::error::Error;
use steamer_core::ownership::Mark;
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::write_limit::{Write as Repetition, digest};

use crate::managed_secret::change::Versions;

pub(crate) use call::{Call, Deletion, auth_path, cel_role_path, jwt_role_path, policy_path};
pub(crate) use reason::{ADOPTED, DIFFERS, INTERRUPTED, MISSING, UNDESIRED, WITHDRAWN};
pub(crate) use request::Request;

/// Longest path in a status, in characters.
const LONGEST_PATH: usize = 1024;

/// Writes that bring OpenBao to the desired state.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The writes, in their order.
    pub(crate) writes: Vec<Write>,
    /// Time at which the desired state changes without a change of any object.
    pub(crate) expires_at: Option<Timestamp>,
}

/// One write to OpenBao.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) operation: Operation,
    namespace: NamespacePath,
    call: Call,
    reason: &'static str,
    /// Keyed digest of the desired state, if the call has secrets that its canonical text does not contain.
    state: Option<String>,
    /// Path that identifies the resource, if it is not that of the request: one request can change several parts of a resource.
    part: Option<String>,
}

/// What was written of a plan. Paths start at the root of the cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Paths that identify the resources whose creation OpenBao has confirmed.
    pub(crate) created: Vec<String>,
    /// Paths that identify the resources whose changes OpenBao has confirmed.
    pub(crate) updated: Vec<String>,
    /// Paths that identify the resources whose writes are stopped because another client undoes them.
    pub(crate) paused: Vec<String>,
}

impl Write {
    pub(crate) fn create(namespace: &NamespacePath, call: Call) -> Self {
        Self::new(Operation::Create, namespace, call, MISSING)
    }

    pub(crate) fn update(namespace: &NamespacePath, call: Call, reason: &'static str) -> Self {
        Self::new(Operation::Update, namespace, call, reason)
    }

    pub(crate) fn delete(namespace: &NamespacePath, path: String, reason: &'static str) -> Self {
        Self::new(Operation::Delete, namespace, Call::Delete(path), reason)
    }

    fn new(operation: Operation, namespace: &NamespacePath, call: Call, reason: &'static str) -> Self {
        Self { operation, namespace: namespace.clone(), call, reason, state: None, part: None }
    }

    /// Deletes a resource of a general kind.
    pub(crate) fn remove(namespace: &NamespacePath, path: String, deletion: Deletion) -> Self {
        Self::new(Operation::Delete, namespace, Call::Remove(path, deletion), UNDESIRED)
    }

    /// Deletes what an interrupted creation has left.
    pub(crate) fn discard(namespace: &NamespacePath, path: String, deletion: Deletion) -> Self {
        Self::new(Operation::Delete, namespace, Call::Remove(path, deletion), INTERRUPTED)
    }

    /// Deletes or destroys versions of a secret.
    pub(crate) fn remove_versions(
        namespace: &NamespacePath,
        versions: Versions,
        reason: &'static str,
    ) -> Self {
        Self::new(Operation::Delete, namespace, Call::RemoveVersions(versions), reason)
    }

    /// The write of the resource, or of the part of one, that a path in the namespace identifies.
    pub(crate) fn of_resource(self, path: &str) -> Self {
        Self { part: Some(path.to_owned()), ..self }
    }

    /// The write with the keyed digest of the state that it leads to: another secret is another desired state.
    pub(crate) fn leading_to(self, digest: &str) -> Self {
        Self { state: Some(digest.to_owned()), ..self }
    }

    /// Creates a namespace. None for the root namespace, which always exists.
    pub(crate) fn create_namespace(path: &NamespacePath, mark: &Mark) -> Option<Self> {
        let (parent, name) = path.split()?;
        let call = Call::CreateNamespace { name: name.to_owned(), mark: mark.clone() };
        Some(Self::create(&parent, call))
    }

    /// Marks a namespace as owned. None for the root namespace, which has no metadata.
    pub(crate) fn adopt_namespace(path: &NamespacePath, mark: &Mark) -> Option<Self> {
        let (parent, name) = path.split()?;
        let call = Call::MarkNamespace { name: name.to_owned(), mark: mark.clone() };
        Some(Self::update(&parent, call, ADOPTED))
    }

    /// The write as `status.plan` lists it. `root` is the root namespace of the cluster.
    pub(crate) fn described(&self, root: &NamespacePath) -> PlannedChange {
        let path = root.path(&self.path()).chars().take(LONGEST_PATH).collect();
        PlannedChange { operation: self.operation, path, reason: self.reason.to_owned() }
    }

    /// The path, from the root namespace of the cluster.
    pub(crate) fn path(&self) -> String {
        self.namespace.path(&self.call.path())
    }

    /// Path that identifies the resource, from the root namespace of the cluster. Writes of several parts can have the same
    /// [`Self::path`].
    pub(crate) fn identity(&self) -> String {
        match &self.part {
            Some(part) => self.namespace.path(part),
            None => self.path(),
        }
    }

    /// Digest of the resource, for the limit of repetitions. The creation of a resource and the change that follows it are counted
    /// separately.
    pub(crate) fn resource(&self) -> u64 {
        digest(&(self.identity(), self.operation == Operation::Create))
    }

    /// Digests as those of [`Self::resource`] for all writes of the resource.
    pub(crate) fn resources(&self) -> [u64; 2] {
        [true, false].map(|is_creation| digest(&(self.identity(), is_creation)))
    }

    /// The resource and its desired state, for the limit of repetitions and for the seal of a stop. It is equal in each version of
    /// Steamer, and without counters, which differ in each write.
    pub(crate) fn desired(&self) -> String {
        let operation = if self.operation == Operation::Create { "create" } else { "change" };
        let state = json!([operation, self.identity(), self.call.canonical(), self.state]);
        state.to_string()
    }

    /// Returns true for the removal of a resource that the object no longer wants.
    pub(crate) fn is_removal(&self) -> bool {
        [UNDESIRED, WITHDRAWN].contains(&self.reason)
    }

    /// The request, from the root namespace of the cluster. None for a write of several requests.
    pub(crate) fn request(&self) -> Option<Request> {
        Some(self.call.request()?.inside(&self.namespace))
    }

    /// Returns true for the repair of a difference, which another client can cause again. The removal of access must
    /// take effect each time.
    pub(crate) fn is_repair(&self) -> bool {
        [MISSING, ADOPTED, DIFFERS].contains(&self.reason)
    }

    /// The write, for the limit of repetitions. `before` is the digest of the state that is observed at that interval. A missing
    /// resource is created again without a long memory: a job can delete it at an interval.
    pub(crate) fn repetition(&self, before: u64, interval: Duration) -> Repetition {
        self.repetition_of(&self.desired(), before, interval)
    }

    /// As [`Self::repetition`], with the text of [`Self::desired`].
    pub(crate) fn repetition_of(&self, desired: &str, before: u64, interval: Duration) -> Repetition {
        let desired = digest(desired);
        let interval = if self.reason == MISSING { Duration::ZERO } else { interval };
        Repetition { resource: self.resource(), desired, before, interval }
    }

    async fn execute(&self, session: &Session) -> Result<(), Error> {
        self.call.execute(&session.within(self.namespace.as_str())).await
    }
}

/// Executes writes in their order, from the session's namespace. Stops at the first error; the next reconcile computes
/// the remaining writes from the state that it observes. Calls `done` after each write.
pub(crate) async fn execute<W: Borrow<Write>>(
    session: &Session,
    writes: &[W],
    done: impl Fn(&Write),
) -> Result<(), Error> {
    if !writes.is_empty() {
        tracing::info!(writes = writes.len(), "changing OpenBao");
    }
    for write in writes.iter().map(Borrow::borrow) {
        let Write { operation, reason, .. } = write;
        tracing::debug!(?operation, path = write.path(), reason, "writing to OpenBao");
        write.execute(session).await?;
        done(write);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;
    use steamer_openbao::{Cas, CelRole, JwtRole, KvConfig, MountRequest, Namespace};
    use steamer_runtime::ObjectName;

    use super::call::check_created;
    use super::*;

    fn namespace() -> NamespacePath {
        NamespacePath::new("org_1/group_7")
    }

    fn mark() -> Mark {
        let owner = Owner::Object(KindId::SecretsProject);
        Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "web") }
    }

    fn policy(name: &str) -> Call {
        Call::PutPolicy { name: name.to_owned(), text: "{}".to_owned(), cas: Cas::Absent }
    }

    #[rstest]
    #[case::engine(Call::EnableEngine { path: "secrets/kv".to_owned(), request: MountRequest::default() }, "sys/mounts/secrets/kv")]
    #[case::engine_description(Call::DescribeEngine { path: "secrets/kv".to_owned(), description: String::new() }, "sys/mounts/secrets/kv")]
    #[case::kv_config(Call::PutKvConfig { path: "secrets/kv".to_owned(), config: KvConfig::default() }, "secrets/kv/config")]
    #[case::auth(Call::EnableAuth { path: "jwt".to_owned(), request: MountRequest::default() }, "sys/auth/jwt")]
    #[case::auth_description(Call::DescribeAuth { path: "jwt".to_owned(), description: String::new() }, "sys/auth/jwt")]
    #[case::cel_role(Call::PutCelRole { mount: "jwt".to_owned(), name: "all".to_owned(), role: CelRole::default() }, "auth/jwt/cel/role/all")]
    #[case::jwt_role(Call::PutJwtRole { mount: "jwt".to_owned(), name: "all".to_owned(), role: JwtRole::default() }, "auth/jwt/role/all")]
    #[case::policy(policy("pipelines/global"), "sys/policies/acl/pipelines/global")]
    #[case::deletion(Call::Delete(jwt_role_path("jwt", "all")), "auth/jwt/role/all")]
    fn a_path_starts_at_the_root_namespace(#[case] call: Call, #[case] path: &str) {
        let write = Write::update(&namespace(), call, DIFFERS);
        assert_eq!(write.described(&NamespacePath::root()).path, format!("org_1/group_7/{path}"));
        assert_eq!(
            write.described(&NamespacePath::new("teams/a")).path,
            format!("teams/a/org_1/group_7/{path}")
        );
    }

    #[rstest]
    #[case::policy(policy("web"), "POST", "sys/policies/acl/web")]
    #[case::mark(Call::MarkNamespace { name: "web".to_owned(), mark: mark() }, "PATCH", "sys/namespaces/web")]
    #[case::description(
        Call::DescribeAuth { path: "jwt".to_owned(), description: String::new() }, "POST", "sys/auth/jwt/tune"
    )]
    #[case::deletion(Call::Delete(jwt_role_path("jwt", "all")), "DELETE", "auth/jwt/role/all")]
    fn a_write_needs_the_right_to_its_request(#[case] call: Call, #[case] method: &str, #[case] path: &str) {
        let request = Write::update(&namespace(), call, DIFFERS).request().unwrap();
        assert_eq!((request.method.as_str(), request.path), (method, format!("org_1/group_7/{path}")));
    }

    #[test]
    fn a_namespace_is_written_in_its_parent() {
        let created = Write::create_namespace(&namespace(), &mark()).unwrap();
        assert_eq!(created.namespace, NamespacePath::new("org_1"));
        assert_eq!(created.path(), "org_1/group_7/");
        let adopted = Write::adopt_namespace(&NamespacePath::new("org_1"), &mark()).unwrap();
        assert_eq!(adopted.namespace, NamespacePath::root());
        assert_eq!(adopted.path(), "org_1/");
        assert!(Write::create_namespace(&NamespacePath::root(), &mark()).is_none());
    }

    #[rstest]
    #[case::created(None, "")]
    #[case::own(Some("i/SecretsProject/ns/web"), "")]
    #[case::foreign(
        Some("i/SecretsProject/ns/other"),
        "namespace org_1/group_7 in OpenBao belongs to SecretsProject ns/other"
    )]
    #[case::unmarked(Some(""), "namespace org_1/group_7 in OpenBao belongs to another owner")]
    fn a_namespace_of_another_client_is_a_conflict(#[case] owner: Option<&str>, #[case] expected: &str) {
        let existing = owner.map(|owner| {
            let custom_metadata = Mark::parse(owner).map(|mark| mark.metadata()).unwrap_or_default();
            Namespace { custom_metadata, ..Namespace::default() }
        });
        let checked = check_created(&namespace(), existing.as_ref(), &mark());
        let text = checked.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(text.split(':').next(), Some(expected));
    }

    #[rstest]
    #[case::same("a", true)]
    #[case::new_secret("b", false)]
    fn a_new_secret_is_another_desired_state(#[case] state: &str, #[case] is_same: bool) {
        let desired = |state: &str| {
            let write = Write::update(&namespace(), Call::Delete("a".to_owned()), DIFFERS).leading_to(state);
            write.repetition(0, Duration::ZERO).desired
        };
        assert_eq!(desired("a") == desired(state), is_same);
    }

    #[test]
    fn only_repairs_of_differences_are_counted_for_long() {
        let interval = Duration::from_secs(300);
        let missing = Write::create(&namespace(), policy("a")).repetition(0, interval);
        let differs = Write::update(&namespace(), policy("a"), DIFFERS).repetition(0, interval);
        assert_eq!((missing.interval, differs.interval), (Duration::ZERO, interval));
    }

    #[test]
    fn a_described_write_fits_into_the_status() {
        let write = Write::create(&namespace(), policy(&"ß".repeat(2000)));
        let described = write.described(&NamespacePath::root());
        assert_eq!(described.path.chars().count(), LONGEST_PATH);
        assert_eq!((described.operation, described.reason.as_str()), (Operation::Create, MISSING));
    }
}
