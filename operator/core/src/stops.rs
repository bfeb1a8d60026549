//! Writes that an object no longer makes, because another client undoes each of them: two clients would alternate writes without
//! end. `status.stopped` lists them, so that neither a restart of the operator nor another leader makes them again.

use std::time::Instant;

use kube::ResourceExt;
use steamer_api::{HasLifecycle, HasLifecycleStatus, RECONCILE_ANNOTATION, StoppedWrite};
use steamer_runtime::ObjectName;
use steamer_runtime::write_limit::{Write, WriteLimit, digest};

use crate::context::Context;
use crate::error::Error;
use crate::mac::Mac;
use crate::ownership::Mark;

/// Most stops in a status.
pub const MOST: usize = 1000;
/// Longest path in a status, in characters.
const LONGEST_PATH: usize = 1024;

/// The stopped writes of one object.
pub struct Stops {
    mac: Mac,
    /// The object, its UID, the generation of its spec, and the value of its reconcile annotation. A stop ends when one of them
    /// changes.
    scope: [String; 4],
    /// Command that ends the stops.
    retry: String,
    known: Vec<StoppedWrite>,
}

impl Stops {
    /// The stops in the last status of an object.
    pub fn of<K: HasLifecycle>(context: &Context, object: &K) -> Self {
        let mut status: K::Status = context.status(object);
        let known = std::mem::take(&mut status.lifecycle_mut().stopped);
        Self::new(&context.mac, &context.mark_of(object), object, known)
    }

    /// The stops of an object with that mark. `known` are those of its last status.
    pub fn new<K: HasLifecycle>(mac: &Mac, mark: &Mark, object: &K, known: Vec<StoppedWrite>) -> Self {
        let generation = object.meta().generation.unwrap_or_default();
        let request = object.annotations().get(RECONCILE_ANNOTATION).cloned().unwrap_or_default();
        let ObjectName { namespace, name } = ObjectName::of(object);
        let uid = object.meta().uid.clone().unwrap_or_default();
        let kind = K::KIND.to_lowercase();
        Self {
            mac: mac.clone(),
            scope: [mark.to_string(), uid, generation.to_string(), request],
            retry: format!("kubectl steamer sync {kind}/{name} --namespace {namespace}"),
            known,
        }
    }

    /// The stop of a write of an object: that of the last status, or a new one if another client undid the write too often. `path`
    /// is that of the request, and `desired` a text about the resource and its desired state, which is equal in each version of
    /// Steamer. None: it may be made.
    pub fn check(
        &self,
        (limit, object): (&WriteLimit, &ObjectName),
        (path, desired): (&str, &str),
        write: Write,
        now: Instant,
    ) -> Option<StoppedWrite> {
        if let Some(stop) = self.find(path, desired) {
            return Some(stop.clone());
        }
        let repairs = limit.admit_in(digest(&self.scope), object, write, now).err()?;
        Some(self.stop(path, desired, repairs))
    }

    /// The stop in the last status of a write to a path that leads to that desired state. None if it has not stopped, or may be made
    /// again.
    #[must_use]
    pub fn find(&self, path: &str, desired: &str) -> Option<&StoppedWrite> {
        let (path, seal) = (shortened(path), self.seal(path, desired));
        self.known.iter().find(|it| it.path == path && it.seal == seal)
    }

    /// The stops in the last status, also those that stop nothing any more.
    #[must_use]
    pub fn known(&self) -> &[StoppedWrite] {
        &self.known
    }

    /// A new stop, after that number of writes.
    #[must_use]
    pub fn stop(&self, path: &str, desired: &str, writes: usize) -> StoppedWrite {
        StoppedWrite {
            path: shortened(path),
            writes: i64::try_from(writes).unwrap_or(i64::MAX),
            seal: self.seal(path, desired),
        }
    }

    /// The error of a stopped write to a path in OpenBao: a creation, or a change.
    #[must_use]
    pub fn error(&self, path: &str, is_creation: bool, stop: &StoppedWrite) -> Error {
        let problem = if is_creation {
            format!("{path} in OpenBao is missing after each creation")
        } else {
            format!("another client undoes each change of {path} in OpenBao")
        };
        Error::stopped(self.message(&problem, stop))
    }

