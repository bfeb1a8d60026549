//! Right to write into a Secret, and the limit of writes that another client undoes.

use std::time::Instant;

use steamer_core::Error;
use steamer_core::ownership::Claim;
use steamer_core::ownership::mark::{Mark, Owner};
use steamer_core::ownership::secret::{Intent, Occupant, Refusal, claim_secret};
use steamer_runtime::write_limit::Write;
use steamer_runtime::{Dependencies, Key, Presence};

use super::destination::Destinations;
use super::frame::Frame;
use super::observed::Observed;

impl Destinations {
    /// Refuses a Secret of another owner. The object is requeued when that Secret, or the object that owns it, changes or
    /// is deleted.
    pub(super) async fn claim(
        &self,
        dependencies: &Dependencies,
        frame: &Frame,
        intent: Intent,
        observed: &Observed,
    ) -> Result<Claim, Error> {
        let occupant = observed.occupant();
        // Before the lookup: a later deletion requeues the object.
        for mark in occupant.marks().filter(|mark| **mark != frame.mark) {
            dependencies.on(key(mark));
        }
        let refusal = match self.right(&frame.mark, &occupant, intent) {
            Ok(claim) => return Ok(claim),
            Err(refusal) => refusal,
        };
        // Only a watch by name reports the end of a Secret of another owner.
        self.named.get(dependencies, &frame.name).await?;
        Err(conflict(frame, intent, &refusal, observed))
    }

    /// Right of an object to a Secret.
    pub(super) fn right(&self, ours: &Mark, occupant: &Occupant, intent: Intent) -> Result<Claim, Refusal> {
        claim_secret(ours, occupant, intent, |mark| self.exists(mark))
    }

    fn exists(&self, mark: &Mark) -> bool {
        match &mark.owner {
            Owner::Object(kind) => self.stores.exists(*kind, &mark.name),
            Owner::Served(kind) => self.stores.presence_of_served(*kind, &mark.name) != Presence::Absent,
            Owner::Organization | Owner::Unknown(_) => true,
        }
    }

    /// Makes a write, except if another client undid it several times.
    pub(super) async fn limited<T>(
        &self,
        frame: &Frame,
        write: Write,
        action: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let admitted = self.limit.admit(&frame.mark.name, write, Instant::now());
        admitted.map_err(|pause| Error::Repeated(undone(frame), pause))?;
        let done = action.await?;
        self.limit.record(&frame.mark.name, write, Instant::now());
        Ok(done)
    }
}

fn undone(frame: &Frame) -> String {
    let name = &frame.name;
    format!("another client undoes each change of Secret {name}: stop it, or choose another destination.name")
}

fn key(mark: &Mark) -> Key {
    Key::new(mark.owner.to_string(), mark.name.clone())
}

/// The error for a Secret of another owner. It suggests only what helps: `overwrite` changes neither a type nor a Secret
/// with an owner or a protection.
fn conflict(frame: &Frame, intent: Intent, refusal: &Refusal, observed: &Observed) -> Error {
    let Frame { name, type_, .. } = frame;
    let other_type = *type_ != observed.type_;
    let advice = match (intent, refusal) {
        (Intent::Create, Refusal::Unowned) if other_type => format!(
            "delete it, choose another destination.name, or set destination.type: {} and destination.overwrite: true",
            observed.type_
        ),
        (Intent::Create, Refusal::Unowned) => {
            "delete it, choose another destination.name, or set destination.overwrite: true".to_owned()
        }
        (Intent::Merge, Refusal::Owned(_)) => {
            "choose another destination.name, or remove the object that it belongs to".to_owned()
        }
        (_, Refusal::Owned(_)) => "remove that object, or choose another destination.name".to_owned(),
        _ => "choose another destination.name, or delete it".to_owned(),
    };
    Error::Conflict(format!("Secret {name} {refusal}: {advice}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use steamer_api::KindId;
    use steamer_runtime::ObjectName;

    use super::super::frame::sample;
    use super::*;

    fn owned() -> Refusal {
        let owner = Owner::Object(KindId::BaoStaticSecret);
        let name = ObjectName::new("web", "other");
        Refusal::Owned(Mark { installation: "i".to_owned(), owner, name })
    }

    #[rstest]
    #[case::unowned(Intent::Create, Refusal::Unowned, "Opaque", &["destination.overwrite: true"])]
    #[case::another_type(
        Intent::Create,
        Refusal::Unowned,
        "x/y",
        &["destination.type: x/y and destination.overwrite: true"]
    )]
    #[case::owned(Intent::Create, owned(), "Opaque", &["remove that object", "BaoStaticSecret web/other"])]
    #[case::owned_and_merged(Intent::Merge, owned(), "Opaque", &["remove the object that it belongs to"])]
    #[case::protected(Intent::Create, Refusal::Protected("is immutable".to_owned()), "Opaque", &["delete it"])]
    #[case::protected_from_overwrite(
        Intent::Overwrite,
        Refusal::Protected("is immutable".to_owned()),
        "Opaque",
        &["is immutable", "choose another destination.name"]
    )]
    fn a_conflict_suggests_overwrite_only_where_it_helps(
        #[case] intent: Intent,
        #[case] refusal: Refusal,
        #[case] type_: &str,
        #[case] parts: &[&str],
    ) {
        let observed = Observed { type_: type_.to_owned(), ..Observed::default() };
        let text = conflict(&sample(), intent, &refusal, &observed).to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        let helps = intent == Intent::Create && refusal == Refusal::Unowned;
        assert_eq!(text.contains("overwrite"), helps, "{text}");
    }
}
