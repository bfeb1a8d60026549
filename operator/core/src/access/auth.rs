//! Resolves a BaoAuth for the object that refers to it: server, login, namespace.

use std::sync::Arc;

use kube::ResourceExt;
use secrecy::SecretString;
use steamer_api::{AuthMethod, BaoAuth, Inline, JwtMethod, ProjectPhase, Reference};
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::{Dependencies, ObjectName};

use super::consent::{Asked, check_secret};
use super::receivers::{Receiver, not_provisioned, project_cluster, project_of};
use super::server_audience::server_audience;
use super::servers::AccountToken;
use super::sessions::{CredentialOwner, LoginKey, Server};
use crate::context::Context;
use crate::error::Error;
use crate::layout::WORKLOAD_MOUNT;

/// Longest lifetime of a token, in seconds. An object that was created before the limit can state more.
const LONGEST_TOKEN: i64 = 3600;

/// What a login is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests whose results do not depend on the token.
    Read,
    /// Leases, which OpenBao revokes with the token that they were issued with.
    Lease,
}

impl Purpose {
    /// Refuses a BaoAuth that cannot be used for the purpose.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inline logins, which have no token.
    pub fn check(self, auth: &BaoAuth) -> Result<(), Error> {
        if self == Self::Lease && auth.spec.inline == Inline::Always {
            return Err(Error::Invalid(format!(
                "BaoAuth {} has inline: Always, and OpenBao grants leases only to tokens: set inline: Auto, or another authRef",
                ObjectName::of(auth)
            )));
        }
        Ok(())
    }
}

/// Access to OpenBao.
pub struct Access {
    /// A session in the root namespace.
    pub session: Session,
    /// A session with a token of the same login, for endpoints that refuse inline authentication. It logs in at its first
    /// request.
    pub token: Session,
    /// Login of the session. Objects with equal logins share reads.
    pub login: LoginKey,
}

/// The BaoAuth of an object in `namespace`: the one that `reference` names, else `default` of that namespace, else `default`
/// of the operator's namespace.
///
/// # Errors
/// [`Error::NotFound`] or [`Error::Denied`].
pub fn auth_of(
    context: &Context,
    dependencies: &Dependencies,
    reference: Option<&Reference>,
    namespace: &str,
) -> Result<Arc<BaoAuth>, Error> {
    if let Some(reference) = reference {
        return context.stores.resolve(dependencies, reference, namespace);
    }
    let own = context.stores.named(dependencies, &ObjectName::new(namespace, "default"), namespace);
    match own {
        Err(Error::NotFound { .. }) => {
            let shared = ObjectName::new(&context.operator.namespace, "default");
            context.stores.named(dependencies, &shared, namespace)
        }
        found => found,
    }
}

/// The server of a BaoAuth. References are checked for the namespace of the BaoAuth.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Denied`] for its references, [`Error::Waiting`] while the server is not known yet.
pub async fn server_of(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
) -> Result<Server, Error> {
    Receiver::of(context, dependencies, auth)?.server(context, dependencies).await
}

/// Login of a BaoAuth, without the namespace of the object that uses it.
pub struct Method {
    /// OpenBao namespace of the auth mount.
    pub namespace: NamespacePath,
    /// Path of the auth mount, without `auth/`.
    pub mount: String,
    role: String,
    inline: bool,
    credential: MethodCredential,
}

enum MethodCredential {
    ServiceAccount {
        name: String,
        namespace: Option<String>,
        audiences: Vec<String>,
        expiration_seconds: i64,
    },
    Secret(String),
}

/// The login method of a BaoAuth.
///
/// # Errors
/// [`Error::Invalid`] for an incomplete method or an audience of the API server.
pub fn method_of(context: &Context, dependencies: &Dependencies, auth: &BaoAuth) -> Result<Method, Error> {
    let mut method = match auth.spec.method {
        None => workload_method(context, dependencies, auth)?,
        Some(AuthMethod::Kubernetes) => kubernetes_method(auth)?,
        Some(AuthMethod::JWT) => jwt_method(auth)?,
    };
    if let MethodCredential::ServiceAccount { audiences, .. } = &mut method.credential {
        if audiences.is_empty() {
            audiences.push(Receiver::of(context, dependencies, auth)?.default_audience()?);
        }
        context.safe_audiences(audiences)?;
    }
    Ok(method)
}

fn inline(auth: &BaoAuth, automatic: bool) -> bool {
    match auth.spec.inline {
        Inline::Auto => automatic,
        Inline::Always => true,
        Inline::Never => false,
    }
}

fn namespace_of(auth: &BaoAuth) -> NamespacePath {
    NamespacePath::new(auth.spec.namespace.as_deref().unwrap_or_default())
}

fn mount_of(auth: &BaoAuth, default: &str) -> String {
    auth.spec.mount.as_deref().unwrap_or(default).trim_matches('/').to_owned()
}

fn kubernetes_method(auth: &BaoAuth) -> Result<Method, Error> {
    let block = auth.spec.kubernetes.as_ref();
    let block =
        block.ok_or_else(|| Error::Invalid("method Kubernetes needs the block kubernetes".to_owned()))?;
    Ok(Method {
        namespace: namespace_of(auth),
        mount: mount_of(auth, "kubernetes"),
        role: block.role.clone(),
        inline: inline(auth, false),
        credential: MethodCredential::ServiceAccount {
            name: block.service_account.clone(),
            namespace: None,
            audiences: block.audiences.clone(),
            expiration_seconds: block.token_expiration_seconds.min(LONGEST_TOKEN),
        },
    })
}

