//! Claims of several objects to one resource, such as those of a SecretsApp and of a BaoPolicy with the same name, or of two roles
//! whose names differ in their case only. The rule is that of the subjects of one kind: an object that has the resource wins,
//! otherwise the oldest.

use std::sync::Arc;

use steamer_api::{HasOwned, KindId, OwnedResource, OwnedResources};
use steamer_core::Context;
use steamer_core::error::Error;
use steamer_core::ownership::claims::{Basis, Claimant, Claimed, Claims, folded};
use steamer_core::references::seniority;
use steamer_runtime::{Key, ObjectName};

use super::desired::Desired;
use super::home::Home;
use super::kind::General;
use super::record;
use super::resource::Resource;
use super::seal::Seal;
use crate::engine::{Footprint, Pass, may_claim};

/// What an object has of a resource. The first one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// It has created or adopted the resource.
    Owned,
    /// It is about to.
    Announced,
    /// Its spec contains the resource.
    Wanted,
}

/// Order of the claims to a resource. Objects of two kinds can have the same age and name.
type Rank = (Hold, (i64, bool, ObjectName), KindId);

/// Records what the spec alone determines. The object then has these claims also while OpenBao does not answer, and while
/// something that the spec refers to is missing. Returns the claims, which are empty in a pass that only surveys.
pub(super) fn announce<K: General>(object: &K, home: &Home, pass: &Pass<'_>) -> Vec<Claimed> {
    // A pass that writes nothing follows another one.
    let determined = if pass.is_survey() { Vec::new() } else { determined(object, home, pass) };
    // Kinds whose spec determines nothing keep the claims of their last pass.
    if !determined.is_empty() {
        known(pass).announce(&claimant(object), determined.clone());
    }
    determined
}

/// Fails with [`Error::Conflict`] if another object comes first for one of the resources. `adopt` does not change that. `determined`
/// are the announced claims.
pub(super) fn check<K: General>(
    object: &K,
    (desired, determined): (&Desired, Vec<Claimed>),
    pass: &Pass<'_>,
) -> Result<(), Error> {
    if !pass.is_survey() {
        known(pass).replace(&claimant(object), stated(desired, determined));
    }
    for (resource, claimed) in wholes(desired) {
        if let Some(first) = preceding(object, &claimed, pass) {
            return Err(conflict(&first, resource, &claimed));
        }
    }
    Ok(())
}

/// The footprint without the resources for which another object comes first: they are not those of this object.
pub(super) fn without_others<K: General>(object: &K, footprint: Footprint, pass: &Pass<'_>) -> Footprint {
    let is_own = |it: &&OwnedResource| it.is_part || preceding(object, &of(&footprint, it), pass).is_none();
    let resources = footprint.resources.iter().filter(is_own).cloned().collect();
    Footprint { resources, ..footprint }
}

/// The record without these resources: the object must not delete them when its spec no longer contains them.
pub(super) fn own_record<K: General>(object: &K, owned: OwnedResources, pass: &Pass<'_>) -> OwnedResources {
    let footprint = record::footprint(&owned, &ObjectName::of(object).namespace);
    let resources = without_others(object, footprint, pass).resources;
    OwnedResources { resources, ..owned }
}

/// The claims of all objects.
fn known<'a>(pass: &Pass<'a>) -> &'a Claims {
    let Context { claims, .. } = pass.context;
    claims.complete(|| existing_claims(pass));
    claims
}

fn claimant<K: General>(object: &K) -> Claimant {
    Claimant { kind: K::ID, name: ObjectName::of(object) }
}

/// The resources that the spec alone determines.
fn determined<K: General>(object: &K, home: &Home, pass: &Pass<'_>) -> Vec<Claimed> {
    object.claims(home, &pass.lookup()).iter().map(|path| in_home(home, path)).collect()
}

/// The resources of the spec. A part of a resource belongs to the object that has the rest.
fn wholes(desired: &Desired) -> impl Iterator<Item = (&Resource, Claimed)> {
    let resources = desired.resources.iter().map(|it| &it.resource).filter(|it| it.deleted_at.is_some());
    resources.map(move |it| (it, in_home(&desired.home, &it.path)))
}

fn in_home(home: &Home, path: &str) -> Claimed {
    let (cluster, namespace) = (ObjectName::of(&*home.cluster), home.namespace.clone());
    Claimed { cluster, namespace, path: folded(path) }
}

/// The claims of an object: the resources of its spec, and those that only its status records. A pass that only withdraws access
/// computes fewer resources than the spec determines.
fn stated(desired: &Desired, determined: Vec<Claimed>) -> Vec<(Claimed, Basis)> {
    let of_spec = wholes(desired).map(|(_, claimed)| claimed).chain(determined);
    let recorded = desired.owned.iter().flat_map(|owned| in_footprint(&record::footprint(owned, "")));
    let mut claims: Vec<(Claimed, Basis)> = Vec::new();
    let all = of_spec.map(|it| (it, Basis::Spec)).chain(recorded.map(|it| (it, Basis::Record)));
    for (claimed, basis) in all {
        if claims.iter().all(|(known, _)| *known != claimed) {
            claims.push((claimed, basis));
        }
    }
    claims
}

fn in_footprint(footprint: &Footprint) -> Vec<Claimed> {
    let wholes = footprint.resources.iter().filter(|it| !it.is_part);
    wholes.map(|it| of(footprint, it)).collect()
}

