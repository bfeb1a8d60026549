//! Single writes to OpenBao, and how they are shown before they are made.

use steamer_api::{Operation, PlannedChange};
use steamer_openbao::{Cas, CelRole, JwtConfig, JwtRole, KvConfig, MountRequest};

use crate::project::validate::Project;

/// One write to OpenBao.
#[derive(Debug)]
pub(crate) enum Change {
    CreateNamespace,
    MarkNamespace,
    EnableEngine(MountRequest),
    DescribeEngine(String),
    PutKvConfig(KvConfig),
    DisableAuth(&'static str),
    EnableAuth(&'static str, MountRequest),
    DescribeAuth(&'static str, String),
    PutConfig(&'static str, JwtConfig),
    DeleteCelRole(&'static str, String),
    PutCelRole(&'static str, String, CelRole),
    DeleteJwtRole(&'static str, String),
    PutJwtRole(&'static str, String, JwtRole),
    DeletePolicy(String),
    PutPolicy(String, String, Cas),
}

/// A change and why it is made.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) change: Change,
    pub(crate) operation: Operation,
    reason: &'static str,
}

pub(crate) fn creation(change: Change, reason: &'static str) -> Planned {
    Planned { change, operation: Operation::Create, reason }
}

pub(crate) fn update(change: Change, reason: &'static str) -> Planned {
    Planned { change, operation: Operation::Update, reason }
}

pub(crate) fn deletion(change: Change, reason: &'static str) -> Planned {
    Planned { change, operation: Operation::Delete, reason }
}

impl Planned {
    /// As it is shown under `mode: Observe`.
    pub(crate) fn described(&self, project: &Project) -> PlannedChange {
        let path = match &self.change {
            Change::CreateNamespace | Change::MarkNamespace => String::new(),
            Change::EnableEngine(_) | Change::DescribeEngine(_) => format!("sys/mounts/{}", project.engine),
            Change::PutKvConfig(_) => format!("{}/config", project.engine),
            Change::DisableAuth(mount) | Change::EnableAuth(mount, _) | Change::DescribeAuth(mount, _) => {
                format!("sys/auth/{mount}")
            }
            Change::PutConfig(mount, _) => format!("auth/{mount}/config"),
            Change::DeleteCelRole(mount, name) | Change::PutCelRole(mount, name, _) => {
                format!("auth/{mount}/cel/role/{name}")
            }
            Change::DeleteJwtRole(mount, name) | Change::PutJwtRole(mount, name, _) => {
                format!("auth/{mount}/role/{name}")
            }
            Change::DeletePolicy(name) | Change::PutPolicy(name, ..) => format!("sys/policies/acl/{name}"),
        };
        let path: String = project.namespace.path(&path).chars().take(1024).collect();
        PlannedChange { operation: self.operation, path, reason: self.reason.to_owned() }
    }
}
