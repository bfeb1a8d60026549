//! Deleted objects that wait for nothing more of the operator.

use std::any::TypeId;
use std::collections::HashMap;

use crate::{AnyObject, Locked, ObjectName};

/// The objects whose finalizer is removed, and which the watch still shows, with their uids. Their deletion is not repeated.
#[derive(Default)]
pub struct Released(Locked<HashMap<(TypeId, ObjectName), String>>);

impl Released {
    /// Records that the finalizer of this object is removed.
    pub fn insert<K: AnyObject>(&self, object: &K) {
        let uid = object.meta().uid.clone().unwrap_or_default();
        self.0.lock().insert((TypeId::of::<K>(), ObjectName::of(object)), uid);
    }

    /// Returns true if the finalizer of this object was removed. An object that was recreated under the same name is another
    /// one.
    pub(crate) fn contains<K: AnyObject>(&self, object: &K) -> bool {
        let recorded = self.0.lock();
        let uid = recorded.get(&(TypeId::of::<K>(), ObjectName::of(object)));
        uid.is_some() && uid == object.meta().uid.as_ref()
    }

    /// Discards the record of an object that the watch no longer shows.
    pub(crate) fn forget<K: AnyObject>(&self, name: &ObjectName) {
        self.0.lock().remove(&(TypeId::of::<K>(), name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;

    use super::*;

    #[test]
    fn an_object_is_released_until_it_is_recreated_or_forgotten() {
        let (released, mut object) = (Released::default(), ConfigMap::default());
        object.metadata.name = Some("a".to_owned());
        object.metadata.uid = Some("first".to_owned());
        assert!(!released.contains(&object));
        released.insert(&object);
        assert!(released.contains(&object));
        let recreated = ConfigMap {
            metadata: kube::api::ObjectMeta { uid: Some("second".to_owned()), ..object.metadata.clone() },
            ..object.clone()
        };
        assert!(!released.contains(&recreated), "{} is another object", recreated.name_any());
        released.forget::<ConfigMap>(&ObjectName::of(&object));
        assert!(!released.contains(&object));
    }
}
