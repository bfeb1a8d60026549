use steamer_api::{JWTIssuer, JWTIssuerStatus};
use steamer_core::access::issuer::bound_issuer;
use steamer_core::access::keys::KeySet;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::Reason;
use steamer_runtime::conditions::Verdict;

use crate::jwt_issuer::fetch::Fetched;

pub(crate) async fn suspended(context: &Context, issuer: &JWTIssuer) -> Result<(), Error> {
    context.report(issuer, context.last::<_, JWTIssuerStatus>(issuer), &Verdict::Suspended).await
}

pub(crate) async fn status(context: &Context, issuer: &JWTIssuer, fetched: Fetched) -> Result<(), Error> {
    let mut status: JWTIssuerStatus = context.last(issuer);
    status.bound_issuer = Some(bound_issuer(issuer));
    status.reachable = issuer.spec.public_keys.is_none().then_some(fetched.is_ok());
    let verdict = match fetched {
        Ok(keys) => {
            let verdict = Verdict::Ready(Reason::Applied, format!("{} keys", keys.0.len()));
            record(&mut status, keys);
            verdict
        }
        // OpenBao has the keys it needs until it meets a new one; only this object waits.
        Err(problem) => Verdict::Retrying(Reason::Unreachable, problem),
    };
    context.report(issuer, status, &verdict).await
}

/// Puts the keys into the status and counts when one is gone: mounts are written again then.
fn record(status: &mut JWTIssuerStatus, keys: KeySet) {
    let before = KeySet(status.key_ids.iter().cloned().zip(status.key_digests.iter().cloned()).collect());
    if before.loses_to(&keys) {
        status.key_removals += 1;
    }
    (status.key_ids, status.key_digests) = keys.0.into_iter().take(64).unzip();
}
