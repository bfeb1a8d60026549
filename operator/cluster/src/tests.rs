//! Values for the tests of this crate.

pub(crate) mod kubernetes;
pub(crate) mod postgres;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::runtime::watcher;
use serde_json::{Value, json};
use steamer_api::{DatabaseTlsMode, Fencing, OpenBaoCluster, OpenBaoClusterStatus};
use steamer_openbao::{Health, Leader};
use steamer_runtime::ObjectName;

use crate::break_glass;
use crate::certificates::keep::Certificate;
use crate::cluster::{Cluster, Helper, Mode, REVISION, Version};
use crate::database::facts::{Contents, Server as DatabaseServer};
use crate::database::login::Login;
use crate::database::storage::Storage;
use crate::managed::fetch::Found;
use crate::managed::observe::Observed;
use crate::nodes::members::{Answer, Member};
use crate::objects::audit_volume::has_volumes;
use crate::objects::configuration::configuration;
use crate::objects::seal::seal;
use crate::objects::stateful_set::{Inputs, stateful_set};
use crate::restore_drill::{Live, Progress};
use crate::seal::check::SealCheck;
use crate::seal::keys::StaticKeys;
use crate::seal::migration::Migration;
use crate::seal::rotation::Keys;
use crate::server::Server;
use crate::waits::Waits;

/// Revision of the template of every node in tests.
pub(crate) const TEMPLATE: &str = "r";

/// Cluster `main` in namespace `openbao`, with all defaults.
pub(crate) fn cluster() -> Cluster {
    let spec = json!({
        "version": "2.7.2", "seal": {"static": {}},
        "storage": {"postgresql": {"secretRef": {"name": "pg-app"}, "tls": {"caSecretRef": {"name": "pg-ca"}}}},
    });
    Cluster {
        name: ObjectName::new("openbao", "main"),
        uid: "uid".to_owned(),
        generation: Some(1),
        spec: serde_json::from_value(spec).unwrap(),
        administrators: Vec::new(),
        scope: crate::operator_policy::PolicyScope::Tenants,
        version: Version(2, 7, 2),
        owner: owner_login(),
        admin: None,
        fencing: Fencing::ProcessEnd,
        restart: None,
        step_down: None,
        fence: None,
        mode: Mode::Active,
        openbao_id: Some("a".to_owned()),
        takes_over: false,
        catalog_image: None,
        relay: None,
        rotator: None,
    }
}

/// Login of the tables' owner.
pub(crate) fn owner_login() -> Login {
    Login {
        host: "pg-rw.openbao.svc".to_owned(),
        port: 5432,
        database: "bao".to_owned(),
        user: "bao".to_owned(),
        password: "hush".to_owned().into(),
        tls: DatabaseTlsMode::VerifyFull,
        ca: "PEM".to_owned(),
    }
}

/// Login that creates roles.
pub(crate) fn admin_login() -> Login {
    owner_login().as_role("admin", "hush".to_owned().into())
}

/// The object of [`cluster`].
pub(crate) fn object() -> OpenBaoCluster {
    let cluster = cluster();
    let spec = json!({"managed": cluster.spec});
    let object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": "OpenBaoCluster", "spec": spec,
        "metadata": {"name": "main", "namespace": "openbao", "generation": 1},
    });
    serde_json::from_value(object).unwrap()
}

/// References of a cluster that has been initialized.
pub(crate) fn found() -> Found {
    Found {
        owner: owner_login(),
        admin: None,
        last: OpenBaoClusterStatus { initialized: Some(true), ..OpenBaoClusterStatus::default() },
        issuers: Vec::new(),
        operator: ObjectName::new("steamer", "steamer"),
        image: Some("registry/steamer:1".to_owned()),
        catalog: None,
    }
}

/// A database with an initialized OpenBao.
pub(crate) fn storage() -> Storage {
    Storage {
        server: DatabaseServer {
            number: 170_000,
            version: "17.0".to_owned(),
            encoding: "UTF8".to_owned(),
            max_connections: 100,
            read_only: false,
            connections: 3,
        },
        timeline: None,
        contents: Contents {
            initialized: true,
            self_init_failed: false,
            recovery_keys: true,
            seal: Some("static".to_owned()),
        },
        wrapping_keys: Some(vec!["k1".to_owned(), "k1".to_owned()]),
        openbao_id: None,
        roles: None,
        ungranted: Vec::new(),
        obstacle: None,
    }
}

