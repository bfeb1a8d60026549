//! Conditions that warn about a cluster that serves: audit devices, and administrators that OpenBao does not have.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use steamer_api::{Administrator, AuditDevice, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_core::digest::digest;
use steamer_core::error::Error;
use steamer_openbao::Error as OpenBao;
use steamer_runtime::Reason;
use steamer_runtime::conditions::{Conditions, State};

use crate::cluster::Cluster;
use crate::server::Server;

/// Annotation of an OpenBaoCluster: the digest of the administrators that a user has written to OpenBao.
const ADMINISTRATORS: &str = "steamer.dev/administrators";

/// Digests of administrators, by name.
type Digests = BTreeMap<String, String>;

/// Reports whether a device of the cluster itself records requests.
pub(crate) fn set_audit(conditions: &mut Conditions<'_>, devices: &[AuditDevice], server: Option<&Server>) {
    const KIND: &str = "Audited";
    let records = |device: &&AuditDevice| device.file.as_ref().is_none_or(|file| !file.discards());
    let mut recording = devices.iter().filter(records).peekable();
    if recording.peek().is_none() {
        let text = "no audit device records requests: add one to spec.managed.audit";
        conditions.set(KIND, State::False, Reason::Disabled, text);
        return;
    }
    if server.is_some_and(records_nothing) {
        let text = "OpenBao answers requests with an internal error, as it does when no audit device can record them: free space on \
                    the volumes of the devices, or correct their receivers. The logs of the leader name the device";
        conditions.set(KIND, State::False, Reason::Failed, text);
        return;
    }
    match recording.find(|device| device.file.is_some()) {
        Some(device) => {
            let text = format!("device `{}` records every request beside the nodes", device.name);
            conditions.set(KIND, State::True, Reason::Applied, &text);
        }
        None => {
            let text = "every audit device is a receiver in the network: while it is unreachable, each request fails or is not \
                        recorded. Add a `file` device";
            conditions.set(KIND, State::False, Reason::Waiting, text);
        }
    }
}

/// Returns true if a server that is healthy fails a request as it does without an audit device that works.
fn records_nothing(server: &Server) -> bool {
    let failed = server.missing.as_ref().err();
    let is_internal = |status: u16, message: &str| status == 500 && message.contains("internal error");
    matches!(failed, Some(Error::OpenBao(OpenBao::Server { status, message, .. })) if is_internal(*status, message))
}

/// Records the administrators that OpenBao has: those of the first start, and later those that a user confirms.
pub(crate) fn record_administrators(
    status: &mut OpenBaoClusterStatus,
    object: &OpenBaoCluster,
    cluster: &Cluster,
) {
    let present = digests(&cluster.administrators);
    let is_confirmed = object.annotations().get(ADMINISTRATORS) == Some(&summary(&present));
    if status.initialized == Some(true) && is_confirmed {
        status.administrators = Some(present);
    } else if status.initialized == Some(true) && status.administrators.is_none() {
        // Self-initialization does not run on data that exists.
        status.administrators = Some(if cluster.takes_over { Digests::new() } else { present });
    }
}

/// Reports administrators of the spec that are not those in OpenBao.
pub(crate) fn set_administrators(
    conditions: &mut Conditions<'_>,
    recorded: Option<&Digests>,
    administrators: &[Administrator],
) {
    const KIND: &str = "AdministratorsCurrent";
    let Some(recorded) = recorded else { return };
    let present = digests(administrators);
    match difference(recorded, &present) {
        None => {
            let text = "OpenBao has the administrators of the spec";
            conditions.set(KIND, State::True, Reason::Applied, text);
        }
        Some(difference) => {
            let text = format!(
                "Steamer writes administrators only when OpenBao is initialized, and the spec has changed since ({difference}): \
                 make the change in OpenBao, then set the annotation {ADMINISTRATORS}={}",
                summary(&present)
            );
            conditions.set(KIND, State::False, Reason::Drifted, &text);
        }
    }
}

/// Text about a certificate that a user has to renew soon.
pub(crate) fn certificate(cluster: &Cluster, ends: i64) -> String {
    let ends = Timestamp::from_second(ends).map(|ends| ends.to_string()).unwrap_or_default();
    format!("the certificate in Secret {} expires at {ends}: renew it", cluster.tls_secret())
}

fn digests(administrators: &[Administrator]) -> Digests {
    let digest = |administrator| digest(json!(administrator).to_string().as_bytes())[..16].to_owned();
    administrators.iter().map(|administrator| (administrator.name.clone(), digest(administrator))).collect()
}

/// Digest of all administrators.
fn summary(digests: &Digests) -> String {
    digest(json!(digests).to_string().as_bytes())[..16].to_owned()
}

