//! Renewal of a lease, and of the token that it depends on.

use std::time::Duration;

use jiff::Timestamp;
use steamer_core::Error;
use steamer_openbao::{Error as OpenBao, Session};
use steamer_runtime::Key;

use super::timing;
use crate::engine::{Engine, Held, LeaseHeld, Renewal, TokenHeld};

/// Renews the token of a lease with itself, or by its accessor. Returns the session that can use it, if there is one, and the
/// token. A token that is not renewed ends at its time.
pub(super) async fn renewed_token(
    engine: &Engine,
    (owner, lease): (&Key, &LeaseHeld),
    own: Option<Session>,
) -> Result<(Option<Session>, Option<TokenHeld>), Error> {
    let Some(token) = lease.token.filter(|token| token.renewable) else { return Ok((own, lease.token)) };
    if let Some(session) = own {
        match session.renew_token().await {
            Ok(life) => return Ok((Some(session), timing::renewed_token(token, life, timing::now()))),
            // The token does not exist anymore, or may not renew itself.
            Err(OpenBao::Denied { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let renewed = engine.renew_token(owner, lease).await?;
    Ok((
        None,
        match renewed {
            Some(life) => timing::renewed_token(token, life, timing::now()),
            None => Some(timing::final_token(token)),
        },
    ))
}

/// Renews a lease, or looks for one that cannot be renewed: its token was.
pub(super) async fn renew_lease(session: &Session, mut lease: LeaseHeld) -> Result<Renewal, Error> {
    let now = timing::now();
    if !lease.renewable {
        return match session.lookup_lease(&lease.id).await {
            Ok(None) => Ok(Renewal::Gone),
            Ok(Some(_)) | Err(OpenBao::Denied { .. }) => Ok(renewed(lease, now)),
            Err(error) => Err(error.into()),
        };
    }
    let increment = Duration::from_secs(u64::try_from(lease.seconds).unwrap_or_default());
    match session.renew_lease(&lease.id, increment).await {
        Ok(None) => return Ok(Renewal::Gone),
        Ok(Some(granted)) => {
            lease.ends = timing::after(now, granted.duration);
            lease.renewable = granted.renewable;
        }
        // Another lease replaces it before it ends.
        Err(OpenBao::Denied { .. }) => lease.renewable = false,
        Err(error) => return Err(error.into()),
    }
    Ok(renewed(lease, now))
}

fn renewed(lease: LeaseHeld, now: Timestamp) -> Renewal {
    Renewal::Renewed(Box::new(Held::Lease(LeaseHeld { at: now, ..lease })))
}
