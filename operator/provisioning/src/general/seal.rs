//! Seals of the entries of `status.owned`. Whoever can write a status could otherwise make the operator delete any resource.

use steamer_api::OwnedResource;
use steamer_core::mac::Mac;
use steamer_core::ownership::Mark;

use crate::engine::Footprint;

/// Seals the entries of one object.
pub(crate) struct Seal {
    mac: Mac,
    owner: String,
}

impl Seal {
    /// Seals with the key of the installation for the object with that mark.
    pub(crate) fn new(mac: &Mac, owner: &Mark) -> Self {
        Self { mac: mac.clone(), owner: owner.to_string() }
    }

    /// The footprint with sealed entries.
    pub(crate) fn sealed(&self, mut footprint: Footprint) -> Footprint {
        let seals: Vec<String> = footprint.resources.iter().map(|it| self.of(&footprint, it)).collect();
        for (entry, seal) in footprint.resources.iter_mut().zip(seals) {
            entry.seal = Some(seal);
        }
        footprint
    }

    /// The footprint with the entries that the operator has written.
    pub(crate) fn trusted(&self, footprint: Footprint) -> Footprint {
        let is_valid = |it: &&OwnedResource| it.seal.as_deref() == Some(&*self.of(&footprint, it));
        let resources = footprint.resources.iter().filter(is_valid).cloned().collect();
        Footprint { resources, ..footprint }
    }

    fn of(&self, footprint: &Footprint, entry: &OwnedResource) -> String {
        let OwnedResource { path, deleted_at, is_part, holds_values, pending, .. } = entry;
        let cluster = footprint.cluster.to_string();
        let rest = format!("{deleted_at:?} {is_part} {holds_values} {pending}");
        self.mac.of([
            ("owner", self.owner.as_bytes()),
            ("cluster", cluster.as_bytes()),
            ("namespace", footprint.namespace.as_str().as_bytes()),
            ("path", path.as_bytes()),
            ("rest", rest.as_bytes()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_core::ownership::Owner;
    use steamer_openbao::NamespacePath;
    use steamer_runtime::ObjectName;

    use super::*;

    fn seal(name: &str) -> Seal {
        let owner = Owner::Object(KindId::SecretEngine);
        let mark = Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", name) };
        Seal::new(&Mac::new(&[7; 32]), &mark)
    }

    fn sealed() -> Footprint {
        let entry = OwnedResource { path: "sys/mounts/kv".to_owned(), ..OwnedResource::default() };
        seal("web").sealed(Footprint {
            cluster: ObjectName::new("ns", "main"),
            tenant: None,
            namespace: NamespacePath::new("team"),
            resources: vec![entry],
        })
    }

    #[rstest]
    #[case::unchanged(|_: &mut Footprint| {}, true)]
    #[case::digest(|it: &mut Footprint| it.resources[0].digest = Some("d".to_owned()), true)]
    #[case::path(|it: &mut Footprint| it.resources[0].path = "sys/mounts/other".to_owned(), false)]
    #[case::deletion_path(|it: &mut Footprint| it.resources[0].deleted_at = Some("sys/mounts/other".to_owned()), false)]
    #[case::values(|it: &mut Footprint| it.resources[0].holds_values = true, false)]
    #[case::pending(|it: &mut Footprint| it.resources[0].pending = true, false)]
    #[case::namespace(|it: &mut Footprint| it.namespace = NamespacePath::root(), false)]
    #[case::cluster(|it: &mut Footprint| it.cluster = ObjectName::new("ns", "other"), false)]
    #[case::no_seal(|it: &mut Footprint| it.resources[0].seal = None, false)]
    fn an_entry_that_another_client_changed_is_not_trusted(
        #[case] change: fn(&mut Footprint),
        #[case] trusted: bool,
    ) {
        let mut footprint = sealed();
        change(&mut footprint);
        assert_eq!(seal("web").trusted(footprint).resources.len(), usize::from(trusted));
    }

    #[test]
    fn an_entry_of_another_object_is_not_trusted() {
        assert!(seal("other").trusted(sealed()).resources.is_empty());
    }
}
