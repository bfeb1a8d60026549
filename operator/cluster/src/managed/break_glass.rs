//! Opens break-glass on request, and closes it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::{Value, json};
use steamer_api::{BreakGlassState, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::Reason;

use crate::break_glass;
use crate::break_glass::objects::{configuration_of, live, name, settings, stateful_set};
use crate::break_glass::{Facts, Live, State, closing, notes, opened};
use crate::children::ChildApi;
use crate::cluster::{BREAK_GLASS, Cluster, Mode};
use crate::effects::Effects;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::managed::requester::requester;
use crate::managed::validate::mode;

/// Annotation of the StatefulSet of the nodes: the last request that was carried out.
const CARRIED_OUT: &str = "steamer.dev/break-glass-carried-out";

/// State of break-glass.
pub(crate) fn state(input: Input<'_>, observed: &Observed, now: Timestamp) -> State {
    let asked = asked(input.object);
    break_glass::state(Facts {
        asked,
        live: observed.break_glass.clone(),
        recorded: recorded(input, observed),
        obstacle: asked.and_then(|_| obstacle(input, observed)),
        must_close: input.cluster.mode.stops_nodes(),
        now,
    })
}

/// Value of the annotation.
fn asked(object: &OpenBaoCluster) -> Option<&str> {
    object.annotations().get(BREAK_GLASS).map(String::as_str)
}

/// The last request that was carried out. The status can be older: it is written at the end of a reconcile.
fn recorded<'a>(input: Input<'a>, observed: &'a Observed) -> Option<&'a str> {
    let noted = observed.live.as_ref().and_then(|live| live.annotations().get(CARRIED_OUT));
    let published = input.found.last.break_glass.as_ref().map(|last| &last.request);
    noted.or(published).map(String::as_str)
}

/// Reason why break-glass cannot be opened.
fn obstacle(input: Input<'_>, observed: &Observed) -> Option<String> {
    let text = match &observed.storage {
        _ if input.cluster.mode == Mode::Suspended => "break-glass waits: suspend is true",
        _ if input.cluster.mode.stops_nodes() => "break-glass waits: no process of the cluster may run",
        Err(_) => "break-glass waits for the database",
        Ok(storage) if !storage.contents.recovery_keys => {
            "break-glass is not opened: OpenBao has no recovery keys, with which a root token is generated"
        }
        Ok(_) if template(observed).is_none() => "break-glass waits until the nodes have been created",
        Ok(_) => return None,
    };
    Some(text.to_owned())
}

/// The StatefulSet of the nodes, and their configuration.
pub(super) fn template(observed: &Observed) -> Option<(&Arc<StatefulSet>, Value)> {
    let live = observed.live.as_ref()?;
    let name = configuration_of(live)?;
    let map: &Arc<ConfigMap> = observed.config_maps.iter().find(|map| map.name_any() == name)?;
    let text = map.data.as_ref()?.get("openbao.json")?;
    Some((live, serde_json::from_str(text).ok()?))
}

/// Closes break-glass if it is over, whatever else fails. Returns the time after which this has to be done otherwise.
pub(super) async fn close_if_over(
    context: &Context,
    child_api: &ChildApi<'_>,
    object: &OpenBaoCluster,
) -> Result<Option<Duration>, Error> {
    let (live, now) = (live(child_api), Timestamp::now());
    let must_close = object.metadata.deletion_timestamp.is_some() || mode(object).stops_nodes();
    let Some(why) = closing(&live, asked(object), must_close, now) else { return Ok(live.remaining(now)) };
    let name = name(&child_api.cluster);
    child_api.remove::<StatefulSet>(&name).await?;
    // Last: what an interruption leaves is found again.
    child_api.remove::<Secret>(&name).await?;
    tracing::warn!(cluster = %child_api.cluster, why, "break-glass is closed");
    // Another type than that of the opening: Kubernetes would count both as one Event with the text of the first.
    let text = format!("break-glass was closed: {why}");
    context.runtime.events.announce(object, Reason::BreakGlass, &text).await;
    Ok(None)
}

/// Opens break-glass if this is due.
pub(super) async fn carry_out(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), Error> {
    match state(input, observed, now) {
        State::Due(request) => open(effects, input, observed, &request).await,
        State::None | State::Refused(_) | State::Open(_) | State::Closing(_) | State::Over => Ok(()),
    }
}

async fn open(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
    request: &str,
) -> Result<(), Error> {
    let Some((nodes, configuration)) = template(observed) else { return Ok(()) };
    let Some(spec) = &nodes.spec else { return Ok(()) };
    let api = effects.child_api.api::<OpenBaoCluster>();
    let manager = requester(&api, input.cluster.name(), BREAK_GLASS).await?;
    let notes = notes(request, since(effects, input.cluster, request).await?);
    // First: its annotations limit the time of an opening that is interrupted.
    effects.child_api.keep(&settings(input.cluster, &configuration, &notes)).await?;
    note_request(effects, request).await?;
    let set = stateful_set(input.cluster, &spec.template, &notes);
    effects.child_api.keep(&set).await?;
    let manager = manager.unwrap_or_else(|| "an unknown field manager".to_owned());
    let text = opened(&set).map(|opened| State::Open(opened).text()).unwrap_or_default();
    let text = format!(
        "the annotation {BREAK_GLASS}={request} was set (field manager: {manager}; the audit log of the API server \
         contains the user): {text}"
    );
    tracing::warn!(cluster = %input.cluster.name, text, "break-glass is open");
    effects.context.runtime.events.warn(input.object, Reason::BreakGlass, &text).await;
    Ok(())
}

/// Time of a request: that of an opening that was interrupted, or else now.
async fn since(effects: &Effects<'_>, cluster: &Cluster, request: &str) -> Result<Timestamp, Error> {
    let begun = effects.child_api.read::<Secret>(&name(&cluster.name)).await?;
    let begun = begun.as_deref().and_then(opened).filter(|begun| begun.request == request);
    Ok(begun.map_or_else(Timestamp::now, |begun| begun.since))
}

/// Records a request before it is carried out, so that it is not carried out twice.
async fn note_request(effects: &Effects<'_>, request: &str) -> Result<(), Error> {
    effects.patch_nodes(&json!({"metadata": {"annotations": {CARRIED_OUT: request}}})).await
}

/// Publishes the request in the status.
pub(crate) fn record(status: &mut OpenBaoClusterStatus, observed: &Observed) {
    if let Live::Open(opened) = observed.break_glass.clone() {
        status.break_glass =
            Some(BreakGlassState { request: opened.request, pod: opened.pod, until: Time(opened.until) });
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::guard::target::GuardReport;
    use crate::tests::{cluster, found, object, observed};

    fn text(change: fn(&mut Observed), mode: Mode) -> String {
        let mut cluster = cluster();
        cluster.mode = mode;
        let (mut object, found, mut observed) = (object(), found(), observed("lss"));
        object.annotations_mut().insert(BREAK_GLASS.to_owned(), "n1".to_owned());
        change(&mut observed);
        let input = Input {
            object: &object,
            cluster: &cluster,
            found: &found,
            guard_report: &GuardReport::default(),
            refused: None,
            connections: 0,
        };
        state(input, &observed, Timestamp::now()).text()
    }

    #[test]
    fn a_request_that_only_the_nodes_record_is_over() {
        let carried_out = |observed: &mut Observed| {
            let live = Arc::make_mut(observed.live.as_mut().unwrap());
            live.annotations_mut().insert(CARRIED_OUT.to_owned(), "n1".to_owned());
        };
        assert!(text(carried_out, Mode::Active).contains("to another value to open it again"));
    }

    #[rstest]
    #[case::no_configuration(|_: &mut Observed| {}, Mode::Active, "until the nodes have been created")]
    #[case::no_recovery_keys(
        |observed: &mut Observed| observed.storage.as_mut().unwrap().contents.recovery_keys = false,
        Mode::Active,
        "OpenBao has no recovery keys"
    )]
    #[case::database(
        |observed: &mut Observed| observed.storage = Err(Arc::new(Error::Waiting("d".to_owned()))),
        Mode::Active,
        "waits for the database"
    )]
    #[case::suspended(|_: &mut Observed| {}, Mode::Suspended, "suspend is true")]
    #[case::hibernation(|_: &mut Observed| {}, Mode::Hibernating, "no process of the cluster may run")]
    fn what_prevents_break_glass_is_reported(
        #[case] change: fn(&mut Observed),
        #[case] mode: Mode,
        #[case] expected: &str,
    ) {
        let text = text(change, mode);
        assert!(text.contains(expected), "{text}");
    }
}
