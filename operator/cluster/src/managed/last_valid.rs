//! The last valid specs: the duties of a cluster go on while a later spec is refused, also after a restart of Steamer.
//!
//! The StatefulSet records the spec that it was made for. The record contains names of Secrets, but no value of them: they are
//! read again. It contains the image from the image catalog: another one must not be rolled out while a spec is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steamer_api::{OpenBaoCluster, OpenBaoClusterSpec, OpenBaoClusterStatus};
use steamer_core::error::Error;
use steamer_runtime::{Locked, ObjectName};

use crate::cluster::{Cluster, Mode, RESTART, RESTORE, STEP_DOWN};
use crate::managed::fetch::Found;
use crate::managed::input::Input;

/// Annotation of the StatefulSet: the spec that it was made for.
const LAST_VALID: &str = "steamer.dev/last-valid-spec";
/// Longest record in bytes. All annotations of an object together have at most 256 KiB.
const LONGEST: usize = 64 * 1024;
/// Annotations of an OpenBaoCluster that belong to its spec. The others apply at once, whether or not the spec is valid.
const ANNOTATIONS: [&str; 3] = [RESTART, STEP_DOWN, RESTORE];

/// The parts of an OpenBaoCluster from which its desired state follows.
#[derive(Serialize, Deserialize)]
struct Recorded {
    uid: Option<String>,
    generation: Option<i64>,
    annotations: BTreeMap<String, String>,
    spec: OpenBaoClusterSpec,
    /// Image of the version in the image catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
}

impl Recorded {
    fn of(object: &OpenBaoCluster, image: Option<&String>) -> Self {
        let annotations = object.annotations().clone().into_iter();
        Self {
            uid: object.uid(),
            generation: object.metadata.generation,
            annotations: annotations.filter(|(key, _)| ANNOTATIONS.contains(&key.as_str())).collect(),
            spec: object.spec.clone(),
            image: image.cloned(),
        }
    }
}

/// Records the spec in force on the desired StatefulSet. A refused spec leaves the record as it is.
pub(crate) fn record(input: Input<'_>, live: Option<&StatefulSet>, set: &mut StatefulSet) {
    let recorded = match input.refused {
        None => {
            let recorded = Recorded::of(input.object, input.cluster.catalog_image.as_ref());
            fitting(input, json!(recorded).to_string())
        }
        Some(_) => live.and_then(|live| live.annotations().get(LAST_VALID).cloned()),
    };
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.extend(recorded.map(|recorded| (LAST_VALID.to_owned(), recorded)));
}

/// The record, unless it is too long.
fn fitting(input: Input<'_>, record: String) -> Option<String> {
    let (cluster, bytes) = (&input.cluster.name, record.len());
    if bytes > LONGEST {
        tracing::warn!(%cluster, bytes, "the spec is too long to be recorded as the last valid one");
        return None;
    }
    Some(record)
}

/// An object with the spec that its StatefulSet was made for.
pub(crate) struct Earlier {
    pub(crate) object: OpenBaoCluster,
    /// Its image from the image catalog. The object does not refer to the catalog, which may have changed since.
    image: Option<String>,
}

impl Earlier {
    /// The cluster of this object, with the image that it had.
    pub(crate) fn with_image(self, cluster: Cluster) -> Cluster {
        Cluster { catalog_image: self.image.or(cluster.catalog_image), ..cluster }
    }
}

/// The object with the spec that its StatefulSet was made for.
pub(crate) fn recorded(object: &OpenBaoCluster, live: &StatefulSet) -> Option<Earlier> {
    let recorded: Recorded = serde_json::from_str(live.annotations().get(LAST_VALID)?).ok()?;
    if recorded.uid != object.uid() {
        return None;
    }
    let image = recorded.image;
    let mut earlier = OpenBaoCluster { spec: recorded.spec, ..object.clone() };
    earlier.metadata.generation = recorded.generation;
    let annotations = earlier.annotations_mut();
    annotations.retain(|key, _| !ANNOTATIONS.contains(&key.as_str()));
    annotations.extend(recorded.annotations);
    if let Some(managed) = earlier.spec.managed.as_mut().filter(|_| image.is_some()) {
        managed.image_catalog_ref = None;
    }
    Some(Earlier { object: earlier, image })
}

/// The last valid spec of each cluster, with the objects that it refers to.
#[derive(Default)]
pub(crate) struct LastValid(Locked<HashMap<ObjectName, Arc<(Found, Cluster)>>>);