    /// The message about a stop. `problem` is its first part.
    fn message(&self, problem: &str, stop: &StoppedWrite) -> String {
        let (writes, retry) = (stop.writes, &self.retry);
        format!(
            "{problem}: Steamer wrote it {writes} times and no longer writes it; find the client in the audit log of OpenBao and let \
             only one of the two write it, then change the spec or run `{retry}`; if the audit log contains only writes of Steamer, \
             OpenBao returns the value in another form: write it in the spec as OpenBao returns it"
        )
    }

    fn seal(&self, path: &str, desired: &str) -> String {
        let [owner, uid, generation, request] = self.scope.each_ref().map(String::as_bytes);
        self.mac.of([
            ("stop of", owner),
            ("uid", uid),
            ("generation", generation),
            ("request", request),
            ("path", path.as_bytes()),
            ("desired", desired.as_bytes()),
        ])
    }
}

fn shortened(path: &str) -> String {
    path.chars().take(LONGEST_PATH).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use steamer_api::{BaoPolicy, KindId};

    use super::*;
    use crate::ownership::Owner;

    const PATH: &str = "sys/policies/acl/web";

    fn stops(metadata: &Value, key: u8, known: Vec<StoppedWrite>) -> Stops {
        let object = json!({
            "apiVersion": "steamer.dev/v1alpha1", "kind": "BaoPolicy", "metadata": metadata,
            "spec": {"clusterRef": {"name": "main"}, "policy": ""},
        });
        let object: BaoPolicy = serde_json::from_value(object).unwrap();
        let owner = Owner::Object(KindId::BaoPolicy);
        let mark = Mark { installation: "i".to_owned(), owner, name: ObjectName::of(&object) };
        Stops::new(&Mac::new(&[key; 32]), &mark, &object, known)
    }

    fn metadata(name: &str, generation: i64, request: &str) -> Value {
        json!({
            "name": name, "namespace": "ns", "uid": "u", "generation": generation,
            "annotations": {RECONCILE_ANNOTATION: request},
        })
    }

    /// Metadata of an object that was deleted and created again.
    fn recreated(mut metadata: Value) -> Value {
        metadata["uid"] = json!("v");
        metadata
    }

    #[rstest]
    #[case::after_a_restart(metadata("web", 2, "a"), 7, (PATH, "a"), true)]
    #[case::another_generation(metadata("web", 3, "a"), 7, (PATH, "a"), false)]
    #[case::another_request(metadata("web", 2, "b"), 7, (PATH, "a"), false)]
    #[case::another_object(metadata("other", 2, "a"), 7, (PATH, "a"), false)]
    #[case::created_again(recreated(metadata("web", 2, "a")), 7, (PATH, "a"), false)]
    #[case::another_desired_state(metadata("web", 2, "a"), 7, (PATH, "b"), false)]
    #[case::another_path(metadata("web", 2, "a"), 7, ("sys/policies/acl/other", "a"), false)]
    #[case::written_by_another_client(metadata("web", 2, "a"), 8, (PATH, "a"), false)]
    fn a_recorded_stop_ends_with_the_spec_and_with_a_request(
        #[case] now: Value,
        #[case] key: u8,
        #[case] (path, desired): (&str, &str),
        #[case] is_in_force: bool,
    ) {
        let recorded = stops(&metadata("web", 2, "a"), 7, Vec::new()).stop(PATH, "a", 5);
        let restarted = stops(&now, key, vec![recorded.clone()]);
        assert_eq!(restarted.find(path, desired), is_in_force.then_some(&recorded));
    }

    #[test]
    fn long_paths_with_the_same_start_stop_separately() {
        let (one, other) = (format!("{}a", "ß".repeat(2000)), format!("{}b", "ß".repeat(2000)));
        let first = stops(&metadata("web", 1, ""), 7, Vec::new());
        let stop = first.stop(&one, "a", 5);
        assert_eq!(stop.path.chars().count(), LONGEST_PATH);
        let stops = stops(&metadata("web", 1, ""), 7, vec![stop.clone()]);
        assert_eq!((stops.find(&one, "a"), stops.find(&other, "a")), (Some(&stop), None));
    }

    #[test]
    fn the_message_states_the_writes_and_the_command_that_ends_the_stop() {
        let stops = stops(&metadata("web", 1, ""), 7, Vec::new());
        let message = stops.message("another client undoes each change of a", &stops.stop("a", "b", 5));
        let expected = [
            "another client undoes each change of a: ",
            "5 times",
            "`kubectl steamer sync baopolicy/web --namespace ns`",
            "write it in the spec as OpenBao returns it",
        ];
        assert!(expected.iter().all(|it| message.contains(it)), "{message}");
    }
}
