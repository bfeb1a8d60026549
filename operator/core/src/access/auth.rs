//! Resolves a BaoAuth for the object that refers to it: server, login, namespace.

use std::sync::Arc;

use steamer_api::{BaoAuth, Inline, Reference};
use steamer_openbao::{LoginKind, Session, Settings};
use steamer_runtime::{Dependencies, ObjectName};

use super::credentials::{Consumer, Owned, file};
use super::defaults::Defaults;
use super::effective::Effective;
use super::methods::{self, Method, MethodCredential};
use super::receivers::Receiver;
use super::sessions::{CredentialOwner, LoginKey, LoginMethod, Server};
use super::workload;
use crate::context::Context;
use crate::error::Error;

/// What a login is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Requests whose results do not depend on the token.
    Read,
    /// Leases, which OpenBao revokes with the token that they were issued with.
    Lease,
}

impl Purpose {
    /// Refuses a login that cannot be used for the purpose.
    ///
    /// # Errors
    /// [`Error::Invalid`] for inline logins, which have no token, and for tokens of users, which are never revoked.
    pub fn check(self, auth: &BaoAuth, login: &LoginKey) -> Result<(), Error> {
        let refused = match self {
            Self::Lease if auth.spec.inline == Inline::Always => "inline: Always",
            Self::Lease if login.method.kind == LoginKind::Token => "method Token",
            Self::Lease | Self::Read => return Ok(()),
        };
        Err(Error::Invalid(format!(
            "BaoAuth {} has {refused}, and a lease requires a token of its own: set inline: Auto and another method, or \
             another authRef",
            ObjectName::of(auth)
        )))
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
    pub login: Arc<LoginKey>,
    /// Name of the cluster that the BaoAuth refers to. None for a server that is known by its address only.
    pub cluster: Option<ObjectName>,
    /// Name of this cluster, if relays report its writes.
    pub relayed: Option<ObjectName>,
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
    match reference {
        Some(reference) => context.stores.resolve(dependencies, reference, namespace),
        None => Defaults::new(context, dependencies).of(namespace, namespace),
    }
}

/// The server of a BaoAuth. References are checked for the namespace of the object that states them.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Denied`] for its references, [`Error::Waiting`] while the server is not known yet.
pub async fn server_of(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
) -> Result<Server, Error> {
    let auth = Effective::of(context, dependencies, auth)?;
    let settings = Receiver::of(context, dependencies, &auth)?.settings(context, dependencies).await?;
    context.shared_server(dependencies, &with_headers(settings, &auth))
}

/// The login method of a BaoAuth.
///
/// # Errors
/// [`Error::Invalid`] for an incomplete method, an audience of the API server, or a file of a BaoAuth outside of the
/// operator's namespace.
pub fn method_of(context: &Context, dependencies: &Dependencies, auth: &BaoAuth) -> Result<Method, Error> {
    let auth = Effective::of(context, dependencies, auth)?;
    let receiver = Receiver::of(context, dependencies, &auth)?;
    checked(context, method(context, dependencies, &auth)?, (&auth, &receiver))
}

fn method(context: &Context, dependencies: &Dependencies, auth: &Effective) -> Result<Method, Error> {
    if auth.spec.project_ref.is_some() {
        return workload::method(context, dependencies, auth);
    }
    methods::method(&auth.spec)
}

/// A login with its audiences. Every author of a BaoAuth could otherwise send files of the operator to a server, or use the
/// client certificate of another namespace.
fn checked(
    context: &Context,
    mut method: Method,
    (auth, receiver): (&Effective, &Receiver),
) -> Result<Method, Error> {
    match &mut method.credential {
        MethodCredential::ServiceAccount(source) => {
            if source.audiences.is_empty() {
                source.audiences.push(receiver.default_audience()?);
            }
            context.safe_audiences(&source.audiences)?;
        }
        MethodCredential::File(_) if !auth.is_within(&context.operator.namespace) => {
            return Err(Error::Invalid(format!(
                "secretIDPath requires a BaoAuth, and a BaoAuthGlobal, in namespace {} of the operator: use secretRef",
                context.operator.namespace
            )));
        }
        // The certificate is a credential of the namespace of the connection.
        MethodCredential::Connection if !receiver.has_certificate_for(&auth.name.namespace) => {
            return Err(Error::Invalid(
                "method Cert with the certificate of a BaoConnection requires a BaoConnection in the namespace of the \
                 BaoAuth: set cert.secretRef"
                    .to_owned(),
            ));
        }
        _ => {}
    }
    Ok(method)
}

fn with_headers(mut settings: Settings, auth: &Effective) -> Settings {
    let own = &auth.spec.headers;
    settings.headers.retain(|name, _| !own.keys().any(|other| other.eq_ignore_ascii_case(name)));
    settings.headers.extend(own.clone());
    settings
}

/// Access for an object in namespace `consumer` that refers to `auth`. ServiceAccounts and Secrets are always those of the
/// consumer's namespace.
///
/// # Errors
/// As [`server_of`] and [`method_of`], and [`Error::NotAllowed`] for a ServiceAccount of another namespace, or a
/// ServiceAccount or Secret without consent.
pub async fn access(
    context: &Context,
    dependencies: &Dependencies,
    auth: &BaoAuth,
    consumer: &str,
) -> Result<Access, Error> {
    let auth = Effective::of(context, dependencies, auth)?;
    let receiver = Receiver::of(context, dependencies, &auth)?;
    let method = checked(context, method(context, dependencies, &auth)?, (&auth, &receiver))?;
    let consumer = Consumer { context, dependencies, namespace: consumer };
    let settings = settings(&consumer, &method.credential, (&auth, &receiver)).await?;
    let server = context.shared_server(dependencies, &settings)?;
    let Method { namespace, mount, role, kind, params, inline, credential } = method;
    let Owned { owner, stored } = owned(&consumer, credential, (&auth, &receiver)).await?;
    let (server_key, method) = (server.key.clone(), LoginMethod { kind, params });
    let login = LoginKey { server: server_key, namespace, mount, role, method, inline, owner };
    let (session, login) = context.sessions.session(&server, login, stored.clone()).await;
    let token = if login.inline {
        let with_token = LoginKey { inline: false, ..LoginKey::clone(&login) };
        context.sessions.session(&server, with_token, stored).await.0
    } else {
        session.clone()
    };
    let cluster = receiver.cluster().map(|cluster| ObjectName::of(&**cluster));
    let relayed = cluster.clone().filter(|_| receiver.cluster().is_some_and(|cluster| cluster.has_relays()));
    Ok(Access { session, token, login, cluster, relayed })
}

/// The settings of the connections of a login: those of the receiver, the headers of the BaoAuth, and the client
/// certificate of the method.
async fn settings(
    consumer: &Consumer<'_>,
    credential: &MethodCredential,
    (auth, receiver): (&Effective, &Receiver),
) -> Result<Settings, Error> {
    let of_receiver = receiver.settings(consumer.context, consumer.dependencies).await?;
    let mut settings = with_headers(of_receiver, auth);
    if let MethodCredential::Certificate(secret) = credential {
        settings.client_certificate = Some(consumer.certificate(secret).await?);
    }
    Ok(settings)
}

/// The owner of the secret of a login.
async fn owned(
    consumer: &Consumer<'_>,
    credential: MethodCredential,
    (auth, receiver): (&Effective, &Receiver),
) -> Result<Owned, Error> {
    match credential {
        MethodCredential::ServiceAccount(source) => consumer.account(source, receiver).await,
        MethodCredential::Jwt(secret) => consumer.jwt(&secret).await,
        MethodCredential::Secret { name, key } => consumer.value((&name, key), &auth.requested).await,
        MethodCredential::File(path) => file(&path, &auth.requested).await,
        MethodCredential::Aws(source) => consumer.aws(source, auth).await,
        MethodCredential::Gcp(source) => consumer.gcp(source, auth).await,
        MethodCredential::Certificate(_) | MethodCredential::Connection => {
            Ok(Owned { owner: CredentialOwner::Certificate, stored: None })
        }
    }
}
