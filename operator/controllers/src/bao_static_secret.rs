//! BaoStaticSecret: a value of a KV engine, kept as a Secret.

mod apply;
mod fetch;
mod status;
mod validate;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kube::ResourceExt;
use steamer_api::{BaoStaticSecret, RECONCILE_ANNOTATION};
use steamer_runtime::{Action, Dependencies, Name, Reconcile};

use crate::context::Context;
use crate::error::Error;
use crate::sync::decide::{Asked, Inputs, Record, decide};
use crate::sync::destination::Destinations;
use crate::sync::readings::Readings;

pub(crate) struct Controller {
    pub(crate) context: Arc<Context>,
    pub(crate) destinations: Destinations,
    pub(crate) readings: Readings,
    pub(crate) records: Mutex<HashMap<Name, Record>>,
}

impl Reconcile for Controller {
    type Object = BaoStaticSecret;
    type Error = Error;
    const NAME: &'static str = "baostaticsecret";

    async fn reconcile(
        &self,
        secret: Arc<BaoStaticSecret>,
        dependencies: &Dependencies,
    ) -> Result<Action, Error> {
        if secret.metadata.deletion_timestamp.is_some() {
            return Ok(Action::AwaitChange);
        }
        if secret.spec.suspend {
            status::suspended(&self.context, &secret).await?;
            return Ok(Action::AwaitChange);
        }
        let access = fetch::access(&self.context, dependencies, &secret).await?;
        let asked = asked(&secret, &access);
        let record = self.record(&Name::of(&*secret));
        let observed = self.observed(dependencies, &secret);
        let now = Instant::now();
        let inputs = Inputs { record: record.as_ref(), asked: &asked, observed: observed.as_deref(), now };
        let reason = match decide(&inputs) {
            Ok(reason) => reason,
            Err(pause) => {
                status::unchanged(&self.context, &secret, record.as_ref()).await?;
                return Ok(Action::After(pause));
            }
        };
        self.sync(&secret, dependencies, (access, asked), reason).await
    }

    fn forget(&self, name: &Name) {
        self.records().remove(name);
    }
}

impl Controller {
    async fn sync(
        &self,
        secret: &BaoStaticSecret,
        dependencies: &Dependencies,
        (access, asked): (fetch::ReadAccess, Asked),
        reason: &'static str,
    ) -> Result<Action, Error> {
        let reading = fetch::read(&self.readings, &access, secret, reason).await?;
        let due = reading.at + fetch::period(secret);
        let found = match validate::value(&reading.value) {
            Some(found) => found,
            None => return Err(apply::source_missing(self, secret, dependencies).await?),
        };
        let wanted = validate::wanted(&self.context, secret, found.values)?;
        let written = apply::put(self, secret, dependencies, &wanted).await?;
        if written {
            tracing::info!(secret = %wanted.name, version = found.version, reason, "Secret written");
        }
        apply::prune(self, secret).await?;
        let shape = wanted.shape(&self.destinations.observed.mac);
        let record = Record { asked, shape, due, version: found.version };
        status::synced(&self.context, secret, &record, written.then_some(reason)).await?;
        self.records().insert(Name::of(secret), record);
        Ok(Action::After(due.saturating_duration_since(Instant::now())))
    }

    fn record(&self, name: &Name) -> Option<Record> {
        self.records().get(name).cloned()
    }

    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The destination as a watch sees it. One that is somebody else's is looked at when it is written.
    fn observed(
        &self,
        dependencies: &Dependencies,
        secret: &BaoStaticSecret,
    ) -> Option<Arc<crate::sync::observed::Observed>> {
        let name = validate::destination(secret);
        dependencies.on(crate::named_secrets::secret_key(&name));
        self.destinations.observed.get(&name)
    }
}

fn asked(secret: &BaoStaticSecret, access: &fetch::ReadAccess) -> Asked {
    Asked {
        uid: secret.uid(),
        generation: secret.metadata.generation,
        nudge: secret.annotations().get(RECONCILE_ANNOTATION).cloned(),
        access: format!("{:?}", access.source),
    }
}
