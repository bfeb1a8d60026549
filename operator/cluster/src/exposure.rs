//! Keeps the kinds that not every Kubernetes has, and so are not watched: each is read in every pass that wants it.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use steamer_api::OpenBaoClusterStatus;
use steamer_core::error::Error;

use crate::children::{MANAGER, delete, holds, is_of, only};
use crate::managed::apply::Work;
use crate::objects::exposure::{Kind, exposure};

impl Work<'_> {
    /// Makes them what they should be. Those that nobody asks for are looked for only after the spec has changed, or while
    /// something is wrong: what was taken out of a spec is removed in the pass that sees it, or in the next.
    pub(crate) async fn exposed(&self) -> Result<(), Error> {
        for (kind, wanted) in exposure(self.cluster) {
            let api = Api::namespaced_with(
                self.context.client.clone(),
                &self.cluster.name.namespace,
                &kind.resource(),
            );
            match wanted {
                Some(wanted) => self.keep_exposed(&api, &kind, &wanted).await?,
                None if self.may_be_left() => self.remove_exposed(&api).await?,
                None => {}
            }
        }
        Ok(())
    }

    fn may_be_left(&self) -> bool {
        let last: OpenBaoClusterStatus = self.context.last(self.object);
        let generation = self.object.metadata.generation.unwrap_or(0);
        let ready =
            last.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        // A spec that was never changed has had nothing taken out.
        generation > 1 && (!ready || last.observed_generation != generation)
    }

    async fn keep_exposed(&self, api: &Api<DynamicObject>, kind: &Kind, wanted: &Value) -> Result<(), Error> {
        let name = &self.cluster.name.name;
        if let Some(live) = found(api, name).await? {
            if !is_of(&live, &self.cluster.name) {
                return Err(Error::Conflict(format!(
                    "{} {name} is there already and was not made for this cluster: delete it, or take \
                     spec.managed.{} away",
                    kind.kind, kind.field
                )));
            }
            if holds(&json!(live), wanted) {
                return Ok(());
            }
        }
        match api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(wanted)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == UNKNOWN => Err(Error::Invalid(format!(
                "spec.managed.{} needs the kind {}, which this Kubernetes does not have: install {}, or take the field away",
                kind.field, kind.kind, kind.brought_by
            ))),
            Err(error) => Err(error.into()),
        }
    }

    async fn remove_exposed(&self, api: &Api<DynamicObject>) -> Result<(), Error> {
        let name = &self.cluster.name.name;
        let Some(live) = found(api, name).await?.filter(|live| is_of(live, &self.cluster.name)) else {
            return Ok(());
        };
        delete(api, name, &only(&live)).await
    }
}

/// What the API server answers for an object, and for a kind, that is not there. It says no more of a kind.
const UNKNOWN: u16 = 404;

async fn found(api: &Api<DynamicObject>, name: &str) -> Result<Option<DynamicObject>, Error> {
    match api.get(name).await {
        Ok(live) => Ok(Some(live)),
        Err(kube::Error::Api(status)) if status.code == UNKNOWN => Ok(None),
        Err(error) => Err(error.into()),
    }
}
