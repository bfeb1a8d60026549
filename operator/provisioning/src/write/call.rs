//! Requests to OpenBao: the path and the execution of each.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::Method;
use steamer_core::error::Error;
use steamer_core::ownership::mark::{Mark, foreign};
use steamer_openbao::{
    Cas, CelRole, Error as OpenBao, JwtConfig, JwtRole, KvConfig, MountRequest, Namespace, NamespacePath,
    Session,
};

use super::request::Request;
use crate::general::{Body, Receipt, delete, send};
use crate::managed_secret::change::{Change, Versions};
use crate::signing::Signing;

/// Deletes the resource at a path. A missing resource is no error. The session is in the namespace of the resource.
pub(crate) type Deletion = for<'a> fn(&'a Session, &'a str) -> BoxFuture<'a, Result<(), Error>>;

/// Request of a write. Paths are relative to the namespace of the write.
#[derive(Debug)]
pub(crate) enum Call {
    CreateNamespace {
        name: String,
        mark: Mark,
    },
    MarkNamespace {
        name: String,
        mark: Mark,
    },
    EnableEngine {
        path: String,
        request: MountRequest,
    },
    DescribeEngine {
        path: String,
        description: String,
    },
    PutKvConfig {
        path: String,
        config: KvConfig,
    },
    EnableAuth {
        path: String,
        request: MountRequest,
    },
    DescribeAuth {
        path: String,
        description: String,
    },
    PutJwtConfig {
        mount: String,
        config: JwtConfig,
    },
    PutCelRole {
        mount: String,
        name: String,
        role: CelRole,
    },
    PutJwtRole {
        mount: String,
        name: String,
        role: JwtRole,
    },
    PutPolicy {
        name: String,
        text: String,
        cas: Cas,
    },
    /// Creates or changes a resource of a general kind.
    Send {
        method: Method,
        path: String,
        body: Body,
        /// Keeps the answer.
        receipt: Option<Arc<dyn Receipt>>,
    },
    /// Requests and imports the certificate of an intermediate authority.
    Sign(Box<Signing>),
    /// Creates or changes a secret of a project.
    ChangeSecret(Box<Change>),
    /// Deletes or destroys versions of a secret.
    RemoveVersions(Versions),
    /// Deletes the resource at a path. A missing resource is no error.
    Delete(String),
    /// Deletes a resource of a general kind, as the kind does it.
    Remove(String, Deletion),
}

/// Path of an auth mount.
pub(crate) fn auth_path(mount: &str) -> String {
    format!("sys/auth/{mount}")
}

/// Path of a CEL role.
pub(crate) fn cel_role_path(mount: &str, name: &str) -> String {
    format!("auth/{mount}/cel/role/{name}")
}

/// Path of a role of type `jwt`.
pub(crate) fn jwt_role_path(mount: &str, name: &str) -> String {
    format!("auth/{mount}/role/{name}")
}

/// Path of a policy.
pub(crate) fn policy_path(name: &str) -> String {
    format!("sys/policies/acl/{name}")
}

impl Call {
    /// Path of the resource, within the namespace of the write.
    pub(super) fn path(&self) -> String {
        match self {
            Self::CreateNamespace { name, .. } | Self::MarkNamespace { name, .. } => format!("{name}/"),
            Self::EnableEngine { path, .. } | Self::DescribeEngine { path, .. } => {
                format!("sys/mounts/{path}")
            }
            Self::PutKvConfig { path, .. } => format!("{path}/config"),
            Self::EnableAuth { path, .. } | Self::DescribeAuth { path, .. } => auth_path(path),
            Self::PutJwtConfig { mount, .. } => format!("auth/{mount}/config"),
            Self::PutCelRole { mount, name, .. } => cel_role_path(mount, name),
            Self::PutJwtRole { mount, name, .. } => jwt_role_path(mount, name),
            Self::PutPolicy { name, .. } => policy_path(name),
            Self::Sign(signing) => signing.path(),
            Self::ChangeSecret(change) => change.location(),
            Self::RemoveVersions(versions) => versions.location(),
            Self::Send { path, .. } | Self::Delete(path) | Self::Remove(path, _) => path.clone(),
        }
    }

