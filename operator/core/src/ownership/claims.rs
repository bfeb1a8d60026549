//! Which objects claim a resource in OpenBao. Objects of several kinds can claim one path, and resources of general kinds carry
//! no mark.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use steamer_api::KindId;
use steamer_openbao::NamespacePath;
use steamer_runtime::{Locked, ObjectName};

/// Path of the policies.
const POLICIES: &str = "sys/policies/acl/";
/// Paths whose last part OpenBao compares without its case: names of policies, roles, users and groups.
const WITHOUT_CASE: [&str; 3] = [POLICIES, "auth/", "identity/"];
/// Roles of tokens, whose names OpenBao compares with their case.
const TOKEN_ROLES: &str = "auth/token/roles/";

/// A resource that objects claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// Cluster that contains it.
    pub cluster: ObjectName,
    /// OpenBao namespace that contains it.
    pub namespace: NamespacePath,
    /// Its path, relative to the namespace. One resource has one path.
    pub path: String,
}

/// An object that claims resources.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claimant {
    /// Kind of the object.
    pub kind: KindId,
    /// Name of the object.
    pub name: ObjectName,
}

/// Reason of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The spec of the object contains the resource.
    Spec,
    /// Only the status of the object records it.
    Record,
}

/// The claims of all objects, by resource and by object.
#[derive(Default)]
pub struct Claims(Locked<State>);

#[derive(Default)]
struct State {
    is_complete: bool,
    claimants: HashMap<Arc<Claimed>, BTreeMap<Claimant, Basis>>,
    claimed: HashMap<Claimant, Vec<Arc<Claimed>>>,
}

impl Claims {
    /// Adds the claims of all objects that existed before this process started. Only the first call does. If an object has two
    /// claims to one resource, the last one counts.
    pub fn complete(&self, existing: impl FnOnce() -> Vec<(Claimant, Vec<(Claimed, Basis)>)>) {
        let mut state = self.0.lock();
        if std::mem::replace(&mut state.is_complete, true) {
            return;
        }
        for (claimant, claims) in existing() {
            state.replace(&claimant, claims);
        }
    }

    /// Replaces the claims of an object.
    pub fn replace(&self, claimant: &Claimant, claims: Vec<(Claimed, Basis)>) {
        self.0.lock().replace(claimant, claims);
    }

    /// Replaces the claims of the spec of an object. Those of a former spec stay as claims of the record.
    pub fn announce(&self, claimant: &Claimant, claimed: Vec<Claimed>) {
        let mut state = self.0.lock();
        let former: Vec<Arc<Claimed>> = state.claimed.get(claimant).into_iter().flatten().cloned().collect();
        for resource in former {
            state.add(claimant, (resource, Basis::Record));
        }
        for resource in claimed {
            state.add(claimant, (Arc::new(resource), Basis::Spec));
        }
    }

    /// The other objects that claim a resource.
    #[must_use]
    pub fn of_others(&self, own: &Claimant, claimed: &Claimed) -> Vec<(Claimant, Basis)> {
        let state = self.0.lock();
        let claimants = state.claimants.get(claimed).into_iter().flatten();
        let others = claimants.filter(|(claimant, _)| *claimant != own);
        others.map(|(claimant, basis)| (claimant.clone(), *basis)).collect()
    }

    /// Discards the claims of an object that no longer exists.
    pub fn forget(&self, claimant: &Claimant) {
        self.0.lock().remove(claimant);
    }
}

impl State {
    fn replace(&mut self, claimant: &Claimant, claims: impl IntoIterator<Item = (Claimed, Basis)>) {
        self.remove(claimant);
        for (resource, basis) in claims {
            self.add(claimant, (Arc::new(resource), basis));
        }
    }

    fn add(&mut self, claimant: &Claimant, (resource, basis): (Arc<Claimed>, Basis)) {
        let claimants = self.claimants.entry(resource.clone()).or_default();
        if claimants.insert(claimant.clone(), basis).is_none() {
            self.claimed.entry(claimant.clone()).or_default().push(resource);
        }
    }

    fn remove(&mut self, claimant: &Claimant) {
        for resource in self.claimed.remove(claimant).into_iter().flatten() {
            let Some(claimants) = self.claimants.get_mut(&resource) else { continue };
            claimants.remove(claimant);
            if claimants.is_empty() {
                self.claimants.remove(&resource);
            }
        }
    }
}

