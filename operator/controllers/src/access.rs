//! What a BaoAuth comes to for who refers to it: a server, a login, a namespace.

use secrecy::SecretString;
use std::sync::Arc;

use kube::ResourceExt;
use steamer_api::{
    AuthMethod, BaoAuth, BaoConnection, Inline, JwtMethod, OpenBaoCluster, ProjectPhase, Reference,
    SecretsProject,
};
use steamer_openbao::{NamespacePath, Session};
use steamer_runtime::{Dependencies, Name};

use crate::context::Context;
use crate::error::Error;
use crate::references::target;
use crate::secrets_project::WORKLOAD_MOUNT;
use crate::service_accounts::TokenOf;
use crate::sessions::{LoginOf, Server, Who};

/// A way in.
pub(crate) struct Access {
    /// A session in the root namespace.
    pub(crate) session: Session,
    /// Whose: objects with an equal one share reads.
    pub(crate) login: LoginOf,
}

/// The BaoAuth of an object in `namespace`: the one it names, or a `default`.
pub(crate) fn auth_of(
    context: &Context,
    dependencies: &Dependencies,
    reference: Option<&Reference>,
    namespace: &str,
) -> Result<Arc<BaoAuth>, Error> {
    if let Some(reference) = reference {
        return context.stores.resolve(dependencies, reference, namespace);
    }
    let own = context.stores.named(dependencies, &Name::new(namespace, "default"), namespace);
    match own {
        Err(Error::NotFound { .. }) => {
            let shared = Name::new(&context.operator.namespace, "default");
            context.stores.named(dependencies, &shared, namespace)
        }
        found => found,
    }
}

/// The server that a BaoAuth leads to, checked for the BaoAuth's own namespace.
pub(crate) async fn server_of(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
) -> Result<Server, Error> {
    let namespace = auth.namespace().unwrap_or_default();
    if let Some(reference) = &auth.spec.cluster_ref {
        return cluster_server(context, dependencies, reference, &namespace).await;
    }
    if let Some(reference) = &auth.spec.connection_ref {
        let connection: Arc<BaoConnection> = context.stores.resolve(dependencies, reference, &namespace)?;
        return connection_server(context, dependencies, &connection).await;
    }
    let project = project_of(context, dependencies, auth)?;
    let provisioned = project.status.as_ref().and_then(|status| status.provisioned.as_ref());
    let provisioned = provisioned.ok_or_else(|| not_provisioned(&project))?;
    // The project's tenant had the right to the cluster; the project is what was referred to.
    let name = target(&provisioned.cluster_ref, &namespace);
    let cluster = context.stores.existing::<OpenBaoCluster>(dependencies, &name)?;
    context.sessions.cluster(dependencies, &cluster).await
}

/// The server of a connection.
pub(crate) async fn connection_server(
    context: &Context,
    dependencies: &Dependencies,
    connection: &BaoConnection,
) -> Result<Server, Error> {
    match &connection.spec.cluster_ref {
        Some(reference) => {
            cluster_server(context, dependencies, reference, &connection.namespace().unwrap_or_default())
                .await
        }
        None => context.sessions.connection(dependencies, connection).await,
    }
}

async fn cluster_server(
    context: &Context,
    dependencies: &Dependencies,
    reference: &Reference,
    from: &str,
) -> Result<Server, Error> {
    let cluster: Arc<OpenBaoCluster> = context.stores.resolve(dependencies, reference, from)?;
    context.sessions.cluster(dependencies, &cluster).await
}

fn project_of(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
) -> Result<Arc<SecretsProject>, Error> {
    let reference = auth.spec.project_ref.as_ref();
    let reference = reference.ok_or_else(|| {
        Error::Invalid("one of connectionRef, clusterRef and projectRef is needed".to_owned())
    })?;
    context.stores.resolve(dependencies, reference, &auth.namespace().unwrap_or_default())
}

fn not_provisioned(project: &SecretsProject) -> Error {
    Error::Waiting(format!("SecretsProject {} lets nobody in yet: it is not active", Name::of(project)))
}

/// Where and as what a BaoAuth logs in, before it is known for whom.
pub(crate) struct Method {
    pub(crate) namespace: NamespacePath,
    pub(crate) mount: String,
    role: String,
    inline: bool,
    who: MethodWho,
}

enum MethodWho {
    ServiceAccount {
        name: String,
        namespace: Option<String>,
        audiences: Vec<String>,
        expiration_seconds: i64,
    },
    Secret(String),
}

