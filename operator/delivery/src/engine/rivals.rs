//! Objects that target one Secret, against a model of the API server: never two owners, never endless writes, the one that
//! waits takes over when the other is gone, and a recreated object takes nothing from the one that follows it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use steamer_api::KindId;
use steamer_core::ownership::secret::{Intent, Occupant, claim_secret};
use steamer_core::ownership::{Mark, Owner};
use steamer_runtime::ObjectName;

use super::merge::field_manager;

#[derive(Clone, Debug)]
struct Rival {
    mark: Mark,
    intent: Intent,
}

/// A Secret: owner, annotation of the keys with its field manager, and one key for each manager.
#[derive(Clone, Debug, Default)]
struct Stored {
    owner: Option<Mark>,
    /// UID in the owner reference.
    uid: u32,
    keys_of: Option<(Mark, String)>,
    keys: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
struct World {
    secret: Option<Stored>,
    /// Objects that exist, with their UID.
    living: BTreeMap<String, u32>,
    created: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Settled,
    Wrote,
    Refused,
}

impl World {
    fn step(&mut self, rival: &Rival) -> Outcome {
        let living = &self.living;
        let uid = living.get(&rival.mark.to_string()).copied().unwrap_or_default();
        let manager = field_manager(&rival.mark);
        let Some(stored) = &mut self.secret else {
            if rival.intent == Intent::Merge {
                return Outcome::Refused;
            }
            self.secret = Some(Stored { owner: Some(rival.mark.clone()), uid, ..Stored::default() });
            return Outcome::Wrote;
        };
        let occupant = Occupant {
            owner: stored.owner.clone(),
            keys_of: stored.keys_of.as_ref().map(|(mark, _)| mark.clone()),
            ..Occupant::default()
        };
        let exists = |mark: &Mark| living.contains_key(&mark.to_string());
        if claim_secret(&rival.mark, &occupant, rival.intent, exists).is_err() {
            return Outcome::Refused;
        }
        if rival.intent == Intent::Merge { stored.merge(rival, manager) } else { stored.replace(rival, uid) }
    }

    fn create(&mut self, rival: &Rival) {
        self.created += 1;
        self.living.entry(rival.mark.to_string()).or_insert(self.created);
    }

    /// Deletes an object: the API server collects its Secret, the finalizer removes its keys.
    fn delete(&mut self, rival: &Rival) {
        let Some(uid) = self.living.remove(&rival.mark.to_string()) else {
            return;
        };
        let is_of = |stored: &Stored| stored.owner.as_ref() == Some(&rival.mark) && stored.uid == uid;
        self.secret = self.secret.take().filter(|stored| !is_of(stored));
        if let Some(stored) = &mut self.secret {
            stored.keys.remove(&field_manager(&rival.mark));
            stored.keys_of.take_if(|(mark, _)| *mark == rival.mark);
        }
    }
}

impl Stored {
    fn replace(&mut self, rival: &Rival, uid: u32) -> Outcome {
        let is_own = self.owner.as_ref() == Some(&rival.mark) && self.uid == uid;
        if is_own && self.keys.is_empty() && self.keys_of.is_none() {
            return Outcome::Settled;
        }
        (self.owner, self.uid) = (Some(rival.mark.clone()), uid);
        self.keys.clear();
        self.keys_of = None;
        Outcome::Wrote
    }