/// A node in state `l` leader, `s` standby, `z` sealed, or `x` silent. It has been running for an hour.
pub(crate) fn member((index, state): (usize, char)) -> Member {
    let since = Timestamp::now() - Duration::from_secs(3600);
    let pod = json!({
        "metadata": {
            "name": format!("main-{index}"), "uid": format!("uid-{index}"), "annotations": {REVISION: TEMPLATE},
            "creationTimestamp": since,
        },
        "status": {"containerStatuses": [{
            "name": "openbao", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": since}},
        }]},
    });
    let health = Health {
        initialized: true,
        sealed: state == 'z',
        standby: state != 'l',
        version: "2.7.2".to_owned(),
        ..Health::default()
    };
    let answer = if state == 'x' { Answer::Silent } else { Answer::Health(health) };
    Member {
        pod: Arc::new(serde_json::from_value(pod).unwrap()),
        answer,
        unhealthy_for: Duration::ZERO,
        is_pausing: false,
        is_stale: false,
        is_current: false,
        knows_leader: false,
        is_fenced: false,
    }
}

/// A node in the restart delay, with the message of its last process.
pub(crate) fn failed_member(index: usize, message: &str) -> Member {
    let mut failed = member((index, 'x'));
    let mut pod = json!(*failed.pod);
    pod["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    pod["status"]["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 1, "message": message}});
    failed.pod = Arc::new(serde_json::from_value(pod).unwrap());
    failed
}

/// A healthy cluster whose nodes are in these states.
pub(crate) fn observed(nodes: &str) -> Observed {
    let live = json!({
        "metadata": {"name": "main"},
        "spec": {"replicas": 3, "serviceName": "main-internal", "selector": {}, "template": {
            "metadata": {"annotations": {REVISION: TEMPLATE}},
        }},
    });
    Observed {
        storage: Ok(storage()),
        labeled: Ok(()),
        certificate: Ok(Certificate {
            ends: Some(i64::MAX),
            issued: "PEM".to_owned(),
            ..Certificate::default()
        }),
        migration: Migration::None,
        seal: SealCheck::Opens("key `k1` is in Secret main-seal".to_owned()),
        keys: Ok(Some(StaticKeys {
            keys: Some(Keys { in_use: "k1".to_owned(), rotating: None }),
            ..StaticKeys::default()
        })),
        members: nodes.chars().enumerate().map(member).collect(),
        live: Some(Arc::new(serde_json::from_value(live).unwrap())),
        config_maps: Vec::new(),
        break_glass: break_glass::Live::None,
        logins: None,
        recovery_secret: None,
        headers: Ok([].into()),
        start_digest: Ok("digest".to_owned()),
        longest_takeover: Duration::ZERO,
        waits: Waits::default(),
        takeover: None,
        drill: Live { begun: None, progress: Progress::Missing },
        jobs: Ok(Vec::new()),
        has_turn: true,
    }
}

/// A server that serves.
pub(crate) fn server() -> Server {
    let health = Health { initialized: true, version: "2.7.2".to_owned(), ..Health::default() };
    Server {
        health: Ok(health),
        leader: Some(Leader { ha_enabled: true, is_self: true, ..Leader::default() }),
        missing: Ok(Vec::new()),
        managed: true,
        scope: crate::operator_policy::PolicyScope::Tenants,
    }
}

/// The cluster of [`cluster`], with other fields of `spec.managed`.
pub(crate) fn cluster_with(fields: Value) -> Cluster {
    let mut cluster = cluster();
    let mut spec = json!(cluster.spec);
    for (field, value) in fields.as_object().unwrap() {
        spec[field] = value.clone();
    }
    cluster.spec = serde_json::from_value(spec).unwrap();
    let delivery = cluster.spec.instant_delivery.as_ref().filter(|delivery| delivery.enabled);
    let helper = || Helper { image: "registry/steamer:1".to_owned(), is_chosen: false };
    cluster.relay = delivery.map(|_| helper());
    cluster.rotator = has_volumes(&cluster.spec.audit).then(helper);
    cluster
}

/// The StatefulSet of the nodes of a cluster, and their configuration.
pub(crate) fn nodes_of(cluster: &Cluster) -> (StatefulSet, Value) {
    let seal = seal(cluster, &cluster.spec.seal, None).unwrap();
    let configuration = configuration(cluster, &seal, &BTreeMap::new());
    let inputs = Inputs {
        configuration: &configuration,
        seal: &seal,
        started_with: "digest",
        replicas: 3,
        annotations: &BTreeMap::new(),
    };
    (stateful_set(cluster, &inputs), configuration)
}

/// The answer of the API server to a list that the operator may not make.
pub(crate) fn refusal() -> watcher::Error {
    let status = kube::core::Status { code: 403, ..kube::core::Status::default() };
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}
