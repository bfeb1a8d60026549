//! Status of a JWTIssuer.

use std::collections::BTreeSet;

use steamer_api::{JWTIssuer, JWTIssuerStatus, ReadableKeys};
use steamer_core::access::issuer::bound_issuer;
use steamer_core::access::keys::KeySet;
use steamer_core::context::Context;
use steamer_core::error::Error;
use steamer_runtime::Reason;
use steamer_runtime::conditions::Verdict;

use crate::jwt_issuer::fetch::Fetched;
use crate::jwt_issuer::published::Published;

/// Most keys in a status.
const MOST_KEYS: usize = 64;

pub(crate) async fn suspended(context: &Context, issuer: &JWTIssuer) -> Result<(), Error> {
    context.report(issuer, context.status(issuer), &Verdict::Suspended).await
}

pub(crate) async fn status(context: &Context, issuer: &JWTIssuer, fetched: Fetched) -> Result<(), Error> {
    let mut status: JWTIssuerStatus = context.status(issuer);
    status.bound_issuer = Some(bound_issuer(issuer));
    status.reachable = issuer.spec.public_keys.is_none().then_some(fetched.is_ok());
    let verdict = match fetched {
        Ok(published) => {
            let verdict = match &published.mistake {
                None => Verdict::Ready(Reason::Applied, published.described()),
                Some(mistake) => Verdict::Stalled(Reason::Invalid, mistake.clone()),
            };
            status.unreadable_keys = i64::try_from(published.unreadable.len()).unwrap_or(i64::MAX);
            status.readable_keys = readable_keys(issuer, &published);
            record(&mut status, published.keys);
            verdict
        }
        // OpenBao keeps the keys that it has fetched, so only this object waits.
        Err(problem) => Verdict::Retrying(Reason::Unreachable, problem),
    };
    context.report(issuer, status, &verdict).await
}

/// The keys that auth mounts contain instead of a URL, if OpenBao cannot read the key set at the URL.
fn readable_keys(issuer: &JWTIssuer, published: &Published) -> Option<ReadableKeys> {
    let source =
        issuer.source().filter(|_| !published.unreadable.is_empty() && !published.usable.is_empty())?;
    // The order of the key set must not change the status.
    let keys: BTreeSet<&String> = published.usable.iter().collect();
    let keys = keys.into_iter().take(MOST_KEYS).cloned().collect();
    Some(ReadableKeys { source: source.to_owned(), keys })
}

/// Writes the keys to the status and counts removals. After a removal, projects write their mounts again.
fn record(status: &mut JWTIssuerStatus, keys: KeySet) {
    let before = KeySet(status.key_ids.iter().cloned().zip(status.key_digests.iter().cloned()).collect());
    if before.loses_to(&keys) {
        status.key_removals += 1;
    }
    (status.key_ids, status.key_digests) = keys.0.into_iter().take(MOST_KEYS).unzip();
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn keys(keys: &[(&str, &str)]) -> KeySet {
        KeySet(keys.iter().map(|(id, digest)| ((*id).to_owned(), (*digest).to_owned())).collect())
    }

    #[rstest]
    #[case::url(serde_json::json!({"jwksUrl": "https://gitlab/keys", "boundIssuer": "i"}), 1, 1, true)]
    #[case::readable(serde_json::json!({"jwksUrl": "https://gitlab/keys", "boundIssuer": "i"}), 0, 1, false)]
    #[case::no_usable_key(serde_json::json!({"jwksUrl": "https://gitlab/keys", "boundIssuer": "i"}), 1, 0, false)]
    #[case::stated(serde_json::json!({"publicKeys": ["a"], "boundIssuer": "i"}), 1, 1, false)]
    fn usable_keys_replace_the_url_of_a_key_set_that_openbao_cannot_read(
        #[case] spec: serde_json::Value,
        #[case] unreadable: usize,
        #[case] usable: usize,
        #[case] expected: bool,
    ) {
        let mut issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        let published = Published {
            keys: KeySet::default(),
            usable: vec!["pem".to_owned(); usable],
            unreadable: vec!["AKP".to_owned(); unreadable],
            mistake: None,
        };
        let status =
            JWTIssuerStatus { readable_keys: readable_keys(&issuer, &published), ..Default::default() };
        issuer.status = Some(status);
        assert_eq!(issuer.readable_keys().is_some(), expected);
        issuer.spec.jwks_url = Some("https://other/keys".to_owned());
        assert_eq!(issuer.readable_keys(), None, "keys of another source");
    }

    #[test]
    fn the_order_of_a_key_set_does_not_change_the_status() {
        let spec = serde_json::json!({"jwksUrl": "https://gitlab/keys", "boundIssuer": "i"});
        let issuer = JWTIssuer::new("gitlab", serde_json::from_value(spec).unwrap());
        let kept = |usable: &[&str]| {
            let usable = usable.iter().map(|key| (*key).to_owned()).collect();
            let unreadable = vec!["AKP".to_owned()];
            let published = Published { keys: KeySet::default(), usable, unreadable, mistake: None };
            readable_keys(&issuer, &published).unwrap().keys
        };
        assert_eq!(kept(&["b", "a", "b"]), ["a", "b"]);
        assert_eq!(kept(&["a", "b"]), ["a", "b"]);
    }

    #[rstest]
    #[case::same(&[("a", "1"), ("b", "2")], 0)]
    #[case::added(&[("a", "1"), ("b", "2"), ("c", "3")], 0)]
    #[case::removed(&[("a", "1")], 1)]
    #[case::replaced(&[("a", "1"), ("b", "9")], 1)]
    #[case::renamed(&[("a", "1"), ("c", "2")], 0)]
    #[case::same_id(&[("a", "1"), ("a", "2")], 0)]
    #[case::removed_under_a_shared_id(&[("a", "1"), ("a", "3")], 1)]
    fn a_removed_or_replaced_key_is_counted(#[case] next: &[(&str, &str)], #[case] removals: i64) {
        let mut status = JWTIssuerStatus::default();
        record(&mut status, keys(&[("a", "1"), ("b", "2")]));
        assert_eq!(status.key_removals, 0);
        record(&mut status, keys(next));
        assert_eq!(status.key_removals, removals);
        assert_eq!(status.key_ids.len(), next.len());
    }
}
