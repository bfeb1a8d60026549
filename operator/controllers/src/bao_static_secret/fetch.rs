use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use steamer_api::BaoStaticSecret;
use steamer_openbao::{Error as OpenBao, NamespacePath, Session};
use steamer_runtime::Dependencies;

use crate::access::{Access, access as access_of, auth_of};
use crate::context::Context;
use crate::error::Error;
use crate::sync::readings::{Reading, Readings, Source};

/// What is read, with what.
pub(super) struct ReadAccess {
    session: Session,
    pub(super) source: Source,
}

pub(super) async fn access(
    context: &Context,
    dependencies: &Dependencies,
    secret: &BaoStaticSecret,
) -> Result<ReadAccess, Error> {
    let (spec, consumer) = (&secret.spec, secret.namespace().unwrap_or_default());
    let auth = auth_of(context, dependencies, spec.auth_ref.as_ref(), &consumer)?;
    let Access { session, login } = access_of(context, dependencies, &auth, &consumer).await?;
    let namespace = match &spec.namespace {
        Some(namespace) => NamespacePath::new(namespace),
        None => login.namespace.clone(),
    };
    let source = Source {
        namespace: namespace.clone(),
        login,
        mount: spec.mount.trim_matches('/').to_owned(),
        path: spec.path.clone(),
        kind: spec.type_,
        version: spec.version.filter(|version| *version > 0),
    };
    Ok(ReadAccess { session: session.within(namespace.as_str()), source })
}

/// Reads the value. A refresh takes what someone else has read since the last one was due; a new object what was read
/// since it exists, for its value may have been written just before; a changed spec or a nudge asks OpenBao.
pub(super) async fn read(
    readings: &Readings,
    access: &ReadAccess,
    secret: &BaoStaticSecret,
    reason: &'static str,
) -> Result<Arc<Reading>, Error> {
    let share = match reason {
        "SpecChanged" => Duration::ZERO,
        "NeverSynced" => period(secret).min(age(secret)),
        _ => period(secret),
    };
    let now = Instant::now();
    let oldest = now.checked_sub(share).unwrap_or(now);
    readings.read(&access.session, &access.source, oldest).await.map_err(|error| shared(&error))
}

/// For how long the object has existed at least: its creation is known by the second.
fn age(secret: &BaoStaticSecret) -> Duration {
    let created = secret.creation_timestamp().map(|at| Timestamp::now().duration_since(at.0));
    let age = created.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
    age.saturating_sub(Duration::from_secs(1))
}

/// The error of a read that several waited for, for each of them.
fn shared(error: &Arc<OpenBao>) -> Error {
    use crate::error::Shared;
    Error::Shared(Shared(error.clone()))
}

/// The pause to the next read: a little less than asked for, by an amount that depends on the path, so that objects on
/// one path stay together and those on different paths do not all come at once.
pub(super) fn period(secret: &BaoStaticSecret) -> Duration {
    let mut hasher = DefaultHasher::new();
    (&secret.spec.mount, &secret.spec.path).hash(&mut hasher);
    let share = 0.9 + 0.1 * (hasher.finish() % 1000) as f64 / 1000.0;
    secret.spec.refresh_after.get().max(Duration::from_secs(1)).mul_f64(share)
}
