//! A desired state for tests.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use steamer_api::{KindId, OpenBaoCluster, OwnedResource, OwnedResources};
use steamer_core::mac::Mac;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::NamespacePath;
use steamer_runtime::ObjectName;

use super::certificate::Certificate;
use super::desired::{Desired, Facts};
use super::snapshot::{Current, Issuer, Key, Snapshot};
use crate::general::{Home, Seal};

pub(super) fn mark() -> Mark {
    let owner = Owner::Object(KindId::PKIIssuer);
    Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", "ca") }
}

/// A mount with issuers of these names. The key of each has the same name.
pub(super) fn mount<T: AsRef<str>>(names: &[T]) -> Snapshot {
    let key = |name: &str| Key { id: format!("key-{name}"), name: name.to_owned() };
    let issuer =
        |name: &str| Issuer { id: format!("id-{name}"), name: name.to_owned(), key: format!("key-{name}") };
    let names = || names.iter().map(AsRef::as_ref);
    let found = |name: &str| names().any(|it| it == name).then(|| current("CA"));
    Snapshot {
        issuers: names().map(issuer).collect(),
        keys: names().map(key).collect(),
        current: found("ca"),
        next: found("ca-next"),
        ..Snapshot::default()
    }
}

/// An issuer with a self-signed certificate.
pub(super) fn current(common_name: &str) -> Current {
    let certificate = Certificate {
        serial: "0a:0a:0a:0a:01".to_owned(),
        common_name: common_name.to_owned(),
        not_before: Timestamp::UNIX_EPOCH,
        not_after: Timestamp::MAX,
        is_self_signed: true,
        key_type: "ec",
    };
    Current { settings: Map::new(), certificate }
}

fn cluster() -> Arc<OpenBaoCluster> {
    let spec = json!({"external": {
        "address": "https://bao:8200", "managementAuth": {"jwt": {"audience": "https://bao:8200"}},
    }});
    Arc::new(OpenBaoCluster::new("main", serde_json::from_value(spec).unwrap()))
}

/// The desired state of the issuer `ca` of mount `pki`, whose status records these paths.
pub(super) fn desired(snapshot: Snapshot, recorded: &[String], changes: &Value) -> Desired {
    let resource = |path: &String| OwnedResource { path: path.clone(), ..OwnedResource::default() };
    let resources = recorded.iter().map(resource).collect();
    let facts = Facts {
        home: Home { cluster: cluster(), namespace: NamespacePath::root() },
        snapshot,
        owned: Some(OwnedResources { resources, ..OwnedResources::default() }),
        seal: Seal::new(&Mac::new(&[7; 32]), &mark()),
        signer: None,
        expired: Vec::new(),
        root: NamespacePath::root(),
        now: Timestamp::UNIX_EPOCH,
    };
    let root = json!({"commonName": "CA", "ttl": "2h"});
    let mut spec = json!({"clusterRef": {"name": "main"}, "mount": "pki", "root": root});
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Desired {
        facts,
        spec: serde_json::from_value(spec).unwrap(),
        mount: "pki".to_owned(),
        name: "ca".to_owned(),
        rotates_at: None,
    }
}
