//! Objects and OpenBao states for unit tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use steamer_api::{JWTIssuer, KindId, PipelinePolicy, SecretsProject, UserPolicy};
use steamer_core::access::service_accounts::ApiIssuer;
use steamer_core::error::Error;
use steamer_core::ownership::{Mark, Owner};
use steamer_openbao::{Mount, Namespace, Policy};
use steamer_runtime::ObjectName;

use super::desired::Project;
use super::fetch::{Additional, Found, References};
use super::observed::{Observed, ObservedAuth};
use super::validate::validate;
use crate::engine::Setting;

/// The answer of the API server to a list that the operator may not make.
pub(crate) fn refusal() -> watcher::Error {
    let status = kube::core::Status { code: 403, ..kube::core::Status::default() };
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

/// Mark of project `web`.
pub(super) fn mark() -> Mark {
    mark_of("web")
}

pub(super) fn mark_of(project: &str) -> Mark {
    let owner = Owner::Object(KindId::SecretsProject);
    Mark { installation: "i".to_owned(), owner, name: ObjectName::new("ns", project) }
}

fn object<K: DeserializeOwned>(kind: &str, name: &str, content: Value) -> K {
    let mut object = json!({
        "apiVersion": "steamer.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "ns", "uid": name, "generation": 1},
    });
    merge(&mut object, content);
    serde_json::from_value(object).unwrap()
}

fn shared<K: DeserializeOwned>(kind: &str, name: &str, content: Value) -> Arc<K> {
    Arc::new(object(kind, name, content))
}

fn merge(target: &mut Value, changes: Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, value) => *target = value,
    }
}

/// Project 42, with `changes`.
pub(super) fn project(changes: Value) -> SecretsProject {
    let mut content = json!({"spec": {"tenantRef": {"name": "acme"}, "id": 42}});
    merge(&mut content, changes);
    object("SecretsProject", "web", content)
}

pub(super) fn policy(name: &str, changes: Value) -> Arc<PipelinePolicy> {
    let mut spec = json!({"projectRef": {"name": "web"}, "secrets": [{"name": "A"}]});
    merge(&mut spec, changes);
    shared("PipelinePolicy", name, json!({"spec": spec}))
}

/// A policy of user 5, with `changes`.
pub(super) fn user_policy(name: &str, changes: Value) -> Arc<UserPolicy> {
    let mut spec = json!({"projectRef": {"name": "web"}, "principal": {"user": {"id": 5}}});
    merge(&mut spec, changes);
    shared("UserPolicy", name, json!({"spec": spec}))
}

/// The additional issuer `gitea`, where the project has ID 7.
pub(super) fn gitea() -> Additional {
    let spec = json!({"name": "gitea", "issuerRef": {"name": "gitea"}, "id": 7});
    let issuer = json!({"spec": {"profile": "Gitea", "oidcDiscoveryUrl": "https://gitea.example.com"}});
    Additional {
        spec: serde_json::from_value(spec).unwrap(),
        issuer: shared::<JWTIssuer>("JWTIssuer", "gitea", issuer),
    }
}

/// The parents of project 42, a policy for every job, and the issuer of ServiceAccount tokens.
pub(super) fn found() -> Found {
    let cluster = json!({"spec": {
        "external": {"address": "https://bao:8200", "managementAuth": {"kubernetes": {"role": "steamer", "audience": "openbao"}}},
        "externalUrl": "https://bao.example.com", "jwtAudience": "https://bao.example.com",
    }});
    let issuer = json!({"spec": {"oidcDiscoveryUrl": "https://gitlab.example.com"}});
    let tenant = json!({"spec": {
        "clusterRef": {"name": "main"}, "organizationId": 1, "groupId": 7, "issuerRef": {"name": "gitlab"},
    }});
    let references = References {
        tenant: shared("SecretsTenant", "acme", tenant),
        cluster: shared("OpenBaoCluster", "main", cluster),
        issuer: shared("JWTIssuer", "gitlab", issuer),
        missing_issuer: None,
        additional: Vec::new(),
        unusable: Vec::new(),
    };
    let api_issuer = ApiIssuer { issuer: "https://kubernetes".to_owned(), keys: vec!["key".to_owned()] };
    Found {
        references,
        issuer_ca: String::new(),
        additional_cas: Vec::new(),
        api_issuer: Some(Arc::new(api_issuer)),
        policies: vec![policy("all", json!({}))],
        users: Vec::new(),
    }
}

pub(super) fn validated(project: &SecretsProject, found: &Found) -> Result<Project, Error> {
    let safe_audiences = &|audiences: &[String]| match audiences {
        [audience] if audience == "kubernetes" => {
            Err(Error::Invalid("an audience of the API server".to_owned()))
        }
        _ => Ok(()),
    };
    validate(project, found, &Setting { mark: &mark(), now: Timestamp::UNIX_EPOCH, safe_audiences })
}

/// OpenBao in the desired state.
pub(super) fn settled(project: &Project) -> Observed {
    let custom_metadata = mark().metadata();
    let auth = project.auth.iter().map(|(path, auth)| {
        let observed = ObservedAuth {
            mount: mount("jwt", &mark()),
            config: Some(auth.config.clone()),
            cel_roles: auth.cel_roles.clone(),
            jwt_roles: auth.jwt_roles.clone(),
        };
        (path.clone(), observed)
    });
    let policies = project.policies.iter().map(|(name, text)| (name.clone(), policy_text(text)));
    Observed {
        namespace: Some(Namespace { custom_metadata, ..Namespace::default() }),
        engine: Some(mount("kv", &mark())),
        kv: Some(project.kv.clone()),
        auth: auth.collect(),
        policies: policies.collect(),
    }
}

pub(super) fn mount(kind: &str, owner: &Mark) -> Mount {
    let options = BTreeMap::from([("version".to_owned(), "2".to_owned())]);
    Mount { kind: kind.to_owned(), description: owner.description(), options, ..Mount::default() }
}

pub(super) fn policy_text(text: &str) -> Policy {
    Policy { policy: text.to_owned(), version: 3 }
}
