//! Objects whose resources are in a namespace. They prevent its deletion.

use kube::core::object::HasStatus;
use steamer_api::{HasLifecycle, HasOwned, OwnedResources, Reference};
use steamer_core::error::Error;
use steamer_openbao::NamespacePath;
use steamer_runtime::{Key, ObjectName};

use crate::engine::Lookup;

/// Objects in a message.
const MOST_NAMES: usize = 3;

/// Fails with [`Error::Waiting`] while objects have resources in the namespace `name` below that of `owned`.
pub(super) fn refuse(owned: &OwnedResources, name: &str, lookup: &Lookup<'_>) -> Result<(), Error> {
    let namespace = NamespacePath::new(&owned.namespace).join(name);
    let found = all(&Place { cluster: &owned.cluster_ref, namespace: namespace.as_str() }, lookup);
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Waiting(waiting(&namespace, &found)))
}

fn waiting(namespace: &NamespacePath, found: &[String]) -> String {
    let names = found.iter().take(MOST_NAMES).cloned().collect::<Vec<_>>().join(", ");
    format!(
        "waits for the deletion of the objects with resources in namespace {namespace}: {names} ({} in total)",
        found.len()
    )
}

/// A namespace of a cluster.
struct Place<'a> {
    cluster: &'a Reference,
    namespace: &'a str,
}

impl Place<'_> {
    /// Returns true if resources are in the namespace or below it.
    fn contains(&self, owned: &OwnedResources) -> bool {
        let below = owned.namespace.strip_prefix(self.namespace);
        owned.cluster_ref == *self.cluster
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The objects of one kind with resources in the namespace. A change of one of them requeues the current object.
fn within<K: HasLifecycle + HasStatus<Status: HasOwned>>(
    place: &Place<'_>,
    lookup: &Lookup<'_>,
) -> Vec<String> {
    let owned = |object: &K| object.status().and_then(HasOwned::owned).cloned();
    let found = lookup.stores.of::<K>().filter(|object| owned(object).is_some_and(|it| place.contains(&it)));
    let named = |name: ObjectName| {
        lookup.dependencies.on(Key::new(K::KIND, name.clone()));
        format!("{} {name}", K::KIND)
    };
    found.iter().map(|object| named(ObjectName::of(&**object))).collect()
}

macro_rules! found {
    ($found:ident, $place:ident, $lookup:ident, $kind:ident Owning) => {
        $found.extend(within::<steamer_api::$kind>($place, $lookup));
    };
    ($found:ident, $place:ident, $lookup:ident, $kind:ident $other:ident) => {};
}

macro_rules! all_kinds {
    ($($kind:ident [$($property:ident),*]),+ $(,)?) => {
        /// The objects of every kind with resources in the namespace.
        fn all(place: &Place<'_>, lookup: &Lookup<'_>) -> Vec<String> {
            let mut found = Vec::new();
            $($(found!(found, place, lookup, $kind $property);)*)+
            found
        }
    };
}
steamer_api::for_each_kind!(all_kinds);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::inside("main", "teams/apps", true)]
    #[case::below("main", "teams/apps/web", true)]
    #[case::parent("main", "teams", false)]
    #[case::similar_name("main", "teams/apps2", false)]
    #[case::another_cluster("other", "teams/apps", false)]
    fn resources_in_the_namespace_and_below_it_are_found(
        #[case] cluster: &str,
        #[case] namespace: &str,
        #[case] expected: bool,
    ) {
        let reference = |name: &str| Reference { name: name.to_owned(), namespace: Some("ns".to_owned()) };
        let owned = OwnedResources {
            cluster_ref: reference(cluster),
            namespace: namespace.to_owned(),
            ..OwnedResources::default()
        };
        let place = Place { cluster: &reference("main"), namespace: "teams/apps" };
        assert_eq!(place.contains(&owned), expected);
    }

    #[test]
    fn the_message_names_some_objects_and_their_number() {
        let found: Vec<String> = (0..5).map(|number| format!("BaoPolicy ns/p{number}")).collect();
        let expected = "waits for the deletion of the objects with resources in namespace teams: BaoPolicy ns/p0, BaoPolicy \
                        ns/p1, BaoPolicy ns/p2 (5 in total)";
        assert_eq!(waiting(&NamespacePath::new("teams"), &found), expected);
    }
}
