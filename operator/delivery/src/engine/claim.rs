//! Right to write into a Secret, and the limit of writes that another client undoes.

use std::time::Instant;

use steamer_core::Error;
use steamer_core::ownership::Claim;
use steamer_core::ownership::mark::{Mark, Owner};
use steamer_core::ownership::secret::{Intent, Refusal, claim_secret};
use steamer_core::write_limit::Write;
use steamer_runtime::{Dependencies, Key};

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
        let exists = |mark: &Mark| self.exists(mark);
        let refusal = match claim_secret(&frame.mark, &occupant, intent, exists) {
            Ok(claim) => return Ok(claim),
            Err(refusal) => refusal,
        };
        self.named.get(dependencies, &frame.name).await;
        Err(conflict(frame, intent, &refusal))
    }

    fn exists(&self, mark: &Mark) -> bool {
        match &mark.owner {
            Owner::Object(kind) => self.stores.exists(*kind, &mark.name),
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

fn conflict(frame: &Frame, intent: Intent, refusal: &Refusal) -> Error {
    let hint = match (intent, refusal) {
        (Intent::Create, Refusal::Unowned) => ", or set destination.overwrite: true",
        _ => "",
    };
    let name = &frame.name;
    Error::Conflict(format!("Secret {name} {refusal}: remove it, choose another destination.name{hint}"))
}
