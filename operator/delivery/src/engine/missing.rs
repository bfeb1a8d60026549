//! A source without a value: `onSourceDeleted` decides about the Secret.

use std::time::Duration;

use jiff::Timestamp;
use steamer_api::OnSourceDeleted;
use steamer_core::Error;
use steamer_core::ownership::secret::Intent;

use super::content::Content;
use super::frame::{Frame, Wanted};
use super::merge::owns_keys;
use super::pass::Pass;
use super::stamp::Stamp;
use super::synced::{Source, Synced};
use super::templated::Templated;

impl<K: Synced> Pass<'_, K> {
    /// Applies `onSourceDeleted`. Returns the error that reports the missing value.
    pub(super) async fn source_missing(&self) -> Result<Error, Error> {
        let create = self.object.common().destination.create;
        let note = if create { self.clear_secret().await? } else { self.clear_keys().await? };
        let now = Timestamp::now();
        let left = self.source.schedule().next(now).duration_since(now);
        let message = format!("no value exists at {} in OpenBao{note}", self.source.describe());
        Ok(Error::SourceMissing(message, Duration::try_from(left).unwrap_or_default()))
    }

    async fn clear_secret(&self) -> Result<&'static str, Error> {
        let destinations = &self.engine.destinations;
        let own = destinations.own(&self.frame.name, &self.frame.mark);
        Ok(match (&own, self.object.common().on_source_deleted) {
            (None, _) => "",
            (Some(_), OnSourceDeleted::Retain) => "; the Secret is kept",
            (Some(_), OnSourceDeleted::Clear) => {
                let (content, stamp) = self.cleared();
                let frame = Frame { templated: Templated::None, ..self.frame.clone() };
                let wanted = Wanted { frame: &frame, content: &content, stamp: &stamp };
                destinations.put(self.dependencies, &wanted, Intent::Create).await?;
                "; the Secret is emptied"
            }
            (Some(observed), OnSourceDeleted::Delete) => {
                destinations.delete(&self.frame.name, observed).await?;
                "; the Secret is deleted"
            }
        })
    }

    /// Removes the keys from a Secret of another client. The object still owns its place in it.
    async fn clear_keys(&self) -> Result<&'static str, Error> {
        let (destinations, frame) = (&self.engine.destinations, &self.frame);
        let found = destinations.named.get(self.dependencies, &frame.name).await?;
        if !found.is_some_and(|secret| owns_keys(&secret, &frame.mark)) {
            return Ok("");
        }
        if self.object.common().on_source_deleted == OnSourceDeleted::Retain {
            return Ok("; its keys in the Secret are kept");
        }
        let (content, stamp) = (Content::default(), Stamp::default());
        destinations.merge(self.dependencies, &Wanted { frame, content: &content, stamp: &stamp }).await?;
        Ok("; its keys are removed from the Secret")
    }

    /// An empty Secret. Its request matches no spec. It restarts no workload: only a new value does.
    fn cleared(&self) -> (Content, Stamp) {
        let content = Content::default();
        let mac = content.mac(&self.engine.context.mac, &self.frame.name);
        let change = self.engine.before(self.object).last();
        (content, Stamp { content: mac, change, ..Stamp::default() })
    }
}