    /// The request, within the namespace of the write. None for several requests.
    pub(super) fn request(&self) -> Option<Request> {
        let method = match self {
            Self::Sign(_) | Self::ChangeSecret(_) | Self::RemoveVersions(_) => return None,
            Self::MarkNamespace { .. } => Method::PATCH,
            Self::Delete(_) | Self::Remove(..) => Method::DELETE,
            Self::Send { method, .. } => method.clone(),
            _ => Method::POST,
        };
        let path = match self {
            Self::CreateNamespace { name, .. } | Self::MarkNamespace { name, .. } => {
                format!("sys/namespaces/{name}")
            }
            Self::DescribeEngine { .. } | Self::DescribeAuth { .. } => format!("{}/tune", self.path()),
            _ => self.path(),
        };
        Some(Request::new(&method, path))
    }

    /// Sends the request in the namespace of the session.
    pub(super) async fn execute(&self, session: &Session) -> Result<(), Error> {
        let done = match self {
            Self::CreateNamespace { name, mark } => return create_namespace(session, name, mark).await,
            Self::MarkNamespace { name, mark } => session.mark_namespace(name, &mark.metadata()).await,
            Self::EnableEngine { path, request } => session.enable_mount(path, request).await,
            Self::DescribeEngine { path, description } => session.describe_mount(path, description).await,
            Self::PutKvConfig { path, config } => put_kv_config(session, path, config).await,
            Self::EnableAuth { path, request } => session.enable_auth(path, request).await,
            Self::DescribeAuth { path, description } => session.describe_auth(path, description).await,
            Self::PutJwtConfig { mount, config } => session.put_jwt_config(mount, config).await,
            Self::PutCelRole { mount, name, role } => session.put_cel_role(mount, name, role).await,
            Self::PutJwtRole { mount, name, role } => session.put_jwt_role(mount, name, role).await,
            Self::PutPolicy { name, text, cas } => session.put_policy(name, text, *cas).await,
            Self::Send { method, path, body, receipt } => {
                return send(session, (method, path, body), receipt.as_deref()).await;
            }
            Self::Sign(signing) => signing.execute(session).await,
            Self::ChangeSecret(change) => return change.execute(session).await,
            Self::RemoveVersions(versions) => return versions.execute(session).await,
            Self::Delete(path) => return delete(session, path).await,
            Self::Remove(path, deletion) => return deletion(session, path).await,
        };
        Ok(done?)
    }
}

async fn create_namespace(session: &Session, name: &str, mark: &Mark) -> Result<(), Error> {
    let existing = session.create_namespace(name, &mark.metadata()).await?;
    check_created(&session.namespace().join(name), existing.as_ref(), mark)
}

/// Checks a namespace that another client created after the plan was computed.
pub(super) fn check_created(
    path: &NamespacePath,
    existing: Option<&Namespace>,
    mark: &Mark,
) -> Result<(), Error> {
    let Some(existing) = existing else {
        return Ok(());
    };
    match Mark::of_metadata(&existing.custom_metadata) {
        Some(owner) if owner == *mark => Ok(()),
        owner => Err(foreign(&format!("namespace {path}"), owner.as_ref())),
    }
}

/// For some milliseconds after it was enabled, a KV v2 engine rejects its settings.
async fn put_kv_config(session: &Session, path: &str, config: &KvConfig) -> Result<(), OpenBao> {
    for _ in 0..20 {
        match session.put_kv_config(path, config).await {
            Err(OpenBao::Server { status: 400, .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            result => return result,
        }
    }
    session.put_kv_config(path, config).await
}