/// The spec in force.
pub(crate) struct InForce {
    pub(crate) valid: Arc<(Found, Cluster)>,
    /// Error of the present spec, if this is an earlier one.
    pub(crate) refused: Option<Error>,
}

/// Values of the present object that do not depend on the spec.
pub(crate) struct Present {
    pub(crate) mode: Mode,
    /// Value of the fence annotation.
    pub(crate) fence: Option<String>,
    pub(crate) last: OpenBaoClusterStatus,
}

impl LastValid {
    /// The present spec if it is valid, otherwise the last valid one.
    ///
    /// # Errors
    /// The error of the present spec, if no earlier one is known.
    pub(crate) fn in_force(
        &self,
        (name, uid): (&ObjectName, &str),
        present: Result<(Found, Cluster), Error>,
        Present { mode, fence, last }: Present,
    ) -> Result<InForce, Error> {
        let error = match present {
            Ok(present) => {
                let valid = Arc::new(present);
                self.0.lock().insert(name.clone(), Arc::clone(&valid));
                return Ok(InForce { valid, refused: None });
            }
            Err(error) => error,
        };
        let known = self.0.lock().get(name).cloned().filter(|known| known.1.uid == uid);
        let Some(known) = known else { return Err(error) };
        let (found, cluster) = &*known;
        let valid = Arc::new((Found { last, ..found.clone() }, Cluster { mode, fence, ..cluster.clone() }));
        Ok(InForce { valid, refused: Some(error) })
    }

    /// Returns true if a valid spec of this object is known.
    pub(crate) fn knows(&self, name: &ObjectName, uid: &str) -> bool {
        self.0.lock().get(name).is_some_and(|known| known.1.uid == uid)
    }

    /// Connections that the nodes of all clusters at a PostgreSQL server may open, and the sessions of Steamer.
    pub(crate) fn connections(&self, address: &str) -> i32 {
        let clusters = self.0.lock();
        let at_server = clusters.values().filter(|valid| valid.1.owner.address() == address);
        let at_server = at_server.filter(|valid| !valid.1.mode.stops_nodes());
        at_server.map(|valid| valid.1.connections()).sum()
    }

    /// Puts a recorded spec in force until another one is valid.
    pub(crate) fn restore(&self, name: &ObjectName, valid: (Found, Cluster)) {
        self.0.lock().insert(name.clone(), Arc::new(valid));
    }