/// Text about the administrators that are new, changed or gone.
fn difference(recorded: &Digests, present: &Digests) -> Option<String> {
    let changed = present.iter().filter(|(name, digest)| recorded.get(*name) != Some(digest));
    let kind = |name| if recorded.contains_key(name) { "changed" } else { "new" };
    let changed = changed.map(|(name, _)| format!("{} `{name}`", kind(name)));
    let gone = recorded.keys().filter(|name| !present.contains_key(*name));
    let all: Vec<String> = changed.chain(gone.map(|name| format!("removed `{name}`"))).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    use rstest::rstest;
    use serde_json::Value;

    use super::*;
    use crate::tests::{cluster, object, server};

    fn condition(set: impl FnOnce(&mut Conditions<'_>)) -> Option<Condition> {
        let mut list = Vec::new();
        set(&mut Conditions::new(&mut list, 1, Timestamp::UNIX_EPOCH));
        list.pop()
    }

    fn text(condition: &Condition) -> String {
        format!("{}: {}", condition.status, condition.message)
    }

    fn device(settings: &Value) -> AuditDevice {
        let mut device = settings.clone();
        (device["name"], device["description"]) = (json!("a"), json!("d"));
        serde_json::from_value(device).unwrap()
    }

    #[rstest]
    #[case::none(json!([]), "False: no audit device records requests")]
    #[case::discarded(json!([{"file": {"path": "discard"}}]), "False: no audit device records requests")]
    #[case::remote(json!([{"http": {"uri": "https://siem"}}]), "False: every audit device is a receiver")]
    #[case::remote_beside_a_discarded_log(
        json!([{"file": {"path": "discard"}}, {"socket": {"address": "log:9000"}}]),
        "False: every audit device is a receiver"
    )]
    #[case::local(json!([{"http": {"uri": "https://siem"}}, {"file": {"path": "stdout"}}]), "True: device `a`")]
    fn a_cluster_without_a_log_of_its_own_is_reported(#[case] devices: Value, #[case] expected: &str) {
        let devices: Vec<AuditDevice> = devices.as_array().unwrap().iter().map(device).collect();
        let said = text(&condition(|conditions| set_audit(conditions, &devices, Some(&server()))).unwrap());
        assert!(said.starts_with(expected), "{said}");
    }

    #[rstest]
    #[case::full_volume(500, "internal error", "False: OpenBao answers requests with an internal error")]
    #[case::another_error(500, "no leader", "True: device `a`")]
    fn requests_that_no_device_records_are_reported(
        #[case] status: u16,
        #[case] message: &str,
        #[case] expected: &str,
    ) {
        let devices = [device(&json!({"file": {"volume": {"size": "1Gi"}}}))];
        let error = OpenBao::Server { status, path: "p".to_owned(), message: message.to_owned() };
        let server = Server { missing: Err(error.into()), ..server() };
        let said = text(&condition(|conditions| set_audit(conditions, &devices, Some(&server))).unwrap());
        assert!(said.starts_with(expected), "{said}");
    }

    fn administrators(names: &[(&str, &str)]) -> Vec<Administrator> {
        let administrator = |(name, account): &(&str, &str)| {
            let json = json!({"name": name, "serviceAccount": {"name": account}});
            serde_json::from_value(json).unwrap()
        };
        names.iter().map(administrator).collect()
    }

    #[rstest]
    #[case::same(&[("ops", "a")], "True")]
    #[case::added(&[("ops", "a"), ("jane", "j")], "new `jane`")]
    #[case::changed(&[("ops", "b")], "changed `ops`")]
    #[case::removed(&[], "removed `ops`")]
    fn administrators_that_openbao_does_not_have_are_reported(
        #[case] present: &[(&str, &str)],
        #[case] expected: &str,
    ) {
        let recorded = digests(&administrators(&[("ops", "a")]));
        let present = administrators(present);
        let set = |conditions: &mut Conditions<'_>| set_administrators(conditions, Some(&recorded), &present);
        let said = text(&condition(set).unwrap());
        assert!(said.contains(expected), "{said}");
    }

    #[rstest]
    #[case::first_start(false, None, Some(1))]
    #[case::data_of_another_cluster(true, None, Some(0))]
    #[case::change_without_a_confirmation(false, Some(0), Some(0))]
    fn the_administrators_of_the_first_start_are_recorded_once(
        #[case] takes_over: bool,
        #[case] recorded: Option<usize>,
        #[case] expected: Option<usize>,
    ) {
        let administrators = administrators(&[("ops", "a")]);
        let cluster = Cluster { administrators, takes_over, ..cluster() };
        let mut status = OpenBaoClusterStatus { initialized: Some(true), ..OpenBaoClusterStatus::default() };
        status.administrators = recorded.map(|_| Digests::new());
        record_administrators(&mut status, &object(), &cluster);
        assert_eq!(status.administrators.map(|digests| digests.len()), expected);
    }

    #[test]
    fn a_user_confirms_a_change_with_the_digest_of_the_message() {
        let cluster = Cluster { administrators: administrators(&[("ops", "b")]), ..cluster() };
        let mut status = OpenBaoClusterStatus { initialized: Some(true), ..OpenBaoClusterStatus::default() };
        status.administrators = Some(digests(&administrators(&[("ops", "a")])));
        let reported = |status: &OpenBaoClusterStatus| {
            let recorded = status.administrators.as_ref();
            condition(|conditions| set_administrators(conditions, recorded, &cluster.administrators)).unwrap()
        };
        let message = reported(&status).message;
        let (_, digest) = message.rsplit_once('=').unwrap();
        let mut object = object();
        object.annotations_mut().insert(ADMINISTRATORS.to_owned(), digest.to_owned());
        record_administrators(&mut status, &object, &cluster);
        assert_eq!(reported(&status).status, "True");
    }
}
