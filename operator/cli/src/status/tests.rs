//! The text of `status` in each state of a managed cluster.

use jiff::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use steamer_api::{KindId, OpenBaoCluster};

use super::overview::{Overview, overview};
use super::text::text;
use crate::brief::Brief;
use crate::lists::{Answer, Listed};
use crate::style::Style;

const NOW: &str = "2026-11-28T12:00:00Z";

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-25T08:00:00Z"})
}

fn member(pod: usize, role: &str, sealed: Value) -> Value {
    let ready = sealed == json!(false) && role != "Unknown";
    json!({"pod": format!("main-{pod}"), "node": format!("worker-{pod}"), "role": role, "version": "2.7.2", "sealed": sealed, "ready": ready})
}

fn healthy() -> Value {
    json!({
        "version": "2.7.2", "leadershipChanges": 3,
        "leader": {"pod": "main-1", "since": "2026-11-25T08:00:00Z"},
        "members": [member(0, "Standby", json!(false)), member(1, "Leader", json!(false)), member(2, "Standby", json!(false))],
        "seal": {"type": "static", "keyId": "k1"},
        "storage": {"host": "pg-rw.openbao:5432", "version": "17.2", "timeline": 4},
        "certificates": {"notAfter": "2027-02-06T00:00:00Z"},
        "conditions": [condition("Ready", "True", "Applied", "3 of 3 nodes serve"), condition("Degraded", "False", "Applied", "3 of 3 nodes serve")],
    })
}

/// The status of a healthy cluster with changes.
fn changed(changes: Value) -> Value {
    let mut status = healthy();
    for (name, value) in changes.as_object().into_iter().flatten() {
        status[name] = value.clone();
    }
    status
}

fn state(name: &str) -> Value {
    match name {
        "sealed" => changed(json!({
            "leader": null, "lastLeader": {"pod": "main-1", "since": "2026-11-25T08:00:00Z"},
            "members": [member(0, "Unknown", json!(true)), member(1, "Unknown", json!(true)), member(2, "Unknown", json!(true))],
            "conditions": [
                condition("Ready", "False", "Sealed", "every node is sealed: the KMS of the seal is unreachable"),
                condition("Unsealed", "False", "Sealed", "3 of 3 nodes are sealed"),
                condition("SealReachable", "False", "Unreachable", "https://kms.example.com: connection refused"),
                condition("Reconciling", "True", "ProgressingWithRetry", "retries"),
            ],
        })),
        "leaderless" => changed(json!({
            "leader": null, "lastLeader": {"pod": "main-1", "since": "2026-11-25T08:00:00Z"},
            "members": [member(0, "Standby", json!(false)), member(1, "Unknown", json!(null)), member(2, "Standby", json!(false))],
            "fenced": [{"pod": "main-1", "uid": "u", "since": "2026-11-28T11:59:58Z", "reason": "its process has ended"}],
            "conditions": [
                condition("Ready", "False", "NoLeader", "no node leads"),
                condition("LeaderElected", "False", "NoLeader", "main-1 was fenced, and a standby takes over"),
                condition("Degraded", "True", "Waiting", "2 of 3 nodes serve"),
            ],
        })),
        "rolling" => changed(json!({
            "version": "2.7.1",
            "upgrade": {"from": "2.7.1", "to": "2.7.2", "step": "replaces main-0", "updated": 1},
            "members": [member(0, "Unknown", json!(null)), member(1, "Leader", json!(false)), member(2, "Standby", json!(false))],
            "conditions": [
                condition("Ready", "False", "RollingOut", "replaces main-0"),
                condition("UpgradeInProgress", "True", "RollingOut", "replaces main-0"),
                condition("Degraded", "True", "Waiting", "2 of 3 nodes serve"),
            ],
        })),
        "database-unavailable" => changed(json!({
            "conditions": [
                condition("Ready", "False", "Unreachable", "PostgreSQL pg-rw.openbao:5432: connection refused"),
                condition("StorageReachable", "False", "Unreachable", "pg-rw.openbao:5432: connection refused"),
            ],
        })),
        "new" => json!(null),
        _ => healthy(),
    }
}

fn cluster(status: Value) -> OpenBaoCluster {
    let postgresql = json!({"secretRef": {"name": "pg-app"}, "tls": {"mode": "Disable"}});
    let managed = json!({"version": "2.7.2", "replicas": 3, "storage": {"postgresql": postgresql}, "seal": {"static": {}}});
    serde_json::from_value(json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "metadata": {"name": "main", "namespace": "openbao"},
        "spec": {"managed": managed}, "status": status,
    }))
    .unwrap()
}

