//! Two objects that target one Secret, against a model of the API server: never two owners, never endless writes, and the
//! one that waits takes over when the other is gone.

use std::collections::{BTreeMap, BTreeSet};

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
    keys_of: Option<(Mark, String)>,
    keys: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
struct World {
    secret: Option<Stored>,
    living: BTreeSet<String>,
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
        let manager = field_manager(&rival.mark);
        let Some(stored) = &mut self.secret else {
            if rival.intent == Intent::Merge {
                return Outcome::Refused;
            }
            self.secret = Some(Stored { owner: Some(rival.mark.clone()), ..Stored::default() });
            return Outcome::Wrote;
        };
        let occupant = Occupant {
            owner: stored.owner.clone(),
            keys_of: stored.keys_of.as_ref().map(|(mark, _)| mark.clone()),
            ..Occupant::default()
        };
        let exists = |mark: &Mark| living.contains(&mark.to_string());
        if claim_secret(&rival.mark, &occupant, rival.intent, exists).is_err() {
            return Outcome::Refused;
        }
        if rival.intent == Intent::Merge { stored.merge(rival, manager) } else { stored.replace(rival) }
    }

    /// Deletes an object: the API server collects its Secret, the finalizer removes its keys.
    fn delete(&mut self, rival: &Rival) {
        self.living.remove(&rival.mark.to_string());
        self.secret = self.secret.take().filter(|stored| stored.owner.as_ref() != Some(&rival.mark));
        if let Some(stored) = &mut self.secret {
            stored.keys.remove(&field_manager(&rival.mark));
            stored.keys_of.take_if(|(mark, _)| *mark == rival.mark);
        }
    }
}

impl Stored {
    fn replace(&mut self, rival: &Rival) -> Outcome {
        if self.owner.as_ref() == Some(&rival.mark) && self.keys.is_empty() {
            return Outcome::Settled;
        }
        self.owner = Some(rival.mark.clone());
        self.keys.clear();
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

proptest! {
    #[test]
    fn one_secret_has_one_object(
        pair in [rival(), rival()],
        foreign in any::<bool>(),
        order in proptest::collection::vec(0_usize..2, 40),
    ) {
        let ends = ["a", "b"];
        let rivals: Vec<Rival> = pair.iter().zip(ends).map(|((intent, length), end)| {
            let name = ObjectName::new("web", format!("{}{end}", "x".repeat(*length)));
            let owner = Owner::Object(KindId::BaoStaticSecret);
            Rival { mark: Mark { installation: "i".to_owned(), owner, name }, intent: *intent }
        }).collect();
        let living = rivals.iter().map(|rival| rival.mark.to_string()).collect();
        let mut world = World { secret: foreign.then(Stored::default), living };
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