/// The path of a resource, which is the same for two names that OpenBao does not distinguish.
#[must_use]
pub fn folded(path: &str) -> String {
    if path.starts_with(TOKEN_ROLES) || !WITHOUT_CASE.iter().any(|start| path.starts_with(start)) {
        return path.to_owned();
    }
    // Only the name of a policy can contain slashes.
    let (start, name) = match path.strip_prefix(POLICIES) {
        Some(name) => (POLICIES.trim_end_matches('/'), name),
        None => path.rsplit_once('/').unwrap_or_default(),
    };
    format!("{start}/{}", name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(path: &str) -> Claimed {
        let (cluster, namespace) = (ObjectName::new("ns", "main"), NamespacePath::new("team"));
        Claimed { cluster, namespace, path: path.to_owned() }
    }

    fn claimant(kind: KindId) -> Claimant {
        Claimant { kind, name: ObjectName::new("ns", "web") }
    }

    fn kinds(claims: &Claims, claimed: &Claimed) -> Vec<(KindId, Basis)> {
        let others = claims.of_others(&claimant(KindId::BaoPolicy), claimed);
        others.into_iter().map(|(claimant, basis)| (claimant.kind, basis)).collect()
    }

    #[test]
    fn the_other_objects_are_found_until_they_claim_something_else() {
        let (claims, app) = (Claims::default(), claimant(KindId::SecretsApp));
        claims.replace(&claimant(KindId::BaoPolicy), vec![(claimed("a"), Basis::Spec)]);
        assert_eq!(kinds(&claims, &claimed("a")), []);
        claims.replace(&app, vec![(claimed("a"), Basis::Spec), (claimed("b"), Basis::Record)]);
        assert_eq!(kinds(&claims, &claimed("a")), [(KindId::SecretsApp, Basis::Spec)]);
        assert_eq!(kinds(&claims, &claimed("b")), [(KindId::SecretsApp, Basis::Record)]);
        let elsewhere = Claimed { namespace: NamespacePath::root(), ..claimed("a") };
        assert_eq!(kinds(&claims, &elsewhere), []);
        claims.replace(&app, vec![(claimed("b"), Basis::Spec)]);
        assert_eq!(kinds(&claims, &claimed("a")), []);
        assert_eq!(kinds(&claims, &claimed("b")), [(KindId::SecretsApp, Basis::Spec)]);
    }

    #[test]
    fn another_object_of_the_same_kind_is_found() {
        let claims = Claims::default();
        let other = Claimant { name: ObjectName::new("ns", "other"), ..claimant(KindId::BaoPolicy) };
        claims.replace(&other, vec![(claimed("a"), Basis::Spec)]);
        assert_eq!(kinds(&claims, &claimed("a")), [(KindId::BaoPolicy, Basis::Spec)]);
        assert_eq!(claims.of_others(&other, &claimed("a")), []);
    }

    #[test]
    fn announced_claims_replace_those_of_a_former_spec() {
        let (claims, app) = (Claims::default(), claimant(KindId::SecretsApp));
        claims.replace(&app, vec![(claimed("a"), Basis::Spec), (claimed("b"), Basis::Record)]);
        claims.announce(&app, vec![claimed("b"), claimed("c")]);
        for (path, basis) in [("a", Basis::Record), ("b", Basis::Spec), ("c", Basis::Spec)] {
            assert_eq!(kinds(&claims, &claimed(path)), [(KindId::SecretsApp, basis)]);
        }
        claims.forget(&app);
        assert!(claims.0.lock().claimants.is_empty());
    }

    #[test]
    fn nothing_stays_in_memory_for_deleted_objects() {
        let (claims, app) = (Claims::default(), claimant(KindId::SecretsApp));
        claims.replace(&app, vec![(claimed("a"), Basis::Spec), (claimed("b"), Basis::Spec)]);
        claims.replace(&claimant(KindId::IdentityGroup), vec![(claimed("a"), Basis::Spec)]);
        claims.forget(&app);
        assert_eq!(kinds(&claims, &claimed("a")), [(KindId::IdentityGroup, Basis::Spec)]);
        claims.forget(&claimant(KindId::IdentityGroup));
        let state = claims.0.lock();
        assert!(state.claimants.is_empty() && state.claimed.is_empty());
    }

    #[test]
    fn what_existed_before_the_start_is_read_once() {
        let claims = Claims::default();
        for path in ["a", "b"] {
            let of_app = [Basis::Record, Basis::Spec].map(|basis| (claimed(path), basis)).to_vec();
            claims.complete(|| vec![(claimant(KindId::SecretsApp), of_app)]);
        }
        assert_eq!(kinds(&claims, &claimed("a")), [(KindId::SecretsApp, Basis::Spec)]);
        assert_eq!(kinds(&claims, &claimed("b")), []);
    }
}