    /// Server-side apply without force: an annotation of another manager is a conflict.
    fn merge(&mut self, rival: &Rival, manager: String) -> Outcome {
        let key = rival.mark.to_string();
        let wanted = Some((rival.mark.clone(), manager.clone()));
        if self.keys_of == wanted && self.keys.get(&manager) == Some(&key) {
            return Outcome::Settled;
        }
        if let Some((former, _)) = self.keys_of.take().filter(|(former, _)| *former != rival.mark) {
            self.keys.remove(&field_manager(&former));
        }
        self.keys_of = wanted;
        self.keys.insert(manager, key);
        Outcome::Wrote
    }
}

fn rival() -> impl Strategy<Value = (Intent, usize)> {
    let intent = prop_oneof![Just(Intent::Create), Just(Intent::Overwrite), Just(Intent::Merge)];
    (intent, prop_oneof![1_usize..10, 115_usize..130, 200_usize..252])
}

fn rivals(of: &[(Intent, usize)]) -> Vec<Rival> {
    let named = of.iter().zip(["a", "b", "c"]);
    let rival = |((intent, length), end): (&(Intent, usize), &str)| {
        let name = ObjectName::new("web", format!("{}{end}", "x".repeat(*length)));
        let owner = Owner::Object(KindId::BaoStaticSecret);
        Rival { mark: Mark { installation: "i".to_owned(), owner, name }, intent: *intent }
    };
    named.map(rival).collect()
}

/// Reconciles all objects that exist. Returns the settled ones, and whether one of them wrote.
fn round(world: &mut World, rivals: &[Rival]) -> (Vec<usize>, bool) {
    let exists = |world: &World, rival: &Rival| world.living.contains_key(&rival.mark.to_string());
    let step = |world: &mut World, rival: &Rival| exists(world, rival).then(|| world.step(rival));
    let outcomes: Vec<_> = rivals.iter().map(|rival| step(world, rival)).collect();
    let settled = (0..rivals.len()).filter(|at| outcomes[*at] == Some(Outcome::Settled)).collect();
    (settled, outcomes.contains(&Some(Outcome::Wrote)))
}

/// Event in the life of an object.
#[derive(Clone, Copy, Debug)]
enum Event {
    Created,
    Deleted,
    /// Deleted with `deletionPolicy: Retain`.
    Left,
}

proptest! {
    #[test]
    fn a_secret_stays_with_its_object_until_that_is_deleted(
        of in proptest::collection::vec(rival(), 3),
        foreign in any::<bool>(),
        events in proptest::collection::vec(
            (0_usize..3, prop_oneof![Just(Event::Created), Just(Event::Deleted), Just(Event::Left)]), 1..30,
        ),
    ) {
        let rivals = rivals(&of);
        let mut world = World { secret: foreign.then(Stored::default), ..World::default() };
        let mut winner = None;
        for (at, event) in events {
            match event {
                Event::Created => world.create(&rivals[at]),
                Event::Deleted => world.delete(&rivals[at]),
                Event::Left => drop(world.living.remove(&rivals[at].mark.to_string())),
            }
            let former = winner.filter(|winner| *winner != at || matches!(event, Event::Created));
            round(&mut world, &rivals);
            round(&mut world, &rivals);
            let (settled, wrote) = round(&mut world, &rivals);
            prop_assert!(!wrote && settled.len() <= 1, "{settled:?} {world:?}");
            winner = settled.first().copied();
            prop_assert!(former.is_none() || winner == former, "{former:?} lost to {winner:?}: {world:?}");
            let willing = rivals.iter().filter(|rival| rival.intent != Intent::Create);
            let waits = willing.filter(|rival| world.living.contains_key(&rival.mark.to_string())).count() > 0;
            prop_assert!(!waits || world.secret.is_none() || winner.is_some(), "all wait: {world:?}");
        }
    }

    #[test]
    fn one_secret_has_one_object(
        pair in [rival(), rival()],
        foreign in any::<bool>(),
        order in proptest::collection::vec(0_usize..2, 40),
    ) {
        let rivals = rivals(&pair);
        let mut world = World { secret: foreign.then(Stored::default), ..World::default() };
        rivals.iter().for_each(|rival| world.create(rival));
        let writes = order.iter().filter(|at| world.step(&rivals[**at]) == Outcome::Wrote).count();
        prop_assert!(writes <= 1, "{writes} writes: {world:?}");
        let rounds = [0, 1].map(|_| rivals.iter().map(|rival| world.step(rival)).collect::<Vec<_>>());
        let last = &rounds[1];
        let ready: Vec<usize> = (0..2).filter(|at| last[*at] == Outcome::Settled).collect();
        prop_assert!(ready.len() <= 1, "{last:?} {world:?}");
        prop_assert!(!last.contains(&Outcome::Wrote), "{last:?} {world:?}");
        if let [winner] = ready[..] {
            let other = &rivals[1 - winner];
            world.delete(&rivals[winner]);
            let taken = [world.step(other), world.step(other)];
            let may = match other.intent {
                Intent::Create => world.secret.as_ref().is_some_and(|stored| stored.owner.is_some()),
                Intent::Overwrite => true,
                Intent::Merge => world.secret.is_some(),
            };
            prop_assert_eq!(taken[1] == Outcome::Settled, may);
        }
    }
}
