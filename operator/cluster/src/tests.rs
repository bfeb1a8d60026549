//! A cluster for the tests of its parts.

use serde_json::json;
use steamer_api::{DatabaseTlsMode, Fencing};
use steamer_runtime::ObjectName;

use crate::cluster::{Cluster, Version};
use crate::database::login::Login;

/// Cluster `main` in namespace `openbao`, with all defaults.
pub(crate) fn cluster() -> Cluster {
    let spec = json!({
        "version": "2.7.2", "seal": {"static": {}},
        "storage": {"postgresql": {"secretRef": {"name": "pg-app"}, "tls": {"caSecretRef": {"name": "pg-ca"}}}},
    });
    Cluster {
        name: ObjectName::new("openbao", "main"),
        uid: "uid".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        administrators: Vec::new(),
        version: Version(2, 7, 2),
        owner: Login {
            host: "pg-rw.openbao.svc".to_owned(),
            port: 5432,
            database: "bao".to_owned(),
            user: "bao".to_owned(),
            password: "hush".to_owned().into(),
            tls: DatabaseTlsMode::VerifyFull,
            ca: "PEM".to_owned(),
        },
        admin: None,
        fencing: Fencing::ProcessEnd,
        restart: None,
    }
}

/// The cluster of [`cluster`], with other fields of `spec.managed`.
pub(crate) fn cluster_with(fields: serde_json::Value) -> Cluster {
    let mut cluster = cluster();
    let mut spec = json!(cluster.spec);
    for (field, value) in fields.as_object().unwrap() {
        spec[field] = value.clone();
    }
    cluster.spec = serde_json::from_value(spec).unwrap();
    cluster
}