fn brief(name: &str, ready: Option<Value>, other: Option<Value>) -> Brief {
    let conditions: Vec<Value> = ready.into_iter().chain(other).collect();
    let metadata = json!({"name": name, "namespace": "web", "generation": 1, "creationTimestamp": "2026-11-28T11:00:00Z"});
    serde_json::from_value(
        json!({"metadata": metadata, "status": {"observedGeneration": 1, "conditions": conditions}}),
    )
    .unwrap()
}

fn listed(kind: KindId, objects: Vec<Brief>) -> Listed<Brief> {
    Listed { kind, answer: Answer::Objects(objects) }
}

fn objects() -> Vec<Listed<Brief>> {
    let ready = || Some(condition("Ready", "True", "Applied", "ok"));
    let failed = |reason: &str, message: &str| Some(condition("Ready", "False", reason, message));
    let message = "group 7 is already SecretsTenant openbao/acme";
    let conflict = brief(
        "acme-eu",
        failed("Conflict", message),
        Some(condition("Stalled", "True", "Conflict", message)),
    );
    vec![
        listed(KindId::SecretsTenant, vec![brief("acme", ready(), None), conflict]),
        listed(KindId::SecretsProject, vec![brief("web", ready(), None), brief("new", None, None)]),
        listed(KindId::PipelinePolicy, Vec::new()),
        Listed { kind: KindId::BaoPolicy, answer: Answer::Denied },
        Listed { kind: KindId::BaoAuth, answer: Answer::NotInstalled },
        listed(
            KindId::BaoStaticSecret,
            vec![
                brief("api", ready(), Some(condition("Suspended", "True", "Suspended", "suspend is true"))),
                brief(
                    "db",
                    failed("SourceMissing", "no value at secrets/kv explicit/DB\u{1b}[31m_PASSWORD"),
                    None,
                ),
            ],
        ),
    ]
}

fn shown(clusters: Answer<OpenBaoCluster>, objects: &[Listed<Brief>]) -> Overview {
    overview(clusters, objects, NOW.parse::<Timestamp>().unwrap())
}

#[rstest]
fn a_cluster_is_shown_in_each_state(
    #[values("healthy", "sealed", "leaderless", "rolling", "database-unavailable", "new")] name: &str,
) {
    let view = shown(Answer::Objects(vec![cluster(state(name))]), &[]);
    assert_eq!(view.is_good(), name == "healthy");
    insta::assert_snapshot!(name, text(&view, Style::Plain, 20));
}

#[test]
fn late_objects_are_listed_with_their_reason() {
    let view = shown(Answer::Objects(Vec::new()), &objects());
    assert!(!view.is_good());
    insta::assert_snapshot!(text(&view, Style::Plain, 20));
    insta::assert_snapshot!("limited", text(&view, Style::Plain, 1));
    insta::assert_yaml_snapshot!("late_objects_in_yaml", view);
}

#[test]
fn colors_change_no_text() {
    let view = shown(Answer::Objects(vec![cluster(state("sealed"))]), &objects());
    let (plain, colored) = (text(&view, Style::Plain, 20), text(&view, Style::Colored, 20));
    assert!(!plain.contains('\u{1b}') && colored.contains('\u{1b}'));
    let mut stripped = colored;
    for code in ["32", "31", "33", "1", "0"] {
        stripped = stripped.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(stripped, plain);
}

#[test]
fn a_user_without_the_right_to_list_clusters_sees_the_other_objects() {
    let view = shown(Answer::Denied, &objects()[..1]);
    let text = text(&view, Style::Plain, 20);
    assert!(text.contains("SecretsTenant  1/2"), "{text}");
    assert!(text.contains("not shown, because you may not list them: OpenBaoCluster"), "{text}");
}

#[test]
fn five_thousand_objects_are_counted() {
    let ready = || Some(condition("Ready", "True", "Applied", "ok"));
    let many: Vec<Brief> = (0..5_000).map(|number| brief(&format!("s{number}"), ready(), None)).collect();
    let view = shown(Answer::Objects(Vec::new()), &[listed(KindId::BaoStaticSecret, many)]);
    assert!(view.is_good());
    assert_eq!(
        text(&view, Style::Plain, 20),
        "KIND             READY      SUSPENDED\nBaoStaticSecret  5000/5000  -\n"
    );
}
