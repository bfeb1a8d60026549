//! Opens and closes break-glass on request.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::Value;
use steamer_api::{BreakGlassState, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::error::Error;
use steamer_runtime::Reason;

use crate::break_glass;
use crate::break_glass::objects::{configuration_of, name, settings, stateful_set};
use crate::break_glass::{Facts, State, opened};
use crate::cluster::{BREAK_GLASS, Mode};
use crate::effects::Effects;
use crate::managed::input::Input;
use crate::managed::observe::Observed;
use crate::managed::requester::requester;

/// State of break-glass.
pub(crate) fn state(input: Input<'_>, observed: &Observed, now: Timestamp) -> State {
    break_glass::state(Facts {
        asked: input.object.annotations().get(BREAK_GLASS).map(String::as_str),
        opened: observed.break_glass.as_deref().and_then(opened),
        recorded: input.found.last.break_glass.as_ref().map(|last| last.request.as_str()),
        obstacle: obstacle(input, observed),
        must_close: input.cluster.mode.stops_nodes(),
        now,
    })
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
fn template(observed: &Observed) -> Option<(&Arc<StatefulSet>, Value)> {
    let live = observed.live.as_ref()?;
    let name = configuration_of(live)?;
    let map: &Arc<ConfigMap> = observed.config_maps.iter().find(|map| map.name_any() == name)?;
    let text = map.data.as_ref()?.get("openbao.json")?;
    Some((live, serde_json::from_str(text).ok()?))
}

/// Carries out the next step.
pub(super) async fn carry_out(
    effects: &Effects<'_>,
    input: Input<'_>,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), Error> {
    match state(input, observed, now) {
        State::Due(request) => open(effects, input, observed, &request).await,
        State::Closing(why) => close(effects, input, &why).await,
        State::None | State::Refused(_) | State::Open(_) | State::Over => Ok(()),
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
    let asked_by = requester(&api, input.cluster.name(), BREAK_GLASS).await?;
    let set = stateful_set(input.cluster, &spec.template, request, Timestamp::now());
    effects.child_api.keep(&settings(input.cluster, &configuration)).await?;
    effects.child_api.keep(&set).await?;
    let asked_by = asked_by.unwrap_or_else(|| "an unknown client".to_owned());
    let text = opened(&set).map(|opened| State::Open(opened).text()).unwrap_or_default();
    let text = format!("{asked_by} set the annotation {BREAK_GLASS}={request}: {text}");
    tracing::warn!(cluster = %input.cluster.name, text, "break-glass is open");
    effects.context.runtime.events.warn(input.object, Reason::BreakGlass, &text).await;
    Ok(())
}

async fn close(effects: &Effects<'_>, input: Input<'_>, why: &str) -> Result<(), Error> {
    let name = name(input.cluster);
    effects.child_api.remove::<StatefulSet>(&name).await?;
    effects.child_api.remove::<Secret>(&name).await?;
    tracing::warn!(cluster = %input.cluster.name, why, "break-glass is closed");
    // Another type than that of the opening: Kubernetes would count both as one Event with the text of the first.
    let text = format!("break-glass was closed: {why}");
    effects.context.runtime.events.announce(input.object, Reason::BreakGlass, &text).await;
    Ok(())
}

/// Records the request in the status, so that it is not carried out twice.
pub(crate) fn record(status: &mut OpenBaoClusterStatus, observed: &Observed) {
    if let Some(opened) = observed.break_glass.as_deref().and_then(opened) {
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
        };
        state(input, &observed, Timestamp::now()).text()
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