fn jwt_method(auth: &BaoAuth) -> Result<Method, Error> {
    let block =
        auth.spec.jwt.as_ref().ok_or_else(|| Error::Invalid("method JWT needs the block jwt".to_owned()))?;
    let JwtMethod { role, service_account, secret_ref, audiences, token_expiration_seconds } = block;
    let credential = match (service_account, secret_ref) {
        (Some(name), _) => MethodCredential::ServiceAccount {
            name: name.clone(),
            namespace: None,
            audiences: audiences.clone(),
            expiration_seconds: (*token_expiration_seconds).min(LONGEST_TOKEN),
        },
        (None, Some(secret)) => MethodCredential::Secret(secret.clone()),
        (None, None) => return Err(Error::Invalid("jwt needs serviceAccount or secretRef".to_owned())),
    };
    let (namespace, mount) = (namespace_of(auth), mount_of(auth, "jwt"));
    Ok(Method { namespace, mount, role: role.clone(), inline: inline(auth, true), credential })
}

fn workload_method(context: &Context, dependencies: &Dependencies, auth: &BaoAuth) -> Result<Method, Error> {
    let project = project_of(context, dependencies, auth)?;
    let wanted = auth.spec.workload.as_deref().unwrap_or_default();
    let workload = project.spec.workloads.iter().find(|workload| workload.name == wanted);
    let workload = workload.ok_or_else(|| {
        Error::Waiting(format!("SecretsProject {} has no workload `{wanted}`", ObjectName::of(&*project)))
    })?;
    let audience = match &workload.audience {
        Some(audience) => audience.clone(),
        None => server_audience(&*project_cluster(context, dependencies, &project)?),
    };
    let status = project.status.as_ref().filter(|status| status.phase == Some(ProjectPhase::Active));
    let namespace = status.and_then(|status| status.lifecycle.openbao_namespace.as_deref());
    Ok(Method {
        namespace: NamespacePath::new(namespace.ok_or_else(|| not_provisioned(&project))?),
        mount: WORKLOAD_MOUNT.to_owned(),
        role: workload.name.clone(),
        inline: inline(auth, true),
        credential: MethodCredential::ServiceAccount {
            name: workload.service_account.clone(),
            namespace: Some(workload.namespace.clone()),
            audiences: vec![audience],
            expiration_seconds: 600,
        },
    })
}

/// Access for an object in namespace `consumer` that refers to `auth`. ServiceAccounts and Secrets are always those of the
/// consumer's namespace.
///
/// # Errors
/// As [`server_of`] and [`method_of`], and [`Error::NotAllowed`] for a ServiceAccount of another namespace or
/// without consent.
pub async fn access(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
    consumer: &str,
) -> Result<Access, Error> {
    let receiver = Receiver::of(context, dependencies, auth)?;
    let server = receiver.server(context, dependencies).await?;
    let Method { namespace, mount, role, inline, credential } = method_of(context, dependencies, auth)?;
    let (owner, stored) = match credential {
        MethodCredential::ServiceAccount { name, namespace, audiences, expiration_seconds } => {
            own_account(&name, namespace.as_deref(), consumer)?;
            let account = ObjectName::new(consumer, name);
            let of_server = receiver.audiences(context, dependencies, consumer).await?;
            let object = context.accounts.existing(dependencies, &account).await?;
            context.consent.check(&object, &Asked { audiences: &audiences, of_server: &of_server })?;
            let token = AccountToken { account, audiences, expiration_seconds };
            (context.account_credential(dependencies, token).await?, None)
        }
        MethodCredential::Secret(secret) => {
            stored_jwt(context, dependencies, ObjectName::new(consumer, secret)).await?
        }
    };
    let login = LoginKey { server: server.key.clone(), namespace, mount, role, inline, owner };
    let with_token = LoginKey { inline: false, ..login.clone() };
    let token = context.sessions.session(&server, with_token, stored.clone()).await;
    let session = context.sessions.session(&server, login.clone(), stored).await;
    Ok(Access { session, token, login })
}

fn own_account(account: &str, namespace: Option<&str>, consumer: &str) -> Result<(), Error> {
    match namespace {
        Some(namespace) if namespace != consumer => Err(Error::NotAllowed(format!(
            "this workload is ServiceAccount {account} of namespace {namespace}: an object in namespace {consumer} cannot use it"
        ))),
        _ => Ok(()),
    }
}

async fn stored_jwt(
    context: &Context,
    dependencies: &Dependencies,
    name: ObjectName,
) -> Result<(CredentialOwner, Option<SecretString>), Error> {
    let secret = context.secrets.existing(dependencies, &name).await?;
    check_secret(&secret)?;
    let jwt = context.secrets.value(dependencies, &name, "jwt").await?;
    let jwt: SecretString = String::from_utf8_lossy(&jwt).trim().to_owned().into();
    Ok((CredentialOwner::Secret(name, secret.resource_version().unwrap_or_default()), Some(jwt)))
}
