//! `mode: Observe`: the changes that a reconcile would make, by the names of keys and workloads. It writes the status only.

use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret;
use steamer_api::{Operation, PlannedChange};
use steamer_core::Error;
use steamer_core::access::named_objects::secret_key;
use steamer_runtime::conditions::Verdict;
use steamer_runtime::{Action, Reason};

use super::content::Content;
use super::decide::Why;
use super::frame::{Fit, Frame};
use super::merge::keys_of;
use super::observed::Observed;
use super::pass::{Pass, intent};
use super::synced::{Common, Source, Synced};
use super::workloads;

/// Most changes in a status.
const MOST: usize = 1000;

impl<K: Synced> Pass<'_, K> {
    /// Compares the value with the Secret, and reports the difference.
    pub(super) async fn observe(&self) -> Result<Action, Error> {
        let renderer = self.rendering.renderer()?;
        let pause = self.source.schedule().period;
        let Some(obtained) = self.obtain(None, Why::NeverSynced).await? else {
            let source = self.source.describe();
            let message = format!("no value exists at {source} in OpenBao; mode: Observe changes nothing");
            return Err(Error::SourceMissing(message, pause));
        };
        let (content, metadata) = renderer.render(obtained.documents).await?;
        let frame = self.frame.rendered(metadata, &self.engine.context.mac);
        let mut plan = self.changes(&frame, &content).await?;
        plan.truncate(MOST);
        self.report_plan(plan).await?;
        Ok(Action::After(pause))
    }

    async fn changes(&self, frame: &Frame, content: &Content) -> Result<Vec<PlannedChange>, Error> {
        let destinations = &self.engine.destinations;
        let Common { destination, .. } = self.object.common();
        self.dependencies.on(secret_key(&frame.name));
        let found = destinations.api(&frame.name.namespace).get_opt(&frame.name.name).await?;
        let Some(secret) = found else {
            if !destination.create {
                destinations.may_merge(self.dependencies, frame).await?;
            }
            return Ok(changed_keys(frame, content, None));
        };
        let observed = Observed::of(&secret, &destinations.observed.mac);
        destinations.claim(self.dependencies, frame, intent(destination), &observed).await?;
        let keys = if destination.create { observed.keys.clone() } else { keys_of(&secret, &frame.mark) };
        let mut plan = changed_keys(frame, content, Some((&secret, &keys.into_iter().collect::<Vec<_>>())));
        if !plan.is_empty() {
            plan.extend(
                workloads::to_restart(self.engine, self.object).await.iter().map(|name| restart(name)),
            );
        }
        if destination.create && frame.fit(&observed) != Fit::Fits {
            plan.insert(0, change(frame, "", Operation::Update, "labels, annotations, owner or type differ"));
        }
        Ok(plan)
    }

    async fn report_plan(&self, plan: Vec<PlannedChange>) -> Result<(), Error> {
        let mut status = self.status().into_owned();
        let mut recorded = K::recorded(&status);
        recorded.sync.last_handled_reconcile_at = self.handled(recorded.sync.last_handled_reconcile_at);
        K::record(&mut status, recorded);
        let verdict = compared(&self.frame, plan.len());
        K::set_plan(&mut status, plan);
        self.engine.context.report(self.object, status, &verdict).await
    }
}

/// Result of a comparison without writes. The object does what its spec says, so it is ready.
fn compared(frame: &Frame, changes: usize) -> Verdict {
    let name = &frame.name.name;
    match changes {
        0 => Verdict::Ready(Reason::Observed, format!("Secret {name} matches the value")),
        count => Verdict::Ready(
            Reason::Drifted,
            format!("Secret {name} differs from the value; pending changes: {count}, see status.plan"),
        ),
    }
}

/// The keys that a write would add, replace or remove. `existing`: the Secret, and its keys that belong to the object.
fn changed_keys(
    frame: &Frame,
    content: &Content,
    existing: Option<(&Secret, &[String])>,
) -> Vec<PlannedChange> {
    let data = existing.and_then(|(secret, _)| secret.data.as_ref());
    let own = existing.map(|(_, keys)| keys).unwrap_or_default();
    let written = content.0.iter().filter_map(|(key, value)| match data.and_then(|data| data.get(key)) {
        None => Some(change(frame, key, Operation::Create, "the key does not exist")),
        Some(present) if present.0 != value.expose_secret() || !own.contains(key) => {
            Some(change(frame, key, Operation::Update, "the value differs"))
        }
        Some(_) => None,
    });
    let removed = own.iter().filter(|key| !content.0.contains_key(*key));
    let removed = removed.map(|key| change(frame, key, Operation::Delete, "the value has no such key"));
    written.chain(removed).collect()
}

fn change(frame: &Frame, key: &str, operation: Operation, reason: &str) -> PlannedChange {
    let secret = format!("Secret/{}", frame.name.name);
    let path = if key.is_empty() { secret } else { format!("{secret}/{key}") };
    PlannedChange { operation, path, reason: reason.to_owned() }
}

fn restart(workload: &str) -> PlannedChange {
    let reason = "restarted, because the data of the Secret changes".to_owned();
    PlannedChange { operation: Operation::Update, path: workload.replacen(' ', "/", 1), reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::json;

    use super::super::frame::sample;
    use super::*;

    /// The Secret contains `a: 1` and `b: 2`.
    #[rstest]
    #[case::missing(None, &["Create Secret/app/a", "Create Secret/app/c"])]
    #[case::own(Some(&["a", "b"][..]), &["Create Secret/app/c", "Delete Secret/app/b"])]
    #[case::keys_of_another_client(Some(&[][..]), &["Update Secret/app/a", "Create Secret/app/c"])]
    fn a_plan_names_each_key_that_changes(#[case] own: Option<&[&str]>, #[case] expected: &[&str]) {
        let content: BTreeMap<_, _> = [("a", "1"), ("c", "3")]
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec().into()))
            .into();
        let secret: Secret = serde_json::from_value(json!({"data": {"a": "MQ==", "b": "Mg=="}})).unwrap();
        let own: Option<Vec<String>> = own.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
        let existing = own.as_deref().map(|keys| (&secret, keys));
        let plan = changed_keys(&sample(), &Content::new(content).unwrap(), existing);
        let text = |change: &PlannedChange| format!("{:?} {}", change.operation, change.path);
        assert_eq!(plan.iter().map(text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_change_of_a_value_and_a_restart_are_planned_without_the_value() {
        let content = BTreeMap::from([("a".to_owned(), b"canary".to_vec().into())]);
        let secret: Secret = serde_json::from_value(json!({"data": {"a": "MQ=="}})).unwrap();
        let plan =
            changed_keys(&sample(), &Content::new(content).unwrap(), Some((&secret, &["a".to_owned()])));
        let text = serde_json::to_string(&plan).unwrap();
        assert!(
            text.contains(r#""operation":"Update","path":"Secret/app/a""#) && !text.contains("canary"),
            "{text}"
        );
        assert_eq!(restart("Deployment web").path, "Deployment/web");
    }

    #[rstest]
    #[case(0, Reason::Observed)]
    #[case(2, Reason::Drifted)]
    fn an_object_that_only_reports_is_ready(#[case] changes: usize, #[case] reason: Reason) {
        let verdict = compared(&sample(), changes);
        assert!(matches!(&verdict, Verdict::Ready(it, text) if *it == reason && !text.is_empty()));
    }
}