    /// Forgets a cluster that does not exist anymore.
    pub(crate) fn forget(&self, name: &ObjectName) {
        self.0.lock().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::target::GuardReport;
    use crate::tests::{cluster, found, object, observed};

    fn now(mode: Mode) -> Present {
        Present { mode, fence: Some("main-1".to_owned()), last: OpenBaoClusterStatus::default() }
    }

    fn refused() -> Result<(Found, Cluster), Error> {
        Err(Error::Invalid("x".to_owned()))
    }

    #[test]
    fn a_refused_spec_leaves_the_last_valid_one_in_force() {
        let (last_valid, name) = (LastValid::default(), ObjectName::new("openbao", "main"));
        let in_force = |present, mode| last_valid.in_force((&name, "uid"), present, now(mode));
        assert!(in_force(refused(), Mode::Active).is_err(), "no spec was ever valid");
        assert!(in_force(Ok((found(), cluster())), Mode::Active).unwrap().refused.is_none());
        let kept = in_force(refused(), Mode::Suspended).unwrap();
        assert!(kept.refused.is_some());
        let (found, cluster) = &*kept.valid;
        assert_eq!((cluster.name(), cluster.mode), ("main", Mode::Suspended));
        assert_eq!(found.last.initialized, None, "the status is the present one");
        assert_eq!(cluster.fence.as_deref(), Some("main-1"), "the annotation is the present one");
        let recreated = (&name, "another");
        assert!(
            last_valid.in_force(recreated, refused(), now(Mode::Active)).is_err(),
            "the spec of a deleted object"
        );
        last_valid.forget(&name);
        assert!(in_force(refused(), Mode::Active).is_err());
    }

    #[test]
    fn the_clusters_at_one_server_share_its_connections() {
        let last_valid = LastValid::default();
        let mut elsewhere = cluster();
        elsewhere.owner.host = "other".to_owned();
        for (name, cluster) in [("a", cluster()), ("b", cluster()), ("c", elsewhere)] {
            last_valid.restore(&ObjectName::new("openbao", name), (found(), cluster));
        }
        let hibernating = Cluster { mode: Mode::Hibernating, ..cluster() };
        last_valid.restore(&ObjectName::new("openbao", "d"), (found(), hibernating));
        let one = cluster().connections();
        assert_eq!(last_valid.connections(&cluster().owner.address()), 2 * one);
        assert_eq!(one, 3 * 16 + 3);
    }

    /// The object and the StatefulSet that was made for it.
    fn recorded_for(change: impl Fn(&mut OpenBaoCluster)) -> (OpenBaoCluster, StatefulSet) {
        recorded_with(None, change)
    }

    /// The same for a cluster with an image from the image catalog.
    fn recorded_with(
        image: Option<&str>,
        change: impl Fn(&mut OpenBaoCluster),
    ) -> (OpenBaoCluster, StatefulSet) {
        let (mut object, cluster, found) = (object(), cluster(), found());
        let cluster = Cluster { catalog_image: image.map(str::to_owned), ..cluster };
        object.metadata.uid = Some("uid".to_owned());
        change(&mut object);
        let mut set = (*observed("lss").live.unwrap()).clone();
        let guard_report = &GuardReport::default();
        record(
            Input {
                object: &object,
                cluster: &cluster,
                found: &found,
                guard_report,
                refused: None,
                connections: 0,
            },
            None,
            &mut set,
        );
        (object, set)
    }

    #[test]
    fn the_stateful_set_records_the_last_valid_spec() {
        let (valid, set) = recorded_for(|object| {
            object.annotations_mut().insert(RESTART.to_owned(), "before".to_owned());
        });
        let mut refused = valid.clone();
        refused.metadata.generation = Some(2);
        refused.annotations_mut().insert(RESTART.to_owned(), "now".to_owned());
        refused.annotations_mut().insert("steamer.dev/fence".to_owned(), "main-1".to_owned());
        if let Some(managed) = &mut refused.spec.managed {
            managed.version = "1.0.0".to_owned();
        }
        let earlier = recorded(&refused, &set).unwrap().object;
        assert_eq!((json!(earlier.spec), earlier.metadata.generation), (json!(valid.spec), Some(1)));
        assert_eq!(earlier.annotations()[RESTART], "before");
        assert_eq!(earlier.annotations()["steamer.dev/fence"], "main-1", "a fence applies at once");
        let (cluster, found, guard_report) = (cluster(), found(), &GuardReport::default());
        let error = Error::Invalid("x".to_owned());
        let input = Input {
            object: &refused,
            cluster: &cluster,
            found: &found,
            guard_report,
            refused: Some(&error),
            connections: 0,
        };
        let mut next = (*observed("lss").live.unwrap()).clone();
        record(input, Some(&set), &mut next);
        assert_eq!(
            next.annotations()[LAST_VALID],
            set.annotations()[LAST_VALID],
            "a refused spec is recorded"
        );
    }

    #[test]
    fn the_image_of_the_last_valid_spec_stays_whatever_the_catalog_contains() {
        let with_catalog = |object: &mut OpenBaoCluster| {
            let managed = object.spec.managed.as_mut().unwrap();
            managed.image_catalog_ref = serde_json::from_value(json!({"name": "images"})).unwrap();
        };
        let (object, set) = recorded_with(Some("bao@sha256:1"), with_catalog);
        let earlier = recorded(&object, &set).unwrap();
        assert!(earlier.object.spec.managed.as_ref().unwrap().image_catalog_ref.is_none());
        assert_eq!(earlier.with_image(cluster()).image(), "bao@sha256:1");
        // The record of an earlier Steamer contains no image.
        let (object, set) = recorded_for(with_catalog);
        let earlier = recorded(&object, &set).unwrap();
        assert!(earlier.object.spec.managed.as_ref().unwrap().image_catalog_ref.is_some());
        let now = Cluster { catalog_image: Some("bao@sha256:2".to_owned()), ..cluster() };
        assert_eq!(earlier.with_image(now).image(), "bao@sha256:2");
    }

    #[test]
    fn the_record_of_a_deleted_object_is_not_used() {
        let (mut object, set) = recorded_for(|_| {});
        object.metadata.uid = Some("another".to_owned());
        assert!(recorded(&object, &set).is_none());
    }
}