/// Reads a BaoAuth: what its method is and where.
pub(crate) fn method_of(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
) -> Result<Method, Error> {
    let method = match auth.spec.method {
        None => workload_method(context, dependencies, auth)?,
        Some(AuthMethod::Kubernetes) => kubernetes_method(auth)?,
        Some(AuthMethod::JWT) => jwt_method(auth)?,
    };
    if let MethodWho::ServiceAccount { audiences, .. } = &method.who {
        context.safe_audiences(audiences)?;
    }
    Ok(method)
}

fn inline(auth: &BaoAuth, by_itself: bool) -> bool {
    match auth.spec.inline {
        Inline::Auto => by_itself,
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
        who: MethodWho::ServiceAccount {
            name: block.service_account.clone(),
            namespace: None,
            audiences: block.audiences.clone(),
            expiration_seconds: block.token_expiration_seconds,
        },
    })
}

fn jwt_method(auth: &BaoAuth) -> Result<Method, Error> {
    let block =
        auth.spec.jwt.as_ref().ok_or_else(|| Error::Invalid("method JWT needs the block jwt".to_owned()))?;
    let JwtMethod { role, service_account, secret_ref, audiences, token_expiration_seconds } = block;
    let who = match (service_account, secret_ref) {
        (Some(name), _) => MethodWho::ServiceAccount {
            name: name.clone(),
            namespace: None,
            audiences: audiences.clone(),
            expiration_seconds: *token_expiration_seconds,
        },
        (None, Some(secret)) => MethodWho::Secret(secret.clone()),
        (None, None) => return Err(Error::Invalid("jwt needs serviceAccount or secretRef".to_owned())),
    };
    let (namespace, mount) = (namespace_of(auth), mount_of(auth, "jwt"));
    Ok(Method { namespace, mount, role: role.clone(), inline: inline(auth, true), who })
}

fn workload_method(context: &Context, dependencies: &Dependencies, auth: &BaoAuth) -> Result<Method, Error> {
    let project = project_of(context, dependencies, auth)?;
    let wanted = auth.spec.workload.as_deref().unwrap_or_default();
    let workload = project.spec.workloads.iter().find(|workload| workload.name == wanted);
    let workload = workload.ok_or_else(|| {
        Error::Waiting(format!("SecretsProject {} has no workload `{wanted}`", Name::of(&*project)))
    })?;
    let status = project.status.as_ref().filter(|status| status.phase == Some(ProjectPhase::Active));
    let namespace = status.and_then(|status| status.openbao_namespace.as_deref());
    Ok(Method {
        namespace: NamespacePath::new(namespace.ok_or_else(|| not_provisioned(&project))?),
        mount: WORKLOAD_MOUNT.to_owned(),
        role: workload.name.clone(),
        inline: inline(auth, true),
        who: MethodWho::ServiceAccount {
            name: workload.service_account.clone(),
            namespace: Some(workload.namespace.clone()),
            audiences: vec![workload.audience.clone()],
            expiration_seconds: 600,
        },
    })
}

/// The way in of an object in `consumer` that refers to `auth`. Credentials are always the consumer's own.
pub(crate) async fn access(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
    consumer: &str,
) -> Result<Access, Error> {
    let server = server_of(context, dependencies, auth).await?;
    let Method { namespace, mount, role, inline, who } = method_of(context, dependencies, auth)?;
    let (who, stored) = match who {
        MethodWho::ServiceAccount { name, namespace, audiences, expiration_seconds } => {
            own_account(&name, namespace.as_deref(), consumer)?;
            let account = Name::new(consumer, name);
            (Who::ServiceAccount(TokenOf { account, audiences, expiration_seconds }), None)
        }
        MethodWho::Secret(secret) => stored_jwt(context, dependencies, Name::new(consumer, secret)).await?,
    };
    let login = LoginOf { server: server.key.clone(), namespace, mount, role, inline, who };
    let session = context.sessions.session(&server, login.clone(), stored).await;
    Ok(Access { session, login })
}

fn own_account(account: &str, namespace: Option<&str>, consumer: &str) -> Result<(), Error> {
    match namespace {
        Some(namespace) if namespace != consumer => Err(Error::NotAllowed(format!(
            "this workload is ServiceAccount {account} of namespace {namespace}; an object in {consumer} cannot use it"
        ))),
        _ => Ok(()),
    }
}

async fn stored_jwt(
    context: &Context,
    dependencies: &Dependencies,
    name: Name,
) -> Result<(Who, Option<SecretString>), Error> {
    let secret = context.sessions.named_secret(dependencies, &name).await?;
    let jwt = context.sessions.secret_value(dependencies, &name, "jwt").await?;
    let jwt: SecretString = String::from_utf8_lossy(&jwt).trim().to_owned().into();
    Ok((Who::Secret(name, secret.resource_version().unwrap_or_default()), Some(jwt)))
}