fn of(footprint: &Footprint, entry: &OwnedResource) -> Claimed {
    let Footprint { cluster, namespace, .. } = footprint;
    Claimed { cluster: cluster.clone(), namespace: namespace.clone(), path: folded(&entry.path) }
}

/// The first object that comes before this one.
fn preceding<K: General>(object: &K, claimed: &Claimed, pass: &Pass<'_>) -> Option<Claimant> {
    let mut rivals = Vec::new();
    for (rival, basis) in known(pass).of_others(&claimant(object), claimed) {
        if has_subject_of(object, &rival, pass) {
            continue;
        }
        // Before the lookup: a later change of the rival requeues the object.
        pass.dependencies.on(Key::new(rival.kind.as_str(), rival.name.clone()));
        let rank = rank_of(&rival, claimed, pass);
        // What a former spec contained is a claim only while OpenBao can still contain it.
        let rank = rank.filter(|(hold, ..)| basis == Basis::Spec || *hold != Hold::Wanted);
        rivals.extend(rank.map(|rank| (rank, rival)));
    }
    if rivals.is_empty() {
        return None;
    }
    first(&rank(object, claimed, pass.context), rivals)
}

/// Returns true for an object of the same kind with the same subject. The engine compares the two before any of their resources.
fn has_subject_of<K: General>(object: &K, rival: &Claimant, pass: &Pass<'_>) -> bool {
    let found = (rival.kind == K::ID).then(|| pass.lookup().cached::<K>(&rival.name)).flatten();
    found.is_some_and(|it| it.title() == object.title())
}

/// The first of the rivals, if it comes before the object with that rank.
fn first(own: &Rank, rivals: Vec<(Rank, Claimant)>) -> Option<Claimant> {
    let (rank, rival) = rivals.into_iter().min()?;
    (rank < *own).then_some(rival)
}

fn rank<K: General>(object: &K, claimed: &Claimed, context: &Context) -> Rank {
    let seal = Seal::new(&context.mac, &context.mark_of(object));
    let hold = footprint(object, context).map_or(Hold::Wanted, |it| hold(it, &seal, claimed));
    (hold, seniority(object, true), K::ID)
}

/// What a record states about a resource. An entry that another client wrote gives no right.
fn hold(record: Footprint, seal: &Seal, claimed: &Claimed) -> Hold {
    let trusted = seal.trusted(record);
    let found = trusted.resources.iter().find(|it| !it.is_part && of(&trusted, it) == *claimed);
    match found {
        Some(entry) if entry.pending => Hold::Announced,
        Some(_) => Hold::Owned,
        None => Hold::Wanted,
    }
}

fn footprint<K: General>(object: &K, context: &Context) -> Option<Footprint> {
    let status = context.latest(object);
    Some(record::footprint(HasOwned::owned(&*status)?, &ObjectName::of(object).namespace))
}

/// Rank of an object of a kind. None if the object does not exist, or has no right to its resources.
fn existing<K: General>(name: &ObjectName, claimed: &Claimed, pass: &Pass<'_>) -> Option<Rank> {
    let object = pass.lookup().cached::<K>(name)?;
    may_claim(&*object, &pass.lookup()).then(|| rank(&*object, claimed, pass.context))
}

/// What the statuses of the objects of a kind record, and what their specs determine.
fn claims_of<K: General>(pass: &Pass<'_>) -> Vec<(Claimant, Vec<(Claimed, Basis)>)> {
    let objects = pass.context.stores.of::<K>().filter(|_| true);
    let claims = |object: &Arc<K>| {
        let footprint = footprint(&**object, pass.context);
        let home = Home::of(&**object, &object.site(), &pass.lookup()).ok();
        let recorded = footprint.iter().flat_map(in_footprint).map(|it| (it, Basis::Record));
        let of_spec = home.iter().flat_map(|home| determined(&**object, home, pass));
        (claimant(&**object), recorded.chain(of_spec.map(|it| (it, Basis::Spec))).collect())
    };
    objects.iter().map(claims).collect()
}

macro_rules! general_kinds {
    ($($kind:ident),+ $(,)?) => {
        /// Rank of an object of any general kind, as [`existing`].
        fn rank_of(claimant: &Claimant, claimed: &Claimed, pass: &Pass<'_>) -> Option<Rank> {
            match claimant.kind {
                $(KindId::$kind => existing::<steamer_api::$kind>(&claimant.name, claimed, pass),)+
                _ => None,
            }
        }

        /// The claims of all objects, as [`claims_of`].
        fn existing_claims(pass: &Pass<'_>) -> Vec<(Claimant, Vec<(Claimed, Basis)>)> {
            let mut all = Vec::new();
            $(all.extend(claims_of::<steamer_api::$kind>(pass));)+
            all
        }

        #[cfg(test)]
        const GENERAL: &[KindId] = &[$(KindId::$kind),+];
    };
}
general_kinds!(
    BaoPolicy,
    SecretEngine,
    AuthMethod,
    BaoNamespace,
    TransitKey,
    BaoRateLimitQuota,
    PKIRole,
    BaoAuthRole,
    IdentityGroup,
    DatabaseConnection,
    DatabaseRole,
    SecretsApp,
);

fn conflict(first: &Claimant, resource: &Resource, claimed: &Claimed) -> Error {
    let (Claimant { kind, name }, Claimed { cluster, namespace, path }) = (first, claimed);
    Error::Conflict(format!(
        "{kind} {name} already claims {} ({path}) of namespace {namespace} in OpenBaoCluster {cluster}: delete one of the two objects",
        resource.name
    ))
}

#[cfg(test)]
mod tests;
